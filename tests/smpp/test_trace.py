"""A trace shows what passes, waits for nobody, and leaves the link alone when it ends."""

import asyncio

import pytest

from telcod.errors import Overloaded
from telcod.smpp.pdu import DeliverSm, EnquireLink, encode
from telcod.smpp.tap import Ends
from telcod.smpp.trace import (
    KEPT_BYTES_MAX,
    TRACES_MAX,
    TraceBegun,
    TracedPdu,
    TraceMissed,
    Tracer,
)

pytestmark = pytest.mark.rule("SMPP-8", "CLI-8")

ENDS = Ends(1, "127.0.0.1", 40_000, "127.0.0.1", 2_775)
FRAME = encode(EnquireLink(), sequence_number=1)
AT_MS = 1_790_000_000_000


class FakeLink:
    """A link of one connection; `pass_by` is a PDU on it."""

    name = "a"
    bound = True

    def __init__(self):
        self.tap = None

    def watch(self, tapper):
        self.tap = None if tapper is None else tapper(ENDS)

    def pass_by(self, frame=FRAME, direction="in"):
        if self.tap is not None:
            self.tap(direction, frame)


def tracer():
    return Tracer(lambda: AT_MS, lambda: ("9223",))


def texted(to, text=b"MK secret"):
    return encode(
        DeliverSm(source_addr="84903000001", destination_addr=to, short_message=text),
        sequence_number=2,
    )


def run(dialogue):
    asyncio.run(dialogue())


async def read(trace):
    return [line async for line in trace.lines()]


def test_it_begins_by_saying_so_and_shows_each_pdu_with_its_time_and_way():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        lines = traces.trace(link)
        assert await anext(lines) == TraceBegun("a", bound=True)
        link.pass_by()
        link.pass_by(direction="out")
        assert await anext(lines) == TracedPdu(AT_MS, ENDS, "in", FRAME)
        assert await anext(lines) == TracedPdu(AT_MS, ENDS, "out", FRAME)
        await lines.aclose()

    run(dialogue)


def test_the_link_of_the_last_trace_is_left_alone():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        first, second = traces.open(link), traces.open(link)
        traces.end(first)
        assert link.tap is not None
        traces.end(second)
        assert link.tap is None

    run(dialogue)


def test_it_ends_after_so_many_pdus():
    async def dialogue():
        link = FakeLink()
        lines = tracer().trace(link, pdus=2)
        await anext(lines)
        for _ in range(3):
            link.pass_by()
        assert [line.frame async for line in lines] == [FRAME, FRAME]
        assert link.tap is None

    run(dialogue)


def test_it_ends_after_so_many_seconds():
    async def dialogue():
        assert len([line async for line in tracer().trace(FakeLink(), seconds=0)]) == 1

    run(dialogue)


@pytest.mark.rule("PAY-1")
def test_what_goes_to_a_code_that_takes_passwords_is_not_shown():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        trace = traces.open(link)
        link.pass_by(texted("9223"))
        link.pass_by(texted("1566", b"KT"))
        traces.close()
        _, hidden, shown = await read(trace)
        assert b"secret" not in hidden.frame
        assert shown.frame == texted("1566", b"KT")

    run(dialogue)


def test_a_slow_reader_misses_pdus_and_is_told_how_many():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        trace = traces.open(link)
        big = texted("1566", bytes(200))
        room = KEPT_BYTES_MAX // len(big)
        for _ in range(room + 7):
            link.pass_by(big)
        traces.close()
        begun, *kept, missed = await read(trace)
        assert isinstance(begun, TraceBegun)
        assert len(kept) == room
        assert missed == TraceMissed(7)

    run(dialogue)


def test_one_more_than_may_be_is_refused_and_harms_nobody():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        for _ in range(TRACES_MAX):
            traces.open(link)
        with pytest.raises(Overloaded):
            traces.open(link)
        with pytest.raises(Overloaded):
            await anext(traces.trace(link))
        link.pass_by()

    run(dialogue)


def test_all_end_when_telcod_stops_and_none_begins_after():
    async def dialogue():
        link, traces = FakeLink(), tracer()
        before = traces.open(link)
        traces.close()
        after = traces.open(link)
        assert len(await read(before)) == len(await read(after)) == 1

    run(dialogue)
