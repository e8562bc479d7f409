"""Azure Functions: the app (Python v2), the host's and the functions' settings for infra/azure/deploy.sh."""

from local.deploy import Source
from local.deploy.crontab import crontab
from local.deploy.documents import as_dict, as_json
from local.deploy.limits import THREADS, seconds

BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.0.0, 5.0.0)"}
PREFETCH = 10
"""Messages that wait in an instance. RabbitMQ takes them back when one is not settled within half an hour."""
CONNECTION = "RABBITMQ_CONNECTION"
TIMEOUT = "00:10:00"
"""For all functions alike: a message's attempts and the pauses between them are one invocation."""

APP = '''"""The app of Azure Functions, rendered from template.yaml. What is only invoked directly is not in it."""

from facet import loading
from facet.adapters import azure
from facet.api import Api
from facet.cors import CrossOrigin
from facet.settings import settings

TIMEOUTS = {timeouts}  # seconds
SCHEDULES = {schedules}

FUNCTIONS = [loading.load(name) for name in TIMEOUTS]

app = azure.function_app(
    FUNCTIONS,
    CrossOrigin(Api(FUNCTIONS), settings().cors_origins),
    schedules=SCHEDULES,
    timeouts=TIMEOUTS,
)
'''


def render(source: Source) -> dict[str, str]:
    due = {spec.name: f"0 {crontab(schedule)}" for spec, schedule in source.scheduled}
    timed = {spec.name: seconds(spec) for spec in [*source.http, *source.consumers]}
    timed |= {spec.name: seconds(spec) for spec, _ in source.scheduled}
    return {
        "function_app.py": APP.format(timeouts=as_dict(timed), schedules=as_dict(due)),
        "host.json": as_json(_host()),
        "settings.json": as_json(_settings(source)),
        "secrets.txt": "".join(f"{name}\n" for name in [*(setting.name for setting in source.secrets), CONNECTION]),
        "local.settings.json.example": as_json(_local(source)),
    }


def _host() -> dict[str, object]:
    """Facet's paths are whole, so there is no prefix before them."""
    return {
        "version": "2.0",
        "functionTimeout": TIMEOUT,
        "extensions": {"http": {"routePrefix": ""}, "rabbitMQ": {"prefetchCount": PREFETCH}},
        "extensionBundle": BUNDLE,
        "logging": {"applicationInsights": {"samplingSettings": {"isEnabled": True, "excludedTypes": "Request"}}},
    }


def _settings(source: Source) -> dict[str, str]:
    """What is empty is to be filled in: what may be left empty is left out. Secrets come from the Key Vault."""
    given = {setting.name: setting.default or "" for setting in source.plain if setting.default != ""}
    if "LONG_POLL_WAITERS" in given:  # half of the threads are for who does not wait, as under `facet.serve`
        given["LONG_POLL_WAITERS"] = str(min(int(given["LONG_POLL_WAITERS"]), THREADS // 2))
    return {
        **given,
        "AzureWebJobsDisableHomepage": "true",
        "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
    }


def _local(source: Source) -> dict[str, object]:
    """For Azure Functions Core Tools, against a stack that `facet up` runs."""
    secrets = {setting.name: "" for setting in source.secrets}
    values = {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    return {"IsEncrypted": False, "Values": {**values, **_settings(source), **secrets, CONNECTION: ""}}
