"""The option `--as`: how functions are called, by the names of the command line."""

from collections.abc import Callable
from typing import Any

import click
from click.decorators import FC

from local.events import SHAPES


class ShapeName(click.Choice[str]):
    """An HTTP API may be called `http-api`, too."""

    def __init__(self, *more: str) -> None:
        super().__init__((*SHAPES, *more))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("http" if value == "http-api" else value, param, ctx)


def shape_option(help: str, *more: str) -> Callable[[FC], FC]:
    return click.option("--as", "shape", type=ShapeName(*more), help=help)
