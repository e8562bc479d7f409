"""Typed reading of one section of a template: every error names its place, every unread property is known."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.template.intrinsics import Located, MissingParameter, Resolver, Unresolved

_REQUIRED: Any = object()


class TemplateError(Exception):
    """The template cannot be used; the text names file, line, resource and property."""


@dataclass(frozen=True)
class Notes:
    """What of a template has no effect here: `warnings` that matter, and properties that change nothing locally."""

    warnings: list[str] = field(default_factory=list)
    harmless: list[tuple[str, str]] = field(default_factory=list)
    """Section and property."""

    def unread(self, section: "Properties", harmless: Collection[str] = ()) -> None:
        """Note what nobody asked for."""
        self.warnings.extend(f"{section.where}: {key} is not emulated" for key in section.unread(harmless))
        self.harmless.extend((section.where, key) for key in section if key in harmless)


class Properties:
    """A section of the template. Values are resolved when asked for."""

    def __init__(self, values: Any, resolver: Resolver, *, file: Path, where: str, line: int | None = None) -> None:
        self.where = where
        self._resolver, self._file, self._line = resolver, file, line
        if not isinstance(values, dict):
            raise self.error(f"expected a mapping, found {values!r}")
        self._values: Mapping[str, Any] = values
        self._read: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, message: str, key: str | None = None) -> TemplateError:
        line = self._line_of(key)
        place = f"{self._file}:{line}" if line else str(self._file)
        return TemplateError(f"{place}: {self.where}{f'.{key}' if key else ''}: {message}")

    def unread(self, ignored: Iterable[str]) -> list[str]:
        """The properties nobody asked for, save those known to change nothing here."""
        return [key for key in self._values if key not in self._read and key not in ignored]

    def get(self, key: str, default: Any = _REQUIRED) -> Any:
        self._read.add(key)
        if key in self._values:
            try:
                value = self._resolver.resolve(self._values[key])
            except MissingParameter:
                raise
            except Unresolved as exc:
                raise self.error(str(exc), key) from exc
            if value is not None:
                return value
        if default is _REQUIRED:
            raise self.error("is missing", key)
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self.get(key, default)
        if isinstance(value, (dict, list)):
            raise self.error(f"expected a text, found {value!r}", key)
        return value if value is None or value is default else as_text(value)

    def whole(self, key: str, default: Any = _REQUIRED, *, low: int = 0, high: int = 2**31) -> Any:
        """A whole number from `low` to `high`, also when written as a text."""
        value = self.get(key, default)
        if value is default:
            return value
        try:
            number = int(str(value))
        except ValueError:
            number = low - 1
        if isinstance(value, bool) or not low <= number <= high:
            raise self.error(f"expected a whole number from {low} to {high}, found {value!r}", key)
        return number

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.get(key, default)
        if str(value).lower() not in ("true", "false"):
            raise self.error(f"expected true or false, found {value!r}", key)
        return str(value).lower() == "true"

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key, [])
        items = value if isinstance(value, list) else [value]
        return tuple(as_text(item) for item in items)

    def part(self, key: str) -> "Properties":
        """The section below this one; empty when it is absent."""
        self._read.add(key)
        values = self._values.get(key) or {}
        if _intrinsic(values):
            values = self.get(key, {})
        return Properties(values, self._resolver, file=self._file, where=f"{self.where}.{key}", line=self._line_of(key))

    def parts(self) -> "dict[str, Properties]":
        """Every section below this one by its name."""
        return {key: self.part(key) for key in self._values}

    def over(self, base: "Properties") -> "Properties":
        """This section with `base` (the Globals) below it."""
        values = merged(base._values, self._values)
        return Properties(values, self._resolver, file=self._file, where=self.where, line=self._line)

    def _line_of(self, key: str | None) -> int | None:
        lines = getattr(self._values, "lines", {}) if hasattr(self, "_values") else {}
        return lines.get(key, self._line) if key else self._line


def as_text(value: Any) -> str:
    """A scalar as CloudFormation hands it on: YAML's true is the text `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def merged(base: Any, own: Any) -> Any:
    """Globals under a resource's own value: mappings merge, lists append, everything else is replaced."""
    if isinstance(base, dict) and isinstance(own, dict) and not _intrinsic(base) and not _intrinsic(own):
        both = Located({**getattr(base, "lines", {}), **getattr(own, "lines", {})})
        both.update(base)
        for key, value in own.items():
            both[key] = merged(base[key], value) if key in base else value
        return both
    if isinstance(base, list) and isinstance(own, list):
        return base + own
    return own


def _intrinsic(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))
