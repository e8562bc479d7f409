"""Writing the model to the object store."""

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.agent.settings import Settings
from local.agent.task import TaskFailed, Unavailable

CONTENT_TYPE = "model/gltf-binary"
CONNECT_SECONDS, READ_SECONDS = 5, 20
TRANSIENT = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"}  # beside 5xx


class Storage:
    def __init__(self, settings: Settings) -> None:
        self._client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            region_name=settings.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 2},
                request_checksum_calculation="when_required",  # not every S3 knows the newer checksums
            ),
        )

    def put(self, bucket: str, key: str, model: bytes) -> None:
        """Raises Unavailable, TaskFailed."""
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=model, ContentType=CONTENT_TYPE)
        except ClientError as exc:
            code, status = exc.response["Error"]["Code"], exc.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= 500 or code in TRANSIENT:
                raise Unavailable(f"the object store answers {status} {code}") from exc
            raise TaskFailed(f"the model could not be stored: the object store answers {status} {code}") from exc
        except BotoCoreError as exc:
            raise Unavailable(f"the object store is away: {type(exc).__name__}") from exc
