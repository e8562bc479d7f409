"""Plain Kubernetes: the API in one Deployment, a consumer of results, CronJobs, and a Job that migrates."""

from collections.abc import Sequence
from typing import Any

from local.deploy import CannotRender, Source, limits, network, pods, scaling
from local.deploy.crontab import crontab
from local.deploy.documents import Document, text
from local.template.spec import FunctionSpec, Schedule

API, MIGRATE = "facet-api", "facet-migrate"
READY_FILE = "/tmp/consuming"  # noqa: S108 - the pod's own
_FEWEST, _MOST = 2, 10


def render(source: Source) -> dict[str, str]:
    consumers = source.consumers
    app = {
        "api.yaml": text("The API: all HTTP functions in one process.", *api(source)),
        "ingress.yaml": text(
            "The way in. Put your host in, and the name of your certificate's Secret.", network.ingress(API)
        ),
        "results.yaml": text("Takes messages off the queue.", *(consumer(source, spec, 2) for spec in consumers)),
        "schedules.yaml": text("What runs by the clock.", *(cron_job(source, *each) for each in source.scheduled)),
    }
    return {
        **ground(source, "network.yaml"),
        "settings/network.yaml": text(network.ABOUT, *network.policies(source, API)),
        "app/kustomization.yaml": kustomization("Everything but the migration.", ["../settings", *app]),
        **{f"app/{name}": body for name, body in app.items()},
        **scaling.render(consumers),
    }


def ground(source: Source, *more: str) -> dict[str, str]:
    """What has to be there first: settings and account, and the Job that migrates, which is applied alone."""
    parts = ["settings.yaml", "account.yaml", *more]
    job = ["../settings", "job.yaml"]
    return {
        "settings/kustomization.yaml": kustomization("What all others need.", parts),
        "settings/settings.yaml": text(pods.settings_about(source), pods.settings(source)),
        "settings/account.yaml": text("Who the pods are: nobody who may ask the cluster for anything.", pods.account()),
        "migrate/kustomization.yaml": kustomization("Applied, and waited for, before the others.", job),
        "migrate/job.yaml": text("Brings database, buckets and queues up to date.", migration(source)),
    }


def kustomization(about: str, resources: Sequence[str]) -> str:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return text(about, {**head, "resources": list(resources)})


def deployment(name: str, pod: dict[str, Any], *, replicas: int | None, grace: int) -> dict[str, Any]:
    """Without `replicas` a HorizontalPodAutoscaler sets them, and applying this again does not undo it."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods.selector(name)},
    }
    body = {**pod, "terminationGracePeriodSeconds": grace, "topologySpreadConstraints": [spread]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": pods.selector(name)},
            "template": {"metadata": {"labels": pods.labels(name)}, "spec": body},
        },
    }


def api(source: Source) -> list[Document]:
    timeout, mebibytes = limits.together(source)
    own = {"FACET_FUNCTION": pods.ALL, "FACET_TIMEOUT": str(timeout), "FACET_GRACE": str(timeout)}
    process = pods.container(source, ["facet.serve"], own, mebibytes=mebibytes, limit=limits.most(mebibytes)) | {
        "ports": [{"name": "http", "containerPort": pods.PORT}],
        **pods.serving(),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(pods.DRAINING)]}}},
    }
    meta = {"name": API, "labels": pods.labels(API)}
    port = {"name": "http", "port": 80, "targetPort": "http"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": API}
    bounds = {"minReplicas": _FEWEST, "maxReplicas": _MOST, "metrics": [{"type": "Resource", "resource": cpu}]}
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": pods.selector(API)}}
    grace = timeout + pods.DRAINING + pods.GRACE
    return [
        deployment(API, pods.pod(process), replicas=None, grace=grace),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": pods.selector(API), "ports": [port]},
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": meta,
            "spec": {"scaleTargetRef": target, **bounds},
        },
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": budget},
    ]


def consumer(source: Source, spec: FunctionSpec, replicas: int) -> Document:
    """Ready while it consumes. A broker that is away is waited for: nothing to be restarted for."""
    name = f"facet-{spec.host}"
    timeout = str(limits.seconds(spec))
    own = {"FACET_TIMEOUT": timeout, "FACET_GRACE": timeout, "FACET_READY_FILE": READY_FILE}
    command = ["facet.consume", spec.name]
    ready = {"exec": {"command": ["test", "-f", READY_FILE]}, "periodSeconds": 5}
    process = pods.container(source, command, own, mebibytes=limits.memory(spec)) | {"readinessProbe": ready}
    return deployment(name, pods.pod(process), replicas=replicas, grace=limits.seconds(spec) + pods.GRACE)


def cron_job(source: Source, spec: FunctionSpec, schedule: Schedule) -> Document:
    """One run at a time; the next one makes good for one that failed."""
    name = pods.tick_name(spec, schedule)
    process = _invocation(source, spec, ["facet.invoke", spec.name, "--scheduled"])
    job = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": limits.seconds(spec) + pods.GRACE,
        "template": _run(name, process),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": pods.labels(name)},
        "spec": {
            "schedule": crontab(schedule),
            "timeZone": "Etc/UTC" if schedule.timezone == "UTC" else schedule.timezone,
            "suspend": not schedule.enabled,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 30,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": pods.labels(name)}, "spec": job},
        },
    }


def migration(source: Source) -> Document:
    spec = source.template.functions.get("migrate")
    if spec is None:
        raise CannotRender(
            "The template has no function migrate, so nothing here prepares database, buckets and queues.\n"
            "next: go to Facet's own folder, or pass its template: --template FILE"
        )
    process = _invocation(source, spec, ["facet.invoke", spec.name])
    bounds = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": limits.seconds(spec) + pods.GRACE,
        "ttlSecondsAfterFinished": 3600,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": MIGRATE, "labels": pods.labels(MIGRATE)},
        "spec": {**bounds, "template": _run(MIGRATE, process)},
    }


def _invocation(source: Source, spec: FunctionSpec, command: Sequence[str]) -> Document:
    timeout = str(limits.seconds(spec))
    return pods.container(source, command, {"FACET_TIMEOUT": timeout}, mebibytes=limits.memory(spec))


def _run(name: str, process: Document) -> Document:
    return {"metadata": {"labels": pods.labels(name)}, "spec": {**pods.pod(process), "restartPolicy": "Never"}}
