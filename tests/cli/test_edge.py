"""How failures leave the command line: one sentence, what to do, an exit code (CLI-9)."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from telcod import __version__
from telcod.cli.edge import Edge
from telcod.cli.options import common
from telcod.cli.root import telcod
from telcod.errors import LedgerCorrupt, NotStarted, Overloaded, Refusal, StoreFailed
from telcod.web.staff_requests import Refused

pytestmark = pytest.mark.rule("CLI-9")


def failing(error):
    @click.group(cls=Edge)
    @common
    def group():
        pass

    @group.command()
    @common
    def work():
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Overloaded("too many wait"), 1, "too many wait. Try again in a moment; nothing was done."),
        (NotStarted("no port"), 3, "no port. Mend that and start telcod again."),
        (StoreFailed("disk"), 3, "disk. Look at the disk"),
        (Refused(Refusal.MALFORMED, "no number"), 2, "no number. Mend it"),
        (Refused(Refusal.NOT_FOUND, "nobody"), 1, "nobody. Check"),
        (LedgerCorrupt("sum is 1"), 1, "sum is 1. Run `telcod db check`"),
        (FileNotFoundError(2, "No such file", "x.csv"), 1, "x.csv: No such file. Mend that"),
        (
            ValueError("boom"),
            1,
            "telcod failed: ValueError: boom. `telcod --debug ...` shows where.",
        ),
    ],
)
def test_every_failure_is_one_sentence_and_an_exit_code(error, code, told):
    done = CliRunner().invoke(failing(error), ["work"])
    assert done.exit_code == code
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["--debug", "work"], ["work", "--debug"]])
def test_with_debug_the_traceback_is_shown_as_well(args):
    done = CliRunner().invoke(failing(ValueError("boom")), args)
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert "Error: telcod failed: ValueError: boom." in done.stderr


@pytest.mark.parametrize("args", [["nonsense"], ["run", "--nonsense"], ["token", "create"]])
def test_wrong_use_ends_with_2(args):
    assert CliRunner().invoke(telcod, args).exit_code == 2


def test_the_configuration_may_be_named_before_or_after_the_command(place):
    for args in (["--config", place.folder, "check"], ["check", "--config", place.folder]):
        assert CliRunner().invoke(telcod, [str(arg) for arg in args]).exit_code == 0


def test_every_command_has_help():
    def commands(command, path):
        yield path
        for name, below in getattr(command, "commands", {}).items():
            yield from commands(below, [*path, name])

    for path in commands(telcod, []):
        done = CliRunner().invoke(telcod, [*path, "--help"])
        assert done.exit_code == 0
        assert len(done.stdout.splitlines()) > 4, path


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "telcod", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"telcod, version {__version__}\n"
