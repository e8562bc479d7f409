"""No secret of any kind comes out of any place in which functions and people put it; the rest is left readable."""

import base64
import json
import random
import string
import time
from collections.abc import Callable
from typing import Any

import pytest

from local.records.redact import REDACTED, redact, redacted

RANDOM = random.Random(7)  # the same secrets in every run


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(RANDOM.choices(alphabet, k=count))


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


JWT = f"{encoded(json.dumps({'alg': 'HS256'}))}.{encoded(json.dumps({'sub': '7', 'token_type': 'a'}))}.{letters(43)}"
LOOKS = {
    "jwt": JWT.replace("=", ""),
    "api key": f"avk_live_{letters(8, '0123456789abcdef')}_{letters(43)}",
    "stripe": f"sk_live_{letters(24)}",
    "github": f"ghp_{letters(36)}",
    "aws": f"AKIA{letters(16, string.ascii_uppercase)}",
    "argon2": f"$argon2id$v=19$m=65536,t=3,p=4${letters(22)}${letters(43)}",
    "bcrypt": f"$2b$12${letters(53)}",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{letters(64)}\n{letters(64)}\n-----END PRIVATE KEY-----\n",
    "photo": base64.b64encode(b"\xff\xd8\xff\xe0" + RANDOM.randbytes(3000)).decode(),
    "bearer": f"Bearer {letters(30)}",
}
NAMED = {
    "password": "hunter2",
    "new_password": "correct horse battery staple",
    "userPassword": "p\u00e4ssw\u00f6rd",
    "PGPASSWORD": "a'b\"c\\d",
    "access-token": letters(40),
    "refreshToken": letters(40),
    "apikey": letters(20),
    "x-api-key": letters(20),
    "client_secret": letters(20),
    "Authorization": f"Digest {letters(20)}",
    "cookie": f"session={letters(20)}; other={letters(20)}",
    "Set-Cookie": f"id={letters(20)}; HttpOnly",
    "X-Amz-Signature": letters(64, "0123456789abcdef"),
    "X-Amz-Security-Token": letters(300),
    "otp": "493027",
}
Place = Callable[[str], Any]
TEXTS: dict[str, Place] = {
    "alone": lambda secret: secret,
    "in a sentence": lambda secret: f"It is {secret} and no other",
    "in a line of a log": lambda secret: f"START RequestId: 1\nit is {secret}\nEND",
    "in a field": lambda secret: {"detail": secret, "list": [secret]},
    "in JSON in a body": lambda secret: {"body": json.dumps({"note": f"see {secret}"})},
    "in base64 of JSON": lambda secret: {"data": encoded(json.dumps({"note": secret}))},
    "in a queue's header": lambda secret: {"headers": {"note": {"bytes": list(secret.encode())}}},
    "in an error": lambda secret: {"errorMessage": f"ValueError({secret!r})"},
    "in a log line of JSON": lambda secret: f"START\n{json.dumps({'message': secret})}\nEND",
}
FIELDS: dict[str, Callable[[str, str], Any]] = {
    "a field": lambda name, secret: {name: secret},
    "a list": lambda name, secret: {"multiValueHeaders": {name: [secret, secret]}},
    "a mapping": lambda name, secret: {name: {"value": secret, "more": [{"deep": secret}]}},
    "a pair": lambda name, secret: [["accept", "*/*"], [name, secret]],
    "name and value": lambda name, secret: {"fields": [{"name": name, "value": secret}]},
    "JSON in a body": lambda name, secret: {"body": json.dumps({"a": {name: secret}})},
    "JSON in JSON": lambda name, secret: {"body": json.dumps({"inner": json.dumps({name: secret})})},
    "a body in base64": lambda name, secret: {"isBase64Encoded": True, "body": encoded(json.dumps({name: secret}))},
    "a message of a queue": lambda name, secret: {"data": encoded(json.dumps({name: secret, "id": 1}))},
    "a header of a queue": lambda name, secret: {"headers": {name: {"bytes": list(secret.encode())}}},
    "a printed line of JSON": lambda name, secret: "event\n" + json.dumps({"headers": {name: secret}}) + "\nEND",
    "JSON after words": lambda name, secret: f"got {json.dumps({'headers': {name: secret}})} now",
    "JSON over lines": lambda name, secret: "event:\n" + json.dumps({"h": {name: [secret]}}, indent=2) + "\nEND",
    "what Python prints": lambda name, secret: f"START\n{ {'headers': {name: secret, 'a': 1}} }\nEND",
    "bytes as Python prints them": lambda name, secret: f"{ {name.encode(): secret.encode()} }",
    "a header line": lambda name, secret: f"accept: */*\n{name}: {secret}\nhost: x",
}
PLAIN = [name for name, secret in NAMED.items() if secret.isalnum()]


