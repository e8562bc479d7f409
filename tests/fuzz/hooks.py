"""What schemathesis must know of this API beyond its document: accounts to throw away, real photos, headers."""

import itertools
import os
import random
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import httpx
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, DeserializationContext, GenerationMode, HookContext, Response
from schemathesis.transport.serialization import Binary

from tests.compat import pictures
from tests.compat.frontend import PASSWORD, Frontend

ENDS_OR_CHANGES_THE_ACCOUNT = {"change_password", "erase_account", "update_profile"}
PHOTO = pictures.photo()
PROBLEM = "application/problem+json"

_turns: Iterator[int] = itertools.count()
_made: deque[str] = deque(maxlen=30)  # tasks of this run's caller, the newest ones
_lock = threading.Lock()


schemathesis.openapi.format("binary", st.just(Binary(PHOTO)) | st.binary(max_size=1000).map(Binary))


def name_of(case: Case[Any]) -> str:
    return str(case.operation.definition.raw["operationId"])


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Every other request asks for problem details; what would end or change the account gets one of its own."""
    with _lock:
        turn = next(_turns)
    if turn % 2 and "accept" not in case.headers:
        case.headers["accept"] = f"{PROBLEM}, application/json"
    if name_of(case) in ENDS_OR_CHANGES_THE_ACCOUNT and case.headers.get("access-token") == os.environ["FUZZ_TOKEN"]:
        with Frontend(os.environ["FUZZ_API"]) as frontend:
            case.headers["access-token"] = frontend.sign_up().access_token
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict) and "upload_id" in case.body:
        case.media_type, case.body = "application/json", {"upload_id": case.body["upload_id"]}  # as the link means it
    if case.meta is None or (case.meta.generation.mode is GenerationMode.POSITIVE and turn % 4 < 2):
        _make_real(case)


def _make_real(case: Case[Any]) -> None:
    """A random UUID names no task, a random size is not the photo's, and nobody has a random password."""
    follows_a_link = case.meta is not None and case.meta.phase.name.value == "stateful"
    if "uuid" in case.path_parameters and _made and not follows_a_link:
        case.path_parameters["uuid"] = random.choice(_made)
    if case.path_parameters.get("name"):
        case.path_parameters["name"] = random.choice(["photo.jpg", "model.glb"])
    if not isinstance(case.body, dict):
        return
    known: dict[str, str | int] = {"password": PASSWORD, "current_password": PASSWORD}
    if name_of(case) == "authorize_user":
        known["email"] = os.environ["FUZZ_EMAIL"]
    if name_of(case).startswith("create_upload"):
        known |= {"content_type": "image/jpeg", "size": len(PHOTO)}
        case.body.pop("sha256", None)
    if found := case.body.keys() & known.keys():  # a body that is touched is judged anew
        case.body |= {field: known[field] for field in found}


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """The photo goes where an upload says, so that tasks can be made of it; tasks are remembered."""
    if response.status_code != 201:
        return
    made = response.json()
    if "request_uuid" in made:
        _made.append(made["request_uuid"])
    if not name_of(case).startswith("create_upload"):
        return
    if made["headers"].get("content-length") == str(len(PHOTO)):
        httpx.put(made["url"], content=PHOTO, headers=made["headers"], trust_env=False)


@schemathesis.deserializer("image/png")
def picture(context: DeserializationContext, response: Response) -> str:
    """A string to the document's schemas."""
    return response.content.decode("latin-1")


@schemathesis.check
def documented_headers(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A header that the document knows is sent only where the document says so."""
    document = case.operation.schema.raw_schema
    told = case.operation.definition.raw["responses"].get(str(response.status_code))
    if told is None:
        return
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    known = {name.lower() for name in document["components"]["headers"]}
    undocumented = known & {name.lower() for name in response.headers} - {name.lower() for name in told["headers"]}
    assert not undocumented, f"sent and not documented for {response.status_code}: {', '.join(sorted(undocumented))}"
