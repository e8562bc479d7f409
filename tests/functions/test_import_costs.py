"""What a cold start of a function that only signs or only asks the database does not pay for."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

CLIENTS = ("boto3", "s3transfer", "botocore.client", "botocore.session", "pika", "passlib", "argon2")
PATHS = (".", "layers/facet/python", "shared")
SIGN = "objects.presign_put('b', 'k', content_type='image/jpeg', size=1, sha256=None, expires_in=60)"


def loaded(script: str) -> set[str]:
    """The modules a fresh interpreter has after this script."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(PROJECT / path) for path in PATHS),
        "MINIO_HOST": "http://s3.test",
        "MINIO_ACCESS_KEY": "access",
        "MINIO_SECRET_KEY": "secret",
    }
    command = [sys.executable, "-c", f"{script}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split())


@pytest.mark.parametrize("name", ["create_api_key", "list_api_keys", "revoke_api_key"])
def test_keys_need_neither_storage_nor_broker_nor_passwords(name: str) -> None:
    modules = loaded(f"import functions.{name}.handler")
    assert f"functions.{name}.handler" in modules
    assert modules & {*CLIENTS, "botocore", "PIL"} == set()


def test_an_upload_needs_the_signer_alone() -> None:
    before = loaded("import functions.create_upload.handler")
    after = loaded(f"import functions.create_upload.handler\nfrom facet import objects\n{SIGN}")
    assert before & {*CLIENTS, "botocore"} == set()
    assert "botocore.auth" in after
    assert after & set(CLIENTS) == set()
