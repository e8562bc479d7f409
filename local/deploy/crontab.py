"""The template's schedules as five-field crontabs, which know neither years nor the last Friday of a month."""

import re

from local.deploy import CannotRender
from local.template.spec import Schedule
from local.triggers.cron import BadSchedule, Rate, parse

_LAST = (59, 23, 31, 12)
_NAMED = re.compile(r"[A-Za-z]{3}(-[A-Za-z]{3})?")


def crontab(schedule: Schedule) -> str:
    """`rate(5 minutes)` is `*/5 * * * *`. Raises CannotRender for what would be due at other times."""
    expression = schedule.expression.strip()
    try:
        if schedule.input is not None:
            raise ValueError("its event is one of its own, and only that of a schedule can be sent")
        due = parse(expression, schedule.timezone)
        fields = _rate(round(due.seconds / 60)) if isinstance(due, Rate) else _cron(expression[5:-1].split())
    except (BadSchedule, ValueError) as exc:
        raise CannotRender(
            f"Schedule {schedule.name}: {expression} is no crontab of five fields: {exc}.\n"
            "next: write one that every runtime knows, such as rate(5 minutes) or cron(30 3 * * ? *), without Input"
        ) from exc
    return " ".join(fields)


def _rate(minutes: int) -> list[str]:
    """A crontab starts anew each hour and each day, so only what divides them comes at even distances."""
    hours = minutes // 60
    if minutes < 60 and 60 % minutes == 0:
        return [_every(minutes), "*", "*", "*", "*"]
    if minutes % 60 == 0 and hours < 24 and 24 % hours == 0:
        return ["0", _every(hours), "*", "*", "*"]
    if minutes in (24 * 60, 7 * 24 * 60):
        return ["0", "0", "*", "*", "*" if hours == 24 else "0"]
    raise ValueError("it divides neither the hour nor the day, and is no day or week")


def _every(step: int) -> str:
    return "*" if step == 1 else f"*/{step}"


def _cron(fields: list[str]) -> list[str]:
    *dated, weekday, year = fields
    if year != "*":
        raise ValueError("it names years")
    days = [_field(text, last) for text, last in zip(dated, _LAST, strict=True)]
    return [*days, ",".join(map(_weekday, weekday.split(",")))]


def _field(text: str, last: int) -> str:
    if "L" in text.upper().replace("JUL", "") or "W" in text.upper():
        raise ValueError(f"there is no {text}")
    return ",".join(re.sub(r"^(\d+)/", rf"\1-{last}/", part) for part in text.replace("?", "*").split(","))


def _weekday(part: str) -> str:
    """AWS counts from Sunday, 1; a crontab from Sunday, 0."""
    if part in ("?", "*") or _NAMED.fullmatch(part):
        return part.replace("?", "*")
    if part == "L":
        return "6"
    if re.fullmatch(r"[\d*][-/\d]*", part) is None:
        raise ValueError(f"there is no {part}")
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if first == "*":
        return part
    end = f"-{int(last) - 1}" if dash else "-6" if slash else ""
    return f"{int(first) - 1}{end}{slash}{step}"
