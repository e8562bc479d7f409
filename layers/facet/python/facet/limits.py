"""Rate limits, counted in Postgres: all sandboxes of all functions share them."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from facet import db
from facet.address import client_address
from facet.http import Request
from facet.problems import Problem
from facet.settings import Rate, settings

Subject = Callable[[Request, Mapping[str, Any]], str]


class RateLimited(Problem):
    """Too many requests in the window that `RateLimit-Policy` states. Wait for `Retry-After` seconds, then go on."""

    status, code, title = 429, "RATE_LIMITED", "Too many requests"
    headers: Mapping[str, str] = {"Retry-After": "60"}


@dataclass(frozen=True)
class Limit:
    """So many requests per subject within a window, as the setting of that name says; `off` lets all through.

    Every request counts before its view begins; with `by_view` the view itself says by `count` which do.
    """

    policy: str
    setting: str
    subject: Subject
    by_view: bool = False

    def take(self, request: Request, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Count this request unless its view does, and return the RateLimit headers of its answer."""
        if self.by_view or getattr(settings(), self.setting) is None:
            return []
        with db.transaction() as conn:
            return self.count(conn, request, given)

    def count(self, conn: db.Connection, request: Request, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Count this request, and return the RateLimit headers of its answer. Raises RateLimited."""
        rate: Rate | None = getattr(settings(), self.setting)
        if rate is None:
            return []
        used, seconds = _count(conn, self.policy, self.subject(request, given), rate)
        headers = [
            ("ratelimit-policy", f'"{self.policy}";q={rate.quota};w={rate.seconds}'),
            ("ratelimit", f'"{self.policy}";r={max(0, rate.quota - used)};t={seconds}'),
        ]
        if used > rate.quota:
            raise RateLimited(
                f"At most {rate.quota} such requests in {rate.seconds} seconds; the next one in {seconds} seconds",
                headers={"Retry-After": str(seconds), **dict(headers)},
            )
        return headers


def per_address(policy: str, setting: str) -> Limit:
    """Counts by where requests come from."""
    return Limit(policy, setting, lambda request, given: f"address:{client_address(request)}")


def per_owner(policy: str, setting: str, *, by_view: bool = False) -> Limit:
    """Counts by caller: a user, the user of an API key, the key itself, or the address where nobody is asked."""

    def subject(request: Request, given: Mapping[str, Any]) -> str:
        caller = given["caller"]
        if caller.user_id is not None:
            return f"user:{caller.user_id}"
        if caller.api_key_id is not None:
            return f"key:{caller.api_key_id}"
        return f"address:{client_address(request)}"

    return Limit(policy, setting, subject, by_view)


def per_value(policy: str, setting: str, value: Callable[[Mapping[str, Any]], str]) -> Limit:
    """Counts by a value of the request, of which only a hash is kept."""

    def subject(request: Request, given: Mapping[str, Any]) -> str:
        return f"value:{hashlib.sha256(value(given).encode()).hexdigest()}"

    return Limit(policy, setting, subject)


def _count(conn: db.Connection, policy: str, subject: str, rate: Rate) -> tuple[int, int]:
    """Requests in this window, this one included (never more than one above the quota), and seconds to its end."""
    row = conn.execute(
        """
        INSERT INTO rate_limits AS r (policy, subject, used, ends_at)
        VALUES (%(policy)s, %(subject)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
        ON CONFLICT (policy, subject) DO UPDATE SET
            used = CASE WHEN r.ends_at <= clock_timestamp() THEN 1 ELSE least(r.used, %(quota)s) + 1 END,
            ends_at = CASE WHEN r.ends_at <= clock_timestamp() THEN excluded.ends_at ELSE r.ends_at END
        RETURNING used, extract(epoch FROM ends_at - clock_timestamp())::float8 AS seconds
        """,
        {"policy": policy, "subject": subject, "quota": rate.quota, "seconds": rate.seconds},
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return row["used"], max(1, math.ceil(row["seconds"]))
