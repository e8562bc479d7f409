"""A cursor whose statements are spans: their text with its placeholders, never what is put in their place."""

import re
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import DictRow

from facet import tracing

_VERB = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|TABLE)\s+([a-z_][\w.]*)", re.IGNORECASE)


class Cursor(psycopg.Cursor[DictRow]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> "Cursor":
        with tracing.span(*_statement(query if isinstance(query, str) else "")):  # what is composed may hold values
            super().execute(query, params, **options)
            if self.rowcount >= 0:
                tracing.note({"db.response.returned_rows": self.rowcount})
        return self


@lru_cache(maxsize=256)
def _statement(text: str) -> tuple[str, tracing.Kind, tracing.Attributes]:
    return summary(text), "client", {"db.system.name": "postgresql", "db.query.text": text.strip()}


def summary(text: str) -> str:
    """Operation and first table, such as `SELECT tasks`."""
    words = text.split(None, 1) or ["SQL"]
    verb = words[0].rstrip(";").upper()
    if verb == "WITH" and (found := _VERB.search(text)):
        verb = found[0].upper()
    table = _TABLE.search(text) if _VERB.fullmatch(verb) else None
    return f"{verb} {table[1]}" if table else verb
