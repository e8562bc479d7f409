"""Requests no API wants, each with the statuses that are an honest answer to it."""

import json
import struct
import zlib
from dataclasses import dataclass

from tests.compat import pictures

TASKS = "/3d-model-generation/tasks"
PROFILE = "/user-info/profile-info"
REGISTRATION = "/users/registration"
AUTHORIZATION = "/users/authorization"

JSON = "application/json"
BOUNDARY = "----------------boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class BadRequest:
    """`signed` ones carry the token of a real person."""

    id: str
    method: str
    path: str
    statuses: frozenset[int]
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    signed: bool = False


def read(id: str, path: str, *statuses: int, **headers: str) -> BadRequest:
    """Without a token, unless the headers bring one."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return BadRequest(id, "GET", path, frozenset(statuses), named)


def signed_read(id: str, path: str, *statuses: int) -> BadRequest:
    return BadRequest(id, "GET", path, frozenset(statuses), signed=True)


def call(id: str, method: str, path: str, *statuses: int) -> BadRequest:
    return BadRequest(id, method, path, frozenset(statuses))


def post(id: str, path: str, body: bytes, *statuses: int, content_type: str = JSON) -> BadRequest:
    return BadRequest(id, "POST", path, frozenset(statuses), (("Content-Type", content_type),), body)


def upload(id: str, body: bytes, *statuses: int, content_type: str = FORM) -> BadRequest:
    return BadRequest(id, "POST", TASKS, frozenset(statuses), (("Content-Type", content_type),), body, signed=True)


def photo(id: str, data: bytes, *statuses: int, content_type: str = "image/jpeg") -> BadRequest:
    return upload(id, form(data, content_type=content_type), *statuses)


def form(data: bytes, *, name: str = "task_source_file", content_type: str = "image/jpeg") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="me.jpg"\r\nContent-Type: {content_type}'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def user(**changed: object) -> bytes:
    return json.dumps({"name": "Eve", "email": "eve@example.org", "password": "correct horse", **changed}).encode()


def bomb(side: int = 14_000) -> bytes:
    """A PNG of 196 million pixels in some 25 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + side // 8) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD_REQUESTS = [
    read("no token", PROFILE, 422),
    read("no refresh token", "/users/refresh-token", 422),
    read("token of 100 kB", PROFILE, 400, 403, 431, access_token="x" * 100_000),
    read("token that is no ASCII", PROFILE, 400, 403, access_token="\xff\xfe"),
    read("bearer of nothing", PROFILE, 401, 403, 422, authorization="Bearer"),
    read("basic instead of bearer", PROFILE, 401, 403, 422, authorization="Basic eDp5"),
    read("200 headers", PROFILE, 422, 431, **{f"x_{n}": "y" * 50 for n in range(200)}),
    signed_read("no uuid", f"{TASKS}/7/status", 404),
    signed_read("NUL in the path", f"{TASKS}/%00/status", 400, 404),
    signed_read("path that is no UTF-8", f"{TASKS}/%ff%fe/result", 400, 404),
    signed_read("path upwards", f"{TASKS}/../../../../../etc/passwd", 400, 404),
    call("no token, no form", "POST", TASKS, 422),
    call("method of no route", "PROPFIND", PROFILE, 405),
    call("method of another route", "DELETE", REGISTRATION, 405),
    call("made-up method", "BREW", PROFILE, 400, 405),
    post("no body", REGISTRATION, b"", 422),
    post("half a JSON", REGISTRATION, b'{"name": ', 422),
    post("list", REGISTRATION, b"[]", 422),
    post("endless number", AUTHORIZATION, b"1e999", 422),
    post("null", AUTHORIZATION, b"null", 422),
    post("JSON that is no UTF-8", REGISTRATION, b'{"name": "\xff\xfe"}', 422),
    post("NUL in a name", REGISTRATION, user(name="a\0b"), 422),
    post("NUL in an email", REGISTRATION, user(email="a\0b@example.org"), 422),
    post("NUL in an email to sign in", AUTHORIZATION, user(email="a\0@example.org", password="\0"), 400, 422),
    post("half a surrogate in a name", REGISTRATION, user(name="\ud800"), 422),
    post("half a surrogate in a password", REGISTRATION, user(password="\udfff" * 10), 422),
    post("numbers for texts", REGISTRATION, user(name=1, email=2, password=3), 422),
    post("name of 10 kB", REGISTRATION, user(name="x" * 10_000), 413, 422),
    post("email of 10 kB", REGISTRATION, user(email="x" * 10_000 + "@example.org"), 413, 422),
    post("password of 1 MB", AUTHORIZATION, user(password="x" * 1_000_000), 400, 413, 422),
    post("lists in lists in lists", REGISTRATION, b"[" * 100_000, 413, 422),
    post("number of 10 000 digits", REGISTRATION, b'{"name": ' + b"9" * 10_000 + b"}", 413, 422),
    post("form for JSON", REGISTRATION, b"name=Eve", 415, 422, content_type="application/x-www-form-urlencoded"),
    post("XML for JSON", AUTHORIZATION, b"<user/>", 415, 422, content_type="text/xml"),
    upload("text for a form", b"hello", 415, 422, content_type="text/plain"),
    upload("form without a boundary", form(b"x"), 400, 422, content_type="multipart/form-data"),
    upload("form that never ends", form(b"x")[:-20], 400, 415, 422),
    upload("form of another field", form(b"x", name="photo"), 422),
    upload("form that is none", bytes(1000), 400, 422),
    photo("empty photo", b"", 415),
    photo("text for a photo", b"hello", 415),
    photo("half a JPEG", pictures.photo()[:3000], 415, 422),
    photo("the first bytes of a JPEG", pictures.photo()[:20], 415),
    photo("196 million pixels", bomb(), 413, 415, 422, content_type="image/png"),
    photo("GIF that is a page", b"GIF89a/*<html><script>alert(1)</script>*/=1;", 415, content_type="image/gif"),
    photo("GIF with a page behind it", pictures.photo("GIF") + b"<script>1</script>", 415, content_type="image/gif"),
    photo("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, content_type="image/svg+xml"),
    photo("photo of one pixel", pictures.photo(size=(1, 1)), 415, 422),
]
