"""`telcod trace`: the PDUs of a link into a capture file for Wireshark (CLI-8, SMPP-8)."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import click

from telcod.cli.edge import Context, Told
from telcod.cli.options import common
from telcod.cli.running import running_daemon
from telcod.errors import EXIT_NOT_FINE, EXIT_WRONG_USE, TelcodError
from telcod.smpp.pcap import Capture, file_header
from telcod.smpp.trace import TraceBegun, TracedPdu, TraceLine, TraceMissed


class Written(NamedTuple):
    """What a trace came to: PDUs in the file, and those that came faster than they were read."""

    pdus: int = 0
    missed: int = 0


@click.command()
@click.option("--link", "name", help="The link; not needed when there is only one.")
@click.option(
    "--pcap",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A new file; it holds people's texts, so only its owner may read it.",
)
@click.option("--seconds", type=click.IntRange(min=1), help="Stop after so long.")
@click.option("--pdus", type=click.IntRange(min=1), help="Stop after so many PDUs.")
@common
@click.pass_obj
def trace(
    context: Context, name: str | None, path: Path, seconds: int | None, pdus: int | None
) -> None:
    """Write the PDUs of a link, both ways, into FILE until Ctrl-C.

    Passwords of binds are left out, and the texts of short codes that people send passwords to.
    Wireshark and tshark read FILE and show it as SMPP.
    """
    remote = running_daemon(context)
    written = Written()
    with contextlib.closing(remote):
        link = name or _only_link([each["name"] for each in remote.status()["links"]])
        with (
            contextlib.suppress(KeyboardInterrupt),
            contextlib.closing(remote.trace(link, seconds=seconds, pdus=pdus)) as lines,
            _new_file(path) as file,
        ):
            try:
                for written in write(lines, file):  # noqa: B007  (told below, also after Ctrl-C)
                    pass
            except TelcodError:
                if not written.pdus:
                    path.unlink()  # it was made just now, and nothing is in it
                raise
    click.echo(f"{written.pdus} PDUs of link {link} are in {path}.")
    if written.missed:
        raise Told(
            f"{written.missed} PDUs came faster than they could be written, and are not in it.",
            EXIT_NOT_FINE,
        )


def write(lines: Iterable[TraceLine], file: BinaryIO) -> Iterable[Written]:
    """Write what comes, each PDU at once; give how much it is after every line."""
    capture, pdus, missed = Capture(), 0, 0
    file.write(file_header())
    file.flush()
    for line in lines:
        match line:
            case TraceBegun():
                state = "" if line.bound else ", which is not bound now"
                click.echo(f"Tracing link {line.link}{state}; Ctrl-C ends it.", err=True)
            case TracedPdu():
                file.write(capture.records(line.ends, line.direction, line.frame, line.at_ms))
                file.flush()
                pdus += 1
            case TraceMissed():
                missed += line.pdus
        yield Written(pdus, missed)


def _only_link(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    known = f"--link is one of {', '.join(names)}" if names else "no link is configured"
    raise Told(f"Which link? {known}.", EXIT_WRONG_USE)


def _new_file(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError as error:
        raise Told(
            f"{path} is there already. Nothing was written; name a new file.", EXIT_NOT_FINE
        ) from error
