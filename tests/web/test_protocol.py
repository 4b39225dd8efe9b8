"""Busy routes over real sockets: whatever comes is answered as the framework's routes would."""

import asyncio
import contextlib
import json
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from telcod.errors import Overloaded
from telcod.simulator.watch import Watch
from telcod.web.app import make_app
from telcod.web.gate import AT_ONCE_MAX
from telcod.web.limits import WebLimits
from telcod.web.protocol import CROWDED_IDLE_S, FAST_BYTES_MAX
from telcod.web.scopes import Scope
from telcod.web.shortcut import UNDER_WAY_MAX, Full, Shortcut
from tests.ussd.scripted import Scripted, screen
from tests.web.serving import looked
from tests.web.serving import serving as serving_on_a_port
from ussd.http import ROUTES
from ussd.shortcut import found

WAIT_S = 20
STEP = json.dumps({"msisdn": "+84903000001", "service_code": "*1566#", "input": "", "step": 0})

pytestmark = [pytest.mark.anyio, pytest.mark.rule("USSD-1", "HTTP-1")]


class Books(Scripted):
    """Scripted books that can be held; `posted` is how often the short way was gone."""

    def __init__(self):
        super().__init__()
        self.posted = 0
        self.held = []
        self.holds = False
        self.came = asyncio.Event()
        self.door = asyncio.Event()
        self.door.set()
        self.watch = Watch()

    async def submit(self, request):
        said = await super().submit(request)
        self.watch.changed()
        await self.door.wait()
        return said

    def post(self, request, told):
        self.posted += 1
        self.came.set()
        if self.holds:
            self.held.append(lambda: told(self.says))
        else:
            told(self.says)


class Caller:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def read(self):
        """Status, head and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        return int(head.split()[1]), head, body

    async def ask(self, octets):
        self.writer.write(octets)
        return await self.read()


def serving(backend, *, short=True, finder=found, **limits):
    """The server, with the short way or without."""
    shortcut = (lambda app: Shortcut(app, finder)) if short else None
    return serving_on_a_port(backend, dialects=ROUTES, shortcut=shortcut, **limits)


@contextlib.asynccontextmanager
async def calling(web):
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


def post(backend, body=STEP, *, path="/ussd/v1/sessions/abc", kind="application/json", more=()):
    """A request's octets."""
    token = backend.token(Scope.USSD, "gw")["Authorization"]
    body = body if isinstance(body, bytes) else body.encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: telcod",
        f"Authorization: {token}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def warmed(caller, request):
    """Which tokens are in use is read by the framework's way, once a second."""
    assert (await caller.ask(request))[0] == 200


async def test_busy_routes_go_the_short_way():
    backend = Books()
    request = post(backend)
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, request)
        with capture_logs() as lines:
            status, head, body = await caller.ask(request)
    assert (status, json.loads(body)) == (200, dict(screen().data))
    assert "content-type: application/json" in head
    assert "date: " in head
    assert backend.posted == 1
    [line] = [line for line in lines if line["event"] == "http.answered"]
    assert (line["status"], line["caller"], line["path"]) == (
        200,
        "token:gw",
        "/ussd/v1/sessions/abc",
    )
    assert (line["session"], line["action"]) == ("gw:abc", "continue")
    assert backend.metrics.counts("telcod_http_seconds")[-1] == 2


async def test_what_is_pipelined_is_answered_in_its_order():
    backend = Books()
    one, other = post(backend), post(backend, path="/ussd/v1/sessions/def")
    plain = b"GET /healthz HTTP/1.1\r\nHost: telcod\r\n\r\n"
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, one)
        backend.holds = True
        backend.came.clear()
        caller.writer.write(one + plain + other + plain)
        await backend.came.wait()
        assert len(backend.held) == 1
        backend.held.pop()()
        backend.holds = False
        bodies = [await caller.read() for _ in range(4)]
        assert [status for status, _, _ in bodies] == [200] * 4
        assert [b"action" in body for _, _, body in bodies] == [True, False, True, False]


async def test_a_body_may_come_in_pieces():
    backend = Books()
    request = post(backend)
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, request)
        for octet in request[:-1]:
            caller.writer.write(bytes((octet,)))
            await caller.writer.drain()
        status, _, _ = await caller.ask(request[-1:])
    assert status == 200
    assert backend.posted == 1


