"""YAML as people read it: a comment on top, keys in the order they were written, no anchors."""

import textwrap
from collections.abc import Mapping
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
