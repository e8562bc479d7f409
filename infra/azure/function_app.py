"""The app of Azure Functions, rendered from template.yaml. What is only invoked directly is not in it."""

from facet import loading
from facet.adapters import azure
from facet.api import Api
from facet.cors import CrossOrigin
from facet.settings import settings

TIMEOUTS = {
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
    "consume_results": 60,
    "relay_outbox": 50,
    "reap_tasks": 50,
    "purge_expired": 50,
}  # seconds
SCHEDULES = {
    "relay_outbox": "0 * * * * *",
    "reap_tasks": "0 * * * * *",
    "purge_expired": "0 * * * * *",
}

FUNCTIONS = [loading.load(name) for name in TIMEOUTS]

app = azure.function_app(
    FUNCTIONS,
    CrossOrigin(Api(FUNCTIONS), settings().cors_origins),
    schedules=SCHEDULES,
    timeouts=TIMEOUTS,
)
