"""Documents that browsers and programs may keep: named by their content, and pages filled from templates."""

from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

from facet.http import Request, Response, accepted, unchanged


def cached(request: Request, body: bytes, content_type: str, caching: str, *, vary: bool = False) -> Response:
    """The document with its ETag, or 304 to whoever has it. `vary`: by `Accept` it may be another."""
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = [("etag", etag), ("cache-control", caching), *([("vary", "accept")] if vary else [])]
    if unchanged(request, etag):
        return Response(304, "", headers)
    text = body if content_type.startswith("image/") else body.decode()
    return Response(200, text, [("content-type", content_type), *headers])


def wanted(request: Request) -> bool:
    """Browsers name text/html; whoever takes anything, or nothing in particular, is a program."""
    weights = accepted(request.headers.get("accept", ""))
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def filled(template: Path, *, html: str = "", **texts: object) -> str:
    """The template with `texts`, escaped, and `html`, which stands as it is."""
    escaped = {name: escape(str(text)) for name, text in texts.items()}
    return Template(template.read_text(encoding="utf-8")).substitute(escaped, html=html)
