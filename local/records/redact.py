"""Takes secrets out of what is printed: by the names of fields, and by how secrets look.

Rather too much than too little: who needs the whole has the records themselves.
"""

import base64
import binascii
import functools
import json
import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
_DEEPEST = 60
_BASE64_SHOWN = 256
_SECRET_NAME = re.compile(
    r"passw|passphrase|passcode|secret|token|credential|cookie|signature|authorization|apikey|bearer|jwt|inputvalue"
    r"|(?:access|account|auth|encryption|license|master|private|session|shared|signing|storage)key"
    r"|^(?:auth|csrf|cvc|cvv|otp|pass|pin|pwd|sas|sessionid|sid|sig|xsrf)$"
)
_NO_SECRET_NAME = re.compile(r"^(?:max|num|total|used)tokens$|token(?:type|count|limit|url|uri|expire\w*)$|^tokeniz")
_LOOKS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{5,}(?:\.[\w-]*){2,4}(?:\\?\s*\n\s*[\w.-]{16,}(?!\S))*"  # a JWT, or an encrypted one
    r"|\beyJ[\w-]{5,}\.[\w.-]*(?:\\?\s*\n\s*[\w.-]{16,}(?!\S))+"  # one that was wrapped
    r"|\b(?i:Bearer|Basic)\s+[\w.~+/=-]{6,}"
    r"|(?<=://)[^/\s:@\"'\\]*:[^/\s\"'\\]+(?=@)"  # user:password@ of an address
    r"|\b(?i:Digest)\s+\w+=(?:\"[^\"\n]*\"|[^\s,\"]+)(?:,\s*\w+=(?:\"[^\"\n]*\"|[^\s,\"]+))*"
    r"|\$(?:argon2\w*|2[abxy]|scrypt|pbkdf2[\w-]*|[156y])\$[\w./+=,$-]+"  # a password hash
    r"|\b[a-z]{2,8}_(?:live|test|prod)_[\w-]{16,}"  # API keys, ours and those of others
    r"|\b(?:sk|rk|fk|gh[a-z]|github_pat|glpat|xox[a-z]|npm|hf)[_-][\w-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}"
    r"|(?i:(?<=cookie: )|(?<=DETAIL:  ))[^\n\"']+"  # all of the line; the second is what Postgres quotes of a row
    r"|\bb(?:'(?:[^'\\\n]|\\.){200,}'|\"(?:[^\"\\\n]|\\.){200,}\")",  # bytes as Python prints them
    re.DOTALL,
)
_BASE64 = re.compile(r"(?<![\w+/=-])[\w+/-]{20,}={0,2}(?![\w+/=-])")
_BARE = r"[^\s\"'\\&,;<>(){}\[\]]+"
_NEXT = r"(?<=[\"']),(?=\s*b?[\"'][^\"']*[\"']\s*[)\]])|(?<=\w)\s(?=\\*[\"'])"  # ("name", "value"), name 'value'
_NAME = re.compile(
    rf"(?<![\w.-])(?:(?<=%)(?:26|3F))?([\w.-]*\w)(?:\\*[\"'])?\s*(?:=>?|%3D|:|{_NEXT})\s*", re.IGNORECASE
)
_VALUE = re.compile(
    r"[bruf]{0,2}(?P<quote>\\*[\"'])(?:.*?(?<!\\)(?P=quote)|.*)|\[(?!redacted).*?(?:\]|\Z)|\{.*?(?:\}|\Z)"
    rf"|(?:(?:Bearer|Basic|Digest|AWS4-HMAC-SHA256)\s+)?{_BARE}(?P<more>(?:[ ]+(?!\S*[=:]){_BARE})*)",
    re.DOTALL | re.IGNORECASE,
)

_ARGUMENT = r"(?<![\w-])--(?P<word>[\w-]+)[ \t]+(?P<argument>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'-][^\s\"']*)"
_ELEMENT = r"<(?P<element>[\w.:-]+)(?:\s[^<>]*)?>(?P<content>(?:<!\[CDATA\[)?[^<]+)(?=</)"
_PART = (
    r"content-disposition: ?form-data; ?name=\"?(?P<part>[\w.-]+)[^\n]{0,200}\n(?:[\w-]+:[^\n]{0,200}\n){0,5}\r?\n"
    r"(?P<body>.*?)(?=\r?\n--|\Z)"
)
_MARKED = re.compile(f"{_ARGUMENT}|{_ELEMENT}|{_PART}", re.DOTALL | re.IGNORECASE)


