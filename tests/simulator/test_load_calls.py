"""The load of calls puts real calls through, and notices when one goes wrong."""

import pytest

from telcod.simulator.load import FIRST_MSISDN
from telcod.simulator.load_calls import OPS, Calls, keep_open, percentiles, put_through
from tests.ivr.operator import Operator

pytestmark = pytest.mark.anyio

PEOPLE = 20


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def operator(tmp_path):
    async with Operator(tmp_path) as running:
        numbers = range(FIRST_MSISDN, FIRST_MSISDN + PEOPLE)
        lines = ({"msisdn": number, "balance_vnd": 100_000} for number in numbers)
        await running.telcod.subscribers(*lines)
        yield running


async def calls_of(operator, *ops):
    token = await operator.token("load")
    return Calls("telcod", token, PEOPLE, ops=ops, name="c", seed=1)


async def test_whole_calls_go_through_and_are_counted(operator):
    calls = await calls_of(operator, *OPS)
    port = operator.daemon.web.port
    report = await put_through(port, calls, connections=2, seconds=0.05, warm_up_s=0)
    assert report.faults == []
    assert report.calls >= 2
    assert report.requests == len(OPS) * report.calls
    assert report.answer_ms.keys() == {*OPS, "all"}
    assert await operator.charges() == [1_500] * report.calls


async def test_calls_are_kept_open_and_reported_on(operator):
    calls = await calls_of(operator, *OPS[:3])
    port = operator.daemon.web.port
    opening, talking = await keep_open(port, calls, connections=3, count=PEOPLE)
    assert opening.faults == talking.faults == []
    assert (opening.requests, talking.requests) == (3 * PEOPLE, PEOPLE)
    assert len(await operator.open_holds()) == PEOPLE


async def test_an_answer_that_is_not_as_it_must_be_is_a_fault(operator):
    calls = Calls("telcod", "telcod_none", PEOPLE, ops=OPS[:1], name="c", seed=1)
    port = operator.daemon.web.port
    report, _ = await keep_open(port, calls, connections=1, count=1)
    (fault,) = report.faults
    assert fault.startswith("offer: ")
    assert "not_authenticated" in fault


def test_percentiles_are_of_the_ordered_times():
    assert percentiles([0.003, 0.001, 0.002]) == {"p50": 2.0, "p99": 3.0, "max": 3.0}
    assert percentiles([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0}
