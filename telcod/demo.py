"""telcod to play with: everything on loopback, an embedded database, a simulated SMSC and a
simulated voice platform (CLI-2).

What is typed on the terminal goes as a text through the simulated SMSC, over SMPP, or as a call
through the voice platform, over HTTP, through the books and back; nothing here takes a short cut.
`check_demo` does the same with a fixed conversation and fixed calls, compares every answer, proves
the books and says whether all is as it must be (`scripts/run --check`).
"""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from telcod import log
from telcod.app import Daemon
from telcod.billing.accounts import account_name
from telcod.check import check_books
from telcod.demo_calls import DIALS, DIALS_WORD, hold_calls, place_call, voice_platform
from telcod.msisdn import Msisdn, national
from telcod.rows import ACCOUNT, ENTRY, SUBSCRIBER
from telcod.settings import Settings, load
from telcod.simulator.ivr import SimulatedIvr
from telcod.simulator.smsc import SimulatedSmsc
from telcod.storage.sqlite import SqliteStore
from telcod.text import local_time, money
from telcod.types import Channel, Request

ANSWER_WAIT_S: Final = 15.0
DEMO_WAIT_S: Final = 30.0 * 86_400

CONFIG: Final = """
[store]
url = {url}
[http]
port = {http_port}
[log]
level = "warning"
[[smpp.links]]
name = "smsc-demo"
host = "127.0.0.1"
port = {smpp_port}
system_id = "telcod"
password = "secret"
short_codes = ["1566", "9223"]
"""


class Person(NamedTuple):
    """A subscriber of the demo."""

    msisdn: int
    kind: str
    balance_vnd: int
    debt_vnd: int
    who: str


PEOPLE: Final = (
    Person(84903000001, "prepaid", 20_000, 0, "prepaid, 20.000d"),
    Person(84903000002, "prepaid", 20_000, 0, "prepaid, 20.000d"),
    Person(84903000003, "prepaid", 500, 0, "prepaid, 500d"),
    Person(84903000004, "postpaid", 0, 150_000, "postpaid, owes 150.000d"),
)


class Line(NamedTuple):
    """One text of the fixed conversation, and what its answer must contain."""

    sender: str
    short_code: str
    text: str
    answer: str


CONVERSATION: Final = (
    Line("0903000001", "1566", "DK", "dung thu"),
    Line("0903000001", "1566", "KT", "dung thu mien phi"),
    Line("0903000001", "1566", "W 0903000002", "Da them vao whitelist: 0903000002"),
    Line(
        "0903000002", "1566", "b 0903000003, 0912345678", "Khong phai thue bao MobiFone: 0912345678"
    ),
    Line("0903000002", "1566", "Đăng ký 7", "mien phi dung thu"),
    Line("0903000002", "1566", "HUY", "Quy khach da huy goi tuan"),
    Line("0903000002", "1566", "DK7", "gia 5.000d"),
    Line("0903000002", "1566", "KT CUOC", "goi tuan 5.000d"),
    Line("0903000003", "1566", "NN EN", "in English"),
    Line("0903000003", "1566", "HUY", "You have no Payforme package"),
    Line("0903000003", "1566", "hello there", '"HELLO" is no command'),
    Line("0903000004", "9223", "MK abc123", "mat khau thanh toan thanh cong"),
    Line("0903000004", "1566", "DK", "chi danh cho thue bao tra truoc"),
    Line("0977000009", "1566", "DK", "chi danh cho thue bao MobiFone"),
)


def run_demo(*, port: int = 0, open_page: bool = False) -> None:
    """Run everything until Ctrl-C; lines typed on the terminal are texts.

    Args:
        port: Where HTTP listens; 0 is any free one.
        open_page: Open the daemon's page in a browser once it listens.
    """
    with tempfile.TemporaryDirectory(prefix="telcod-demo-") as folder:
        uvloop.run(_demo(Path(folder), port, open_page=open_page))


