"""GET /openapi.json, GET /docs: the API described, for programs and, with Swagger UI, for people."""

import json
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from facet.function import Function
from facet.http import Request, Response, unchanged
from facet.problems import NotFound
from facet.settings import settings

HERE = Path(__file__).parent
ASSETS = {
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
DAY = "public, max-age=86400"
ASK = "public, no-cache"  # may be kept, but only used after asking whether it is still current
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)

app = Function("api_docs")


@app.endpoint("GET", "/openapi.json", tags=["documentation"])
def openapi(request: Request) -> Response:
    """This document"""
    return _cached(request, _document(settings().path_prefix), "application/json", ASK)


@app.endpoint("GET", "/docs", tags=["documentation"])
def docs(request: Request) -> Response:
    """This document, to read and to try out"""
    page = _cached(request, (HERE / "docs.html").read_bytes(), "text/html; charset=utf-8", ASK)
    page.headers += [("content-security-policy", POLICY), ("referrer-policy", "no-referrer")]
    return page


@app.endpoint("GET", "/docs/{asset}", raises=[NotFound], tags=["documentation"])
def docs_asset(request: Request, asset: str) -> Response:
    """A file of the documentation page"""
    if asset not in ASSETS:
        raise NotFound()
    return _cached(request, _asset(asset), ASSETS[asset], DAY)


@lru_cache(maxsize=1)
def _document(prefix: str) -> bytes:
    document = json.loads((HERE / "openapi.json").read_bytes())
    document["servers"] = [{"url": prefix or "/"}]
    return json.dumps(document, separators=(",", ":")).encode()


@lru_cache(maxsize=len(ASSETS))
def _asset(name: str) -> bytes:
    own = HERE / name
    return own.read_bytes() if own.is_file() else (_swagger_ui() / name).read_bytes()


def _swagger_ui() -> Path:
    """Where the package's files are. Importing it would import web frameworks."""
    spec = find_spec("swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("swagger-ui-py is not installed: layers/swagger_ui/requirements.txt names it")
    return Path(spec.submodule_search_locations[0], "static")


def _cached(request: Request, body: bytes, content_type: str, caching: str) -> Response:
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = [("etag", etag), ("cache-control", caching)]
    if unchanged(request, etag):
        return Response(304, "", headers)
    text = body if content_type.startswith("image/") else body.decode()
    return Response(200, text, [("content-type", content_type), *headers])
