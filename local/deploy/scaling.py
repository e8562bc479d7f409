"""KEDA: as many consumers as the length of their queue asks for."""

from collections.abc import Iterable

import yaml

from local.deploy import pods
from local.deploy.documents import Document, text
from local.template.spec import FunctionSpec

AUTHENTICATION = "facet-rabbitmq"
ADDRESS = "FACET_BROKER_ADDRESS"
_BROKER = "amqp://$(RABBITMQ_HOST):$(RABBITMQ_PORT)"
_FEWEST, _MOST = 1, 10


def render(consumers: Iterable[FunctionSpec]) -> dict[str, str]:
    """A variant of the folder `app` beside it, in which KEDA decides how many consumers there are."""
    specs = list(consumers)
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    patches = [_patch(spec) for spec in specs]
    about = "The number of consumers is KEDA's; it asks the broker with what their own settings say."
    documents = [_authentication(), *map(_scaled, specs)]
    return {
        "keda/kustomization.yaml": text(about, {**head, "resources": ["../app", "scaling.yaml"], "patches": patches}),
        "keda/scaling.yaml": text("How many messages a consumer is to have before there is another.", *documents),
    }


def _patch(spec: FunctionSpec) -> Document:
    address = {"name": ADDRESS, "value": _BROKER}
    operations = [
        {"op": "remove", "path": "/spec/replicas"},
        {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": address},
    ]
    target = {"kind": "Deployment", "name": f"facet-{spec.host}"}
    return {"target": target, "patch": yaml.safe_dump(operations, sort_keys=False)}


def _authentication() -> Document:
    """All but the password KEDA reads from the consumer's environment."""
    own = {"host": ADDRESS, "username": "RABBITMQ_USER", "vhostName": "RABBITMQ_VHOST"}
    from_environment = [{"parameter": parameter, "name": variable} for parameter, variable in own.items()]
    password = {"parameter": "password", "name": pods.SECRETS, "key": "RABBITMQ_PASSWORD"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": AUTHENTICATION, "labels": pods.labels(AUTHENTICATION)},
        "spec": {"env": from_environment, "secretTargetRef": [password]},
    }


def _scaled(spec: FunctionSpec) -> Document:
    name = f"facet-{spec.host}"
    triggers = [
        {
            "type": "rabbitmq",
            "metadata": {"mode": "QueueLength", "value": str(mapping.batch_size), "queueName": mapping.queue},
            "authenticationRef": {"name": AUTHENTICATION},
        }
        for mapping in spec.queues
    ]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "pollingInterval": 10,
            "cooldownPeriod": 120,
            "minReplicaCount": _FEWEST,
            "maxReplicaCount": _MOST,
            "triggers": triggers,
        },
    }
