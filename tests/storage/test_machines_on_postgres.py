"""The machines that play against the models, over PostgreSQL: the store changes nothing.

A few examples in the default run; the other stores' tests draw many more from the same machines.
"""

import random
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from tests.call_machine import CallMachine
from tests.call_world import CallWorld
from tests.network_machine import NetworkMachine
from tests.network_world import NetworkWorld
from tests.payment_machine import PaymentMachine
from tests.payment_world import PaymentWorld
from tests.postgres import emptied_books
from tests.service_machine import ServiceMachine
from tests.session_machine import SessionMachine
from tests.session_world import SessionWorld
from tests.world import World

FEWER, STEPS = 2, 20
MANY, LONG = 40, 40
PEOPLE = tuple(range(84_903_000_001, 84_903_000_007))
TEXTS = (
    "DK", "DK7", "HUY", "KT", "KTB", "W 0903000002", "B 0903000003, 0903000004", "XOA W ALL",
    "TC", "ON", "NN EN", "Y", "alo", "", "\U0001f600 đồng ' \" \\ % $1 ?",
)  # fmt: skip


class OnServer:
    """Books in the server that the tests share, empty at the start of each example."""

    world_class = World

    def make_world(self, **options):
        return self.world_class(emptied_books(), **options)


class Service(OnServer, ServiceMachine):
    """Texts, packages and lists."""


class Calls(OnServer, CallMachine):
    """Receiver-paid calls."""

    world_class = CallWorld


class Payments(OnServer, PaymentMachine):
    """Card payments."""

    world_class = PaymentWorld


class Sessions(OnServer, SessionMachine):
    """USSD dialogues."""

    world_class = SessionWorld


class Hints(OnServer, NetworkMachine):
    """Hints after failed calls."""

    world_class = NetworkWorld


MACHINES = (Service, Calls, Payments, Sessions, Hints)


def play(machine, examples, steps):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps)
    )


@pytest.mark.rule("PKG-6", "PFM-15", "PAY-7", "USSD-3", "NET-1")
@pytest.mark.parametrize("machine", MACHINES)
def test_the_service_on_a_server_does_what_the_model_does(machine):
    play(machine, FEWER, STEPS)


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("machine", MACHINES)
def test_in_many_lives_too(machine):
    play(machine, MANY, LONG)


def batches(seed, count):
    """A log of what an operator is asked for: texts, top-ups, states, and time between them."""
    chance = random.Random(seed)
    for _ in range(count):
        asked = [
            (chance.choice(PEOPLE), chance.choice(TEXTS)) for _ in range(chance.choice((1, 2, 20)))
        ]
        yield (
            asked,
            [(chance.choice(PEOPLE), chance.choice((1_000, 50_000)))] * chance.choice((0, 1)),
            chance.choice((0, MINUTE_MS, HOUR_MS, DAY_MS)),
        )


def digest_after(where, seed, count):
    """A hash over every row of every table, after the whole log; and that the books are right."""
    with World(where) as world:
        for at, number in enumerate(PEOPLE):
            world.subscriber(number, balance_vnd=5_000 * at, kind=("prepaid", "postpaid")[at == 5])
        for texts, topups, pause_ms in batches(seed, count):
            world.run(
                *[world.text_request(sender, text) for sender, text in texts],
                *[world.topup_request(number, amount_vnd) for number, amount_vnd in topups],
            )
            world.pass_time(pause_ms)
        assert world.check() == []
        contents = world.contents()
    said = msgspec.msgpack.encode(
        [(name, [msgspec.structs.astuple(row) for row in rows]) for name, rows in contents.items()]
    )
    assert len(contents["mo"]) > count
    return blake2b(said).hexdigest()


def same_books(tmp_path, seed, count):
    return {
        digest_after(where, seed, count) for where in (None, tmp_path / "b.db", emptied_books())
    }


def test_the_same_log_of_commands_gives_the_same_books_in_all_stores(tmp_path):
    assert len(same_books(tmp_path, 1, 25)) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_logs_of_commands_give_the_same_books_in_all_stores(tmp_path, seed):
    assert len(same_books(tmp_path, seed, 150)) == 1


def test_another_log_gives_other_books():
    assert digest_after(None, 1, 5) != digest_after(None, 2, 5)
