"""telcod to play with: everything on loopback, an embedded database, and simulated networks (CLI-2,
DEMO-1).

What somebody does on the page, or types on the terminal, goes as a text through the simulated SMSC
over SMPP, as a screen through the USSD gateway or as a call through the voice platform over HTTP,
through the books and back; nothing here takes a short cut.  `check_demo` does the same with a fixed
conversation, compares every answer, proves the books and says whether all is as it must be
(`scripts/run --check`).
"""

import asyncio
import os
import signal
import stat
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from telcod import log
from telcod.clock import SystemClock
from telcod.demo.calls import DIALS_WORD, place_call
from telcod.demo.check import CONVERSATION, converse, prove
from telcod.demo.people import PEOPLE
from telcod.demo.play import Play
from telcod.demo.server import PageServer
from telcod.demo.stage import Stage, international, set_up
from telcod.msisdn import Msisdn, national
from telcod.simulator.smsc import SimulatedSmsc

__all__ = ["CONVERSATION", "PEOPLE", "check_demo", "run_demo"]

DEMO_WAIT_S: Final = 30.0 * 86_400


def run_demo(*, port: int = 0, open_page: bool = False) -> None:
    """Run everything until Ctrl-C; lines typed on the terminal are texts.

    Args:
        port: Where the page is; 0 is any free port.
        open_page: Open the page in a browser.

    Raises:
        NotStarted: The port is taken.
    """
    server = PageServer(port)
    server.bind()  # before anything else is started: a port that is taken is said at once
    with tempfile.TemporaryDirectory(prefix="telcod-demo-") as folder:
        uvloop.run(_demo(Path(folder), server, open_page=open_page))


def check_demo() -> bool:
    """Hold the fixed conversation, show it and the books; True if all is as it must be."""
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="telcod-check-") as name:
        folder = Path(name)
        with _log_to(folder):
            faults = uvloop.run(converse(folder, console))
        faults += prove(folder, console)
    for fault in faults:
        console.print(f"NOT AS IT MUST BE: {fault}", style="bold red", markup=False)
    console.print("Everything is as it must be." if not faults else f"{len(faults)} faults.")
    return not faults


@contextmanager
def _log_to(folder: Path) -> Iterator[None]:
    with (folder / "log").open("a") as stream:
        log.configure(level="warning", stream=stream, cached=False)
        yield


async def _demo(folder: Path, server: PageServer, *, open_page: bool) -> None:
    console = Console()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _log_to(folder):
        async with (
            set_up(folder, console.print) as stage,
            Play(stage, SystemClock()) as play,
            asyncio.TaskGroup() as group,
        ):
            page = group.create_task(server.run(play, stage), name="page")
            _introduce(console, stage, server.url)
            if open_page:
                await asyncio.to_thread(webbrowser.open, server.url)
            printer = group.create_task(_print_answers(stage.smsc, console), name="answers")
            lines = asyncio.StreamReader()
            work, transport = [printer], None
            if _can_be_typed_into():
                transport, _ = await loop.connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
                )
                work.append(group.create_task(_type(lines, stage, console), name="typing"))
            await stop.wait()
            for task in work:
                task.cancel()
            if transport is not None:
                transport.close()
            server.stop(play)
            await asyncio.wait([page])


def _can_be_typed_into() -> bool:
    """Whether standard input is a terminal, a pipe or a socket; a file or nothing can't be waited
    for.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return sys.stdin.isatty() or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _introduce(console: Console, stage: Stage, url: str) -> None:
    table = Table(title="subscribers to play with")
    table.add_column("number")
    table.add_column("who")
    table.add_column("phone")
    for person in PEOPLE:
        table.add_row(national(Msisdn(person.msisdn)), person.who, person.phone)
    console.print(table)
    console.print(f"A simulated SMSC listens on 127.0.0.1:{stage.smsc.port}; telcod is bound.")
    console.print("Type a number, a short code and a text, then Enter; for instance:", markup=False)
    console.print("  0903000001 1566 DK\n  0903000004 9223 MK abc123")
    console.print("A call, and what the called one does (a key, silence, hangup, busy ...):")
    console.print("  0903000001 dials 15660903000002 1")
    console.print(f"The page with the phones: {url}", style="bold", markup=False)
    console.print("Ctrl-C ends.")


async def _type(lines: asyncio.StreamReader, stage: Stage, console: Console) -> None:
    while raw := await lines.readline():
        words = raw.decode(errors="replace").strip().split(" ", 2)
        if words == [""]:
            continue
        if len(words) > 2 and words[1] == DIALS_WORD:
            await place_call([*words[:2], *words[2].split()], stage.ivr, console)
            continue
        if len(words) < 2 or not all(word.isdigit() for word in words[:2]):
            console.print("a number, a short code, a text: 0903000001 1566 DK", markup=False)
            continue
        sender = international(words[0])
        text = words[2] if len(words) > 2 else ""
        for sent in stage.smsc.send_text(sender, words[1], text):
            status = await sent
            if status:
                console.print(f"the SMSC was told: command_status 0x{status:08X}", markup=False)


async def _print_answers(smsc: SimulatedSmsc, console: Console) -> None:
    seen: dict[str, int] = {}
    while True:
        known = {str(submitted.fields["destination_addr"]) for submitted in smsc.submitted}
        for number in sorted(known):
            for text in smsc.texts_to(number)[seen.get(number, 0) :]:
                console.print(f"  to 0{number[2:]}: {text}", markup=False, highlight=False)
                seen[number] = seen.get(number, 0) + 1
        await smsc.wait_until(_more_than(smsc, len(smsc.submitted)), "a text", wait_s=DEMO_WAIT_S)


def _more_than(smsc: SimulatedSmsc, count: int) -> Callable[[], bool]:
    return lambda: len(smsc.submitted) > count
