"""The option `--as`: how functions are called, by the names of the command line."""

from collections.abc import Callable
from typing import Any

import click

from local.events import SHAPES, Shape


class ShapeName(click.Choice[Shape]):
    """An HTTP API may be called `http-api`, too."""

    def __init__(self) -> None:
        super().__init__(SHAPES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shape:
        return super().convert("http" if value == "http-api" else value, param, ctx)


def shape_option(help: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option("--as", "shape", type=ShapeName(), help=help)
