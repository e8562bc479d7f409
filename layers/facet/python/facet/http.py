"""An HTTP request and its answer, whatever event they travel in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

Event = Mapping[str, Any]
Pairs = tuple[tuple[str, str], ...]

OWN_URLS = "/fn/"
"""Behind it comes the name of a function, where many are served behind one address: its own URL."""


class Headers(Mapping[str, str]):
    """Header fields by name in any case. Repeated fields are joined, as RFC 9110 (5.3) and payload 2.0 do."""

    __slots__ = ("_fields",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            joint = "; " if key == "cookie" else ","
            self._fields[key] = f"{self._fields[key]}{joint}{value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._fields)})"  # names only: values carry tokens


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is percent-encoded as it came; `query` is decoded, equal names side by side."""

    method: str
    path: str
    query: Pairs = field(default=(), repr=False)
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)
    source_ip: str = ""
    request_id: str = ""
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    event: Event = field(default_factory=dict, repr=False, compare=False)

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass
class Response:
    """An answer. A `str` body is text, a `bytes` body is binary and travels as base64."""

    status: int = 200
    body: bytes | str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """All header fields as they are sent, with one for each cookie."""
        return [*self.headers, *(("set-cookie", cookie) for cookie in self.cookies)]

    def has(self, name: str) -> bool:
        return any(known.lower() == name.lower() for known, _ in self.headers)


class Answers(Protocol):
    """What answers requests: a function, all of them behind one address, or what stands before either."""

    def respond(self, request: Request, context: Any) -> Response:
        """The answer, failures included. `context` is the runtime's, or facet.context.Context."""
        raise NotImplementedError

    def with_origin(self, response: Response, request: Request) -> Response:
        """One that is given in its place, as readable for pages of other origins as its own."""
        return response


def invocation_id(context: Any) -> str:
    """What the runtime calls the invocation; a new id where it has none."""
    return getattr(context, "aws_request_id", None) or str(uuid4())


@dataclass(frozen=True)
class Answer:
    """What a view returns that has headers of its own, or another status than the declared one, beside its content."""

    content: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    status: int | None = None


@dataclass(frozen=True)
class UploadedFile:
    """A file field of a multipart form. Name and type are what the client claims."""

    filename: str | None
    content_type: str | None
    data: bytes = field(repr=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.custom_error_schema(
            core_schema.is_instance_schema(cls),
            custom_error_type="file_expected",
            custom_error_message="A file is expected",
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, str]:
        return {"type": "string", "format": "binary"}


def unchanged(request: Request, etag: str) -> bool:
    """Whether the client holds this version already (If-None-Match, compared weakly): answer 304 then."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in (
        tag.strip().removeprefix("W/") for tag in known.split(",")
    )


def accepted(accept: str) -> dict[str, float]:
    """The media types of an Accept header in lower case, each with its weight."""
    return dict(_weight(part) for part in accept.lower().split(","))


def _weight(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media_type, _quality(value.strip())
    return media_type, 1.0


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0


def grouped(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The pairs with those of equal names side by side, in the order in which the names came."""
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return tuple((name, value) for name, values in groups.items() for value in values)


def query_from(text: str) -> Pairs:
    """The `query` of a Request, from what follows the question mark of its address."""
    return grouped(parse_qsl(text, keep_blank_values=True))


def finished(response: Response, *, method: str, request_id: str) -> Response:
    """The answer with the headers that every answer has, and without the body that HEAD leaves out."""
    if method == "HEAD":
        body = response.body
        response.headers.append(("content-length", str(len(body.encode() if isinstance(body, str) else body))))
        response.body = ""
    response.headers += [("x-request-id", request_id), ("x-content-type-options", "nosniff")]
    return response


def below(prefix: str, path: str) -> str:
    """The path without the prefix, with which and without which everything is served."""
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def match(pattern: str, path: str) -> dict[str, str] | None:
    """The decoded parameters of a percent-encoded `path` when it fits a `pattern` such as `/tasks/{uuid}`."""
    expected, given = pattern.split("/"), path.split("/")
    if len(expected) != len(given):
        return None
    named = {}
    for part, encoded in zip(expected, given, strict=True):
        value = _decoded(encoded)
        if part.startswith("{") and value:
            named[part[1:-1]] = value
        elif part != value:
            return None
    return named


def _decoded(segment: str) -> str | None:
    try:
        value = unquote(segment, errors="strict")
        value.encode()
    except UnicodeError:
        return None
    return None if "\0" in value else value
