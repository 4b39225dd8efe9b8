"""Putting long texts together (SMPP-3): parts in any order, over any link, kept an hour, bounded.
Pure.

Parts are rows of the transaction, encrypted by the edge, because one of them may hold a password.
The last part to come is carried out as the whole text in the same transaction that removes the
others.
"""

from typing import NamedTuple

import msgspec

from telcod.dispatch import Parsed
from telcod.errors import Overloaded
from telcod.rows import MO_PART, MoPart
from telcod.text import DATA_CODING_DEFAULT, decode_gsm7, decode_ucs2, without_nul
from telcod.tx import Tx
from telcod.types import Concat, Request
from telcod.vault import Vault

STORED_TEXT_CHARS_MAX = 1_000


class AssemblyWaits(NamedTuple):
    """The part is kept; nothing more happens until the others come.

    `outcome` goes into the journal.
    """

    outcome: str


class Assembled(NamedTuple):
    """All parts are here: `request` is the whole text's."""

    request: Request
    parsed: Parsed


def take_part(
    tx: Tx, request: Request, vault: Vault, *, waiting: int
) -> AssemblyWaits | Assembled | Overloaded:
    """Keep a part, or put the text together when it completes it.

    Args:
        tx: The open transaction.
        request: With `mo.concat` and the sealed part.
        vault: Opens sealed parts.
        waiting: How many parts wait altogether, to stay bounded.

    Returns:
        `Overloaded` when too many parts wait: nothing is kept, the SMSC tries again.
    """
    mo = request.mo
    if mo is None or mo.concat is None:
        raise ValueError("not a part of a long text")
    concat = mo.concat
    limits = tx.rules.limits.texts
    sender = f"{mo.source}>{mo.destination or request.short_code}"
    group = tx.group(MO_PART, sender)
    fresh_after = tx.now_ms - limits.parts_kept_min * 60_000
    siblings = [row for row in group.values() if (row.ref, row.total) == (concat.ref, concat.total)]
    if any(row.at < fresh_after or _differs(row, concat, mo.sealed, vault) for row in siblings):
        _remove(
            tx, siblings
        )  # The reference number came round again: these belong to an older text.
        siblings = []
    have = {row.part: row for row in siblings}
    if len(have.keys() | {concat.part}) < concat.total:
        if concat.part not in have:
            if waiting >= limits.parts_total_max:
                return Overloaded("too many parts of long texts are waiting")
            _make_room(
                tx, sender, keep=(concat.ref, concat.total), most=limits.assemblies_per_sender_max
            )
            tx.put(
                MO_PART,
                MoPart(
                    sender,
                    concat.ref,
                    concat.total,
                    concat.part,
                    tx.now_ms,
                    mo.data_coding,
                    mo.sealed,
                ),
            )
            tx.parts_delta += 1
        return AssemblyWaits("part.waiting")
    data = [
        (mo.data_coding, mo.sealed) if n == concat.part else (have[n].data_coding, have[n].sealed)
        for n in range(1, concat.total + 1)
    ]
    text = _decode([(coding, vault.open(sealed) or b"") for coding, sealed in data])
    _remove(tx, siblings)
    parsed = tx.rules.dispatcher.parse(mo.destination or request.short_code, text)
    kept = "" if parsed.secret_bearing else text[:STORED_TEXT_CHARS_MAX]
    whole = msgspec.structs.replace(
        request,
        route=parsed.route,
        args=parsed.args,
        mo=msgspec.structs.replace(mo, concat=None, sealed=b"", stored_text=kept),
    )
    return Assembled(whole, parsed)


def _decode(parts: list[tuple[int, bytes]]) -> str:
    """Parts of one coding are joined before they are decoded.

    A peer may cut an escape or a surrogate pair in two.
    """
    codings = {coding for coding, _ in parts}
    if len(codings) > 1:
        return "".join(_decode([part]) for part in parts)
    whole = b"".join(data for _, data in parts)
    text = decode_gsm7(whole) if codings == {DATA_CODING_DEFAULT} else decode_ucs2(whole)
    return without_nul(text)


def _differs(row: MoPart, concat: Concat, sealed: bytes, vault: Vault) -> bool:
    return row.part == concat.part and vault.open(row.sealed) != vault.open(sealed)


def _make_room(tx: Tx, sender: str, *, keep: tuple[int, int], most: int) -> None:
    """A sender's oldest unfinished text gives way when there would be too many."""
    oldest: dict[tuple[int, int], list[MoPart]] = {}
    for row in sorted(tx.group(MO_PART, sender).values(), key=lambda row: row.at):
        oldest.setdefault((row.ref, row.total), []).append(row)
    oldest.pop(keep, None)
    while len(oldest) >= most:
        _remove(tx, oldest.pop(next(iter(oldest))))


def _remove(tx: Tx, rows: list[MoPart]) -> None:
    for row in rows:
        tx.delete(MO_PART, row)
    tx.parts_delta -= len(rows)