def check_demo() -> bool:
    """Hold the fixed conversation, show it and the books; True if all is as it must be."""
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="telcod-check-") as name:
        folder = Path(name)
        faults = uvloop.run(_converse(folder, console))
        faults += _prove(folder / "telcod.db", console)
    for fault in faults:
        console.print(f"NOT AS IT MUST BE: {fault}", style="bold red", markup=False)
    console.print("Everything is as it must be." if not faults else f"{len(faults)} faults.")
    return not faults


@contextmanager
def _log_to(folder: Path) -> Iterator[None]:
    with (folder / "log").open("a") as stream:
        log.configure(level="warning", stream=stream, cached=False)
        yield


def _settings(folder: Path, smpp_port: int, http_port: int) -> Settings:
    path = folder / "telcod.toml"
    url = json.dumps(f"sqlite:{folder / 'telcod.db'}")
    path.write_text(CONFIG.format(url=url, smpp_port=smpp_port, http_port=http_port))
    return load(path, {})


async def _start(
    folder: Path,
    smsc: SimulatedSmsc,
    port: int,
    told: Callable[[str], None],
    group: asyncio.TaskGroup,
) -> tuple[Daemon, asyncio.Event]:
    daemon = Daemon(_settings(folder, smsc.port, port), told=told)
    stop = asyncio.Event()
    group.create_task(daemon.run(stop), name="telcod")
    await smsc.wait_bound()
    lines = [
        {
            "msisdn": person.msisdn,
            "kind": person.kind,
            "state": "active",
            "balance_vnd": person.balance_vnd,
            "debt_vnd": person.debt_vnd,
            "centre": 1,
        }
        for person in PEOPLE
    ]
    request = Request("staff.import", key="demo", body={"lines": lines}, channel=Channel.STAFF)
    await daemon.submit(request)
    return daemon, stop


async def _demo(folder: Path, port: int, *, open_page: bool) -> None:
    console = Console()
    loop = asyncio.get_running_loop()
    with _log_to(folder):
        async with SimulatedSmsc() as smsc, asyncio.TaskGroup() as group:
            daemon, stop = await _start(folder, smsc, port, console.print, group)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            _introduce(console, smsc.port)
            if open_page:
                console.print(f"open http://127.0.0.1:{daemon.web.port}/schema in a browser")
            printer = group.create_task(_print_answers(smsc, console), name="answers")
            lines = asyncio.StreamReader()
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
            )
            async with await voice_platform(daemon) as ivr:
                typing = group.create_task(_type(lines, smsc, ivr, console), name="typing")
                await stop.wait()
            for task in (printer, typing):
                task.cancel()
            transport.close()


def _introduce(console: Console, smpp_port: int) -> None:
    table = Table(title="subscribers to play with")
    table.add_column("number")
    table.add_column("who")
    for person in PEOPLE:
        table.add_row(national(Msisdn(person.msisdn)), person.who)
    console.print(table)
    console.print(f"A simulated SMSC listens on 127.0.0.1:{smpp_port}; telcod is bound to it.")
    console.print("Type a number, a short code and a text, then Enter; for instance:", markup=False)
    console.print("  0903000001 1566 DK\n  0903000004 9223 MK abc123")
    console.print("A call, and what the called one does (a key, silence, hangup, busy ...):")
    console.print("  0903000001 dials 15660903000002 1\nCtrl-C ends.")


async def _type(
    lines: asyncio.StreamReader, smsc: SimulatedSmsc, ivr: SimulatedIvr, console: Console
) -> None:
    while raw := await lines.readline():
        words = raw.decode(errors="replace").strip().split(" ", 2)
        if words == [""]:
            continue
        if len(words) > 2 and words[1] == DIALS_WORD:
            await place_call([*words[:2], *words[2].split()], ivr, console)
            continue
        if len(words) < 2 or not all(word.isdigit() for word in words[:2]):
            console.print("a number, a short code, a text: 0903000001 1566 DK", markup=False)
            continue
        sender = _international(words[0])
        for sent in smsc.send_text(sender, words[1], words[2] if len(words) > 2 else ""):
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


