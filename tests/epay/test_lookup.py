"""The door of a look-up: a refusal costs the same whatever its reason; no password goes further.

What is compared is the processor's time over shuffled rounds, so that other work on the machine
counts for nothing.
"""

import asyncio
import random
import statistics
import time
from typing import Any

import pytest

from telcod.epay.lookup import WAITING_MAX, LookUps
from telcod.errors import Overloaded
from telcod.msisdn import parse
from telcod.rows import LOOKUP_TRIES, PAYMENT_PASSWORD
from telcod.types import Request
from tests.book_world import BookWorld

pytestmark = pytest.mark.rule("PAY-2", "PAYAPI-1")

MEMORY_KIB = 8 * 1024
ROUNDS = 25
A, B = 84_903_000_001, 84_903_000_002
PASSWORD = "ABC123"
KINDS = {
    "wrong": ("0903000001", "WRONG1"),
    "none": ("0903000002", PASSWORD),
    "unknown": ("0903999999", PASSWORD),
    "no number": ("hello", PASSWORD),
    "malformed": ("0903000001", "%" * 200),
}


class Door:
    """The daemon as a look-up sees it, which counts what it is asked."""

    def __init__(self, world):
        self.lookups: Any = None
        self.world = world
        self.requests = []
        self.reads = []

    async def submit(self, request):
        self.requests.append(request)
        (result,) = self.world.run(request)
        return result

    def parse_number(self, text):
        return parse(text, self.world.rules.old_prefixes)

    async def read_hash(self, msisdn):
        self.reads.append(msisdn)
        row = self.world.row(PAYMENT_PASSWORD, msisdn)
        return row.hash if row else ""


@pytest.fixture
def door(tmp_path):
    with BookWorld(tmp_path / "books.db") as world:
        world.subscriber(A, kind="postpaid", debt_vnd=70_000, name="An", address="Huế")
        world.subscriber(B, kind="postpaid", name="Bình", address="Vinh")
        door = Door(world)
        door.lookups = LookUps(door.read_hash, memory_kib=MEMORY_KIB)
        secret = door.lookups._hasher.hash(PASSWORD)
        world.run(Request("password.set", sender=A, short_code="9223", secret_hash=secret))
        yield door
        door.lookups.close()


def look_up(door, number, password, **more):
    return asyncio.run(door.lookups.look_up(door, number, password, **more))


@pytest.mark.parametrize("typed", ["ABC123", "abc123", " Abc123 "])
@pytest.mark.parametrize("number", ["0903000001", "+84 903 000 001"])
def test_number_and_password_show_the_debt_whatever_their_case(door, number, typed):
    found = look_up(door, number, typed, actor="token:p")
    assert found == {"name": "An", "address": "Huế", "debt_vnd": 70_000}
    assert door.requests[-1].actor == "token:p"


@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_is_none_after_one_read_and_one_request(door, kind):
    assert look_up(door, *KINDS[kind]) is None
    assert (len(door.reads), len(door.requests)) == (1, 1)


@pytest.mark.rule("PAY-1")
def test_no_password_is_in_a_request_or_an_error(door):
    look_up(door, "0903000001", "Secret99")
    look_up(door, "0903000001", PASSWORD)
    assert {request.body["verdict"] for request in door.requests} == {"right", "wrong"}
    assert all(PASSWORD not in repr(request) for request in door.requests)
    assert all("SECRET99" not in repr(request).upper() for request in door.requests)
    assert door.requests[0].secret_hash == ""


def test_a_hash_that_is_none_is_never_right(door):
    async def broken(_):
        return "$argon2id$broken"

    lookups = LookUps(broken, memory_kib=MEMORY_KIB)
    try:
        assert asyncio.run(lookups.look_up(door, "0903000001", PASSWORD)) is None
    finally:
        lookups.close()
    assert door.requests[-1].body["verdict"] == "wrong"


@pytest.mark.parametrize("meanwhile", ["changed", "gone"])
def test_a_password_that_changed_while_it_was_compared_shows_nothing(door, meanwhile):
    waiting = door.submit

    async def later(request):
        if meanwhile == "changed":
            door.world.run(Request("password.set", sender=A, short_code="9223", secret_hash="new"))
        else:
            door.world.set_state(A, "closed")
            door.world.subscriber(A, kind="postpaid", name="Somebody else")
        return await waiting(request)

    door.submit = later
    assert look_up(door, "0903000001", PASSWORD) is None
    door.submit = waiting
    assert door.world.row(LOOKUP_TRIES, A) is None


@pytest.mark.rule("HTTP-4")
def test_when_too_many_wait_the_next_is_told_to_come_again(door):
    gate = asyncio.Event()

    async def slow(_):
        await gate.wait()
        return ""

    async def flood():
        lookups = LookUps(slow, memory_kib=MEMORY_KIB)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WAITING_MAX):
                    group.create_task(lookups.look_up(door, "0903999999", "x"))
                await asyncio.sleep(0)
                with pytest.raises(Overloaded):
                    await lookups.look_up(door, "0903999999", "x")
                gate.set()
            assert await lookups.look_up(door, "0903999999", "x") is None
        finally:
            lookups.close()

    asyncio.run(flood())


def test_a_refusal_takes_as_long_whatever_the_reason(door):
    took = asyncio.run(measured(door))
    middle = {kind: statistics.median(times) for kind, times in took.items()}
    # A skipped comparison would save nearly all of the time; a byte-wise one some of it.
    assert max(middle.values()) < 1.5 * min(middle.values()), middle


async def measured(door):
    order = random.Random(1)
    took: dict = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        kinds = list(KINDS)
        order.shuffle(kinds)
        for kind in kinds:
            started = time.process_time()
            assert await door.lookups.look_up(door, *KINDS[kind]) is None
            took[kind].append(time.process_time() - started)
    return took


def test_the_measure_would_see_a_comparison_that_was_left_out(door):
    async def without_comparing():
        await door.read_hash(A)
        started = time.process_time()
        await door.submit(Request("lookup.try", sender=A, body={"verdict": "wrong"}))
        return time.process_time() - started

    left_out = statistics.median([asyncio.run(without_comparing()) for _ in range(5)])
    full = asyncio.run(measured(door))["wrong"]
    assert left_out < statistics.median(full) / 1.5
