"""The old system's servers, read-only: its database and its object storage. No message repeats what they were given."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

    from avatars.legacy_rows import OldFile

CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 15  # seconds without a byte
ATTEMPTS = 3
ABSENT = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound", "InvalidBucketName"})
IMPOSSIBLE = frozenset(
    {"KeyTooLongError", "InvalidObjectName", "XMinioInvalidObjectName", "InvalidURI", "InvalidArgument"}
)

# libpq repeats pieces of a connection string it misunderstands, and a password may be among them: our words instead.
CAUSES = {
    "password authentication failed": "it refuses the user or the password",
    "no pg_hba.conf entry": "it does not let this machine in (pg_hba.conf)",
    'role "': "it refuses the user or the password",
    'database "': "it has no database of this name",
    "resolve host": "the name of its host is unknown",
    "translate host name": "the name of its host is unknown",
    "Connection refused": "nothing listens there",
    "timeout": "it does not answer in time",
    "SSL": "it is not agreed whether the connection is encrypted (sslmode)",
}
SPECIAL = "Percent-encode what is special in the password (@ is %40, / is %2F)."


class SourceRefused(Exception):
    """The address of the old database or storage cannot be used, or it does not let us in."""


class SourceUnavailable(Exception):
    """The old database or storage cannot be reached now, or went away meanwhile."""


class FileMissing(Exception):
    """The storage has no such file, or one of more bytes than wanted; `str()` says which."""


@contextmanager
def database(dsn: str) -> Iterator[Connection[DictRow]]:
    """A read-only connection, for the block alone. Raises SourceRefused and SourceUnavailable."""
    try:
        address = psycopg.conninfo.make_conninfo(
            dsn, connect_timeout=CONNECT_TIMEOUT, application_name="facet import-legacy"
        )
    except psycopg.Error:
        raise SourceRefused(
            f"The DSN of the old database is none: postgresql://USER:PASSWORD@HOST:PORT/DATABASE. {SPECIAL}"
        ) from None
    try:
        with psycopg.connect(address, row_factory=dict_row, prepare_threshold=None) as conn:
            conn.read_only = True
            conn.execute("SET LOCAL statement_timeout = '60s'")
            yield conn
    except psycopg.OperationalError as error:
        cause = next((ours for theirs, ours in CAUSES.items() if theirs in str(error)), "the connection failed")
        raise SourceUnavailable(f"The old database cannot be read: {cause}. {SPECIAL}") from None
    except psycopg.Error as error:
        raise SourceUnavailable(f"The old database cannot be read: {type(error).__name__} ({error.sqlstate})") from None


class Storage:
    """The old object storage. It is connected to when the first file is read."""

    def __init__(self, url: str) -> None:
        """`url` is http(s)://KEY:SECRET@HOST:PORT, with ?region= where it matters. Raises SourceRefused."""
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
            if parts.scheme not in ("http", "https") or not (parts.hostname and parts.username and parts.password):
                raise ValueError("incomplete")
            if parts.path.strip("/") or not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:]+", parts.hostname):
                raise ValueError("no host")
        except ValueError:
            raise SourceRefused(f"The S3-URL is none: http://KEY:SECRET@HOST:PORT. {SPECIAL}") from None
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._address = _Address(
            endpoint=f"{parts.scheme}://{host}{port}",
            region=parse_qs(parts.query).get("region", ["us-east-1"])[0],
            key=unquote(parts.username),
            secret=unquote(parts.password),
        )

    def read(self, file: "OldFile", *, limit: int) -> bytes:
        """All of a file. Raises FileMissing, SourceRefused and SourceUnavailable."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            answer = _client(self._address).get_object(Bucket=file.bucket, Key=file.name)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > limit:
                    raise FileMissing(f"it has more than {limit} bytes")
                return body.read()
        except ClientError as error:
            raise _translated(error) from None
        except ParamValidationError:
            raise FileMissing("its bucket or its name is none that S3 knows") from None
        except (BotoCoreError, OSError) as error:
            raise SourceUnavailable(f"The old storage cannot be reached ({type(error).__name__}).") from None


class _Address(NamedTuple):
    endpoint: str
    region: str
    key: str
    secret: str


@lru_cache(maxsize=1)
def _client(at: _Address) -> "S3Client":
    """Kept from batch to batch: making one takes as long as reading a dozen files."""
    import botocore.session
    from botocore.config import Config

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=at.endpoint,
        region_name=at.region,
        aws_access_key_id=at.key,
        aws_secret_access_key=at.secret,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            response_checksum_validation="when_required",
        ),
    )
    return cast("S3Client", client)


def _translated(error: Any) -> Exception:
    """An absent file is a fact of its task. A refusal is not: it would lose every file of every task."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in ABSENT | IMPOSSIBLE:
        return FileMissing("it is not in the storage")
    if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
        return SourceUnavailable(f"The old storage does not answer ({code}).")
    return SourceRefused(
        f"The old storage refuses this key ({code}): it needs s3:GetObject and s3:ListBucket on every old bucket."
    )