async def _converse(folder: Path, console: Console) -> list[str]:
    """Hold the fixed conversation over SMPP, and the calls; what was not as it must be."""
    faults: list[str] = []
    with _log_to(folder):
        async with SimulatedSmsc() as smsc, asyncio.TaskGroup() as group:
            daemon, stop = await _start(
                folder, smsc, 0, lambda line: console.print(line, markup=False), group
            )
            for line in CONVERSATION:
                faults += await _exchange(line, smsc, console)
            payer = _international(DIALS[1].dialled.removeprefix("1566"))
            before = len(smsc.texts_to(payer))
            async with await voice_platform(daemon) as ivr:
                faults += await hold_calls(ivr, DIALS, console)
            receipt = (await smsc.wait_text(payer, before + 1, wait_s=ANSWER_WAIT_S))[before]
            console.print(f"{payer} < {receipt}", markup=False, highlight=False)
            stop.set()
    written = (folder / "log").read_text()
    if "abc123" in written.lower():
        faults.append("the log holds a password")
    return faults


async def _exchange(line: Line, smsc: SimulatedSmsc, console: Console) -> list[str]:
    sender = _international(line.sender)
    before = len(smsc.texts_to(sender))
    faults = []
    for sent in smsc.send_text(sender, line.short_code, line.text):
        status = await sent
        if status:
            faults.append(f"{line.text!r} was answered with command_status 0x{status:08X}")
    shown = "MK ***" if line.short_code == "9223" else line.text
    console.print(f"{line.sender} > {line.short_code}: {shown}", style="cyan", markup=False)
    answers = (await smsc.wait_text(sender, before + 1, wait_s=ANSWER_WAIT_S))[before:]
    console.print(f"{line.sender} < {' / '.join(answers)}", markup=False, highlight=False)
    if len(answers) != 1 or line.answer not in answers[0]:
        faults.append(f"{line.sender} {shown!r}: {line.answer!r} is not in {answers!r}")
    return faults


def _prove(path: Path, console: Console) -> list[str]:
    """Show the books after the conversation, and prove them."""
    store = SqliteStore.open(path)
    entries = Table(title="entries")
    for column in ("seq", "at", "from", "to", "amount", "kind", "caused by"):
        entries.add_column(column)
    for entry in store.scan(ENTRY):
        entries.add_row(
            str(entry.seq),
            local_time(entry.committed_at),
            account_name(entry.debit),
            account_name(entry.credit),
            money(entry.amount),
            entry.kind,
            entry.command,
        )
    balances = Table(title="accounts")
    balances.add_column("account")
    balances.add_column("posted", justify="right")
    for account in store.scan(ACCOUNT):
        balances.add_row(account_name(account.id), money(account.posted))
    console.print(entries, balances)
    faults = [f"{v.invariant}: {v.what}" for v in check_books(store)]
    faults += _expect(store)
    password = b"abc123"
    for file in path.parent.glob("telcod.db*"):
        if password in file.read_bytes().lower():
            faults.append(f"{file.name} holds a password")
    store.close()
    console.print(f"db check: {'clean' if not faults else 'NOT clean'}")
    return faults


def _expect(store: SqliteStore) -> Sequence[str]:
    """What the conversation must have left: one package and two calls charged, once."""
    charged = [entry for entry in store.scan(ENTRY) if entry.kind == "package.week"]
    subscribers = sum(1 for _ in store.scan(SUBSCRIBER))
    faults = []
    if [entry.amount for entry in charged] != [5_000]:
        faults.append(f"the week package was charged {len(charged)} times")
    talked = sorted(entry.amount for entry in store.scan(ENTRY) if entry.kind == "call")
    if talked != sorted(dial.charged_vnd for dial in DIALS if dial.charged_vnd):
        faults.append(f"calls were charged {talked}")
    if subscribers != len(PEOPLE):
        faults.append(f"{subscribers} subscribers instead of {len(PEOPLE)}")
    return faults


def _international(number: str) -> str:
    return f"84{number[1:]}" if number.startswith("0") else number
