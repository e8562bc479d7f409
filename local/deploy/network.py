"""Who reaches the pods of Kubernetes, and whom they reach."""

from local.deploy import Source, pods
from local.deploy.documents import Document

ABOUT = (
    "Requests reach the API alone; the pods reach names, PostgreSQL, RabbitMQ and S3. The ports are those of the "
    "default settings: change both together."
)
_OBJECT_STORES = (443, 9000)  # S3 and MinIO
_BODIES = "8m"  # more than the functions take, so that it is they who refuse


def ingress(service: str) -> Document:
    host = "facet.example.com"
    backend = {"service": {"name": service, "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    limits = {"nginx.ingress.kubernetes.io/proxy-body-size": _BODIES}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": service, "labels": pods.labels(service), "annotations": limits},
        "spec": {"tls": [{"hosts": [host], "secretName": "facet-tls"}], "rules": [rule]},
    }


def policies(source: Source, service: str) -> list[Document]:
    ports = [int(setting.default or 0) for setting in source.plain if setting.name.endswith("_PORT")]
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    reached = [{"port": port, "protocol": "TCP"} for port in (*ports, *_OBJECT_STORES)]
    whole = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "facet"}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"ports": [*names, *reached]}],
    }
    door = {
        "podSelector": {"matchLabels": pods.selector(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": pods.PORT, "protocol": "TCP"}]}],
    }
    named = {"facet": whole, service: door}
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "labels": pods.labels(name)},
            "spec": spec,
        }
        for name, spec in named.items()
    ]
