"""The edge of the command line: each failure becomes a sentence and an exit code (CLI-9).

0 fine, 1 the thing asked about is not fine, 2 wrong use, 3 could not start.
"""

import os
import traceback
from pathlib import Path
from typing import Any, Final

import click

from telcod.errors import EXIT_NOT_FINE, LedgerCorrupt, TelcodError, fate_of
from telcod.settings import Settings, load
from telcod.web.staff_requests import refusal_or_none

# Where a configuration is looked for when none is named; the last resort is the shipped one.
PLACES: Final = (Path("telcod.toml"), Path("config/telcod.toml"), Path("/etc/telcod/telcod.toml"))


class Context:
    """What the options before the command said."""

    def __init__(self) -> None:
        self.config: Path | None = None
        self.debug = False

    def config_path(self) -> Path | None:
        """The configuration that is used: the named one, else the first of `PLACES` that exists."""
        return self.config or next((place for place in PLACES if place.is_file()), None)

    def settings(self) -> Settings:
        """Read and check the configuration.

        Raises:
            SettingsError: With all that is wrong with it.
        """
        return load(self.config_path(), os.environ)


class Told(click.ClickException):
    """A failure as a person is told; `exit_code` is one of CLI-9."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        setattr(self, "exit_code", exit_code)  # noqa: B010  (click declares it for the class)


class Edge(click.Group):
    """The group of all commands: below it anything may be raised, above it nothing but `Told`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises into a sentence."""
        context = ctx.ensure_object(Context)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            # click knows what to do; a broken pipe is a reader who has read enough.
            raise
        except Exception as error:  # the edge of the process: nothing half-done goes on
            if context.debug:
                click.echo("".join(traceback.format_exception(error)), err=True)
            raise told(error) from error


def told(error: Exception) -> Told:
    """The sentence and the exit code of a failure."""
    exit_code = fate_of(refusal_or_none(error) or error).exit_code
    if isinstance(error, TelcodError):
        return Told(error.sentence(), exit_code)
    if isinstance(error, LedgerCorrupt):
        return Told(f"The books are broken: {error}. {error.what_to_do}", exit_code)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Told(f"{where}{error.strerror}. Mend that and try again.", EXIT_NOT_FINE)
    return Told(
        f"telcod failed: {type(error).__name__}: {error}. `telcod --debug ...` shows where.",
        exit_code,
    )
