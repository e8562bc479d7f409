"""What a developer of this shop tests; test_plugin.py runs it in a pytest of its own, with two workers."""

import os
from datetime import UTC, datetime

import pytest

from local.testing import Local


@pytest.fixture(params=["local", "local_sandbox"])
def shop(request: pytest.FixtureRequest) -> Local:
    client: Local = request.getfixturevalue(request.param)
    return client


def test_an_order_is_placed_by_its_url(shop: Local) -> None:
    answer = shop.http("place_order").post("/", json={"item": "cup"})
    assert answer.status_code == 201
    told = answer.json()
    assert told["text"] == "Thank you for your order."
    assert (told["version"], told["function"], told["folder"]) == ("2.0", "place_order", "place_order")
    assert told["currency"] == "EUR"
    assert "CURRENCY" not in os.environ


def test_an_order_is_placed_by_its_route(shop: Local) -> None:
    assert shop.http().post("/orders", json={"item": "cup"}).status_code == 201
    assert shop.http().get("/orders").status_code == 405


def test_a_load_balancer_sends_another_event(shop: Local) -> None:
    assert shop.http("place_order", shape="alb").post("/", json={"item": "cup"}).json()["version"] is None


def test_a_function_is_invoked_by_an_event(shop: Local) -> None:
    done = shop.invoke("place_order", {"body": '{"item": "hat"}'})
    assert done.function_error is None
    assert done.json()["statusCode"] == 201
    assert "order of hat\n" in done.log


def test_what_a_function_raises_is_its_error(shop: Local) -> None:
    done = shop.invoke("greet", {"trouble": "no breakfast"})
    assert (done.function_error, done.json()["errorType"]) == ("Unhandled", "LookupError")
    assert done.json()["errorMessage"] == "no breakfast"


@pytest.mark.parametrize("item", ["cup", "hat", "pen"])
def test_a_published_order_is_packed(shop: Local, item: str) -> None:
    done = shop.publish("orders", item, headers={"gift": "yes"}).wait(30)
    assert done.function == "pack_order"
    assert {"item": item, "headers": {"gift": {"bytes": list(b"yes")}}, "redelivered": False} in done.json()


def test_an_order_that_failed_is_delivered_again(shop: Local) -> None:
    published = shop.publish("orders", "cursed")
    assert published.wait(30).json()["errorMessage"] == "Nobody packs this at the first attempt."
    assert published.wait(30).json() == [{"item": "cursed", "headers": {}, "redelivered": True}]


def test_an_order_that_failed_is_not_there_for_the_next_test(shop: Local) -> None:
    assert shop.publish("orders", "cursed").wait(30).function_error


def test_a_queue_that_nobody_declares_is_there(shop: Local) -> None:
    assert shop.publish("gifts", "pen").wait(30).function == "pack_order"


def test_a_schedule_is_due_when_the_test_says_so(shop: Local) -> None:
    done = shop.run("greet", at=datetime(2030, 1, 1, 6, tzinfo=UTC))
    assert done.json() == {"at": "2030-01-01T06:00:00Z", "source": "aws.events"}


def test_in_process_and_in_a_sandbox(local: Local, local_sandbox: Local) -> None:
    assert local.http("place_order").post("/", json={"item": "cup"}).json()["pid"] == os.getpid()
    assert local_sandbox.http("place_order").post("/", json={"item": "cup"}).json()["pid"] != os.getpid()


def test_each_worker_has_a_virtual_host_of_its_own(local: Local) -> None:
    worker = os.environ["PYTEST_XDIST_WORKER"]
    assert local.invoke("migrate").json() == {"queues": ["orders"], "vhost": f"local_{worker}"}
