"""The entry points of Google Cloud Run functions: `api`, which answers for all of them, and one for each.

Rendered from template.yaml. An entry point is made when it is asked for: a function imports no other.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import functions_framework

from facet import loading
from facet.adapters import gcf
from facet.api import Api
from facet.cors import CrossOrigin
from facet.http import Answers
from facet.settings import settings

HTTP = {
    "register_user": 15,
    "authorize_user": 15,
    "refresh_token": 15,
    "get_profile_info": 15,
    "get_generation_history": 15,
    "sign_out": 15,
    "change_password": 15,
    "update_profile": 15,
    "erase_account": 15,
    "export_data": 15,
    "create_api_key": 15,
    "list_api_keys": 15,
    "revoke_api_key": 15,
    "create_task": 30,
    "get_task_status": 15,
    "get_task_result": 15,
    "create_upload": 15,
    "list_tasks": 15,
    "get_task": 30,
    "get_task_file": 15,
    "cancel_task": 15,
    "retry_task": 15,
    "delete_task": 15,
    "health": 15,
    "api_docs": 15,
}
EVENTS = {
    "consume_results": 60,
    "relay_outbox": 50,
    "reap_tasks": 50,
    "purge_expired": 50,
}


@cache
def __getattr__(name: str) -> Callable[..., Any]:
    if name == "api":
        return _http(Api(map(loading.load, HTTP)), name, max(HTTP.values()))
    if name in HTTP:
        return _http(loading.load(name), name, HTTP[name])
    if name in EVENTS:
        return functions_framework.cloud_event(gcf.cloud_event(loading.load(name), timeout=EVENTS[name]))
    raise AttributeError(name)


def _http(answers: Answers, name: str, timeout: int) -> Callable[..., Any]:
    allowed = CrossOrigin(answers, settings().cors_origins)
    return functions_framework.http(gcf.http(allowed, name=name, timeout=timeout))
