"""Whitelist and blacklist: who is on one, and what adding or removing comes to (LST-1, LST-2).
Pure.

A number stands on one list of an owner at a time, because (owner, number) is the key; so "both
apply" cannot be stored, and whoever asks for a verdict looks at one row.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from telcod.rows import ListEntry, ListKind, State, Subscriber


class ListLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of LST that are settings."""

    entries_max: int = 50


class Verdict(StrEnum):
    """What became of one number.

    The refusals are checked in this order; values end the catalogue's keys.
    """

    MALFORMED = "malformed"
    OWN = "own"
    OFF_NET = "off_net"
    DUPLICATE = "duplicate"
    FULL = "full"
    ADDED = "added"
    MOVED = "moved"
    REMOVED = "removed"
    NOT_LISTED = "not_listed"


def decide_add(
    kind: ListKind,
    number: int,
    listed: Subscriber | None,
    entries: Mapping[tuple[int, int], ListEntry],
    limits: ListLimits,
    *,
    owner: int,
) -> Verdict:
    """Say what adding a number to a list comes to (LST-2).

    Args:
        kind: Which list.
        number: The number, well formed.
        listed: The subscriber of that number; None is off-net.
        entries: The owner's entries on both lists, by (owner, number).
        limits: How long a list may be.
        owner: Whose list it is.
    """
    if number == owner:
        return Verdict.OWN
    if not on_net(listed):
        return Verdict.OFF_NET
    entry = entries.get((owner, number))
    if entry is not None and entry.kind == kind:
        return Verdict.DUPLICATE
    if sum(1 for other in entries.values() if other.kind == kind) >= limits.entries_max:
        return Verdict.FULL
    return Verdict.ADDED if entry is None else Verdict.MOVED


def on_net(subscriber: Subscriber | None) -> bool:
    """NUM-4: in the subscriber data and not closed; the prefix decides nothing."""
    return subscriber is not None and subscriber.state != State.CLOSED


def numbers_of(entries: Mapping[tuple[int, int], ListEntry], kind: ListKind) -> list[int]:
    """The numbers on one list, oldest first."""
    found = [entry for entry in entries.values() if entry.kind == kind]
    return [
        entry.number for entry in sorted(found, key=lambda entry: (entry.added_at, entry.number))
    ]
