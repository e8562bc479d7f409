"""The three messages between us and the ML agents, as models: what we send, and what we believe of what they send."""

import re
import uuid
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
)

TASK_TYPE = "avatar.task.v1"
MAX_MESSAGE_BYTES = 256 * 1024
MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 255  # where objects are files, each part is a file's name
MAX_TEXT = 500
DEFAULT_FAILURE = "AGENT_ERROR"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
FAILURE_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Rejected(Exception):
    """A message that can never succeed, for the dead-letter queue; `str()` says why."""

    code: ClassVar[str]


class Malformed(Rejected):
    """Not a message we know; `str()` names the fields and repeats no values."""

    code = "MALFORMED_MESSAGE"


def _plain(text: str) -> str:
    """One line that fits the database and a screen, whatever an agent put into it."""
    return CONTROL.sub(" ", text)[:MAX_TEXT].strip()


def _failure_code(value: Any) -> Any:
    """A code of a shape we do not know must not cost the outcome it came with."""
    return value if not isinstance(value, str) or FAILURE_CODE.fullmatch(value) else DEFAULT_FAILURE


def _object_key(value: str) -> str:
    if len(value.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"an object key has at most {MAX_KEY_BYTES} bytes")
    segments = value.split("/")
    if CONTROL.search(value) or "\\" in value or {"", ".", ".."} & set(segments):
        raise ValueError("not a plain object key")
    if max(len(segment.encode()) for segment in segments) > MAX_SEGMENT_BYTES:
        raise ValueError(f"a part of an object key has at most {MAX_SEGMENT_BYTES} bytes here")
    return value


Text = Annotated[str, AfterValidator(_plain)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
SkinColor = Annotated[
    str,
    StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$", to_lower=True),
    Field(description="sRGB colour of the skin.", examples=["#ba997a"]),
]


class Frozen(BaseModel):
    """Fields that are not known are left alone: an agent may be newer than we are, or we than it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskInput(Frozen):
    input_file_url: str = Field(description="Presigned GET of the photo (JPEG, upright, sRGB); 24 hours.")
    emotions_files_urls: list[str] = Field(description="Presigned GETs of every file of the emotions bucket; 24 hours.")
    output_bucket: str = Field(description="The bucket the model must be written to.", examples=["3d-files"])


class TaskRequested(Frozen):
    """Make an avatar of this photo. To the tasks queue, for one agent."""

    request_uuid: uuid.UUID = Field(description="Names the task in every answer.")
    task_client_type: Literal["WEB_SERVICE", "EXTERNAL_INTEGRATION"]
    task_input_metadata: TaskInput


class AgentError(Frozen):
    code: Annotated[str, BeforeValidator(_failure_code)] = Field(
        default=DEFAULT_FAILURE,
        description="Capitals, digits and `_`; anything else counts as AGENT_ERROR.",
        examples=["NO_FACE"],
    )
    message: Text | None = Field(default=None, description=f"For people; the first {MAX_TEXT} characters are kept.")


class TaskProgress(Frozen):
    """How far a task is, or why it ended without a model. SUCCESS waits for the result message."""

    request_uuid: uuid.UUID = Field(description="The task, as named in its message.")
    status: Literal["PENDING", "IN_PROGRESS", "SUCCESS", "INVALID_INPUT", "FAILED"]
    progress: int | None = Field(
        default=None, ge=0, le=100, description="Per cent; a lower one than before is ignored."
    )
    stage: Text | None = Field(
        default=None, description="What is being done now, in a word or two.", examples=["texturing"]
    )
    error: AgentError | None = Field(default=None, description="Why, with INVALID_INPUT or FAILED.")


class ResultFile(Frozen):
    bucket: str = Field(description="The task's output_bucket.")
    file_name: Annotated[str, AfterValidator(_object_key)] = Field(
        description="`<request_uuid>.glb`, a key under `<request_uuid>/`, or another new one that no task has claimed."
    )


class Mesh(Frozen):
    skin_color_hex: SkinColor | None = None


class TaskResult(Frozen):
    """The model is in the bucket. Its size and checksum are measured by us, whatever the message says."""

    request_uuid: uuid.UUID = Field(description="The task, as named in its message.")
    minio_metadata: ResultFile
    mesh_metadata: Mesh | None = None
    vertices: Count | None = None
    triangles: Count | None = None


def _kind(message: Any) -> str:
    return "result" if isinstance(message, dict) and message.get("minio_metadata") is not None else "progress"


Report = TaskProgress | TaskResult
_REPORT: TypeAdapter[Report] = TypeAdapter(
    Annotated[
        Annotated[TaskProgress, Tag("progress")] | Annotated[TaskResult, Tag("result")],
        Discriminator(_kind),
    ]
)


def read_report(body: bytes) -> Report:
    """A message of the results queue. Raises Malformed."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise Malformed(f"the message has more than {MAX_MESSAGE_BYTES} bytes")
    try:
        return _REPORT.validate_json(body)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'][1:])) or 'message'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise Malformed(_plain("; ".join(faults))) from None
