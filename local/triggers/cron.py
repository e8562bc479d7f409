"""When a schedule is due: `rate(5 minutes)` and EventBridge's `cron(minutes hours day month weekday year)`."""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_UNITS = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_YEARS_AHEAD = 10


class BadSchedule(Exception):
    """The expression is neither a rate nor a cron expression; the text says where it goes wrong."""


@dataclass(frozen=True)
class Rate:
    seconds: float

    def after(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: Callable[[date], bool]
    years: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first due minute after the moment; None when there is none in the years ahead."""
        local = moment.astimezone(self.zone)
        for offset in range(366 * _YEARS_AHEAD):
            day = local.date() + timedelta(days=offset)
            if day.year not in self.years or not self.days(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    due = datetime.combine(day, time(hour, minute), self.zone)
                    if due.astimezone(moment.tzinfo) > moment:
                        return due.astimezone(moment.tzinfo)
        return None


def parse(expression: str, zone: str = "UTC") -> Rate | Cron:
    """Raises BadSchedule."""
    match = re.fullmatch(r"(rate|cron)\(([^()]+)\)", expression.strip())
    if not match:
        raise BadSchedule(f"{expression!r} is neither rate(...) nor cron(...)")
    try:
        return _rate(match[2]) if match[1] == "rate" else _cron(match[2].split(), zone)
    except (KeyError, ValueError) as exc:
        raise BadSchedule(f"{expression!r} cannot be understood: {exc}") from exc


def _rate(text: str) -> Rate:
    number, unit = text.split()
    if int(number) < 1:
        raise ValueError("a rate is at least 1")
    return Rate(int(number) * _UNITS[unit.removesuffix("s")])


def _cron(fields: list[str], zone: str) -> Cron:
    if len(fields) != 6:
        raise ValueError("six fields are needed: minutes hours day-of-month month day-of-week year")
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise ValueError("exactly one of day-of-month and day-of-week is `?`")
    in_month = _numbers(months.upper(), 1, 12, _MONTHS)
    on_day = _days_of_month(days.upper()) if weekdays == "?" else _weekdays(weekdays.upper())
    return Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        lambda day: day.month in in_month and on_day(day),
        _numbers(years, 1970, 2199),
        ZoneInfo(zone),
    )


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """`*`, `5`, `1,2`, `1-5`, `0/15`, `*/15` and names, as a set."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if first == "*" else _number(first, names)
        end = _number(last, names) if dash else high if first == "*" or slash else start
        if not low <= start <= high or not low <= end <= high or (slash and int(step) < 1):
            raise ValueError(f"{part} is not within {low} to {high}")
        found.update(range(start, end + 1, int(step) if slash else 1) if start <= end else [])
    return frozenset(found)


def _number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def _days_of_month(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _last(day)
    if field.endswith("W"):
        wanted = int(field[:-1])
        return lambda day: day.day == _nearest_workday(day, wanted)
    days = _numbers(field, 1, 31)
    return lambda day: day.day in days


def _weekdays(field: str) -> Callable[[date], bool]:
    """AWS counts from Sunday, 1. `6L` is the last Friday, `3#2` the second Tuesday."""
    if field.endswith("L") and field != "L":
        wanted = _number(field[:-1], _WEEKDAYS)
        return lambda day: _weekday(day) == wanted and day.day > _last(day) - 7
    if "#" in field:
        name, _, count = field.partition("#")
        wanted, nth = _number(name, _WEEKDAYS), int(count)
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == nth
    days = _numbers("7" if field == "L" else field, 1, 7, _WEEKDAYS)
    return lambda day: _weekday(day) in days


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _last(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_workday(day: date, wanted: int) -> int:
    """The workday nearest to a day of the month, without leaving the month."""
    last = _last(day)
    target = day.replace(day=min(wanted, last))
    if target.isoweekday() == 6:
        return target.day - 1 if target.day > 1 else 3
    if target.isoweekday() == 7:
        return target.day + 1 if target.day < last else last - 2
    return target.day
