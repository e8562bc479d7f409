"""Answers everything that a handler may answer or raise, by name."""

import collections
import dataclasses
import datetime
import decimal
import enum
import os
import sys
import uuid
from typing import Any, NamedTuple


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


@dataclasses.dataclass
class Row:
    a: int = 1


class Json:
    def for_json(self) -> Any:
        return {"for": "json"}

    def _asdict(self) -> Any:
        return {"as": "dict"}


class Text(str):
    def __str__(self) -> str:
        return "another"


class Whole(int):
    def __repr__(self) -> str:
        return "seven"


class Own(Exception):
    class Nested(Exception):
        pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


def circle() -> Any:
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    return circle


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "nothing": lambda: None,
    "truth": lambda: True,
    "floats": lambda: [1.5, 1e22, 1e16, -0.0, 0.1 + 0.2],
    "infinity": lambda: [float("inf"), float("-inf"), float("nan")],
    "text": lambda: 'ü€😀\u2028\x7f<&>/\\"',
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"\x00\xff",
    "bytes_inside": lambda: {"a": b"abc", b"key": 1},
    "wrong_bytes_inside": lambda: {"a": b"\xff"},
    "bytearray": lambda: {"a": bytearray(b"abc")},
    "decimals": lambda: [decimal.Decimal(text) for text in ("1.10", "1E+3", "12345678901234567890.123456789", "-0")],
    "decimal_nan": lambda: decimal.Decimal("NaN"),
    "decimal_infinity": lambda: decimal.Decimal("Infinity"),
    "datetime": lambda: {"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)},
    "date": lambda: datetime.date(2026, 1, 1),
    "uuid": lambda: uuid.UUID(int=1),
    "set": lambda: {1},
    "tuple": lambda: (1, (2, 3)),
    "named_tuple": lambda: [Point(1, 2), {"p": Point(3, 4)}],
    "enum": lambda: Colour.RED,
    "whole_enum": lambda: [Number.ONE, Word.A],
    "dataclass": lambda: Row(),
    "own_json": lambda: Json(),
    "generator": lambda: (number for number in range(3)),
    "range": lambda: range(3),
    "keys": lambda: {1: "a", 1.5: "b", False: "c", None: "d"},
    "tuple_key": lambda: {(1, 2): 3},
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "counter": lambda: collections.Counter("abca"),
    "subclasses": lambda: {"text": Text("abc"), "whole": Whole(7), Text("key"): 1},
    "huge": lambda: 10**100,
    "circle": circle,
    "deep": lambda: deep(500),
    "too_deep": lambda: deep(100_000),
    "type": lambda: dict,
    "module": lambda: sys,
}


def chained() -> None:
    try:
        raise LookupError("first")
    except LookupError as exc:
        raise ValueError("second") from exc


def forever() -> Any:
    return forever()


def group() -> None:
    raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])


def compiled() -> None:
    compile("def", "nowhere.py", "exec")


ERRORS: dict[str, Any] = {
    "plain": LookupError("nothing found"),
    "empty": ValueError(),
    "several": ValueError("a", 1),
    "text": ValueError("ü€😀\nsecond line"),
    "long": ValueError("x" * 100_000),
    "key": KeyError("name"),
    "own": Own("own"),
    "nested": Own.Nested("nested"),
    "unprintable": Unprintable(),
    "stop": StopIteration(3),
    "import": ImportError("in the handler"),
    "exit": SystemExit(4),
    "quiet_exit": SystemExit(),
    "exit_text": SystemExit("good bye"),
    "base": BaseException("base"),
    "generator_exit": GeneratorExit(),
    "memory": MemoryError(),
    "timeout": TimeoutError("of the handler's own"),
}


def interrupt() -> None:
    raise KeyboardInterrupt


CALLS = {"chained": chained, "forever": forever, "group": group, "compiled": compiled, "abort": os.abort}
OTHERS = {"interrupt": interrupt}


def app(event: Any, context: Any) -> Any:
    match event:
        case {"value": name}:
            return VALUES[name]()
        case {"raise": name}:
            raise ERRORS[name]
        case {"call": name}:
            return (CALLS | OTHERS)[name]()
        case {"context": _}:
            return described(context)
    return event


def described(context: Any) -> Any:
    client = context.client_context
    kept = ("aws_request_id", "invoked_function_arn", "function_name", "function_version", "memory_limit_in_mb")
    return {
        **{name: getattr(context, name) for name in kept},
        "log_group": context.log_group_name,
        "tenant": context.tenant_id,
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        "client": client and [client.custom, client.env, client.client and client.client.app_title],
        "time_is_left": 0 < context.get_remaining_time_in_millis() <= 3000,
        "w3c": context.w3c(),
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "text": str(context).partition("log_stream_name")[0],
    }
