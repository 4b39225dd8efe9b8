"""Walks the shipped menu, whichever way leads on, and says what a text would have done.

`crawl` goes breadth first from what is dialled: at each screen that it has not seen it types
everything that makes sense and much that doesn't, each time in a copy of the same books.  What a
leaf did is in the journal, and `text_of` is the text that asks for the same.
"""

import re
import tomllib
from collections import deque
from functools import cache
from typing import Any, NamedTuple

import msgspec

from telcod.msisdn import Msisdn, national
from telcod.rows import (
    COMMAND,
    MO,
    OUTBOX_SMS,
    TABLES,
    USSD_LAST,
    USSD_SESSION,
)
from telcod.settings import shipped_config_dir
from telcod.storage.memory import MemoryStore
from tests.network_world import with_gateways
from tests.session_world import CODE, SessionWorld, said
from tests.world import shipped_rules
from ussd.menu import BACK_KEY, ONWARD_KEY
from ussd.steps import Shown, shown

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004
OWN, LISTED, BLOCKED, NEW = (national(Msisdn(number)) for number in (A, B, C, D))
OFF_NET = "0977000001"
HELLO = "Hello * you"
KEYS = tuple("0123456789")
NONSENSE = ("", "x", "12", "1#", "*", "ALL")
NUMBERS = (NEW, OWN, LISTED, BLOCKED, OFF_NET, "12345", f"{LISTED}*{NEW}*123")
PAGES_MAX = 9
FORWARD = "forward.text"
GUIDE = "dial.guide"
# Not what a request does, but how it came and was answered.
NOT_EFFECTS = (MO, OUTBOX_SMS, COMMAND, USSD_SESSION, USSD_LAST)
# What names the request that caused a row; the hashes of a chain go with it.
NAMES = frozenset({"command", "hash", "prev_hash"})


class Visit(NamedTuple):
    """A way through the menu: what was typed, all that was shown, the leaf at its end if any."""

    inputs: tuple[str, ...]
    screens: tuple[Shown, ...]
    leaf: tuple[str, tuple[str, ...]] | None

    @property
    def last(self):
        return self.screens[-1]

    @property
    def answer(self):
        """What the leaf answered: its pages, without the words about keys."""
        words = self.screens[len(self.inputs) :]
        return " ".join(" ".join(without_ways(screen.text).split()) for screen in words)


def furnished(language="vi", *, package=True, lists=True, code=True, pending=False):
    """Books in which there is something to show, to remove, to cancel and to answer.

    The code by which A may answer is `world.code_of(A)`.
    """
    limits = shipped_rules().limits
    packages = msgspec.structs.replace(limits.packages, confirm_registration=pending)
    rules = msgspec.structs.replace(
        with_gateways(pushes=False), limits=msgspec.structs.replace(limits, packages=packages)
    )
    world = SessionWorld(rules=rules)
    for number in (A, B, C, D):
        tongue = language if number == A else "vi"
        world.subscriber(number, balance_vnd=20_000, language=tongue)
    if package or pending:
        world.text(A, "DK7")
    if lists:
        if package:
            world.text(A, f"W {LISTED}")
        world.text(A, f"B {BLOCKED}")
    if code:
        world.forward(D, A, "Are you there?")
    return world


def copy_of(world):
    """The same books once more."""
    store = MemoryStore()
    store._tables = [dict(rows) for rows in world.store._tables]
    made = type(world)(rules=world.rules, store=store)
    made.clock.advance(world.now_ms - made.now_ms)
    return made


def walk(world, inputs, *, code=CODE, read=True):
    """Dial, type, and read what a leaf answers to its end; where that led."""
    before = world.batcher._seqs[MO.index]
    screens = []
    requests = [said("crawl", A, typed, step=at, code=code) for at, typed in enumerate(inputs)]
    screens = [shown(answer) for answer in world.run(*requests)]
    leaf = leaf_of(world, before)
    while read and leaf and not screens[-1].ends:
        answer = world.step("crawl", A, ONWARD_KEY, step=screens[-1].step)
        screens.append(shown(answer))
        assert len(screens) < len(inputs) + PAGES_MAX, "pages without an end"
    return Visit(tuple(inputs[1:]), tuple(screens), leaf)


def leaf_of(world, first_seq):
    """What was journalled since: a leaf and its arguments."""
    rows = [row for row in world.store.scan(MO) if row.seq >= first_seq]
    assert len(rows) <= 1, rows
    if not rows:
        return None
    number, _, text = rows[0].text.partition(" ")
    args = (number, text) if rows[0].route == FORWARD else tuple(rows[0].text.split())
    return rows[0].route, args


def crawl(world, *typed):
    """All ways through the menu, shortest first; each screen is gone on from once.

    Args:
        world: The books; they stay as they are.
        typed: What is typed everywhere besides keys, nonsense and numbers.
    """
    inputs = (*KEYS, *NONSENSE, *NUMBERS, *typed)
    ways: deque[tuple[str, ...]] = deque([("",)])
    seen = set()
    while ways:
        way = ways.popleft()
        there = copy_of(world)
        visit = walk(there, way)
        yield visit
        if visit.leaf is not None or visit.last.ends:
            continue
        place = there.session("crawl").place  # What was typed on the way is part of it.
        if place not in seen:
            seen.add(place)
            ways.extend((*way, each) for each in inputs)


def leaves(world, *typed):
    """The shortest way to each leaf with each of its arguments, wrong inputs left out."""
    found: dict[Any, Visit] = {}
    hints = hints_of(world)
    for visit in crawl(world, *typed):
        hinted = any(hint in screen.text for screen in visit.screens for hint in hints)
        if visit.leaf is not None and not hinted:
            found.setdefault(visit.leaf, visit)
    return list(found.values())


def hints_of(world):
    """All that is said of wrong inputs."""
    return {
        getattr(words, name)
        for menu in world.rules.menus.values()
        for words in menu.words.values()
        for name in words._fields
        if name.startswith("wrong_")
    }


def without_ways(text):
    """A screen without its last lines that tell the keys 0 and 9."""
    lines = text.split("\n")
    while len(lines) > 1 and re.match(rf"[{ONWARD_KEY}{BACK_KEY}] ", lines[-1]):
        lines.pop()
    return "\n".join(lines)


@cache
def _keywords():
    path = shipped_config_dir() / "keywords.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["1566"]


def text_of(leaf):
    """The text that asks for the same: where to, and the words; None if there is none."""
    route, args = leaf
    if route == FORWARD:
        return f"1566{national(Msisdn(int(args[0])))}", args[1]
    if route == GUIDE:
        return None
    words = (arg.removeprefix("!") for arg in args)
    return "1566", " ".join((_keywords()[route][0], *words))


def effects(world):
    """All that requests did to the books, but not what it was called there."""
    done: dict[str, Any] = {
        table.name: [_unnamed(row) for row in world.store.scan(table)]
        for table in TABLES
        if table not in NOT_EFFECTS
    }
    # Answers come by the door that was asked at; what else leaves is an effect.
    done["sms"] = [
        (row.kind, row.source, row.destination, row.text, row.expires_at)
        for row in world.outbox()
        if row.kind != "reply"
    ]
    return done


def _unnamed(row):
    kept = {name: value for name, value in msgspec.structs.asdict(row).items() if name not in NAMES}
    if "body" in kept and "command" in kept["body"]:  # Of an event.
        body = msgspec.json.decode(kept["body"])
        kept["body"] = {name: value for name, value in body.items() if name not in NAMES}
    return kept
