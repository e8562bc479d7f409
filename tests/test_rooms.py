"""Imports go one way: functions may use the business and the plumbing, and nobody looks back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "functions": ROOT / "functions",
    "avatars": ROOT / "shared" / "avatars",
    "facet": ROOT / "layers" / "facet" / "python" / "facet",
    "migrations": ROOT / "infra" / "migrations" / "python" / "migrations",
    "local": ROOT / "local",
    "local.agent": ROOT / "local" / "agent",
}
FORBIDDEN = {
    "functions": {"local"},
    "avatars": {"facet", "functions", "local", "migrations"},
    "facet": {"avatars", "functions", "local", "migrations"},
    "migrations": {"avatars", "facet", "functions", "local"},
    "local": {"avatars", "facet", "functions", "migrations"},
    "local.agent": {"avatars", "facet", "functions", "migrations"},
}
# The emulator: a template's functions and what calls them, whoever gives it sockets, settings and servers.
CORE = {"asynchronous", "edge", "events", "gateway", "invocation", "invoker", "logs", "manifest"}
CORE |= {"records", "reload", "sandbox", "suggestions", "template", "triggers", "xray"}
BESIDE = {
    "edge/app.py": {"services"},  # signatures, as the S3 server checks them
    "edge/functions.py": {"services"},
    "edge/runtime_api.py": {"cloud"},  # AWS's runtime client comes by HTTP
    "edge/serving.py": {"cloud"},
    "sandbox/spans.py": {"tracing"},
}


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"local.{alias.name}" for alias in node.names) if node.module == "local" else (node.module,)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    modules = list(ROOMS[room].rglob("*.py"))
    assert modules, f"there is no module in {ROOMS[room]}"
    wrong = {
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules
        for name in imported(module)
        if name.split(".")[0] in FORBIDDEN[room]
    }
    assert not wrong


def test_the_agent_uses_nothing_else_of_the_local_cloud() -> None:
    names = {name for module in ROOMS["local.agent"].rglob("*.py") for name in imported(module)}
    assert {name for name in names if name.split(".")[0] == "local"} <= {
        name for name in names if name.startswith("local.agent")
    }


def test_the_emulator_needs_nothing_of_what_stands_around_it() -> None:
    local = ROOMS["local"]
    modules = [path for name in CORE for path in (*local.glob(f"{name}.py"), *(local / name).rglob("*.py"))]
    parts = {
        (str(module.relative_to(local)), name.split(".")[1])
        for module in modules
        for name in imported(module)
        if name.startswith("local.")
    }
    assert {part for _, part in parts} > CORE - {"edge"}
    assert not {(module, part) for module, part in parts if part not in CORE | BESIDE.get(module, set())}


def test_no_function_is_imported_by_another() -> None:
    names = {name for module in ROOMS["functions"].rglob("*.py") for name in imported(module)}
    assert not {name for name in names if name.split(".")[0] in {"functions", "handler"}}
