"""Facet as one Chalice app, rendered from template.yaml: an API of all HTTP functions, and each of the others.

A function is imported when it is first needed: every Lambda function of a Chalice app begins with this module.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from chalice.app import Chalice

from facet import loading
from facet.adapters import chalice
from facet.api import Api
from facet.cors import CrossOrigin
from facet.http import Request, Response
from facet.settings import settings

HTTP = [
    "register_user",
    "authorize_user",
    "refresh_token",
    "get_profile_info",
    "get_generation_history",
    "sign_out",
    "change_password",
    "update_profile",
    "erase_account",
    "export_data",
    "create_api_key",
    "list_api_keys",
    "revoke_api_key",
    "create_task",
    "get_task_status",
    "get_task_result",
    "create_upload",
    "list_tasks",
    "get_task",
    "get_task_file",
    "cancel_task",
    "retry_task",
    "delete_task",
    "health",
    "api_docs",
]
ROUTES = {
    "/users/registration": ["POST", "OPTIONS"],
    "/users/authorization": ["POST", "OPTIONS"],
    "/users/refresh-token": ["GET", "POST", "HEAD", "OPTIONS"],
    "/user-info/profile-info": ["GET", "PATCH", "HEAD", "OPTIONS"],
    "/user-info/generation-history": ["GET", "HEAD", "OPTIONS"],
    "/users/sign-out": ["POST", "OPTIONS"],
    "/users/password": ["POST", "OPTIONS"],
    "/user-info": ["DELETE", "OPTIONS"],
    "/user-info/export": ["GET", "HEAD", "OPTIONS"],
    "/api-keys": ["POST", "GET", "HEAD", "OPTIONS"],
    "/api-keys/{id}": ["DELETE", "OPTIONS"],
    "/3d-model-generation/tasks": ["POST", "GET", "HEAD", "OPTIONS"],
    "/integrations/3d-model-generation/tasks": ["POST", "GET", "HEAD", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}/status": ["GET", "HEAD", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}/status": ["GET", "HEAD", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}/result": ["GET", "HEAD", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}/result": ["GET", "HEAD", "OPTIONS"],
    "/uploads": ["POST", "OPTIONS"],
    "/integrations/uploads": ["POST", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}": ["GET", "DELETE", "HEAD", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}": ["GET", "DELETE", "HEAD", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}/files/{name}": ["GET", "HEAD", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}/files/{name}": ["GET", "HEAD", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}/cancel": ["POST", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}/cancel": ["POST", "OPTIONS"],
    "/3d-model-generation/tasks/{uuid}/retry": ["POST", "OPTIONS"],
    "/integrations/3d-model-generation/tasks/{uuid}/retry": ["POST", "OPTIONS"],
    "/health/live": ["GET", "HEAD", "OPTIONS"],
    "/health/ready": ["GET", "HEAD", "OPTIONS"],
    "/problems": ["GET", "HEAD", "OPTIONS"],
    "/problems/{code}": ["GET", "HEAD", "OPTIONS"],
    "/openapi.json": ["GET", "HEAD", "OPTIONS"],
    "/docs": ["GET", "HEAD", "OPTIONS"],
    "/docs/{asset}": ["GET", "HEAD", "OPTIONS"],
}  # below PATH_PREFIX
BARE = {
    "/health/live": ["GET", "HEAD", "OPTIONS"],
    "/health/ready": ["GET", "HEAD", "OPTIONS"],
    "/openapi.json": ["GET", "HEAD", "OPTIONS"],
    "/docs": ["GET", "HEAD", "OPTIONS"],
    "/docs/{asset}": ["GET", "HEAD", "OPTIONS"],
    "/problems": ["GET", "HEAD", "OPTIONS"],
    "/problems/{code}": ["GET", "HEAD", "OPTIONS"],
}  # also without it
SCHEDULES = {
    "relay_outbox": "rate(1 minute)",
    "reap_tasks": "rate(1 minute)",
    "purge_expired": "rate(1 minute)",
}
INVOKED = [
    "create_api_key",
    "list_api_keys",
    "revoke_api_key",
    "consume_results",
    "migrate",
    "list_users",
    "disable_user",
    "set_password",
    "set_test_mode",
    "show_task",
    "requeue_task",
    "fail_task",
    "import_legacy",
    "issue_token",
]  # by operators, and by the queue's event source mapping


class _Functions:
    @cached_property
    def _api(self) -> Api:
        return Api(map(loading.load, HTTP))

    def respond(self, request: Request, context: Any) -> Response:
        return self._api.respond(request, context)


def _routed(**parameters: str) -> None:
    """For API Gateway there is a view of every route; the middleware answers before it is asked."""


def _function(name: str) -> Callable[[Any, Any], Any]:
    def invoked(event: Any, context: Any) -> Any:
        return loading.load(name)(event, context)

    invoked.__name__ = name
    return invoked


app = Chalice("facet", configure_logs=False)
app.api.binary_types = ["*/*"]  # so that bodies arrive as they were sent
app.register_middleware(chalice.middleware(CrossOrigin(_Functions(), settings().cors_origins)), "http")

for path, methods in {**{settings().path_prefix + path: ROUTES[path] for path in ROUTES}, **BARE}.items():
    app.route(path, methods=methods, name="routed")(_routed)
for name in INVOKED:  # Lambda finds them by name in this module
    globals()[name] = app.lambda_function(name=name)(_function(name))
for name, expression in SCHEDULES.items():
    globals()[name] = app.schedule(expression, name=name)(chalice.triggered(_function(name), name=name))
