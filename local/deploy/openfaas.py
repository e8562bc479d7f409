"""OpenFaaS: the API and each function behind its gateway; what no stranger may start runs beside it.

The gateway lets anybody call any function. So results are taken off the queue by a Deployment, and the schedules are
CronJobs: a message or a tick that comes as a request could be anybody's.
"""

from typing import Any

from local.deploy import Source, kubernetes, limits, pods, scaling
from local.deploy.documents import Document, text
from local.template.spec import FunctionSpec

SECRETS_FOLDER = "/var/openfaas/secrets"
_GATEWAY = "http://127.0.0.1:8080"
_MOST = 20


def render(source: Source) -> dict[str, str]:
    functions = {kubernetes.API: _api(source)}
    functions |= {spec.host: _function(source, spec) for spec in source.http}
    stack = {"version": "1.0", "provider": {"name": "openfaas", "gateway": _GATEWAY}, "functions": functions}
    environment = {setting.name: setting.default or "" for setting in source.plain}
    consumers = source.consumers
    app = {
        "results.yaml": text(
            "Takes messages off the queue.", *(kubernetes.consumer(source, spec, 1) for spec in consumers)
        ),
        "schedules.yaml": text(
            "What runs by the clock.", *(kubernetes.cron_job(source, *each) for each in source.scheduled)
        ),
    }
    return {
        "stack.yml": text("For faas-cli: the API under one address, then each function under its own.", stack),
        "environment.yml": text(pods.settings_about(source), {"environment": environment}),
        **_for_kubectl(pods.settings_about(source), functions, environment),
        **kubernetes.ground(source),
        "app/kustomization.yaml": kubernetes.kustomization("What is no function.", ["../settings", *app]),
        **{f"app/{name}": body for name, body in app.items()},
        **scaling.render(consumers),
    }


def _api(source: Source) -> Document:
    timeout, mebibytes = limits.together(source)
    function = _deployed(source, pods.ALL, timeout, mebibytes, threads=limits.THREADS, fewest=1, most=_MOST)
    return {**function, "limits": {"memory": f"{limits.most(mebibytes)}Mi"}}


def _function(source: Source, spec: FunctionSpec) -> Document:
    fewest, most = spec.provisioned_concurrency or 1, spec.reserved_concurrency or _MOST
    sizes = limits.seconds(spec), limits.memory(spec)
    return _deployed(source, spec.name, *sizes, threads=limits.at_once(spec), fewest=fewest, most=most)


def _deployed(
    source: Source, names: str, timeout: int, mebibytes: int, *, threads: int, fewest: int, most: int
) -> Document:
    """As an entry of stack.yml; `handler` and `lang` are what faas-cli builds from, and nothing is built here."""
    own = {"FACET_FUNCTION": names, "FACET_TIMEOUT": str(timeout), "FACET_GRACE": str(timeout)}
    own |= {"FACET_THREADS": str(threads), "write_timeout": f"{timeout + pods.GRACE}s"}  # a pod's grace, to OpenFaaS
    return {
        "lang": "dockerfile",
        "handler": ".",
        "skip_build": True,
        "image": source.image,
        "environment": {**own, "FACET_SECRETS_DIR": SECRETS_FOLDER},
        "environment_file": ["environment.yml"],
        "secrets": [pods.SECRETS],
        "labels": {
            "com.openfaas.scale.min": str(fewest),
            "com.openfaas.scale.max": str(most),
            "com.openfaas.scale.type": "capacity",
            "com.openfaas.scale.target": str(threads),
        },
        "annotations": _probes(),
        "limits": {"memory": f"{mebibytes}Mi"},
        "requests": {"cpu": pods.processor(mebibytes), "memory": f"{mebibytes}Mi"},
        "readonly_root_filesystem": True,
    }


def _probes() -> dict[str, str]:
    """Those of Kubernetes: by OpenFaaS's own a function is killed that answers late three times within six seconds."""
    probes = pods.serving()
    given = {"health": probes["livenessProbe"], "ready": probes["readinessProbe"]}
    return {
        f"com.openfaas.{name}.http.{field}": str(value)
        for name, probe in given.items()
        for field, value in {"path": probe["httpGet"]["path"], **probe}.items()
        if field != "httpGet"
    }


def _for_kubectl(about: str, functions: dict[str, Document], environment: dict[str, str]) -> dict[str, str]:
    """The settings are said once, and kustomize gives them to all functions."""
    said = "The same for kubectl, in place of stack.yml and environment.yml."
    everyone = {"target": {"kind": "Function"}, "path": "environment.yaml"}
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    resource = {"apiVersion": "openfaas.com/v1", "kind": "Function"}
    settings = {**resource, "metadata": {"name": "all"}, "spec": {"environment": environment}}
    return {
        "functions/kustomization.yaml": text(said, {**head, "resources": ["functions.yaml"], "patches": [everyone]}),
        "functions/environment.yaml": text(about, settings),
        "functions/functions.yaml": text(
            "The API under one address, then each function under its own; without the settings of environment.yaml.",
            *(_custom(name, function) for name, function in functions.items()),
        ),
    }


def _custom(name: str, function: Document) -> Document:
    same = ("image", "environment", "secrets", "labels", "annotations", "limits", "requests")
    spec: dict[str, Any] = {"name": name, **{key: function[key] for key in same}, "readOnlyRootFilesystem": True}
    return {
        "apiVersion": "openfaas.com/v1",
        "kind": "Function",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": spec,
    }
