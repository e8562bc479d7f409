"""XML as S3 speaks it: answers rendered, request documents parsed with defusedxml."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import TypeAlias
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from local.services.objects.errors import S3Error

Content: TypeAlias = "str | int | bool | Iterable[tuple[str, Content]]"
Children: TypeAlias = list[tuple[str, Content]]

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot carry


def render(name: str, content: Content, *, namespace: bool = True) -> bytes:
    """A whole document: children are (name, content) pairs, and a name may repeat."""
    opening = f'{name} xmlns="{_NAMESPACE}"' if namespace else name
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{opening}>{_inner(content)}</{name}>'.encode()


def _inner(content: Content) -> str:
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, int):
        return str(content)
    if isinstance(content, str):
        return _UNSPEAKABLE.sub("\ufffd", escape(content, quote=False)).replace("\r", "&#13;")
    return "".join(f"<{name}>{_inner(inner)}</{name}>" for name, inner in content)


def parse(data: bytes, name: str) -> Element:
    """The root of a request document, which must be called `name` (in any namespace)."""
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as exc:
        raise S3Error("MalformedXML") from exc
    if root.tag.rpartition("}")[2] != name:
        raise S3Error("MalformedXML", f"Expected a {name} document.")
    return root


def texts(element: Element, name: str) -> tuple[str, ...]:
    return tuple(child.text or "" for child in element.findall(f"{{*}}{name}"))


def text(element: Element, name: str) -> str:
    """The only child of that name; without it the document is malformed."""
    found = texts(element, name)
    if len(found) != 1:
        raise S3Error("MalformedXML", f"Expected one {name} element.")
    return found[0]


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
