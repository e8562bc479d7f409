"""What the gateway itself adds to a request."""

import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

DELAYED_ACKNOWLEDGEMENT = 0.04  # seconds a client may take to acknowledge the head of an answer


def test_the_body_of_an_answer_does_not_wait_until_its_head_is_acknowledged(stack: Stack) -> None:
    connection = HTTPConnection(urlsplit(stack.gateway).netloc)
    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        connection.request("GET", "/nowhere")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - begun)
    connection.close()
    assert min(seconds[1:]) < DELAYED_ACKNOWLEDGEMENT / 2
