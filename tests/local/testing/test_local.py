"""`Local` in this process: what a handler finds around it, and what a test may do to it."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.invoker import UnknownFunction
from local.testing import Local
from local.testing.client import NotInTemplate

SHOP = Path(__file__).parent / "shop"
ORDER = {"body": '{"item": "cup"}'}


@pytest.fixture(autouse=True)
def _no_modules_of_others() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def shop() -> Iterator[Local]:
    with Local(SHOP, settings={}) as local:
        yield local


@pytest.fixture
def raising() -> Iterator[Local]:
    with Local(SHOP / "template.yaml", settings={}, raises=True) as local:
        yield local


def placed(local: Local) -> Any:
    return json.loads(local.invoke("place_order", ORDER).json()["body"])


def test_the_process_is_afterwards_as_it_was(shop: Local) -> None:
    before = dict(os.environ), list(sys.path), Path.cwd(), sys.stdout
    assert placed(shop)["folder"] == "place_order"
    assert (dict(os.environ), list(sys.path), Path.cwd(), sys.stdout) == before


def test_a_variable_that_the_test_sets_is_what_the_handler_sees(shop: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    assert placed(shop)["currency"] == "EUR"
    monkeypatch.setenv("CURRENCY", "CHF")
    assert placed(shop)["currency"] == "CHF"


def test_a_variable_that_was_there_before_gives_way_to_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURRENCY", "of a developer's shell")
    with Local(SHOP, settings={}) as shop:
        assert placed(shop)["currency"] == "EUR"


def test_two_functions_have_each_their_own_module_of_one_name(shop: Local) -> None:
    for _ in range(2):
        assert placed(shop)["text"] == "Thank you for your order."
        records = [{"data": "Y3Vyc2Vk", "redelivered": False}]
        refused = shop.invoke("pack_order", {"rmqMessagesByQueue": {"orders::/": records}})
        assert refused.json()["errorMessage"] == "Nobody packs this at the first attempt."


@pytest.mark.parametrize("package", [True, False])
def test_two_functions_have_each_their_own_package_of_one_name(tmp_path: Path, package: bool) -> None:
    resources = ""
    for name in ("wrap", "label"):
        folder = tmp_path / name / "src"
        folder.mkdir(parents=True)
        (folder / "words.py").write_text(f"WORD = '{name}'\n")
        (folder / "app.py").write_text("from src.words import WORD\ndef handler(event, context):\n    return WORD\n")
        if package:
            (folder / "__init__.py").touch()
        properties = f"{{CodeUri: {name}, Handler: src/app.handler, Runtime: python3.13}}"
        resources += f"  {name.title()}Function: {{Type: AWS::Serverless::Function, Properties: {properties}}}\n"
    (tmp_path / "template.yaml").write_text(f"Resources:\n{resources}")
    with Local(tmp_path, settings={}) as local:
        assert [local.invoke(name).json() for name in ("wrap", "label", "wrap")] == ["wrap", "label", "wrap"]
        assert local.module("label").WORD == "label"


def test_a_handler_s_module_may_be_patched(shop: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.module("place_order"), "app", lambda event, context: "patched")
    assert shop.invoke("place_order", ORDER).json() == "patched"


def test_the_first_invocation_is_cold_and_the_second_warm(shop: Local) -> None:
    first, second = (shop.invoke("place_order", ORDER).report.init_ms for _ in range(2))
    assert first is not None
    assert second is None


def test_what_a_handler_raises_comes_out_where_a_test_wants_it(raising: Local) -> None:
    with pytest.raises(LookupError, match="no breakfast"):
        raising.invoke("greet", {"trouble": "no breakfast"})
    with pytest.raises(KeyError):
        raising.http("place_order").get("/")


@pytest.mark.parametrize("how", ["invoke", "http"])
def test_a_handler_runs_in_the_thread_of_the_test(shop: Local, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    seen: list[threading.Thread] = []

    def handler(event: object, context: object) -> dict[str, int]:
        seen.append(threading.current_thread())
        return {"statusCode": 204}

    monkeypatch.setattr(shop.module("place_order"), "app", handler)
    if how == "http":
        assert shop.http("place_order").get("/").status_code == 204
    else:
        shop.invoke("place_order")
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize("how", ["invoke", "http"])
def test_an_interrupt_in_a_handler_interrupts_the_test(shop: Local, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def handler(event: object, context: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shop.module("place_order"), "app", handler)
        with pytest.raises(KeyboardInterrupt):
            shop.invoke("place_order") if how == "invoke" else shop.http("place_order").get("/")
    assert shop.http("place_order").post("/", json={"item": "cup"}).status_code == 201


def test_two_threads_may_invoke_at_once(shop: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ), list(sys.path), Path.cwd(), sys.stdout
    both = threading.Barrier(2)
    monkeypatch.setattr(shop.module("place_order"), "app", lambda event, context: both.wait(10) >= 0)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(shop.invoke, ["place_order"] * 2))
    assert [each.json() for each in done] == [True, True]
    assert (dict(os.environ), list(sys.path), Path.cwd(), sys.stdout) == before


def test_what_the_template_does_not_have_is_named_with_what_it_has(shop: Local) -> None:
    with pytest.raises(UnknownFunction, match="place_order"):
        shop.invoke("place_orders")
    with pytest.raises(NotInTemplate, match="only place_order; see"):
        shop.http("greet")
    with pytest.raises(NotInTemplate, match="queues of this template: orders"):
        shop.publish("order", b"")
    with pytest.raises(NotInTemplate, match="schedules of this template: "):
        shop.run("evening")
    with pytest.raises(NotInTemplate, match="RABBITMQ_HOST"):
        shop.publish("orders", b"")


def test_a_handler_that_cannot_be_imported_fails_as_in_a_sandbox(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(event, context)\n")
    (tmp_path / "template.yaml").write_text(
        "Resources:\n  BadFunction:\n    Type: AWS::Serverless::Function\n"
        "    Properties: { CodeUri: ., Handler: app.handler, Runtime: python3.13 }\n"
    )
    errors = []
    for mode in ("in_process", "sandbox"):
        with Local(tmp_path, mode=mode, settings={}) as local:
            errors.append(local.invoke("bad").json())
    assert errors[0]["errorType"] == errors[1]["errorType"] == "Runtime.UserCodeSyntaxError"
    assert errors[0]["errorMessage"] == errors[1]["errorMessage"]
