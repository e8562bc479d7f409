"""The same ids in AWS's header and in W3C's."""

import re

import pytest

from local import xray

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent={SPAN};Sampled=1"


def test_a_traceparent_becomes_a_header_with_the_same_ids() -> None:
    assert xray.of_traceparent(f"00-{TRACE}-{SPAN}-00") == HEADER
    assert xray.ids(HEADER) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "text", [None, 5, "", f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", HEADER]
)
def test_what_is_no_traceparent_is_no_header(text: object) -> None:
    assert xray.of_traceparent(text) is None


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", (None, None)),
        ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736", (TRACE, None)),
        (f"Self=1-12345678-1234567890abcdef12345678;{HEADER}", (TRACE, SPAN)),
        ("Root=1-4bf9-77b3", (None, None)),
    ],
)
def test_a_header_may_lack_ids_and_have_others(header: str, found: tuple[str | None, str | None]) -> None:
    assert xray.ids(header) == found


def test_a_new_trace_begins_with_its_time() -> None:
    made = xray.new_trace_id()
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert xray.ids(xray.header(made, SPAN)) == (made, SPAN)
