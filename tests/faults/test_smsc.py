"""An SMSC that is ill in every way we know of, under a whole telcod with texts under way.

Whatever it does: each text has one effect in the books and its answer, none is lost, and when the
SMSC is well again telcod goes on by itself.  What no answer came for may arrive twice (SMPP-5).
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from telcod.rows import MO, OUTBOX_SMS, PERIOD, OutboxState
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import (
    SILENCE,
    STATUS_QUEUE_FULL,
    STATUS_SYSTEM_ID,
    STATUS_THROTTLED,
    Behaviour,
    Fault,
    FaultKind,
)
from tests.e2e.harness import (
    DATABASE,
    Telcod,
    TelcodProcess,
    link,
    subscribers,
    write_settings,
)
from tests.world import World

NUMBERS = tuple(range(84903000100, 84903000130))
QUICK = {
    "throttle_base_s": 0.01,
    "throttle_max_s": 1.0,
    "unbind_wait_s": 0.5,
    "response_wait_s": 1.0,
    "enquire_link_s": 1.0,
    "partial_pdu_s": 1.0,
}
ENQUIRIES = 5_000
STRANGE_SEQUENCE = 0x5000_0000

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-2", "SMPP-5", "SMPP-6")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


# ------------------------------------------------------------------------------ the illnesses


def frame(command_id, sequence, body=b"", status=0):
    return b"".join(n.to_bytes(4) for n in (16 + len(body), command_id, status, sequence)) + body


def answer_under_wrong_numbers(smsc, at):
    """A submit_sm_resp to what was never sent, and one to what was never a submit_sm."""
    for sequence in (STRANGE_SEQUENCE + at, 0, 0xFFFF_FFFF):
        smsc.send_raw(frame(0x8000_0004, sequence, b"id\0"))


def tell_of_unknown_texts(smsc, at):
    """Receipts for message ids that nobody ever gave, and for none."""
    for message_id in (f"nobody-{at}", ""):
        smsc.send_deliver(
            source_addr=str(NUMBERS[at]),
            destination_addr="1566",
            esm_class=0x04,
            receipted_message_id=message_id,
            message_state=2,
        )


def flood_with_enquiries(smsc, at):
    if at == len(NUMBERS) // 2:
        smsc.send_raw(b"".join(frame(0x15, n) for n in range(1, ENQUIRIES + 1)))


async def die_and_come_back(smsc, at):
    if at % 10 == 5:
        await smsc.stop(abrupt=True)
        await smsc.start()


def many(kind, *moments, **how):
    return tuple(Fault(kind=kind, after_pdus=moment, **how) for moment in moments)


def submits(count):
    """Ill until so many submits have come."""
    return lambda smsc: len(smsc.submitted) >= count


@dataclass(frozen=True)
class Illness:
    """How the SMSC behaves, what it does beside each text, when it is well again (None: it falls
    ill so often and not again), and whether some answers may come twice.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    beside: Any = None
    until: Any = None
    twice: bool = True


ILLNESSES = {
    "throttles": Illness(Behaviour(submit_status=STATUS_THROTTLED), None, submits(8), twice=False),
    "its queue is full": Illness(
        Behaviour(submit_status=STATUS_QUEUE_FULL), None, submits(8), twice=False
    ),
    "answers no submit": Illness(Behaviour(submit_status=SILENCE), None, submits(len(NUMBERS))),
    "falls silent": Illness(Behaviour(faults=many(FaultKind.MUTE, 7, 40))),
    "stops in the middle of a PDU": Illness(Behaviour(faults=many(FaultKind.HALF_PDU, 7, 40))),
    "sends garbage": Illness(Behaviour(faults=many(FaultKind.GARBAGE, 5, 17, 29))),
    "unbinds in the middle": Illness(Behaviour(faults=many(FaultKind.UNBIND, 3, 9, 15, 31))),
    "closes at every PDU": Illness(Behaviour(faults=many(FaultKind.DISCONNECT, *range(2, 16)))),
    "closes before it answers": Illness(
        Behaviour(
            faults=many(FaultKind.DISCONNECT, *range(1, 9), command="submit_sm", before_answer=True)
        )
    ),
    "answers under wrong numbers": Illness(
        Behaviour(submit_answers=(SILENCE,) * 5), answer_under_wrong_numbers, submits(10)
    ),
    "answers everything twice": Illness(Behaviour(duplicate_responses=True), twice=False),
    "tells of unknown texts": Illness(Behaviour(), tell_of_unknown_texts, twice=False),
    "floods with enquiries": Illness(Behaviour(), flood_with_enquiries, twice=False),
    "restarts": Illness(Behaviour(), die_and_come_back),
    "refuses binds after a restart": Illness(
        Behaviour(bind_answers=(STATUS_SYSTEM_ID,) * 3), die_and_come_back
    ),
}
SAMPLE = {"throttles", "falls silent", "closes at every PDU", "answers under wrong numbers"}


