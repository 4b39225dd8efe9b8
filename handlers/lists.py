"""B, W, XOAB, XOAW, KT B, KT W: blacklist and whitelist (LST-1…3, KW-5)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from handlers.common import for_subscribers
from telcod.billing.lists import Verdict, decide_add, numbers_of, on_net
from telcod.billing.packages import is_working
from telcod.msisdn import Msisdn, national
from telcod.rows import (
    LIST_ENTRY,
    SUBSCRIBER,
    SUBSCRIPTION,
    ListEntry,
    ListKind,
    PackageStatus,
    Subscriber,
    Subscription,
)
from telcod.text import gsm_safe
from telcod.tx import Tx
from telcod.types import Line, Reply, Request, say

LETTER: Final = {ListKind.BLACK: "b", ListKind.WHITE: "w"}
OTHER: Final = {ListKind.BLACK: ListKind.WHITE, ListKind.WHITE: ListKind.BLACK}
TYPED_CHARS_MAX: Final = 15


@for_subscribers
def black_add(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """B <number>: calls and texts of these numbers are refused without asking."""
    return _add(request, tx, subscriber, ListKind.BLACK)


@for_subscribers
def white_add(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """W <number>: calls and texts of these numbers are paid without asking; needs a package."""
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    if current is None or current.status == PackageStatus.CANCELLED:
        return say("list.w.needs_package")
    reply = _add(request, tx, subscriber, ListKind.WHITE)
    added = any(line.key in {"list.w.added", "list.w.moved"} for line in reply.lines)
    if added and not is_working(current):
        return msgspec.structs.replace(reply, lines=(*reply.lines, Line("list.w.rests", {})))
    return reply


@for_subscribers
def black_remove(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """XOAB <number>, XOAB ALL, XOAB."""
    return _remove(request, tx, subscriber, ListKind.BLACK)


@for_subscribers
def white_remove(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """XOAW <number>, XOAW ALL, XOAW."""
    return _remove(request, tx, subscriber, ListKind.WHITE)


@for_subscribers
def black_show(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """KT B."""
    numbers = _numbers(tx, subscriber, ListKind.BLACK)
    return (
        say("list.b.show", count=len(numbers), numbers=numbers) if numbers else say("list.b.empty")
    )


@for_subscribers
def white_show(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """KT W; says so when the list rests because no package works."""
    numbers = _numbers(tx, subscriber, ListKind.WHITE)
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    if not numbers:
        return say("list.w.empty")
    key = "list.w.show" if is_working(current) else _resting(current)
    return say(key, count=len(numbers), numbers=numbers)


def put_on_list(tx: Tx, owner: int, number: int, kind: ListKind) -> None:
    """Keys 3 and 4 of a question: A goes on B's list, when there is room (PFM-12).

    A number closed meanwhile has no lists (NUM-5).
    """
    if not on_net(tx.get(SUBSCRIBER, owner)):
        return
    entries = tx.group(LIST_ENTRY, owner)
    listed = tx.get(SUBSCRIBER, number)
    verdict = decide_add(kind, number, listed, entries, tx.rules.limits.lists, owner=owner)
    if verdict in {Verdict.ADDED, Verdict.MOVED}:
        tx.put(LIST_ENTRY, ListEntry(owner, number, kind.value, tx.now_ms))
        tx.emit("list", "added", owner, list=kind.value, number=str(number))


def _resting(current: Subscription | None) -> str:
    if current is not None and current.status == PackageStatus.SUSPENDED:
        return "list.w.show_suspended"
    return "list.w.show_resting"


def _add(request: Request, tx: Tx, subscriber: Subscriber, kind: ListKind) -> Reply:
    owner = subscriber.msisdn
    limits = tx.rules.limits.lists
    verdicts: list[tuple[Verdict, str]] = []
    for argument in request.args:
        if argument.startswith("!"):
            verdicts.append((Verdict.MALFORMED, gsm_safe(argument[1:], TYPED_CHARS_MAX)))
            continue
        number = int(argument)
        verdict = decide_add(
            kind,
            number,
            tx.get(SUBSCRIBER, number),
            tx.group(LIST_ENTRY, owner),
            limits,
            owner=owner,
        )
        if verdict in {Verdict.ADDED, Verdict.MOVED}:
            tx.put(LIST_ENTRY, ListEntry(owner, number, kind.value, tx.now_ms))
            tx.emit("list", "added", owner, list=kind.value, number=str(number))
        verdicts.append((verdict, national(Msisdn(number))))
    return _told(kind, verdicts)


def _remove(request: Request, tx: Tx, subscriber: Subscriber, kind: ListKind) -> Reply:
    numbers = _numbers(tx, subscriber, kind)
    letter = LETTER[kind]
    if not numbers:
        return say(f"list.{letter}.empty")
    if request.args == ("ALL",):
        _drop(tx, subscriber.msisdn, numbers)
        return say(f"list.{letter}.all_removed", count=len(numbers))
    if not request.args:
        if len(numbers) > 1:
            return say(f"list.{letter}.which", count=len(numbers), numbers=numbers)
        _drop(tx, subscriber.msisdn, numbers)
        return say(f"list.{letter}.removed", numbers=national(Msisdn(numbers[0])))
    verdicts: list[tuple[Verdict, str]] = []
    for argument in request.args:
        if argument.startswith("!"):
            verdicts.append((Verdict.MALFORMED, gsm_safe(argument[1:], TYPED_CHARS_MAX)))
            continue
        number = int(argument)
        entry = tx.group(LIST_ENTRY, subscriber.msisdn).get((subscriber.msisdn, number))
        listed = entry is not None and entry.kind == kind
        if entry is not None and listed:
            tx.delete(LIST_ENTRY, entry)
            tx.emit("list", "removed", subscriber.msisdn, list=kind.value, number=str(number))
        verdicts.append(
            (Verdict.REMOVED if listed else Verdict.NOT_LISTED, national(Msisdn(number)))
        )
    return _told(kind, verdicts)


def _told(kind: ListKind, verdicts: Sequence[tuple[Verdict, str]]) -> Reply:
    """Each number's own verdict, numbers with the same one together, in the one reply (KW-5)."""
    by_verdict: dict[Verdict, list[str]] = {}
    for verdict, number in verdicts:
        by_verdict.setdefault(verdict, []).append(number)
    lines = tuple(
        Line(f"list.{LETTER[kind]}.{verdict.value}", {"numbers": numbers})
        for verdict, numbers in by_verdict.items()
    )
    return Reply(
        f"list.{LETTER[kind]}.{verdicts[0][0].value}"
        if len(by_verdict) == 1
        else f"list.{LETTER[kind]}.mixed",
        lines,
    )


def _numbers(tx: Tx, subscriber: Subscriber, kind: ListKind) -> list[int]:
    """What is on a list and still on-net (NUM-5)."""
    numbers = numbers_of(tx.group(LIST_ENTRY, subscriber.msisdn), kind)
    tx.prefetch(SUBSCRIBER, numbers)
    return [number for number in numbers if on_net(tx.get(SUBSCRIBER, number))]


def _drop(tx: Tx, owner: int, numbers: Sequence[int]) -> None:
    entries = tx.group(LIST_ENTRY, owner)
    for entry in [entries[owner, number] for number in numbers]:
        tx.delete(LIST_ENTRY, entry)
        tx.emit("list", "removed", owner, list=entry.kind, number=str(entry.number))
