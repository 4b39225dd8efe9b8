"""Options that every command takes, before or after its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from telcod.cli.edge import Context

F = TypeVar("F", bound=Callable[..., Any])


def common(command: F) -> F:
    """Give a command `--config` and `--debug`."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration: a file, or the folder of a telcod.toml.",
        expose_value=False,
        callback=_set_config,
        is_eager=True,
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        help="Show where a failure comes from.",
        expose_value=False,
        callback=_set_debug,
        is_eager=True,
    )
    return config(debug(command))


def _set_config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Context).config = value


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  (click's)
    if value:
        ctx.ensure_object(Context).debug = True
