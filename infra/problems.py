"""The catalogue of problems as it is served, and as the table in the README."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "functions" / "api_docs" / "problems.json"
README = ROOT / "README.md"

_BETWEEN = re.compile(r"(<!-- codes -->\n).*?(<!-- /codes -->)", re.DOTALL)

# What the gateway of `facet up`, or facet.serve, answers by itself; in a cloud its own front answers instead.
GATEWAY = {
    "HOST_INVALID": (400, "The request has no Host header, or several."),
    "SIGNATURE_REQUIRED": (403, "This function URL takes signed requests only."),
    "MISSING_AUTHENTICATION_TOKEN": (403, "No method of a REST API takes this; so those of AWS say it."),
    "FUNCTION_NOT_FOUND": (404, "There is no function URL of this name."),
    "HOST_UNKNOWN": (
        421,
        "The host name is not served here. Use the published address; operators allow further names.",
    ),
    "TOO_MANY_REQUESTS": (429, "As many requests of this kind run as may at once. Repeat after `Retry-After` seconds."),
    "HEADERS_TOO_LARGE": (431, "The address and the headers of the request are longer than is read."),
    "FUNCTION_ERROR": (502, "The function ended without an answer; the log has the cause. Repeat it later."),
    "FUNCTION_TIMEOUT": (502, "The function took too long and was ended; what it did may have happened."),
    "RESPONSE_MALFORMED": (502, "The function's answer cannot be sent; the log has the cause."),
    "BUSY": (503, "More requests wait than are held. Repeat after `Retry-After` seconds."),
    "GATEWAY_TIMEOUT": (504, "No front of a cloud waits so long, whatever the function does. (An HTTP API says 503.)"),
    "NO_SANDBOX": (503, "No process could be started for the function. Repeat after `Retry-After` seconds."),
}

# `failure.code` of tasks: the reference agent's, ours, and those of tasks taken over from the old system.
FAILURES = {
    "NO_FACE": "No face was found in the photo. Take another, from the front and in good light.",
    "IMAGE_UNREADABLE": "The agent cannot decode the photo. Take another.",
    "IMAGE_TOO_SMALL": "The photo, or the face in it, is too small. Take a larger one.",
    "IMAGE_TOO_LARGE": "The photo has more pixels than the agent takes. Send a smaller one.",
    "AGENT_ERROR": "The agent failed. Retry the task.",
    "AGENT_LOST": "Agent after agent began and fell silent. Retry the task later.",
    "DEADLINE_EXCEEDED": "No agent finished it in time. Retry the task later.",
    "RESULT_MISSING": "The agent announced a model that is not there. Retry the task.",
    "RESULT_INVALID": "The agent's model is not valid. Retry the task.",
    "LEGACY_FAILED": "It failed in the old system. Retry the task.",
    "LEGACY_INVALID_INPUT": "The old system refused the photo. Take another.",
    "LEGACY_UNFINISHED": "It was not finished when the old system ended. Retry the task.",
    "LEGACY_FILE_MISSING": "The old system lost its model. Retry the task.",
    "LEGACY_FILE_INVALID": "The old system's model is damaged. Retry the task.",
}


def with_gateway(catalogue: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The functions' problems and the gateway's; where both know a code, both explanations."""
    from facet.problems import Problem, details

    found = {entry["code"]: entry for entry in catalogue}
    for code, (status, description) in GATEWAY.items():
        if (entry := found.get(code)) is None:
            title = code.replace("_", " ").capitalize()
            known = type(code, (Problem,), {"status": status, "code": code, "title": title})
            told = details(known, detail="", instance="", request_id="")
            entry = {name: told[name] for name in ("code", "type", "title", "status", "retryable")}
            found[code] = {**entry, "description": "", "operations": []}
        elif entry["status"] != status:
            raise ValueError(f"{code} has several statuses: {entry['status']} and, of the gateway, {status}")
        found[code]["description"] = f"{found[code]['description']} {description}".strip()
    return [found[code] for code in sorted(found)]


def rendered(catalogue: Iterable[dict[str, Any]]) -> str:
    return json.dumps({"items": list(catalogue)}, indent=1, ensure_ascii=False) + "\n"


def readme(catalogue: Iterable[dict[str, Any]]) -> str:
    """The README with these codes, and those of failed tasks, between its two comments."""
    problems = [
        f"| `{entry['code']}` | {entry['status']} | {'yes' if entry['retryable'] else 'no'} | {entry['description']} |"
        for entry in catalogue
    ]
    failures = [f"| `{code}` | {description} |" for code, description in FAILURES.items()]
    section = "\n".join(
        [
            *("| Code | Status | Retry | When, and what to do |", "|---|---|---|---|", *problems, ""),
            "A task that ends as `FAILED` or `INVALID_INPUT` says why in `failure.code`. Agents may add codes.\n",
            *("| Failure | When, and what to do |", "|---|---|", *failures),
        ]
    )
    text = README.read_text(encoding="utf-8")
    if not _BETWEEN.search(text):
        raise ValueError("README.md has lost the comments between which the table of problems stands")
    return _BETWEEN.sub(lambda found: f"{found[1]}{section}\n{found[2]}", text)