UNUSUAL: dict[str, Any] = {
    "another media type": {"kind": "application/json; charset=utf-8"},
    "no media type of ours": {"kind": "text/plain"},
    "no JSON": {"body": "{"},
    "a wrong field": {"body": '{"msisdn":1}'},
    "an escaped path": {"path": "/ussd/v1/sessions/a%20b"},
    "a query": {"path": "/ussd/v1/sessions/abc?x=1"},
    "no such path": {"path": "/ussd/v1/sessions/a/b"},
    "a body to be asked for": {"more": ("Expect: 100-continue",)},
    "a last request": {"more": ("Connection: close",)},
    "an upgrade": {"more": ("Connection: upgrade", "Upgrade: h2c")},
    "a large body": {"body": json.dumps({"msisdn": "1" * FAST_BYTES_MAX})},
    "too large a body": {"body": json.dumps({"msisdn": "1" * 70_000})},
    "wrong UTF-8": {"body": b'{"msisdn":"\xff"}'},
    "two tokens": {"more": ("Authorization: Bearer nobody",)},
}


@pytest.mark.parametrize("what", UNUSUAL)
async def test_what_is_unusual_is_answered_as_without_the_short_way(what):
    answers = []
    for short in (True, False):
        backend = Books()
        async with serving(backend, short=short) as web, calling(web) as caller:
            await warmed(caller, post(backend))
            asked = len(backend.asked)
            status, head, body = await caller.ask(post(backend, **UNUSUAL[what]))
            if status == 100:
                status, head, body = await caller.read()
            answers.append((status, re.sub("date: .*", "", head), body, len(backend.asked) - asked))
            if "connection: close" not in head:
                await warmed(caller, post(backend))  # It can be asked again.
    assert answers[0] == answers[1]


async def test_chunks_and_the_old_protocol_are_answered_too():
    backend = Books()
    chunked = post(backend).replace(
        b"Content-Length: %d" % len(STEP), b"Transfer-Encoding: chunked"
    )
    head, _, body = chunked.partition(b"\r\n\r\n")
    assert b"chunked" in head
    chunked = head + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    old = post(backend).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, post(backend))
        assert (await caller.ask(chunked))[0] == 200
        status, head_text, _ = await caller.ask(old)
        assert (status, "connection: close" in head_text) == (200, True)
        assert await caller.reader.read() == b""
    assert backend.posted == 0


async def test_who_goes_away_meanwhile_harms_nobody():
    backend = Books()
    async with serving(backend) as web:
        async with calling(web) as caller:
            await warmed(caller, post(backend))
            backend.holds = True
            backend.came.clear()
            caller.writer.write(post(backend))
            await backend.came.wait()
            caller.writer.transport.abort()
        async with calling(web) as caller:
            assert (await caller.ask(b"GET /healthz HTTP/1.1\r\nHost: telcod\r\n\r\n"))[0] == 200
            backend.held.pop()()
            backend.holds = False
            await warmed(caller, post(backend))


async def test_what_is_under_way_at_a_stop_is_answered_and_is_the_last():
    backend = Books()
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, post(backend))
        backend.holds = True
        backend.came.clear()
        caller.writer.write(post(backend))
        await backend.came.wait()
        [connection] = web._servers[0][0].server_state.connections
        connection.shutdown()  # As uvicorn does, which looks ten times a second whether to stop.
        backend.held.pop()()
        status, head, _ = await caller.read()
        assert (status, "connection: close" in head) == (200, True)
        assert await caller.reader.read() == b""


async def test_books_that_are_late_or_full_are_to_be_asked_again():
    backend = Books()
    async with serving(backend, answer_wait_s=0.05) as web, calling(web) as caller:
        await warmed(caller, post(backend))
        backend.holds = True
        status, head, body = await caller.ask(post(backend))
        assert (status, "retry-after: " in head) == (503, True)
        assert json.loads(body)["detail"] == "the books did not answer in time"
        backend.held.pop()()  # Who waited has his answer.
        backend.holds = False
        backend.says = Overloaded("too many requests are waiting")
        assert (await caller.ask(post(backend)))[0] == 503
        backend.says = screen()
        await warmed(caller, post(backend))


async def test_who_may_not_call_is_told_so():
    backend = Books()
    nobody = re.sub(rb"Bearer \S+", b"Bearer nobody", post(backend))
    async with serving(backend) as web, calling(web) as caller:
        await warmed(caller, post(backend))
        assert (await caller.ask(nobody))[0] == 401
    async with serving(backend, allow_from=("10.0.0.0/8",)) as web, calling(web) as caller:
        assert (await caller.ask(post(backend)))[0] == 403