# ------------------------------------------------------------------------------ under a telcod


@contextlib.asynccontextmanager
async def serving(folder, smsc, *, process):
    """A telcod on books that have the crowd; in this process, or one of its own."""
    settings = link(smsc, window=10, reconnect_max_s=0.1)
    write_settings(folder, settings)
    subscribers(folder, *({"msisdn": each, "balance_vnd": 20_000} for each in NUMBERS))
    if not process:
        async with Telcod(folder, settings, **{"smpp.timers": QUICK}) as telcod:
            await smsc.wait_bound()
            yield
            await telcod.wait_settled(len(NUMBERS))
        return
    write_settings(folder, settings, **{"smpp.timers": QUICK})
    async with TelcodProcess(folder) as telcod:
        await smsc.wait_bound()
        yield
        assert await telcod.terminate() == 0
        assert "Traceback" not in telcod.said


def answered(smsc):
    """Whose answer the SMSC has taken, and said so."""
    return {one.fields["destination_addr"] for one in smsc.submitted if one.status == 0}


async def live_through(illness, smsc):
    """The SMSC falls ill, everybody texts, and it is well again."""
    smsc.behave(illness.behaviour)
    sent = []
    for at, msisdn in enumerate(NUMBERS):
        sent += smsc.send_text(str(msisdn), "1566", "DK")
        if illness.beside is not None:
            beside = illness.beside(smsc, at)
            if beside is not None:
                await beside
    if illness.until is not None:
        await smsc.wait_until(lambda: illness.until(smsc), "the illness has shown")
        smsc.behave(Behaviour())
    assert [await one.taken() for one in sent] == [0] * len(NUMBERS)
    await smsc.wait_until(lambda: answered(smsc) >= set(map(str, NUMBERS)), "an answer for each")
    fallen = [line for line in smsc.conversation.lines if line.command == "fault"]
    assert len(fallen) == len(illness.behaviour.faults)


def assert_done_once(folder, smsc, *, twice):
    with World(folder / DATABASE) as world:
        assert not world.check()
        assert [row.kind for row in world.store.scan(PERIOD)] == ["trial"] * len(NUMBERS)
        texts = [row.source for row in world.store.scan(MO) if "receipt" not in row.route]
        assert sorted(texts) == sorted(map(str, NUMBERS))
        rows = list(world.store.scan(OUTBOX_SMS))
        assert sorted(row.destination for row in rows) == sorted(map(str, NUMBERS))
        assert {row.state for row in rows} <= {OutboxState.ACCEPTED, OutboxState.DELIVERED}
    for msisdn in NUMBERS:
        arrived = smsc.texts_to(str(msisdn))
        assert set(map(len, (arrived, set(arrived)))) == {1} or (twice and len(set(arrived)) == 1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SAMPLE else pytest.mark.thorough)
        for name in ILLNESSES
    ],
)
async def test_an_smsc_that_is_ill_costs_no_text_its_one_effect_and_its_answer(tmp_path, name):
    illness = ILLNESSES[name]
    async with SimulatedSmsc() as smsc:
        async with serving(tmp_path, smsc, process=False):
            await live_through(illness, smsc)
        assert_done_once(tmp_path, smsc, twice=illness.twice)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ILLNESSES)
async def test_an_smsc_that_is_ill_costs_no_text_anything_in_a_real_process(tmp_path, name):
    illness = ILLNESSES[name]
    async with SimulatedSmsc() as smsc:
        async with serving(tmp_path, smsc, process=True):
            await live_through(illness, smsc)
        assert_done_once(tmp_path, smsc, twice=illness.twice)
