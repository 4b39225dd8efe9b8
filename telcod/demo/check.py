"""The demo's check: a fixed conversation by text, screen, call and card, and the books after it
(CLI-2).

Every answer is compared, the books are proved; what is not as it must be is said.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from telcod.billing.accounts import account_name
from telcod.check import check_books
from telcod.demo.calls import DIALS, hold_calls
from telcod.demo.people import OWES, PASSWORD, PEOPLE, RICH
from telcod.demo.stage import Stage, international, set_up
from telcod.msisdn import Msisdn, national
from telcod.rows import ACCOUNT, ENTRY, SUBSCRIBER
from telcod.simulator.smsc import SimulatedSmsc
from telcod.storage.sqlite import SqliteStore
from telcod.text import local_time, money

ANSWER_WAIT_S: Final = 15.0
BILL_VND: Final = 150_000


class Line(NamedTuple):
    """One text of the fixed conversation, and what its answer must contain."""

    sender: str
    short_code: str
    text: str
    answer: str


CONVERSATION: Final = (
    Line("0903000003", "1566", "DK", "dung thu"),
    Line("0903000003", "1566", "KT", "dung thu mien phi"),
    Line("0903000003", "1566", "W 0903000002", "Da them vao whitelist: 0903000002"),
    Line(
        "0903000002", "1566", "b 0903000001, 0912345678", "Khong phai thue bao MobiFone: 0912345678"
    ),
    Line("0903000002", "1566", "Đăng ký 7", "mien phi dung thu"),
    Line("0903000002", "1566", "HUY", "Quy khach da huy goi tuan"),
    Line("0903000002", "1566", "DK7", "gia 5.000d"),
    Line("0903000002", "1566", "KT CUOC", "goi tuan 5.000d"),
    Line("0903000001", "1566", "NN EN", "in English"),
    Line("0903000001", "1566", "HUY", "You have no Payforme package"),
    Line("0903000001", "1566", "hello there", '"HELLO" is no command'),
    Line("0903000004", "9223", "MK abc123", "mat khau thanh toan thanh cong"),
    Line("0903000004", "1566", "DK", "chi danh cho thue bao tra truoc"),
    Line("0977000009", "1566", "DK", "chi danh cho thue bao MobiFone"),
)


class Typed(NamedTuple):
    """One step of the fixed USSD dialogue: what is dialled or typed, what the screen must hold."""

    typed: str
    screen: str


DIALOGUE: Final[tuple[Typed, ...]] = (
    Typed("*1566#", "6 Cuoc da tru"),
    Typed("6", "goi tuan 5.000d"),
)


async def converse(folder: Path, console: Console) -> list[str]:
    """Hold the conversation, a dialogue, the calls and a payment; what was not as it must be."""
    faults: list[str] = []

    def told(line: str) -> None:
        console.print(line, markup=False)

    async with set_up(folder, told) as stage:
        for line in CONVERSATION:
            faults += await _exchange(line, stage.smsc, console)
        faults += await _hold_dialogue(stage, console)
        payer = international(DIALS[1].dialled.removeprefix("1566"))
        before = len(stage.smsc.texts_to(payer))
        faults += await hold_calls(stage.ivr, DIALS, console)
        receipt = (await stage.smsc.wait_text(payer, before + 1, wait_s=ANSWER_WAIT_S))[before]
        console.print(f"{payer} < {receipt}", markup=False, highlight=False)
        faults += await _pay(stage, console)
    written = (folder / "log").read_text()
    if PASSWORD in written.lower():
        faults.append("the log holds a password")
    return faults


async def _hold_dialogue(stage: Stage, console: Console) -> list[str]:
    """Dial the menu and go through it; what a screen lacked."""
    number = national(Msisdn(RICH.msisdn))
    first, others = DIALOGUE[0], DIALOGUE[1:]
    console.print(f"{number} dials {first.typed}", style="cyan", markup=False)
    dialogue = await stage.ussd.dial(RICH.msisdn, first.typed)
    faults = _judged(first, dialogue.text, console)
    for step in others:
        console.print(f"{number} types {step.typed}", style="cyan", markup=False)
        await dialogue.type(step.typed)
        faults += _judged(step, dialogue.text, console)
    if not dialogue.ended:
        faults.append("the dialogue did not end")
    return faults


def _judged(step: Typed, screen: str, console: Console) -> list[str]:
    for line in screen.splitlines():
        console.print(f"  | {line}", markup=False, highlight=False)
    return [] if step.screen in screen else [f"{step.typed}: no {step.screen!r} in {screen!r}"]


async def _pay(stage: Stage, console: Console) -> list[str]:
    """Pay a bill by card, as a portal and a payer do, and wait for its text; what went wrong."""
    number, payer = national(Msisdn(OWES.msisdn)), str(OWES.msisdn)
    before = len(stage.smsc.texts_to(payer))
    said = {
        "msisdn": number,
        "amount_vnd": BILL_VND,
        "purpose": "bill",
        "card": "international",
        "return_url": stage.url,
    }
    headers = {"Authorization": f"Bearer {stage.tokens['demo-portal']}"}
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, trust_env=False) as portal:
        key = {"Idempotency-Key": "demo-check"}
        opened = await portal.post("/epay/v1/payments", json=said, headers=key)
        told: dict[str, Any] = opened.json()
        console.print(f"{number} pays a bill of {money(BILL_VND)} by card", style="cyan")
        if not opened.is_success:
            return [f"the payment was refused: {json.dumps(told)}"]
        console.print(f"  payment {told['payment_id']}: {told['state']}", markup=False)
        await stage.cards.pay(told["payment_id"])
        texts = await stage.smsc.wait_text(payer, before + 1, wait_s=ANSWER_WAIT_S)
        shown = (await portal.get(f"/epay/v1/payments/{told['payment_id']}")).json()
    console.print(f"  payment {told['payment_id']}: {shown['state']}", markup=False)
    console.print(f"{payer} < {texts[before]}", markup=False, highlight=False)
    return [] if shown["state"] == "cleared" else [f"the payment is {shown['state']}"]


async def _exchange(line: Line, smsc: SimulatedSmsc, console: Console) -> list[str]:
    sender = international(line.sender)
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


def prove(folder: Path, console: Console) -> list[str]:
    """Show the books after the conversation, and prove them."""
    store = SqliteStore.open(folder / "telcod.db")
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
    password = PASSWORD.encode()
    for file in folder.glob("telcod.db*"):
        if password in file.read_bytes().lower():
            faults.append(f"{file.name} holds a password")
    store.close()
    console.print(f"db check: {'clean' if not faults else 'NOT clean'}")
    return faults


def _expect(store: SqliteStore) -> Sequence[str]:
    """What the conversation must have left: one package, two calls and one payment, once."""
    charged = [entry for entry in store.scan(ENTRY) if entry.kind == "package.week"]
    subscribers = sum(1 for _ in store.scan(SUBSCRIBER))
    faults = []
    if [entry.amount for entry in charged] != [5_000]:
        faults.append(f"the week package was charged {len(charged)} times")
    talked = sorted(entry.amount for entry in store.scan(ENTRY) if entry.kind == "call")
    if talked != sorted(dial.charged_vnd for dial in DIALS if dial.charged_vnd):
        faults.append(f"calls were charged {talked}")
    paid = [entry.amount for entry in store.scan(ENTRY) if entry.kind == "payment.cleared"]
    if paid != [BILL_VND]:
        faults.append(f"payments were cleared {paid}")
    if subscribers != len(PEOPLE):
        faults.append(f"{subscribers} subscribers instead of {len(PEOPLE)}")
    return faults
