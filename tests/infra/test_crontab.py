"""Schedules as crontabs: due at the same minutes as the template's expression, or refused."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from local.deploy import CannotRender
from local.deploy.crontab import crontab
from local.template.spec import Schedule
from local.triggers.cron import Cron, Rate, parse

NAMES = {name: str(number) for number, name in enumerate("SUN MON TUE WED THU FRI SAT".split())}
MONTHS = {name: str(number) for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}


def schedule(expression: str, **more: object) -> Schedule:
    return Schedule("Tick", "tick", expression, **more)  # type: ignore[arg-type]  # fields by name


def values(field: str, low: int, high: int, names: dict[str, str]) -> set[int]:
    """What a field of a crontab stands for, as crontab(5) says."""
    found: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        first, dash, last = ("".join(names.get(word, word)) for word in span.partition("-"))
        start = low if first == "*" else int(first)
        end = high if first == "*" else int(last) if dash else start
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def times(text: str, first: date, days: int) -> list[datetime]:
    """When a crontab is due."""
    minute, hour, day, month, weekday = text.split()
    minutes, hours, of_month = values(minute, 0, 59, {}), values(hour, 0, 23, {}), values(day, 1, 31, {})
    months, weekdays = values(month, 1, 12, MONTHS), values(weekday, 0, 6, NAMES)
    dates = [first + timedelta(days=n) for n in range(days)]
    on = [each for each in dates if each.day in of_month and each.month in months and each.isoweekday() % 7 in weekdays]
    return [datetime(d.year, d.month, d.day, h, m) for d in on for h in sorted(hours) for m in sorted(minutes)]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("rate(1 minute)", "* * * * *"),
        ("rate(5 minutes)", "*/5 * * * *"),
        ("rate(60 minutes)", "0 * * * *"),
        ("rate(1 hour)", "0 * * * *"),
        ("rate(360 minutes)", "0 */6 * * *"),
        ("rate(12 hours)", "0 */12 * * *"),
        ("rate(1 day)", "0 0 * * *"),
        ("rate(24 hours)", "0 0 * * *"),
        ("rate(7 days)", "0 0 * * 0"),
    ],
)
def test_a_rate_that_divides_hour_or_day_is_due_at_even_distances(expression: str, text: str) -> None:
    assert crontab(schedule(expression)) == text
    rate = parse(expression)
    assert isinstance(rate, Rate)
    distances = {later - earlier for earlier, later in pairwise(times(text, date(2024, 2, 25), 15))}
    assert distances == {timedelta(seconds=rate.seconds)}


@pytest.mark.parametrize(
    "expression",
    [
        "cron(30 3 * * ? *)",
        "cron(0/15 9-17 ? * MON-FRI *)",
        "cron(*/20 0,12 1 * ? *)",
        "cron(5 4 ? * 1 *)",
        "cron(5 4 ? * 2-4,7 *)",
        "cron(0 0 ? * 3/2 *)",
        "cron(0 0 ? * L *)",
        "cron(0 6 1,15 JAN,JUL ? *)",
        "cron(0 6 5/10 2-4 ? *)",
        "cron(10 5 ? 2/6 * *)",
        " cron(0 0 ? * SUN *) ",
    ],
)
def test_a_cron_expression_is_due_at_the_minutes_of_its_crontab(expression: str) -> None:
    text = crontab(schedule(expression))
    cron = parse(expression)
    assert isinstance(cron, Cron)
    first = date(2024, 1, 1)
    days = [day for n in range(400) if cron.days(day := first + timedelta(days=n))]
    wanted = [
        datetime(d.year, d.month, d.day, h, m) for d in days for h in sorted(cron.hours) for m in sorted(cron.minutes)
    ]
    assert wanted
    assert times(text, first, 400) == wanted


@pytest.mark.parametrize(
    "expression",
    [
        "rate(7 minutes)",
        "rate(90 minutes)",
        "rate(5 hours)",
        "rate(2 days)",
        "rate(14 days)",
        "cron(0 0 L * ? *)",
        "cron(0 0 15W * ? *)",
        "cron(0 0 ? * 6L *)",
        "cron(0 0 ? * FRIL *)",
        "cron(0 0 ? * 3#2 *)",
        "cron(0 0 * * ? 2027)",
        "cron(0 0 * * *)",
        "every five minutes",
    ],
)
def test_what_no_crontab_can_say_is_refused_with_the_next_step(expression: str) -> None:
    with pytest.raises(CannotRender) as caught:
        crontab(schedule(expression))
    assert str(caught.value).startswith(f"Schedule Tick: {expression} is no crontab")
    assert "\nnext: " in str(caught.value)


def test_a_schedule_with_an_event_of_its_own_is_refused() -> None:
    with pytest.raises(CannotRender, match="without Input"):
        crontab(schedule("rate(1 minute)", input={"a": 1}))
