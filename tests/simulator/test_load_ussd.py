"""The load of USSD has real dialogues, and notices when one goes wrong."""

import pytest

from telcod.rows import USSD_SESSION
from telcod.service import SERVICE
from telcod.simulator.load import FIRST_MSISDN
from telcod.simulator.load_ussd import OPS, WALKS, Dialogues, keep_open, walk
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from tests.e2e.harness import Telcod

pytestmark = pytest.mark.anyio

PEOPLE = 40
TOKEN = "telcod_load"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def telcod(tmp_path):
    async with Telcod(tmp_path, routes=SERVICE) as running:
        numbers = range(FIRST_MSISDN, FIRST_MSISDN + PEOPLE)
        await running.subscribers(*({"msisdn": number} for number in numbers))
        made = create_token("load", Scope.USSD, token_hash(TOKEN), actor="test")
        await running.daemon.submit(made)
        yield running


def dialogues(token=TOKEN):
    return Dialogues("telcod", token, PEOPLE, name="d", seed=1)


async def test_whole_dialogues_reach_their_leaves_and_are_counted(telcod):
    source = dialogues()
    port = telcod.daemon.web.port
    report = await walk(port, source, connections=2, seconds=0.05, warm_up_s=0)
    assert report.faults == []
    assert report.answer_ms.keys() <= {*OPS, "all"}
    sessions = await telcod.rows(USSD_SESSION)
    assert report.requests == sum(row.step for row in sessions)


async def test_dialogues_stay_open_and_go_on(telcod):
    port = telcod.daemon.web.port
    opening, walking = await keep_open(port, dialogues(), connections=3, count=PEOPLE)
    assert opening.faults == walking.faults == []
    assert (opening.requests, walking.requests) == (PEOPLE, PEOPLE)
    rows = await telcod.rows(USSD_SESSION)
    assert [(row.step, row.ended) for row in rows] == [(2, 0)] * PEOPLE


async def test_an_answer_that_is_not_as_it_must_be_is_a_fault(telcod):
    port = telcod.daemon.web.port
    report, _ = await keep_open(port, dialogues("nobody"), connections=1, count=1)
    (fault,) = report.faults
    assert fault.startswith("dial: ")
    assert "not_authenticated" in fault


def test_every_walk_is_had_in_turn():
    source = dialogues()
    lasts = [source.whole()[-1].op for _ in range(2 * len(WALKS))]
    assert lasts == 2 * [name for name, _ in WALKS]
