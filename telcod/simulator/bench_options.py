"""What every benchmark is asked, the books it begins with, and the frame of what it reports."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from telcod.simulator.bench_books import make_books, measure_commit

Command = TypeVar("Command", bound=Callable[..., None])

_OPTIONS: Final = (
    click.option(
        "--subscribers", type=click.IntRange(1_000, 10_000_000), default=100_000, show_default=True
    ),
    click.option("--seconds", type=click.FloatRange(1, 3_600), default=10.0, show_default=True),
    click.option(
        "--warm-up", "warm_up_s", type=click.FloatRange(0, 60), default=2.0, show_default=True
    ),
    click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Where the books lie; its disk is measured.",
    ),
    click.option(
        "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), default=None
    ),
)


class Asked(NamedTuple):
    """What a benchmark was asked for: how many subscribers, for how long, where."""

    subscribers: int
    seconds: float
    warm_up_s: float
    folder: Path | None
    json_file: Path | None


class Place(NamedTuple):
    """A folder to work in, books to copy, and what a commit costs on that disk."""

    base: Path
    books: Path
    commit_ms: Any


Lines = Callable[[Place, tuple[str, ...]], Mapping[str, Any]]
Then = Callable[[Place], Mapping[str, Any] | None]


def measured(command: Command) -> Command:
    """Give a command the options of `Asked`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connections(*default: int) -> Callable[[Command], Command]:
    """How many connections at once, run after run."""
    return click.option(
        "--connections",
        type=click.IntRange(1, 900),
        multiple=True,
        default=default,
        show_default=True,
    )


@contextmanager
def scratch(asked: Asked) -> Iterator[Path]:
    """A folder for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="telcod-bench-", dir=asked.folder) as name:
        yield Path(name)


@contextmanager
def place(asked: Asked) -> Iterator[Place]:
    """A folder for as long as it is needed, with books in it."""
    with scratch(asked) as base:
        books = make_books(base / "books.db", asked.subscribers)
        yield Place(base, books, measure_commit(base / "commit.db"))


def written(asked: Asked, commit_ms: Any, **found: Any) -> dict[str, Any]:
    """The report, also written where `--json` says."""
    result = {
        "subscribers": asked.subscribers,
        "seconds": asked.seconds,
        "commit_ms": commit_ms,
        "cores": os.cpu_count(),
        **found,
    }
    if asked.json_file is not None:
        asked.json_file.write_text(json.dumps(result, indent=2) + "\n")
    return result


def over_http(
    asked: Asked, lines: Sequence[int], run: Lines, then: Then, show: Callable[[Any], None]
) -> None:
    """Run after run with so many connections each, then what is open at once.

    Raises:
        click.ClickException: Something did not go as it must.
    """
    with place(asked) as here:
        runs = []
        for count in lines:
            told = tuple(map(str, (count, asked.subscribers, asked.seconds, asked.warm_up_s)))
            runs.append({"connections": count, **run(here, told)})
        left = then(here)
    result = written(asked, here.commit_ms, runs=runs, open=left)
    show(result)
    faults = [fault for each in runs for fault in each["faults"]]
    faults += left["faults"] if left else []
    if faults:
        raise click.ClickException(f"not everything went as it must: {faults[0]}")
