"""Browsers that look on get every event in order; one that does not read is let go."""

import pytest

from telcod.demo.listeners import EVENTS_MAX, Listeners

pytestmark = [pytest.mark.anyio, pytest.mark.rule("DEMO-1")]


async def test_what_happens_while_everything_is_told_comes_after_it():
    listeners = Listeners()

    def first():
        listeners.tell("later", 1)
        return b"everything"

    stream = listeners.stream(first)
    assert await anext(stream) == b"everything"
    assert await anext(stream) == b"event: later\ndata: 1\n\n"
    await stream.aclose()


async def test_a_browser_that_does_not_read_is_let_go():
    listeners = Listeners()
    stream = listeners.stream(lambda: b"")
    await anext(stream)
    for n in range(EVENTS_MAX + 1):
        listeners.tell("line", n)
    assert [each async for each in stream] == []


async def test_closing_ends_every_stream():
    listeners = Listeners()
    streams = [listeners.stream(lambda: b""), listeners.stream(lambda: b"")]
    for stream in streams:
        await anext(stream)
    listeners.close()
    assert [[each async for each in stream] for stream in streams] == [[], []]
