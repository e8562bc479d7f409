"""The three servers whose contents a backup holds, as the environment names them."""

from collections.abc import Mapping

from infra.compose.folder import BackupFailed

DEFAULTS = {
    "POSTGRES_PORT": "5432",
    "POSTGRES_DB": "facet",
    "RABBITMQ_VHOST": "/",
    "MINIO_IMAGES_BUCKET": "input-images",
    "MINIO_3D_FILES_BUCKET": "3d-files",
    "MINIO_DECA_EMOTIONS_BUCKET": "deca-emotions",
}
"""Those of template.yaml."""

_NEEDED = (
    *("POSTGRES_HOST", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    *("RABBITMQ_MANAGEMENT_URL", "RABBITMQ_USER", "RABBITMQ_PASSWORD"),
    *("MINIO_HOST", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
)


def named_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the defaults of what it leaves empty. Raises BackupFailed."""
    at = DEFAULTS | {name: value for name, value in environment.items() if value}
    if missing := [name for name in _NEEDED if name not in at]:
        raise BackupFailed(f"Not set: {', '.join(missing)}. Next: put what is missing beside the functions' settings.")
    return at
