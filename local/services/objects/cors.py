"""CORS rules of a bucket: read from their document, matched against requests, told to browsers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from local.services.objects import documents
from local.services.objects.errors import S3Error

_METHODS = {"GET", "PUT", "POST", "DELETE", "HEAD"}
_MOST_RULES = 100
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True)
class Rule:
    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age: str

    def admits(self, origin: str, method: str, headers: Iterable[str] = ()) -> bool:
        return (
            method in self.methods
            and any(_matches(pattern, origin) for pattern in self.origins)
            and all(any(_matches(pattern, header) for pattern in self.headers) for header in headers)
        )

    def answer(self, origin: str) -> dict[str, str]:
        answer = {"Access-Control-Allow-Methods": ", ".join(self.methods), "Vary": _VARY}
        if "*" in self.origins:
            answer["Access-Control-Allow-Origin"] = "*"
        else:
            answer |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        if self.exposed:
            answer["Access-Control-Expose-Headers"] = ", ".join(self.exposed)
        if self.max_age:
            answer["Access-Control-Max-Age"] = self.max_age
        return answer


def parse(document: bytes) -> tuple[Rule, ...]:
    rules = tuple(map(_rule, documents.parse(document, "CORSConfiguration").findall("{*}CORSRule")))
    if not 1 <= len(rules) <= _MOST_RULES:
        raise S3Error("MalformedXML", f"A CORS configuration has 1 to {_MOST_RULES} rules.")
    return rules


def preflight(rules: Iterable[Rule], headers: Mapping[str, str]) -> dict[str, str]:
    """What to tell a browser that asks before it acts; raises S3Error when no rule admits it."""
    origin, method = headers.get("origin"), headers.get("access-control-request-method")
    if not origin or not method:
        raise S3Error("BadRequest")
    asked = headers.get("access-control-request-headers", "")
    wanted = [name.strip().lower() for name in asked.split(",") if name.strip()]
    for rule in rules:
        if rule.admits(origin, method, wanted):
            allowed = {"Access-Control-Allow-Headers": ", ".join(wanted)} if wanted else {}
            return rule.answer(origin) | allowed
    raise S3Error("AccessForbidden")


def headers(rules: Iterable[Rule], method: str, origin: str) -> dict[str, str]:
    """What to add to an answer; nothing when no rule admits the request."""
    return next((rule.answer(origin) for rule in rules if rule.admits(origin, method)), {})


def _rule(element: Element) -> Rule:
    origins = documents.texts(element, "AllowedOrigin")
    methods = documents.texts(element, "AllowedMethod")
    allowed = tuple(name.lower() for name in documents.texts(element, "AllowedHeader"))
    exposed = documents.texts(element, "ExposeHeader")
    max_age = "".join(documents.texts(element, "MaxAgeSeconds")).strip()
    if not origins or not methods or not re.fullmatch("[0-9]{0,9}", max_age):
        raise S3Error("MalformedXML", "A CORS rule needs an origin and a method, and a max-age in seconds.")
    if not all(map(_HEADER.fullmatch, (*allowed, *exposed))):
        raise S3Error("InvalidRequest", "A CORS rule names a header that cannot be one.")
    if not _METHODS.issuperset(methods):
        raise S3Error("InvalidRequest", "Found an unsupported HTTP method in the CORS configuration.")
    if any(pattern.count("*") > 1 for pattern in (*origins, *allowed)):
        raise S3Error("InvalidRequest", "A pattern of a CORS rule can have only one wildcard.")
    return Rule(origins, methods, allowed, exposed, max_age)


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
