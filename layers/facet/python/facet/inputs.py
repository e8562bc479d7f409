"""What a request carries into a view: JSON bodies, forms, queries and headers, checked at the border."""

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from facet.http import Pairs, Request, UploadedFile
from facet.problems import BodyTooLarge, Fault, Invalid, MalformedBody

MAX_JSON = 64 * 1024
MAX_FILE = 10 * 1024 * 1024
MAX_FIELD = 64 * 1024
MAX_PARTS = 20
_MAX_DEPTH = 32
_MAX_FAULTS = 50

Model = TypeVar("Model", bound=BaseModel)


def body_of(model: type[Model], request: Request) -> Model:
    """The JSON body as `model`."""
    return _validated(model, _json(request), "body")


def form_of(model: type[Model], request: Request) -> Model:
    """The multipart form as `model`. Another content type is an empty form."""
    parts = _parts(request) if request.content_type == "multipart/form-data" else []
    return _validated(model, _collected(model, parts), "body")


def query_of(model: type[Model], request: Request) -> Model:
    """The query parameters as `model`. Only fields that are lists take a repeated parameter whole."""
    return _validated(model, _collected(model, request.query), "query")


def headers_of(model: type[Model], request: Request) -> Model:
    """The headers `model` names as `model`."""
    named = {field.alias or name for name, field in model.model_fields.items()}
    return _validated(model, {name: request.headers[name] for name in named if name in request.headers}, "header")


def value_of(model: type[Model], value: object) -> Model:
    """A directly invoked function's event as `model`."""
    return _validated(model, value, "event")


def is_json(request: Request) -> bool:
    """Whether the body is declared as JSON, or not declared at all."""
    declared = request.content_type
    return declared in ("", "application/json") or declared.endswith("+json")


def _json(request: Request) -> Any:
    if len(request.body) > MAX_JSON:
        raise BodyTooLarge(f"The body is larger than {MAX_JSON // 1024} KB")
    if not request.body.strip():
        raise Invalid.missing("body")
    if not is_json(request):
        raise _not_json("JSON is expected, with Content-Type: application/json")
    try:
        value = json.loads(request.body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise _not_json("JSON decode error", error.pos) from None
    except UnicodeDecodeError as error:
        raise _not_json("JSON must be UTF-8", error.start) from None
    except (ValueError, RecursionError):
        raise _not_json("A number or the nesting is beyond every limit") from None
    if value is None:
        raise Invalid.missing("body")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise _not_json("A name is repeated in an object")
    return names


def _constant(name: str) -> Any:
    raise _not_json(f"{name} is no JSON")


def _not_json(message: str, *position: int) -> Invalid:
    return Invalid([{"type": "json_invalid", "loc": ["body", *position], "msg": message}])


def _parts(request: Request) -> list[tuple[str, str | UploadedFile]]:
    import multipart  # type: ignore[import-untyped]  # it has no types; here: 20 ms only forms pay

    _, options = multipart.parse_options_header(request.headers["content-type"])
    if len(request.body) > MAX_FILE + MAX_PARTS * MAX_FIELD:
        raise BodyTooLarge(f"The file is larger than {MAX_FILE // 1024 // 1024} MB")
    parts: list[tuple[str, str | UploadedFile]] = []
    data = b""
    try:
        with multipart.PushMultipartParser(options.get("boundary", ""), max_segment_count=MAX_PARTS) as parser:
            for event in parser.parse(request.body):
                if isinstance(event, multipart.MultipartSegment):
                    segment, data = event, b""
                elif event:
                    data += event
                elif segment.filename != "" or data:  # a file input left empty is sent as a nameless, empty file
                    parts.append((segment.name or "", _part(segment.filename, segment.content_type, data)))
    except multipart.ParserLimitReached as error:
        raise BodyTooLarge(f"The form is refused: {error}") from None
    except multipart.MultipartError:
        raise MalformedBody("There was an error parsing the body") from None
    _only_one_file(parts)
    return parts


def _part(filename: str | None, content_type: str | None, data: bytes) -> str | UploadedFile:
    if filename is not None:
        if len(data) > MAX_FILE:
            raise BodyTooLarge(f"The file is larger than {MAX_FILE // 1024 // 1024} MB")
        return UploadedFile(filename, content_type, data)
    if len(data) > MAX_FIELD:
        raise BodyTooLarge(f"A form field is larger than {MAX_FIELD // 1024} KB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("Form fields must be UTF-8") from None


def _only_one_file(parts: list[tuple[str, str | UploadedFile]]) -> None:
    files = [name for name, value in parts if isinstance(value, UploadedFile)]
    if len(files) > 1:
        raise Invalid([{"type": "too_many_files", "loc": ["body", files[1]], "msg": "Only one file is accepted"}])


def _collected(model: type[BaseModel], pairs: Pairs | Iterable[tuple[str, Any]]) -> dict[str, Any]:
    groups: dict[str, list[Any]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    lists = {field.alias or name for name, field in model.model_fields.items() if _is_list(field.annotation)}
    return {name: values if name in lists else values[-1] for name, values in groups.items()}


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return origin in (list, tuple, set, frozenset) or any(_is_list(part) for part in get_args(annotation))


def _validated(model: type[Model], value: object, where: str) -> Model:
    if (found := _unstorable(value)) is not None:
        raise Invalid([_fault({"type": "value_invalid", "loc": found[0], "msg": found[1]}, where)])
    try:
        return model.model_validate(value, from_attributes=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid([_fault(detail, where) for detail in details[:_MAX_FAULTS]]) from None


def _fault(detail: Mapping[str, Any], where: str) -> Fault:
    location = [part[:100] if isinstance(part, str) else part for part in detail["loc"]]
    return {"type": detail["type"], "loc": [where, *location], "msg": detail["msg"]}


def _unstorable(value: object) -> tuple[tuple[str | int, ...], str] | None:
    """Where and why a value cannot be stored or sent on, whatever its model says: Postgres and UTF-8 refuse it."""
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if len(path) > _MAX_DEPTH:
            return path[:1], f"Nesting is deeper than {_MAX_DEPTH} levels"
        match item:
            case str() if "\0" in item:
                return path, "NUL characters are not allowed"
            case str() if not _is_unicode(item):
                return path, "Lone surrogates are not allowed"
            case float() if not isfinite(item):
                return path, "Numbers must be finite"
            case dict():
                waiting += [(path, name) for name in item]
                waiting += [((*path, name), part) for name, part in item.items()]
            case list():
                waiting += [((*path, index), part) for index, part in enumerate(item)]
            case UploadedFile():
                waiting.append((path, item.filename))
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