def redact(text: str) -> str:
    """The text without secrets: JSON, also in single lines, by its fields; the rest by `name=value` and by look."""
    if (value := _json(text)) is not None:
        clean = redacted(value)
        # a lone surrogate cannot be printed, its escape can
        return (
            text
            if clean == value
            else json.dumps(clean, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        )
    if "\n" in text:
        text = "\n".join(redact(line) if line.startswith("{") else line for line in text.split("\n"))
    return _unassigned(_BASE64.sub(_decoded, _LOOKS.sub(REDACTED, _MARKED.sub(_unmarked, text))))


def redacted(value: Any, *, secret: bool = False, depth: int = 0) -> Any:
    """A value as JSON has them without secrets: by the names of its fields and the look of its texts."""
    if depth > _DEEPEST:
        return REDACTED
    if isinstance(value, Mapping):
        return _mapping(value, secret, depth + 1)
    if isinstance(value, list | tuple):
        pair = len(value) == 2 and isinstance(value[0], str) and is_secret(value[0])
        return [redacted(part, secret=secret or (pair and at == 1), depth=depth + 1) for at, part in enumerate(value)]
    if value is None or value == "" or isinstance(value, bool):
        return value
    if secret:
        return REDACTED
    if isinstance(value, bytes | bytearray):
        return f"[{len(value):,} bytes]"
    return redact(value) if isinstance(value, str) else value


@functools.lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a field, header or parameter of this name holds a secret."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return bool(_SECRET_NAME.search(bare)) and not _NO_SECRET_NAME.search(bare)


def _mapping(value: Mapping[Any, Any], secret: bool, depth: int) -> Any:
    named = next((value[key] for key in ("name", "Name", "key", "Key") if isinstance(value.get(key), str)), "")
    hidden = {"value", "Value"} if is_secret(named) else set()
    clean = {
        key: redacted(part, secret=secret or key in hidden or is_secret(str(key)), depth=depth)
        for key, part in value.items()
    }
    body, numbers = value.get("body"), value.get("bytes")
    if value.get("isBase64Encoded") is True and isinstance(body, str) and not secret:
        clean["body"] = _body(body)
    if list(value) == ["bytes"] and isinstance(numbers, list):  # a text among the headers of an aws:rmq event
        text = bytes(number & 255 for number in numbers if isinstance(number, int)).decode(errors="replace")
        return {"bytes": REDACTED} if secret or redact(text) != text else value
    return clean


def _body(encoded: str) -> str:
    """A form or a file is named by its size, a text keeps its encoding."""
    try:
        content = base64.b64decode(encoded)
        text = content.decode()
    except binascii.Error:
        return redact(encoded)
    except UnicodeDecodeError:
        return _size(len(content))
    clean = _size(len(content)) if text.startswith("--") else redact(text)
    return encoded if clean == text else base64.b64encode(clean.encode()).decode()


def _decoded(run: re.Match[str]) -> str:
    """Secrets inside base64 are redacted there; what is no text is named by its size, if it is long."""
    try:
        text = run[0].rstrip("=").translate(str.maketrans("-_", "+/"))
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        clean = redact(found := content.decode())
    except UnicodeDecodeError:
        return _size(len(content)) if len(run[0]) >= _BASE64_SHOWN else run[0]
    except binascii.Error:
        return run[0]
    return run[0] if clean == found else base64.b64encode(clean.encode()).decode()


def _unmarked(found: re.Match[str]) -> str:
    """A command line's option, an XML element or a form's part, its value hidden if its name is that of a secret."""
    name, value = next(
        (found[name], value)
        for name, value in (("word", "argument"), ("element", "content"), ("part", "body"))
        if found[name]
    )
    if not is_secret(name):
        return found[0]
    return f"{found[0][: found.start(value) - found.start()]}{REDACTED}"


def _unassigned(text: str) -> str:
    """The text without the values that follow secret names; of a pass phrase all words are taken."""
    parts, end = [], 0
    for name in _NAME.finditer(text):
        if name.start() < end or not is_secret(name[1]) or not (value := _VALUE.match(text, name.end())):
            continue
        quote, more = value["quote"] or "", value["more"] or ""
        parts += [text[end : name.end()], quote, REDACTED, quote, "" if "pass" in name[1].lower() else more]
        end = value.end()
    return "".join([*parts, text[end:]])


def _size(count: int) -> str:
    return f"[base64, {count:,} bytes]"


def _json(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