def parts(secret: str) -> list[str]:
    """Every piece of it, from four letters on, that would give it away; and how bytes or JSON write them."""
    words = [word for word in secret.replace("\n", " ").replace("=", " ").replace(";", " ").split() if len(word) > 3]
    kept = [
        word for word in words if word not in ("Bearer", "Digest", "session", "other", "HttpOnly", "BEGIN", "KEY-----")
    ]
    return [piece for piece in kept if not piece.startswith("-----")]


def shown(value: Any) -> str:
    """What a reader gets to see, base64 and lists of numbers decoded too."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    found = [text]
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "bytes" and isinstance(part, list):
                found.append(bytes(part).decode())
            elif name in ("data", "body"):
                try:
                    found.append(base64.b64decode(part, validate=True).decode())
                except ValueError:
                    found.append(shown(part))
            else:
                found.append(shown(part))
    return "\n".join(found)


def clean(value: Any) -> str:
    return shown(redact(value) if isinstance(value, str) else redacted(value))


@pytest.mark.parametrize("place", TEXTS)
@pytest.mark.parametrize("kind", LOOKS)
def test_a_secret_is_known_by_its_look(kind: str, place: str) -> None:
    given = TEXTS[place](LOOKS[kind])
    assert any(part in shown(given) for part in parts(LOOKS[kind])) or "\n" in LOOKS[kind]
    assert [part for part in parts(LOOKS[kind]) if part in clean(given)] == []


@pytest.mark.parametrize("place", FIELDS)
@pytest.mark.parametrize("name", NAMED)
def test_a_secret_is_known_by_the_name_of_its_field(name: str, place: str) -> None:
    given = FIELDS[place](name, NAMED[name])
    assert [part for part in parts(NAMED[name]) if part in clean(given)] == []
    assert "REDACTED" in clean(given).upper()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "text",
    [
        "{name}={secret}",
        "user=ada&{name}={secret}&x=1",
        "/path?{name}={secret}",
        "to https%3A%2F%2Fhost%3Fa%3D1%26{name}%3D{secret}%26b%3D2",
        "{name}='{secret}'",
        '"{name}": "{secret}',
        "call({name}={secret!r}, other=2)",
        "with {name} => {secret}.",
    ],
)
def test_a_secret_is_known_by_what_it_is_assigned_to(name: str, text: str) -> None:
    assert NAMED[name] not in redact(text.format(name=name, secret=NAMED[name]))


def test_a_presigned_address_loses_its_rights_and_an_address_its_user() -> None:
    text = (
        "GET http://h:9000/photos/a.jpg?X-Amz-Algorithm=A&X-Amz-Credential=AK%2F1&X-Amz-Date=2&X-Amz-Signature=ab12 ok"
    )
    assert redact(text) == (
        "GET http://h:9000/photos/a.jpg?X-Amz-Algorithm=A&X-Amz-Credential=[redacted]"
        "&X-Amz-Date=2&X-Amz-Signature=[redacted] ok"
    )
    assert redact("amqp://facet:p%40ss@broker:5672/%2F") == "amqp://[redacted]@broker:5672/%2F"


def test_binary_bodies_are_named_by_their_size() -> None:
    photo = RANDOM.randbytes(12_345)
    assert redacted({"body": base64.b64encode(photo).decode(), "isBase64Encoded": True}) == {
        "body": "[base64, 12,345 bytes]",
        "isBase64Encoded": True,
    }
    form = b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--x--\r\n'
    assert "hunter2" not in clean({"body": base64.b64encode(form).decode(), "isBase64Encoded": True})
    assert redacted({"image": photo}) == {"image": "[12,345 bytes]"}
    assert "\\xff" not in redact(f"got {photo[:500]!r}")


@pytest.mark.parametrize(
    "value",
    [
        {"request_uuid": "0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1", "status": "PENDING", "progress": 12.5, "ok": True},
        {"object_key": "user-1/a.jpg", "routing_key": "results", "token_type": "bearer", "max_tokens": 100},
        {"rawPath": "/api/v1/3d-model-generation/tasks/0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1/status"},
        {"body": '{ "name":"Ada" }', "isBase64Encoded": False},
        {"body": "PHRlc3Q+aGVsbG8gd29ybGQ8L3Rlc3Q+", "isBase64Encoded": True},
        {"headers": {"header1": {"bytes": [118, 97, 108]}, "numberInHeader": 10}},
        {"password": None, "token": "", "secret": False},
        {"etag": "d41d8cd98f00b204e9800998ecf8427e", "sha256": "a" * 64, "trace": "Root=1-6af0-12ab;Sampled=1"},
        {"arn": "arn:aws:lambda:us-east-1:000000000000:function:set_password"},
    ],
)
def test_what_is_no_secret_is_left_as_it_is(value: Any) -> None:
    assert redacted(value) == value
    assert redact(json.dumps(value)) == json.dumps(value)


def test_lines_of_a_log_are_left_as_they_are() -> None:
    log = (
        "START RequestId: 0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1 Version: $LATEST\n"
        '{"ts": "2026-01-01T10:00:00.000+00:00", "level": "INFO", "message": "in", "function": "refresh_token"}\n'
        "REPORT RequestId: 0b7f3c0e\tDuration: 1.00 ms\tMemory Size: 256 MB\tStatus: error\tError Type: ValueError\n"
    )
    assert redact(log) == log


@pytest.mark.parametrize(
    "hostile",
    [
        *(piece * 50_000 for piece in ("pass=", "a:", "'", "=", "://a:", "token=[", '"token": "', "{", ".-")),
        "eyJaaaaaa" + ".a" * 50_000,
        "[" * 5_000 + "]" * 5_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_texts_are_read_once(hostile: str) -> None:
    redact(hostile)


def test_a_value_that_never_ends_is_cut() -> None:
    deep: Any = "hunter2"
    for _ in range(500):
        deep = [deep]
    assert REDACTED in json.dumps(redacted(deep))
    assert redact('{"a": "\\ud800", "password": "x"}') == '{"a": "\\ud800", "password": "[redacted]"}'


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: nobody signs in with password 'hunter2hunter2'",
        "KeyError: ('access-token', 'hunter2hunter2')",
        "[(b'host', b'h'), (b'x-api-key', b'hunter2hunter2')]",
        "postgresql://facet:p@hunter2hunter2@db/facet",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY\n  hunter2hunter2.dozjgNryP4J3jVmNHl0w5N\nEND",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY.dozjgNryP4J3\\\n hunter2hunter2jVmNHl0w5N",
    ],
)
def test_secrets_in_the_texts_of_errors_are_found(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "END" in redact(text + "\nEND")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mysql --user ada --password ", " --verbose"),
        ("login --token '", "' and go"),
        ("<a><wsse:Password Type='x'>", "</wsse:Password><name>Ada</name></a>"),
        ("<secret><![CDATA[", "]]></secret>"),
        ('Authorization: Digest username="ada", realm="a b", response="', '"'),
        ('--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n', "\r\n--x--\r\n"),
        ('--x\nContent-Disposition: form-data; name="pin"\nContent-Type: text/plain\n\n', "\n--x--\n"),
    ],
)
def test_what_marks_a_secret_need_be_no_equals_sign(before: str, after: str) -> None:
    assert "hunter2" not in redact(f"{before}hunter2{after}")


@pytest.mark.parametrize(
    "text",
    [
        "pytest --token-type jwt --verbose yes",
        "<name>Ada</name> of Optional<Token> and more",
        'Content-Disposition: form-data; name="title"\r\n\r\nA day\r\n--x--\r\n',
        "Digest of the day: 7",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "part", ["--a ", "<a ", "<password>", "<a>b", 'content-disposition: form-data; name="a"\n', "digest a=b,", "--"]
)
def test_marks_without_end_take_no_time(part: str) -> None:
    began = time.process_time()
    redact(part * (200_000 // len(part)))
    assert time.process_time() - began < 10
