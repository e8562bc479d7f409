"""When URLs for clients are signed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatars import media

ANCHOR = datetime(2026, 11, 22, 18, 54, 8, 959232, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("age", "slots"),
    [
        (timedelta(0), 0),
        (HALF_AN_HOUR - timedelta(microseconds=1), 0),
        (HALF_AN_HOUR, 1),
        (timedelta(days=365), 365 * 48),
        (timedelta(seconds=-5), 0),
    ],
)
def test_a_url_is_signed_at_the_last_half_hour_since_its_anchor(age: timedelta, slots: int) -> None:
    assert media.signing_time(ANCHOR, ANCHOR + age) == ANCHOR + slots * HALF_AN_HOUR


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_half_of_the_life_of_a_url_is_left_at_least(age: timedelta) -> None:
    now = ANCHOR + age
    assert timedelta(0) <= now - media.signing_time(ANCHOR, now) < timedelta(seconds=media.CLIENT_URL_SECONDS / 2)
