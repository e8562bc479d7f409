"""A request made of command line options, for whatever event it becomes."""

import json
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from local.events import HttpRequest

_URL_CHARACTERS = "%/:@!$&'()*+,;=-._~?"


class CannotBuild(Exception):
    """The options do not make an event; the text says which and why."""


def request(
    method: str | None,
    path: str | None,
    *,
    queries: Sequence[str] = (),
    headers: Sequence[str] = (),
    cookies: Sequence[str] = (),
    body: str | None = None,
    file: str | None = None,
) -> HttpRequest:
    """`body` is a text or @FILE, `file` an upload as PATH or FIELD=PATH. Raises CannotBuild."""
    if body is not None and file is not None:
        raise CannotBuild("--body and --file are two bodies; a request has one.")
    pairs = [header(given) for given in headers] + ([("cookie", "; ".join(cookies))] if cookies else [])
    media_type, content = _form(file) if file is not None else content_of(body) if body is not None else ("", b"")
    given = dict(pairs)
    if media_type and "content-type" not in given:
        pairs.append(("content-type", media_type))
    if content:
        pairs.append(("content-length", str(len(content))))
    if "host" not in given:
        pairs.insert(0, ("host", "localhost"))
    address, _, query = (path or "/").partition("?")
    if not address.startswith("/"):
        raise CannotBuild(f"--path begins with a slash, unlike {address!r}.")
    query = "&".join(part for part in (query, *queries) if part)
    address, query = (quote(text, safe=_URL_CHARACTERS) for text in (address, query))
    method = method or ("GET" if body is None and file is None else "POST")
    return HttpRequest(method.upper(), address, query, tuple(pairs), content)


def header(given: str) -> tuple[str, str]:
    """`NAME: VALUE`, with the name in lower case."""
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise CannotBuild(f"--header takes 'NAME: VALUE', not {given!r}.")
    return name.strip().lower(), value.strip()


def content_of(given: str) -> tuple[str, bytes]:
    """Media type and bytes of `--body`: JSON unless a file, @PATH, says by its name that it is something else."""
    if not given.startswith("@"):
        return "application/json", given.encode()
    return mimetypes.guess_type(given)[0] or "application/octet-stream", _read(Path(given[1:]), "--body")


def parsed(text: bytes | str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CannotBuild(f"{option} is no JSON: {exc}") from exc


def _form(given: str) -> tuple[str, bytes]:
    """A multipart form of one file; its field is called `file` unless given as FIELD=PATH."""
    field, equals, name = given.partition("=")
    field, file = (field, Path(name)) if equals else ("file", Path(given))
    upload = httpx.Request("POST", "http://localhost", files={field: (file.name, _read(file, "--file"))})
    return upload.headers["content-type"], upload.read()


def _read(file: Path, option: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise CannotBuild(f"{option}: {exc.strerror}: {file}") from exc
