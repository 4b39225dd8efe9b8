"""Whether what telcod acknowledged under a flood is in its books: nothing lost, nothing doubled."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from telcod.epay.cashier import payment_id_of
from telcod.simulator.load_calls import OPS, TALK_S

CHARGED_VND: Final = 1_500 * TALK_S // 60


class Kept(NamedTuple):
    """What a load knows of one sender, call, dialogue or payment.

    `acknowledged` is how many requests about it were answered with yes, `unknown` how many have no
    answer, or one that does not say whether they were carried out.
    """

    about: str
    acknowledged: int
    unknown: int


def faults_of(edge: str, path: Path, lines: Iterable[str]) -> list[str]:
    """What was acknowledged and is not in the books, or is there and nobody has asked for it.

    Args:
        edge: Which the load came by.
        path: The books, no longer written.
        lines: One for each `Kept`, as the load wrote them.
    """
    kept = []
    for line in lines:
        about, acknowledged, unknown = line.split()
        kept.append(Kept(about, int(acknowledged), int(unknown)))
    db = sqlite3.connect(path)
    try:
        return list(_CHECKS[edge](db, kept))
    finally:
        db.close()


def _texts(db: sqlite3.Connection, kept: Iterable[Kept]) -> Iterator[str]:
    """Each acknowledged text has its row in the journal, and none has two."""
    found = dict(db.execute("SELECT source, COUNT(*) FROM mo GROUP BY source"))
    for about, acknowledged, unknown in kept:
        texts = found.pop(about, 0)
        if not acknowledged <= texts <= acknowledged + unknown:
            yield f"{about}: {acknowledged} texts acknowledged, {texts} in the books"
    for source, texts in found.items():
        yield f"{source}: {texts} texts in the books that nobody sent"


def _calls(db: sqlite3.Connection, kept: Iterable[Kept]) -> Iterator[str]:
    """A call whose end was acknowledged is charged; no call is that has not begun to be."""
    found: dict[str, tuple[int, int]] = {
        _own(row[0]): (row[1], row[2])
        for row in db.execute("SELECT id, ended_at, charged_vnd FROM call")
    }
    charges = Counter(
        charged for (charged,) in db.execute("SELECT amount FROM entry WHERE kind LIKE 'call%'")
    )
    for about, acknowledged, _ in kept:
        ended_at, charged_vnd = found.get(about, (0, 0))
        if acknowledged and about not in found:
            yield f"call {about}: acknowledged, and not in the books"
        if acknowledged == len(OPS) and not (ended_at and charged_vnd == CHARGED_VND):
            yield f"call {about}: its end was acknowledged, and {charged_vnd} dong charged"
    paid = sum(1 for _, charged_vnd in found.values() if charged_vnd == CHARGED_VND)
    if charges[CHARGED_VND] != paid:
        yield f"{paid} calls cost a minute, {charges[CHARGED_VND]} charges say so"


def _steps(db: sqlite3.Connection, kept: Iterable[Kept]) -> Iterator[str]:
    """A dialogue has come at least as far as was acknowledged, and no further than asked."""
    found = {_own(row[0]): row[1] for row in db.execute("SELECT id, step FROM ussd_session")}
    for about, acknowledged, unknown in kept:
        step = found.get(about, 0)
        if not acknowledged <= step <= acknowledged + unknown:
            yield f"dialogue {about}: {acknowledged} steps acknowledged, {step} in the books"


def _payments(db: sqlite3.Connection, kept: Iterable[Kept]) -> Iterator[str]:
    """Each acknowledged payment is there once: its id is made of who asks and of his key."""
    found = {row[0] for row in db.execute("SELECT id FROM payment")}
    for about, acknowledged, _ in kept:
        who = "token:load" if about.startswith("flood") else "token:others"
        if acknowledged and payment_id_of(who, about) not in found:
            yield f"payment {about}: acknowledged, and not in the books"


def _own(name: str) -> str:
    """A platform's own id, of the one in the books."""
    return name.rpartition(":")[2]


_Check = Callable[[sqlite3.Connection, Iterable[Kept]], Iterator[str]]
_CHECKS: Final[Mapping[str, _Check]] = {
    "sms": _texts,
    "calls": _calls,
    "ussd": _steps,
    "mqtt": _steps,
    "pay": _payments,
}