# --------------------------------------------------------------------------------------- fairness


@pytest.mark.rule("HTTP-4", "PAYAPI-1")
async def test_who_has_no_room_is_told_so_without_the_framework():
    backend = Books()
    full: list[str] = []
    wrong = backend.token(Scope.STAFF, "gw2")["Authorization"]

    def refuses(actor):
        return Overloaded("too many wait") if actor in full else None

    def finder(path):
        return Full((Scope.USSD,), refuses) if path.startswith("/ussd/") else None

    async with serving(backend, finder=finder) as web, calling(web) as caller:
        for other in (post(backend), post(backend, "{}")):
            assert (await caller.ask(other))[0] in {200, 400}
        asked = len(backend.asked)
        full.append("token:gw")
        status, head, body = await caller.ask(post(backend))
        assert (status, json.loads(body)["code"]) == (503, "overloaded")
        assert "retry-after: 1" in head
        full.append("token:gw2")
        not_his = re.sub(rb"Bearer \S+", wrong.encode(), post(backend))
        assert (await caller.ask(not_his))[0] == 403
        assert (await caller.ask(re.sub(rb"Bearer", b"Basic", post(backend))))[0] == 401
        assert len(backend.asked) == asked
        full.clear()
        assert (await caller.ask(post(backend)))[0] == 200


@pytest.mark.rule("HTTP-4")
async def test_the_framework_has_so_many_of_one_caller_at_once_and_others_go_before_the_rest():
    backend = Books()
    async with contextlib.AsyncExitStack() as stack:
        web = await stack.enter_async_context(serving(backend, short=False))
        quiet = await stack.enter_async_context(calling(web))
        loud = post(backend)
        other = loud.replace(
            b"telcod_gw", backend.token(Scope.USSD, "other")["Authorization"][7:].encode()
        )
        assert other != loud
        await warmed(quiet, other)
        backend.door.clear()
        callers = [await stack.enter_async_context(calling(web)) for _ in range(AT_ONCE_MAX + 5)]
        before = len(backend.asked)
        for caller in callers:
            caller.writer.write(loud)
        await backend.watch.until(lambda: len(backend.asked) - before == AT_ONCE_MAX, what="work")
        gone = callers.pop()
        gone.writer.transport.abort()
        quiet.writer.write(other)
        await backend.watch.until(
            lambda: len(backend.asked) - before == AT_ONCE_MAX + 1, what="other"
        )
        assert backend.asked[-1].actor == "other"
        backend.door.set()
        assert (await quiet.read())[0] == 200
        assert {(await caller.read())[0] for caller in callers} == {200}
        asked = [request.actor for request in backend.asked[before:]]
        assert asked.count("gw") == len(callers), "nothing was done for who had gone"


@pytest.mark.rule("HTTP-4")
async def test_a_proxy_of_ours_may_have_all_connections_and_its_callers_are_many():
    backend = Books()
    behind = "X-Forwarded-For: 203.0.113.9"
    async with contextlib.AsyncExitStack() as stack:
        web = await stack.enter_async_context(
            serving(
                backend,
                connections_per_address_max=1,
                proxies=("127.0.0.1",),
                allow_from=("203.0.113.0/24",),
            )
        )
        callers = [await stack.enter_async_context(calling(web)) for _ in range(3)]
        for caller in callers:
            assert (await caller.ask(post(backend, more=(behind,))))[0] == 200
            assert (await caller.ask(post(backend)))[0] == 403
    assert backend.posted == 0, "each is looked at: the next one may be of somebody else"


@pytest.mark.rule("HTTP-4")
async def test_one_address_leaves_room_for_others():
    backend = Books()
    plain = b"GET /healthz HTTP/1.1\r\nHost: telcod\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        web = await stack.enter_async_context(
            serving(backend, connections_max=10, connections_per_address_max=2)
        )
        held = [await stack.enter_async_context(calling(web)) for _ in range(2)]
        assert [(await caller.ask(plain))[0] for caller in held] == [200, 200]
        third = await stack.enter_async_context(calling(web))
        status, head, body = await third.ask(post(backend))
        assert (status, json.loads(body)["code"]) == (503, "overloaded")
        assert "retry-after: 1" in head
        assert "connection: close" in head
        assert await third.reader.read() == b""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", web.port, local_addr=("127.0.0.2", 0)
        )
        assert (await Caller(reader, writer).ask(plain))[0] == 200
        writer.close()
        held[0].writer.close()
        status = 503  # The server may not have noticed yet: who is refused comes again.
        while status == 503:
            again = await stack.enter_async_context(calling(web))
            status, _, _ = await again.ask(plain)
        assert status == 200


