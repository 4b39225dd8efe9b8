"""E-mails against a real mail server in this process: sent, refused, away, tried again."""

import asyncio
import email
import email.policy
import socket
import ssl
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import given
from hypothesis import strategies as st

import handlers
from handlers.mails import GIVEN_UP_AFTER_MS, TRIED_AGAIN_MS
from telcod.clock import ClockGuard
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.dispatch import Route
from telcod.errors import TelcodError
from telcod.mail import Mailer, MailServer, ServerAway, message_of
from telcod.rows import OUTBOX_MAIL, OutboxMail, OutboxState
from telcod.storage.memory import MemoryStore
from telcod.storage.readers import MemoryReader
from telcod.types import Reply, Request
from tests.e2e.test_simulated_smsc import Authority
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-10")]

SENDER = "no-reply@telcod.example"
LAN = "lan@example.com"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Post:
    """What the mail server does: `answers` by recipient, else takes it."""

    def __init__(self):
        self.got = []
        self.answers = {}
        self.data_answer = "250 taken"
        self.sender_answer = ""
        self.logins = []

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.sender_answer:
            return self.sender_answer
        envelope.mail_from = address
        return "250 fine"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.answers.get(address, "250 fine")
        if answer == "hang up":
            server.transport.close()
            return "421 bye"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        if self.data_answer.startswith("2"):
            self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return self.data_answer

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"opensesame", handled=False)

    @property
    def messages(self):
        return [
            email.message_from_bytes(body, policy=email.policy.default) for _, _, body in self.got
        ]


