"""What every container of Facet on Kubernetes has: settings, secrets, limits, rights and probes."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from local.deploy import Source
from local.deploy.documents import Document
from local.template.spec import FunctionSpec, Schedule

SETTINGS, SECRETS, ACCOUNT = "facet-settings", "facet-secrets", "facet"
PORT = 8080
DRAINING = 5
"""Seconds in which a pod that is to stop still takes requests, until all proxies have heard of it."""
GRACE = 10
"""Seconds on top of what the last request may take."""
ALL = "all"
_LAMBDA_CPU = 1769
"""MB of memory with which Lambda gives one whole processor."""


def processor(mebibytes: int) -> str:
    """The share of a processor that Lambda gives with this memory."""
    return f"{round(mebibytes / _LAMBDA_CPU * 1000)}m"


def labels(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": part, "app.kubernetes.io/part-of": "facet"}


def selector(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": part}


def settings(source: Source) -> Document:
    """What has no default is empty: the operator fills it in."""
    data = {setting.name: setting.default or "" for setting in source.plain}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SETTINGS}, "data": data}


def settings_about(source: Source) -> str:
    needed = ", ".join(setting.name for setting in source.plain if setting.default is None)
    secret = ", ".join(setting.name for setting in source.secrets)
    return (
        f"The settings of all functions. To be filled in: {needed}; CORS_ORIGINS for browsers; TRUSTED_PROXIES, the "
        "network of what stands in front, or all clients count as one address. "
        f"The Secret {SECRETS} has the others: {secret}."
    )


def account() -> Document:
    """No function talks to the cluster."""
    metadata = {"name": ACCOUNT, "labels": labels(ACCOUNT)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}


def container(
    source: Source,
    command: Iterable[str],
    environment: Mapping[str, str],
    *,
    mebibytes: int,
    limit: int | None = None,
) -> dict[str, Any]:
    """Its environment is the settings, then the secrets, then what is given here; a later one wins."""
    return {
        "name": "facet",
        "image": source.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", *command],
        "env": [{"name": variable, "value": value} for variable, value in environment.items()],
        "envFrom": [{"configMapRef": {"name": SETTINGS}}, {"secretRef": {"name": SECRETS}}],
        "resources": {
            "requests": {"cpu": processor(mebibytes), "memory": f"{mebibytes}Mi"},
            "limits": {"memory": f"{limit or mebibytes}Mi"},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }


def pod(*containers: Document) -> dict[str, Any]:
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a Service named postgres would set POSTGRES_PORT to an address
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}}],
    }


def probe(path: str, *, port: int | None = PORT, **times: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, **({"port": port} if port else {})}, **times}


def serving(port: int | None = PORT) -> dict[str, Any]:
    """Restarted when it is stuck; sent requests when its functions are imported."""
    return {
        "startupProbe": probe("/_/ready", port=port, periodSeconds=1, failureThreshold=60),
        "readinessProbe": probe("/_/ready", port=port, periodSeconds=5, timeoutSeconds=3),
        "livenessProbe": probe("/_/health", port=port, periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
    }


def tick_name(spec: FunctionSpec, schedule: Schedule) -> str:
    """That of the function, unless it has more than one schedule."""
    return (
        f"facet-{spec.host}"
        if len(spec.schedules) == 1
        else f"facet-{re.sub(r'[^a-z0-9]+', '-', schedule.name.lower())}"
    )