@pytest.mark.rule("HTTP-4")
async def test_who_asks_nothing_makes_room_for_who_does_and_only_then():
    backend = Books()
    plain = b"GET /healthz HTTP/1.1\r\nHost: telcod\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        web = await stack.enter_async_context(
            serving(backend, connections_per_address_max=2, look_s=0.001)
        )
        idle, busy = [await stack.enter_async_context(calling(web)) for _ in range(2)]
        assert (await idle.ask(plain))[0] == 200
        for _ in range(5):
            await looked(web)
            backend.clock.advance(round(1_000 * CROWDED_IDLE_S))
        assert (await busy.ask(plain))[0] == 200
        await looked(web)
        assert (await idle.ask(plain))[0] == 200, "nobody wanted its room"
        await looked(web)
        backend.clock.advance(round(1_000 * CROWDED_IDLE_S))
        assert (await busy.ask(plain))[0] == 200
        refused = await stack.enter_async_context(calling(web))
        assert (await refused.ask(plain))[0] == 503
        assert await idle.reader.read() == b""
        assert (await busy.ask(plain))[0] == 200


class Many:
    """A shortcut that many ask at once; `answers` are by who asked."""

    def __init__(self, backend, wait_s=60.0):
        limits = WebLimits(answer_wait_s=wait_s)
        app = make_app(backend, control=False, limits=limits, dialects=ROUTES)
        self.backend = backend
        self.shortcut = Shortcut(app, found)
        self.tokens = app.state.tokens
        self.answers = []
        self.watch = Watch()

    def ask(self, token, name, session):
        path = f"/ussd/v1/sessions/{session}"
        scope = {"path": path, "method": "POST"}
        fast = self.shortcut.find(path)
        assert fast is not None

        def answered(status, *_):
            self.answers.append((name, session, status))
            self.watch.changed()

        return self.shortcut.carry_out(fast, token.encode(), STEP.encode(), scope, answered)


@pytest.mark.rule("HTTP-4")
async def test_who_floods_waits_for_himself():
    backend = Books()
    backend.holds = True
    many = Many(backend)
    loud, quiet = (backend.token(Scope.USSD, name)["Authorization"] for name in ("loud", "quiet"))
    await many.tokens.find("")
    for session in range(3 * UNDER_WAY_MAX):
        assert many.ask(loud, "loud", session)
    assert len(backend.held) == UNDER_WAY_MAX
    assert many.ask(quiet, "quiet", 0)
    assert len(backend.held) == UNDER_WAY_MAX + 1
    while backend.held:
        backend.held.pop(0)()
    assert len([name for name, _, _ in many.answers if name == "quiet"]) == 1
    at = [name for name, _, _ in many.answers].index("quiet")
    assert at == UNDER_WAY_MAX, "only what the books had already went before"
    sessions = [session for name, session, _ in many.answers if name == "loud"]
    assert sessions == list(range(3 * UNDER_WAY_MAX)), "in their order, each once"


@pytest.mark.rule("HTTP-4")
async def test_books_that_refuse_at_once_refuse_all_that_wait():
    backend = Books()
    backend.holds = True
    many = Many(backend)
    token = backend.token(Scope.USSD, "loud")["Authorization"]
    await many.tokens.find("")
    count = UNDER_WAY_MAX + 2_000  # More than functions can be nested.
    for session in range(count):
        assert many.ask(token, "loud", session)
    backend.holds = False
    backend.says = Overloaded("too many requests are waiting")
    for held in backend.held:
        held()
    assert [status for _, _, status in many.answers] == [503] * count


@pytest.mark.rule("HTTP-4")
async def test_who_waited_too_long_for_his_turn_is_refused_and_nothing_is_done():
    backend = Books()
    backend.holds = True
    many = Many(backend, wait_s=0.05)
    token = backend.token(Scope.USSD, "loud")["Authorization"]
    await many.tokens.find("")
    count = UNDER_WAY_MAX + 5
    for session in range(count):
        assert many.ask(token, "loud", session)
    await many.watch.until(lambda: len(many.answers) == count, what="all answers")
    assert {status for _, _, status in many.answers} == {503}
    for held in backend.held:
        held()
    assert backend.posted == UNDER_WAY_MAX
    assert len(many.answers) == count
