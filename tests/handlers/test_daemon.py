"""The books count the starts, and hold tariffs and the installation's secret to their word."""

import msgspec
import pytest

from handlers.daemon import changed_tariffs
from telcod.billing.tariffs import TariffBook
from telcod.rows import AUDIT, META, TARIFF_SEEN, TariffSeen
from telcod.storage.memory import MemoryStore
from telcod.types import Channel, Request
from tests.call_world import rules_of_calls
from tests.world import START_MS, World

LATER_MS = START_MS + 1_000
RULES = rules_of_calls(("next", LATER_MS, 3_000, 6))


@pytest.fixture
def store():
    return MemoryStore()


def ask(store, op, *args, rules=RULES, start_ms=START_MS):
    world = World(store=store, rules=rules, start_ms=start_ms)
    (reply,) = world.run(Request(f"daemon.{op}", args=args, channel=Channel.CLOCK, actor="SIGHUP"))
    return reply.outcome, reply.data


def with_price(minute_vnd):
    """The same tariffs, the newest of them with another price."""
    newest, *others = RULES.tariffs.tariffs
    voice = msgspec.structs.replace(newest.voice, minute_vnd=minute_vnd)
    changed = msgspec.structs.replace(newest, voice=voice)
    return msgspec.structs.replace(RULES, tariffs=TariffBook([changed, *others]))


def seen(store):
    return {row.id: row for row in store.scan(TARIFF_SEEN)}


def test_starts_are_counted(store):
    started = [ask(store, "start") for _ in range(3)]
    assert started == [("daemon.started", {"boots": boots}) for boots in (1, 2, 3)]


def test_books_keep_to_the_secret_that_they_were_begun_with(store):
    assert ask(store, "start", "one") == ("daemon.started", {"boots": 1})
    assert ask(store, "start", "other") == ("secret.another", None)
    assert ask(store, "start", "one") == ("daemon.started", {"boots": 2})
    assert {row.name: row.value for row in store.scan(META)}["secret_name"] == "one"


@pytest.mark.rule("CFG-2")
@pytest.mark.parametrize("op", ["start", "reload"])
def test_a_tariff_may_change_until_it_is_valid_and_never_after(store, op):
    ask(store, "start")
    first, newest = seen(store), RULES.tariffs.tariffs[0]
    assert first["next"] == TariffSeen("next", LATER_MS, newest.fingerprint())
    changed = with_price(4_000)
    assert ask(store, op, rules=changed, start_ms=LATER_MS - 1)[0].startswith("daemon.")
    assert seen(store)["next"].hash == changed.tariffs.tariffs[0].fingerprint()
    refused = ask(store, op, rules=with_price(5_000), start_ms=LATER_MS)
    assert refused == ("tariff.changed", {"tariffs": ["next"]})
    assert seen(store)["next"].hash == changed.tariffs.tariffs[0].fingerprint()


@pytest.mark.rule("CARE-2")
def test_a_reload_is_in_the_audit_log_and_a_sign_of_life_is_not(store):
    world = World(store=store, rules=RULES)
    assert ask(store, "alive") == ("daemon.alive", None)
    assert ask(store, "reload") == ("daemon.reloaded", None)
    (line,) = store.scan(AUDIT)
    assert (line.actor, line.action, line.subject) == ("SIGHUP", "reload", "rules")
    assert world.check() == []


@pytest.mark.rule("CFG-2")
def test_a_tariff_that_is_gone_has_changed_too():
    old = RULES.tariffs.tariffs[-1]
    gone = TariffSeen("gone", START_MS, "hash")
    later = TariffSeen("later", START_MS + 1, "hash")
    known = TariffSeen(old.id, old.valid_from_ms, old.fingerprint())
    rows = {row.id: row for row in (gone, later, known)}
    assert changed_tariffs([old], rows, START_MS) == ["gone"]
    assert changed_tariffs([old], rows, START_MS + 1) == ["gone", "later"]
    assert changed_tariffs([], rows, START_MS) == sorted(["gone", old.id])