@asynccontextmanager
async def listening(post, *, port=0, tls=None, **options):
    """A mail server on loopback; its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(post, hostname="mail.example", loop=loop, enable_SMTPUTF8=True, **options),
        "127.0.0.1",
        port,
        ssl=tls,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def outbox(request, tx):
    recipient, subject, body = request.args
    tx.send_mail(recipient, subject, body, kind="payment")
    return Reply("test.put")


class Books:
    """Real books with e-mails in them."""

    def __init__(self):
        routes = dict(handlers.ROUTES) | {"test.put": Route("test.put", outbox)}
        self.store = MemoryStore()
        self.world = World(routes=routes, store=self.store)
        self.broken: Any = None
        clock = self.world.clock
        self.guard = ClockGuard(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())

    def put(self, recipient=LAN, subject="MobiFone: giao dich K7", body="Da thanh toan."):
        self.world.run(Request("test.put", args=(recipient, subject, body)))

    async def submit(self, request):
        if self.broken is not None:
            raise self.broken
        (answer,) = self.world.run(request)
        return answer

    def rows(self):
        return list(self.store.scan(OUTBOX_MAIL))

    def states(self):
        return [OutboxState(row.state).name for row in self.rows()]

    def mailer(self, port, **more):
        plain = MailServer("127.0.0.1", port, SENDER, tls="none", answer_s=5.0)
        server = plain._replace(**more)
        reader = MemoryReader(self.store)
        return Mailer(server, reader, self.submit, self.world.clock, self.guard)


async def test_an_e_mail_arrives_as_it_was_written():
    post, books = Post(), Books()
    books.put(subject="Giao dịch K7", body="Đã thanh toán 100.000 ₫.\n.\nHết.")
    async with listening(post) as port:
        assert await books.mailer(port, sender_name="Thanh toán 9223").tick() == 1
    [(sender, recipients, _)], [message] = post.got, post.messages
    assert (sender, recipients) == (SENDER, [LAN])
    assert message["From"] == f"Thanh toán 9223 <{SENDER}>"
    assert (message["To"], message["Subject"]) == (LAN, "Giao dịch K7")
    assert message.get_content().splitlines() == ["Đã thanh toán 100.000 ₫.", ".", "Hết."]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.timestamp() * 1_000 == books.rows()[0].at
    [row] = books.rows()
    assert (row.state, row.attempts, row.next_at) == (OutboxState.ACCEPTED, 1, 0)
    assert row.done_at == books.world.now_ms


async def test_what_was_sent_is_not_sent_again_and_what_is_new_is():
    post, books = Post(), Books()
    books.put()
    async with listening(post) as port:
        mailer = books.mailer(port)
        assert [await mailer.tick(), await mailer.tick()] == [1, 0]
        books.put("an@example.com")
        assert await mailer.tick() == 1
    assert [recipients for _, recipients, _ in post.got] == [[LAN], ["an@example.com"]]


@pytest.mark.parametrize(
    ("answer", "state"),
    [("550 no such user", "FAILED"), ("553 no", "FAILED"), ("450 later", "PENDING")],
)
async def test_a_recipient_who_is_refused_for_good_is_given_up_and_another_waits(answer, state):
    post, books = Post(), Books()
    post.answers[LAN] = answer
    books.put()
    books.put("an@example.com")
    async with listening(post) as port:
        assert await books.mailer(port).tick() == 2
    # The one does not hold up the other.
    assert books.states() == [state, "ACCEPTED"]


@pytest.mark.parametrize(
    ("answer", "state"), [("554 spam", "FAILED"), ("452 disk full", "PENDING")]
)
async def test_content_that_is_refused_for_good_is_given_up_and_else_waits(answer, state):
    post, books = Post(), Books()
    post.data_answer = answer
    books.put()
    async with listening(post) as port:
        await books.mailer(port).tick()
    assert books.states() == [state]


async def test_a_sender_that_is_refused_loses_no_e_mail():
    post, books = Post(), Books()
    post.sender_answer = "550 not you"
    books.put()
    async with listening(post) as port:
        await books.mailer(port).tick()
        assert books.states() == ["PENDING"]
        post.sender_answer = ""
        books.world.clock.advance(TRIED_AGAIN_MS[0])
        await books.mailer(port).tick()
    assert books.states() == ["ACCEPTED"]


async def test_it_is_tried_again_later_and_later_for_five_days_and_then_given_up():
    post, books = Post(), Books()
    post.answers[LAN] = "450 later"
    books.put()
    began, tries = books.world.now_ms, []
    async with listening(post) as port:
        mailer = books.mailer(port)
        while books.states() == ["PENDING"]:
            books.world.clock.advance(max(0, books.rows()[0].next_at - books.world.now_ms))
            assert await mailer.tick() == 1
            tries.append(books.world.now_ms)
    waits = [later - sooner for sooner, later in pairwise(tries)]
    assert tuple(waits[: len(TRIED_AGAIN_MS)]) == TRIED_AGAIN_MS
    assert waits == sorted(waits)
    assert max(waits) == 24 * HOUR_MS
    assert tries[-1] < began + GIVEN_UP_AFTER_MS
    assert books.states() == ["EXPIRED"]


async def test_it_is_not_tried_before_its_moment():
    post, books = Post(), Books()
    post.answers[LAN] = "450 later"
    books.put()
    async with listening(post) as port:
        mailer = books.mailer(port)
        await mailer.tick()
        books.world.clock.advance(MINUTE_MS - 1)
        assert await mailer.tick() == 0
        books.world.clock.advance(1)
        assert await mailer.tick() == 1


async def test_a_server_that_is_away_for_an_hour_costs_no_e_mail_a_try():
    post, books = Post(), Books()
    books.put()
    with socket.socket() as taken:  # Bound and not listening: nobody else gets the port.
        taken.bind(("127.0.0.1", 0))
        mailer = books.mailer(taken.getsockname()[1])
        for _ in range(60):
            with pytest.raises(ServerAway):
                await mailer.tick()
            books.world.clock.advance(MINUTE_MS)
    assert (books.states(), books.rows()[0].attempts) == (["PENDING"], 0)
    async with listening(post) as port:
        await books.mailer(port).tick()
    assert books.states() == ["ACCEPTED"]


async def test_a_line_that_is_cut_in_the_middle_delays_that_e_mail_alone():
    post, books = Post(), Books()
    post.answers[LAN] = "hang up"
    books.put()
    books.put("an@example.com")
    async with listening(post) as port:
        mailer = books.mailer(port)
        with pytest.raises(ServerAway):
            await mailer.tick()
        assert books.states() == ["PENDING", "PENDING"]
        assert await mailer.tick() == 1  # The first waits its minute, the second is due.
    assert books.states() == ["PENDING", "ACCEPTED"]


async def test_sent_and_not_noted_is_sent_again_under_the_same_name():
    post, books = Post(), Books()
    books.put()
    async with listening(post) as port:
        books.broken = TelcodError("the writer has stopped")
        with pytest.raises(TelcodError):
            await books.mailer(port).tick()
        books.broken = None
        await books.mailer(port).tick()
    first, again = post.messages
    assert first["Message-ID"] == again["Message-ID"]
    assert books.states() == ["ACCEPTED"]


async def test_while_the_clock_has_jumped_nothing_is_sent():
    post, books = Post(), Books()
    books.put()
    async with listening(post) as port:
        books.world.clock.jump(10 * HOUR_MS)
        clock = books.world.clock
        books.guard.observe(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())
        assert await books.mailer(port).tick() == 0
        books.guard.confirm()
        assert await books.mailer(port).tick() == 1


async def test_it_runs_by_itself_and_comes_back_when_the_server_does():
    post, books = Post(), Books()
    books.put()
    arrived = asyncio.Event()

    async def submit(request):
        (answer,) = books.world.run(request)
        arrived.set()
        return answer

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = MailServer("127.0.0.1", port, SENDER, tls="none")
        mailer = Mailer(server, MemoryReader(books.store), submit, books.world.clock, books.guard)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(mailer.run())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await arrived.wait()
            taken.close()
            async with listening(post, port=port), asyncio.timeout(30):
                await arrived.wait()
            running.cancel()
    assert books.states() == ["ACCEPTED"]


async def test_over_tls_the_server_must_be_who_it_says_and_gets_the_password(tmp_path):
    theirs = Authority(tmp_path, "ca").server("127.0.0.1")
    trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    login = {"user": "telcod", "password": "opensesame"}
    for tls in ("tls", "starttls"):
        post, books = Post(), Books()
        books.put()
        context = None if tls == "starttls" else theirs
        options = {
            "authenticator": post.authenticate,
            "auth_require_tls": tls == "starttls",
            "tls_context": theirs if tls == "starttls" else None,
        }
        async with listening(post, tls=context, **options) as port:
            with pytest.raises(ServerAway):
                await books.mailer(port, tls=tls, **login).tick()
            assert not post.logins  # A stranger is not told the password.
            wrong = login | {"password": "guessed"}
            with pytest.raises(ServerAway):
                await books.mailer(port, tls=tls, context=trusted, **wrong).tick()
            await books.mailer(port, tls=tls, context=trusted, **login).tick()
        assert post.logins[-1] == ("telcod", "opensesame")
        assert books.states() == ["ACCEPTED"]


async def test_without_starttls_where_it_is_asked_for_nothing_is_sent():
    post, books = Post(), Books()
    books.put()
    async with listening(post) as port:
        with pytest.raises(ServerAway):
            await books.mailer(port, tls="starttls").tick()
    assert (post.got, books.states()) == ([], ["PENDING"])


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [
        ("lan@example.com\r\nBcc: all@example.com", "x"),
        ("lan@example.com\nRCPT TO:<all@example.com>", "x"),
        ("lan@example.com, all@example.com", "x"),
        ("lan", "x"),
        ("", "x"),
        (LAN, "x\r\nBcc: all@example.com"),
        (LAN, "x\nBcc: all@example.com"),
    ],
)
async def test_nothing_that_was_typed_makes_a_header_or_a_recipient_of_its_own(recipient, subject):
    post, books = Post(), Books()
    books.put(recipient, subject)
    books.put("an@example.com")
    async with listening(post) as port:
        await books.mailer(port).tick()
    assert books.states() == ["FAILED", "ACCEPTED"]
    assert [recipients for _, recipients, _ in post.got] == [["an@example.com"]]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_any_content_is_one_message_with_one_recipient_or_none_at_all(recipient, subject, body):
    row = OutboxMail(1, 1_790_000_000_000, "payment", recipient, subject, body, 0, 0, 0, 0)
    try:
        message = message_of(row, MailServer("h", 25, SENDER))
        wire = message.as_bytes()
    except (ValueError, IndexError, email.errors.MessageError):
        return
    back = email.message_from_bytes(wire, policy=email.policy.SMTPUTF8)
    assert sorted(back.keys()) == sorted(
        [
            "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
            "Content-Type", "Content-Transfer-Encoding",
        ]
    )  # fmt: skip
    assert len(back["To"].addresses) == 1


def test_a_mail_server_s_password_is_in_no_repr():
    assert "opensesame" not in repr(MailServer("h", 25, SENDER, password="opensesame"))


@pytest.mark.parametrize("fate", ["sent", "failed", "later"])
def test_the_first_word_that_ends_it_counts(fate):
    books = Books()
    books.put()
    for word in ("sent", fate):
        books.world.run(Request("mail.outcome", args=("1", word)))
    assert books.states() == ["ACCEPTED"]
    assert books.rows()[0].attempts == 1
    assert msgspec.structs.replace(books.rows()[0], state=0) != books.rows()[0]
