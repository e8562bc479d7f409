"""Writes shared/contracts from the message models (`make contracts`): a JSON Schema each, and an AsyncAPI document."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "shared" / "contracts"

DEAD_LETTER_HEADERS = {
    "type": "object",
    "properties": {
        "x-error-code": {"type": "string", "description": "Why, for programs.", "examples": ["MALFORMED_MESSAGE"]},
        "x-error": {"type": "string", "description": "Why, for people."},
    },
}
TASK_HEADERS = {
    "type": "object",
    "properties": {
        "x-attempt": {"type": "integer", "description": "How often this task has been given to agents."},
        "traceparent": {"type": "string", "description": "W3C Trace Context of the request that made the task."},
    },
}


def rendered() -> dict[str, str]:
    """File names and their text, the same for the same models."""
    from avatars import contracts

    schemas = {
        "avatar.task.v1.json": contracts.TaskRequested.model_json_schema(),
        "avatar.progress.v1.json": contracts.TaskProgress.model_json_schema(),
        "avatar.result.v1.json": contracts.TaskResult.model_json_schema(),
    }
    written: dict[str, dict[str, Any]] = {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": name, **schema}
        for name, schema in schemas.items()
    }
    written["asyncapi.json"] = _asyncapi(schemas, contracts.TASK_TYPE)
    return {name: json.dumps(document, indent=1, ensure_ascii=False) + "\n" for name, document in written.items()}


def _asyncapi(schemas: dict[str, dict[str, Any]], task_type: str) -> dict[str, Any]:
    messages = {schema["title"]: _message(name, schema) for name, schema in schemas.items()}
    messages["TaskRequested"]["headers"] = TASK_HEADERS
    messages["TaskRequested"]["bindings"] = {"amqp": {"messageType": task_type, "bindingVersion": "0.3.0"}}
    messages["DeadLetter"] = {"headers": DEAD_LETTER_HEADERS, "payload": {}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Facet and its ML agents",
            "version": "1",
            "description": "Queue names are settings; these are the defaults. Publish to the default exchange. "
            "Delivery is at least once: a message may come twice.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "tasks": _queue("generation_tasks", "TaskRequested"),
            "results": _queue("generation_task_results", "TaskProgress", "TaskResult"),
            "deadTasks": _queue("generation_tasks.dead", "DeadLetter"),
            "deadResults": _queue("generation_task_results.dead", "DeadLetter"),
        },
        "operations": {
            "announceTask": {"action": "send", "channel": {"$ref": "#/channels/tasks"}},
            "receiveReport": {"action": "receive", "channel": {"$ref": "#/channels/results"}},
            "setReportAside": {"action": "send", "channel": {"$ref": "#/channels/deadResults"}},
        },
        "components": {"messages": messages},
    }


def _message(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name.removesuffix(".json"),
        "summary": schema["description"],
        "contentType": "application/json",
        "payload": {"$ref": f"./{name}"},
    }


def _queue(name: str, *messages: str) -> dict[str, Any]:
    return {
        "address": name,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": name, "durable": True, "exclusive": False, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }


def main() -> None:
    sys.path.insert(0, str(ROOT / "shared"))
    for name, text in rendered().items():
        (TARGET / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{(TARGET / name).relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
