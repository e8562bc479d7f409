"""Knative: the API and each function as Services that sleep when nobody calls, schedules as PingSources."""

from typing import Any

from local.deploy import Source, kubernetes, limits, pods, scaling
from local.deploy.crontab import crontab
from local.deploy.documents import Document, text
from local.template.spec import FunctionSpec, QueueMapping, Schedule

BROKER = "facet-rabbitmq"
_MOST_SECONDS = 600  # what Knative allows a revision unless its operator raised max-revision-timeout-seconds
_RETRIES = {"retry": 9, "backoffPolicy": "exponential", "backoffDelay": "PT1S"}
"""After 2, 4, … 512 seconds: 17 minutes, since RabbitMQ takes back what nobody acknowledges in 30."""


def render(source: Source) -> dict[str, str]:
    consumers = source.consumers
    functions = [_function(source, spec) for spec in source.http]
    ticks = [document for each in source.scheduled for document in _tick(source, *each)]
    app = {
        "api.yaml": text("The API under one origin: all HTTP functions in one process.", _api(source), _domain()),
        "functions.yaml": text("Each function at its own URL, and scaled by itself.", *functions),
        "results.yaml": text(
            "Takes messages off the queue.", *(kubernetes.consumer(source, spec, 1) for spec in consumers)
        ),
        "schedules.yaml": text("What runs by the clock: who is called, and what calls.", *ticks),
    }
    return {
        **kubernetes.ground(source),
        "app/kustomization.yaml": kubernetes.kustomization("Everything but the migration.", ["../settings", *app]),
        **{f"app/{name}": body for name, body in app.items()},
        **scaling.render(consumers),
        **_rabbitmq_source(source, consumers),
    }


def _service(name: str, container: dict[str, Any], *, timeout: int, at_once: int, scale: dict[str, str]) -> Document:
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in scale.items()}
    spec = {**pods.pod(container), "containerConcurrency": at_once, "timeoutSeconds": min(timeout, _MOST_SECONDS)}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": {
            "template": {"metadata": {"labels": pods.labels(name), "annotations": annotations}, "spec": spec},
        },
    }


def _serving(
    source: Source, names: str, *, timeout: int, mebibytes: int, threads: int, limit: int | None = None
) -> dict[str, Any]:
    """Knative says by PORT where it wants to be answered, and asks there whether the container is ready."""
    own = {"FACET_FUNCTION": names, "FACET_TIMEOUT": str(timeout), "FACET_THREADS": str(threads)}
    probes = pods.serving(None)
    del probes["startupProbe"]  # its readiness probe is asked several times a second until it has answered once
    ports = [{"name": "http1", "containerPort": pods.PORT}]
    return pods.container(source, ["facet.serve"], own, mebibytes=mebibytes, limit=limit) | {"ports": ports, **probes}


def _api(source: Source) -> Document:
    timeout, mebibytes = limits.together(source)
    most = limits.most(mebibytes)
    container = _serving(source, pods.ALL, timeout=timeout, mebibytes=mebibytes, threads=limits.THREADS, limit=most)
    scale = {"min-scale": "1", "max-scale": "20"}
    return _service(kubernetes.API, container, timeout=timeout, at_once=limits.THREADS, scale=scale)


def _domain() -> Document:
    ref = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": kubernetes.API}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": "facet.example.com", "labels": pods.labels(kubernetes.API)},
        "spec": {"ref": ref},
    }


def _function(source: Source, spec: FunctionSpec) -> Document:
    timeout, at_once = limits.seconds(spec), limits.at_once(spec)
    container = _serving(source, spec.name, timeout=timeout, mebibytes=limits.memory(spec), threads=at_once)
    scale = {"min-scale": str(spec.provisioned_concurrency), "max-scale": str(spec.reserved_concurrency or 20)}
    return _service(f"facet-{spec.host}", container, timeout=timeout, at_once=at_once, scale=scale)


def _receiver(source: Source, spec: FunctionSpec, *, at_once: int, most: int) -> Document:
    """A function that is sent events and that nobody outside the cluster reaches."""
    timeout, name = limits.seconds(spec), f"facet-{spec.host}"
    container = _serving(source, spec.name, timeout=timeout, mebibytes=limits.memory(spec), threads=at_once)
    scale = {"min-scale": "0", "max-scale": str(most)}
    service = _service(name, container, timeout=timeout, at_once=at_once, scale=scale)
    private = {**pods.labels(name), "networking.knative.dev/visibility": "cluster-local"}
    return {**service, "metadata": {"name": name, "labels": private}}


def _tick(source: Source, spec: FunctionSpec, schedule: Schedule) -> list[Document]:
    """The function is called by one source at a time: a second run that overlaps waits for the first."""
    receiver = _receiver(source, spec, at_once=1, most=spec.reserved_concurrency or 1)
    name = pods.tick_name(spec, schedule)
    zone = {} if schedule.timezone == "UTC" else {"timezone": schedule.timezone}
    ping = {
        "apiVersion": "sources.knative.dev/v1",
        "kind": "PingSource",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": {"schedule": crontab(schedule), **zone, "sink": _sink(spec)},
    }
    first = schedule == spec.schedules[0]
    return [*([receiver] if first else []), *([ping] if schedule.enabled else [])]


def _sink(spec: FunctionSpec) -> Document:
    return {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": f"facet-{spec.host}"}}


def _rabbitmq_source(source: Source, consumers: list[FunctionSpec]) -> dict[str, str]:
    """The other way for messages: a source takes them off the queue and sends each to a Service that may sleep."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    gone = [{"patch": text("Messages come by HTTP.", _deleted(spec))} for spec in consumers]
    documents = [
        document
        for spec in consumers
        for document in (
            _receiver(source, spec, at_once=limits.THREADS, most=10),
            *(_messages(spec, mapping) for mapping in spec.queues),
        )
    ]
    about = "In place of the consumer: messages as CloudEvents, one in a request."
    return {
        "rabbitmq-source/kustomization.yaml": text(
            about, {**head, "resources": ["../app", "source.yaml"], "patches": gone}
        ),
        "rabbitmq-source/source.yaml": text("Who takes the messages off the queue, and who is sent them.", *documents),
    }


def _deleted(spec: FunctionSpec) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"facet-{spec.host}"},
        "$patch": "delete",
    }


def _messages(spec: FunctionSpec, mapping: QueueMapping) -> Document:
    return {
        "apiVersion": "sources.knative.dev/v1alpha1",
        "kind": "RabbitmqSource",
        "metadata": {"name": f"facet-{spec.host}", "labels": pods.labels(f"facet-{spec.host}")},
        "spec": {
            "rabbitmqClusterReference": {"connectionSecret": {"name": BROKER}},
            "rabbitmqResourcesConfig": {
                "predeclared": True,
                "exchangeName": "amq.default",
                "queueName": mapping.queue,
                "parallelism": limits.THREADS,
            },
            "delivery": _RETRIES,
            "sink": _sink(spec),
        },
    }
