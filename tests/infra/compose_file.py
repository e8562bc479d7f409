"""compose.yaml as Compose reads it: with ${NAME}, ${NAME:-default}, ${NAME:+other} and ${NAME:?message} replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()


def interpolated(text: str, settings: Mapping[str, str]) -> str:
    """Raises KeyError for a needed variable that is missing."""
    done, rest = "", text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        done += before
        if rest.startswith("$"):
            done, rest = done + "$", rest[1:]
            continue
        end = _closing(rest)
        done, rest = done + _value(rest[1:end], settings), rest[end + 1 :]
    return done + rest


def _closing(text: str) -> int:
    """Where the brace closes that opens at the beginning."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return place
    raise ValueError(f"a brace is not closed: {text[:40]}")


def _value(expression: str, settings: Mapping[str, str]) -> str:
    name, _, rest = expression.partition(":")
    given = settings.get(name, "")
    match rest[:1]:
        case "-":
            return given or interpolated(rest[1:], settings)
        case "+":
            return interpolated(rest[1:], settings) if given else ""
        case "?" if not given:
            raise KeyError(name)
    return given


def compose(settings: Mapping[str, str]) -> dict[str, Any]:
    """The file with these settings; the secrets have any value."""
    owners = ("POSTGRES", "RABBITMQ", "MINIO", "AGENT_RABBITMQ", "AGENT_MINIO")
    secrets = ["SECRET_KEY", "REFRESH_SECRET_KEY"]
    secrets += [f"{owner}_{kind}" for owner in owners for kind in ("PASSWORD", "ACCESS_KEY", "SECRET_KEY")]
    loaded = yaml.safe_load(TEXT)
    return dict(_walked(loaded, {name: f"a-{name.lower()}" for name in secrets} | dict(settings)))


def _walked(node: Any, settings: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolated(node, settings)
    if isinstance(node, dict):
        return {key: _walked(value, settings) for key, value in node.items()}
    if isinstance(node, list):
        return [_walked(value, settings) for value in node]
    return node
