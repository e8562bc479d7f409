"""The events functions receive and the responses they give, as pure mappings."""

from local.events.cloudevent import cloud_event, message_event
from local.events.http import HttpRequest, alb_event, http_event, rest_event
from local.events.response import HttpResponse, MalformedResponse, Shape, decode_response
from local.events.rmq import MalformedMessage, RmqMessage, rmq_event
from local.events.schedule import schedule_event
from local.events.shapes import SHAPES, event_for

__all__ = [
    "SHAPES",
    "HttpRequest",
    "HttpResponse",
    "MalformedMessage",
    "MalformedResponse",
    "RmqMessage",
    "Shape",
    "alb_event",
    "cloud_event",
    "decode_response",
    "event_for",
    "http_event",
    "message_event",
    "rest_event",
    "rmq_event",
    "schedule_event",
]
