"""FilterCriteria of an event source mapping: which messages reach the function, in Lambda's event filtering syntax.

Amazon MQ filters `data` alone: an object of the pattern asks for a JSON body, a list for one that is plain text.
"""

import json
import operator
from collections.abc import Callable, Iterator
from typing import Any

Test = Callable[[Any], bool]
_COMPARED = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class BadPattern(Exception):
    """No pattern; the text says where it goes wrong."""


def parse(pattern: str) -> Callable[[bytes], bool]:
    """Whether a message's body matches. Raises BadPattern."""
    try:
        found = json.loads(pattern)
    except ValueError as exc:
        raise BadPattern(f"{pattern!r} is no JSON: {exc}") from exc
    matches = _object(found, "the pattern")
    for part in (found, *(found["$or"] if isinstance(found.get("$or"), list) else [])):
        if unknown := part.keys() - {"data", "$or"}:
            raise BadPattern(f"{', '.join(sorted(unknown))}: Amazon MQ filters `data` alone")
    return lambda body: (data := _data(body)) is not None and matches({"data": data})


def _data(body: bytes) -> Any:
    """A JSON object or array, else the text; None for what is no UTF-8, which Lambda drops."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, (dict, list)) else text


def _object(pattern: Any, where: str) -> Test:
    """Every key has to match."""
    if not isinstance(pattern, dict) or not pattern:
        raise BadPattern(f"{where} has to be an object with at least one key")
    tests = []
    for key, rule in pattern.items():
        if key == "$or" and isinstance(rule, list) and len(rule) > 1:
            tests.append(_any([_object(each, f"{where}.$or") for each in rule]))
        else:
            tests.append(_key(key, rule, key if where == "the pattern" else f"{where}.{key}"))
    return lambda event: all(test(event) for test in tests)


def _key(key: str, rule: Any, where: str) -> Test:
    if isinstance(rule, dict):
        inner = _object(rule, where)
        return lambda event: any(inner(found) for found in _objects(event.get(key, {})))
    if not isinstance(rule, list) or not rule:
        raise BadPattern(f"{where} has to be an object, or a list of what it may be")
    of_leaves = _any([_rule(each, where) for each in rule])
    return lambda event: of_leaves(list(_leaves(event[key])) if key in event else [])


def _rule(rule: Any, where: str) -> Test:
    """A test of all values at a key, of which one has to match."""
    if isinstance(rule, dict) and len(rule) != 1:
        raise BadPattern(f"{where}: {json.dumps(rule)} has to be one operator")
    match rule:
        case {"exists": bool(wanted)}:
            return lambda leaves: bool(leaves) is wanted
    test = _value(rule, where)
    return lambda leaves: any(test(leaf) for leaf in leaves)


def _value(rule: Any, where: str) -> Test:
    match rule:
        case None | bool() | int() | float() | str():
            return lambda leaf: type(leaf) is type(rule) and leaf == rule
        case {"prefix": str(text)}:
            return lambda leaf: isinstance(leaf, str) and leaf.startswith(text)
        case {"suffix": str(text)}:
            return lambda leaf: isinstance(leaf, str) and leaf.endswith(text)
        case {"equals-ignore-case": str(text)}:
            return lambda leaf: isinstance(leaf, str) and leaf.lower() == text.lower()
        case {"anything-but": {**inner}} if len(inner) == 1:
            but = _value(inner, where)
            return lambda leaf: isinstance(leaf, str) and not but(leaf)
        case {"anything-but": wanted}:
            named = wanted if isinstance(wanted, list) else [wanted]
            if named and all(isinstance(each, (str, int, float)) for each in named):
                unwanted = _any([_value(each, where) for each in named])
                return lambda leaf: not unwanted(leaf)
        case {"numeric": [*terms]} if terms and len(terms) % 2 == 0:
            return _numeric(terms, where)
    raise BadPattern(f"{where}: {json.dumps(rule)} is no rule")


def _numeric(terms: list[Any], where: str) -> Test:
    bounds = list(zip(terms[::2], terms[1::2], strict=True))
    if not all(sign in _COMPARED and _is_number(bound) for sign, bound in bounds):
        raise BadPattern(f"{where}: {json.dumps(terms)} is no comparison with numbers")
    return lambda leaf: _is_number(leaf) and all(_COMPARED[sign](leaf, bound) for sign, bound in bounds)


def _any(tests: list[Test]) -> Test:
    return lambda value: any(test(value) for test in tests)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _objects(value: Any) -> list[Any]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _leaves(value: Any) -> Iterator[Any]:
    """The value, or those of an array; an object is none."""
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif not isinstance(value, dict):
        yield value
