"""Files as people read them: YAML with a comment on top and without anchors, JSON, and values in Python."""

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Document = Mapping[str, Any]
_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        super().increase_indent(flow, False)


def _words(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _words)


def text(about: str, *documents: Document) -> str:
    """One file of these documents, `about` as its comment."""
    comment = textwrap.fill(about, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    dumped = (yaml.dump(dict(each), Dumper=_Dumper, sort_keys=False, width=_WIDTH) for each in documents)
    return f"{comment}\n" + "---\n".join(dumped)


def as_json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def as_list(values: Iterable[str]) -> str:
    """A list as Python's formatter writes it."""
    return "[\n" + "".join(f"    {json.dumps(value)},\n" for value in values) + "]"


def as_dict(values: Mapping[str, object]) -> str:
    """A dict as Python's formatter writes it."""
    return "{\n" + "".join(f"    {json.dumps(name)}: {json.dumps(value)},\n" for name, value in values.items()) + "}"
