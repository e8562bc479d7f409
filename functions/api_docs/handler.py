"""GET /openapi.json, /docs and /problems: the API and its failures described, for programs and for people."""

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from facet import pages
from facet.function import Function
from facet.http import Request, Response
from facet.problems import NotFound
from facet.settings import SettingsError, settings

HERE = Path(__file__).parent
ASSETS = {
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
DAY = "public, max-age=86400"
ASK = "public, no-cache"  # may be kept, but only used after asking whether it is still current
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
NO_REFERRER = [("referrer-policy", "no-referrer")]

app = Function("api_docs")


class KnownProblem(BaseModel):
    """What a failure's `code` means."""

    code: str = Field(description="Stable; for programs.", examples=["TASK_NOT_FOUND"])
    type: str = Field(
        description="The `type` of its problem details: the path of this page.", examples=["/problems/task-not-found"]
    )
    title: str = Field(description="A short summary.", examples=["The task was not found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    retryable: bool = Field(description="Whether the same request may succeed later.", examples=[False])
    description: str = Field(
        description="When it happens and what to do.", examples=["There is no such task of yours."]
    )
    operations: list[str] = Field(
        description="The operations it occurs in; none: it may come from what stands before all of them.",
        examples=[["get_task_status"]],
    )


class KnownProblems(BaseModel):
    items: list[KnownProblem]


@app.endpoint("GET", "/openapi.json", produces=["application/json"], sends=["ETag"], tags=["documentation"])
def openapi(request: Request) -> Response:
    """This document"""
    return pages.cached(request, _document(settings().path_prefix), "application/json", ASK)


@app.endpoint("GET", "/docs", produces=["text/html"], sends=["ETag"], tags=["documentation"])
def docs(request: Request) -> Response:
    """This document, to read and to try out"""
    page = pages.cached(request, (HERE / "docs.html").read_bytes(), "text/html; charset=utf-8", ASK)
    page.headers += [("content-security-policy", f"{POLICY}; connect-src {_reached()}"), *NO_REFERRER]
    return page


@app.endpoint(
    "GET",
    "/docs/{asset}",
    produces=["text/javascript", "text/css", "image/png"],
    sends=["ETag"],
    raises=[NotFound],
    tags=["documentation"],
)
def docs_asset(
    request: Request, asset: Annotated[str, Field(description="The name of the file.", examples=["swagger-ui.css"])]
) -> Response:
    """A file of the documentation page"""
    if asset not in ASSETS:
        raise NotFound()
    return pages.cached(request, _asset(asset), ASSETS[asset], DAY)


@app.endpoint("GET", "/problems", returns=KnownProblems, produces=["text/html"], sends=["ETag"], tags=["documentation"])
def problems(request: Request) -> Response:
    """Every code that a failure may have"""
    if pages.wanted(request):
        return _page(request, "Problems", _table(_problems().values()))
    return pages.cached(request, (HERE / "problems.json").read_bytes(), "application/json", ASK, vary=True)


@app.endpoint(
    "GET",
    "/problems/{code}",
    returns=KnownProblem,
    produces=["text/html"],
    sends=["ETag"],
    raises=[NotFound],
    tags=["documentation"],
)
def problem(
    request: Request,
    code: Annotated[str, Field(description="As in `code` or as in `type`, in any case.", examples=["task-not-found"])],
) -> Response:
    """What a code means

    The `type` of every problem leads here. It is a path at the root of the origin; where only the base path is
    served, this is below the base path.
    """
    known = _problems().get(code.upper().replace("-", "_"))
    if known is None:
        raise NotFound("There is no such code. GET /problems lists all of them.")
    if pages.wanted(request):
        return _page(request, known.title, _facts(known))
    return pages.cached(request, known.model_dump_json().encode(), "application/json", ASK, vary=True)


def _reached() -> str:
    """What the page may call: this API, and the storage that it redirects to where there is one."""
    try:
        return f"'self' {settings().minio_public_url}"
    except SettingsError:
        return "'self'"


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


@lru_cache(maxsize=1)
def _problems() -> dict[str, KnownProblem]:
    listed = KnownProblems.model_validate_json((HERE / "problems.json").read_bytes())
    return {known.code: known for known in listed.items}


def _page(request: Request, title: str, html: str) -> Response:
    body = pages.filled(HERE / "problem.html", title=title, html=html).encode()
    page = pages.cached(request, body, "text/html; charset=utf-8", ASK, vary=True)
    page.headers += [("content-security-policy", POLICY), *NO_REFERRER]
    return page


def _facts(known: KnownProblem) -> str:
    return pages.filled(
        HERE / "facts.html",
        code=known.code,
        status=known.status,
        repeat="It may succeed later." if known.retryable else "It will fail again.",
        description=known.description,
        operations=", ".join(known.operations) or "Any",
    )


def _table(listed: Iterable[KnownProblem]) -> str:
    rows = (
        pages.filled(HERE / "row.html", link=each.type[1:], code=each.code, status=each.status, title=each.title)
        for each in listed
    )
    return pages.filled(HERE / "table.html", html="".join(rows))
