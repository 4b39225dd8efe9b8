"""Between looking and doing something happens: nothing is shown, sent, charged or ended by it.

What is read may be old when it arrives, and a clock may be set between two looks at it.  Each test
here puts the event right into the gap.
"""

import asyncio

import pytest

from telcod.days import DAY_MS, HOUR_MS
from telcod.engine import QUARANTINED
from telcod.rows import PaymentState
from telcod.scheduler import DUE_SLICE
from telcod.types import Answer
from tests.epay.world import EXPIRES_S, PayWorld
from tests.test_mail import Books as MailBooks
from tests.test_mail import Post, listening
from tests.test_scheduler import Office
from tests.ussd.test_pusher import Books as PushBooks
from tests.ussd.test_pusher import Desk, pending, pushing

pytestmark = pytest.mark.anyio

A, B = 84903000001, 84903000002
FORTY_YEARS_MS = 40 * 365 * DAY_MS


@pytest.fixture
def anyio_backend():
    return "asyncio"


# ------------------------------------------------------------------------- what is read is old


class SlowReading(PushBooks):
    """Books that are read long before the reader hears of it."""

    def __init__(self, *rows):
        super().__init__(*rows)
        self.read = 0
        self.slow = False
        self.heard = asyncio.Event()

    async def pending_pushes(self, *, after, most):
        rows = await super().pending_pushes(after=after, most=most)
        self.read += 1
        self.watch.changed()
        if self.slow and rows:
            self.slow = False
            await self.heard.wait()
        return rows


@pytest.mark.rule("USSD-4")
async def test_a_push_that_is_noted_while_the_books_are_read_is_not_shown_again():
    desk, books = Desk(), SlowReading(pending(1))
    desk.open.clear()
    async with pushing(desk, books) as (pusher, _):
        await desk.wait_handed(1)
        books.slow = True
        read = books.read
        pusher.wake()
        await books.watch.until(lambda: books.read > read, what="the books are read")
        desk.open.set()  # The phone has shown it, and the books note it, before they are heard.
        await books.wait_noted(1)
        for _ in range(10):
            await asyncio.sleep(0)
        books.heard.set()
        books.rows[2] = pending(2)
        pusher.wake()
        await books.wait_noted(2)
    assert desk.ids == ["push-1", "push-2"]


# ------------------------------------------------------------------------- what is not noted


class BreakingBooks(MailBooks):
    """The rules break over what became of the first e-mail."""

    async def submit(self, request):
        if request.args[0] == "1":
            return Answer(QUARANTINED)
        return await super().submit(request)


@pytest.mark.rule("PAY-10")
async def test_an_e_mail_whose_outcome_breaks_its_rules_is_not_sent_again_and_again():
    post, books = Post(), BreakingBooks()
    books.put("an@example.com")
    books.put("lan@example.com")
    async with listening(post) as port:
        mailer = books.mailer(port)
        for _ in range(5):
            await mailer.tick()
    assert [message["To"] for message in post.messages] == ["an@example.com", "lan@example.com"]
    assert books.states() == ["PENDING", "ACCEPTED"]


# ------------------------------------------------------------------------- the clock is set


@pytest.mark.rule("PAY-5")
async def test_no_payment_expires_by_a_clock_that_was_set_since_the_last_look():
    async with PayWorld() as world:
        view = await world.open()
        world.backend.clock.jump(FORTY_YEARS_MS)
        assert await world.cashier.tick() == 0
        assert world.state(view.payment_id) == PaymentState.REDIRECTED
        world.backend.clock.jump(-FORTY_YEARS_MS)
        world.guard.confirm()
        assert await world.pass_s(EXPIRES_S - 1) == 0
        assert world.state(view.payment_id) == PaymentState.REDIRECTED


@pytest.mark.rule("PAY-10")
async def test_no_e_mail_is_tried_by_a_clock_that_was_set_since_the_last_look():
    post, books = Post(), MailBooks()
    post.answers["lan@example.com"] = "450 later"
    books.put()
    async with listening(post) as port:
        mailer = books.mailer(port)
        assert await mailer.tick() == 1
        books.world.clock.jump(FORTY_YEARS_MS)
        assert await mailer.tick() == 0
        assert (books.rows()[0].attempts, books.states()) == (1, ["PENDING"])


class SetInMidWork(Office):
    """An office whose clock is set while it renews."""

    def __init__(self, count, jump_ms):
        super().__init__(*range(84903000001, 84903000001 + count))
        self.jump_ms = jump_ms

    def post(self, request, sink):
        taken = super().post(request, sink)
        if len(self.posted) == DUE_SLICE:
            self.clock.jump(self.jump_ms)
        return taken


@pytest.mark.rule("PKG-6")
@pytest.mark.parametrize(
    "jump_ms",
    [
        pytest.param(FORTY_YEARS_MS, id="forward"),
        pytest.param(-HOUR_MS, id="back", marks=pytest.mark.thorough),
    ],
)
async def test_a_clock_that_is_set_in_the_middle_of_renewals_stops_the_rest(jump_ms):
    office = SetInMidWork(DUE_SLICE + 10, jump_ms)
    office.clock.advance(DAY_MS + 1)
    office.guard.observe(wall_ms=office.clock.wall_ms(), monotonic_s=office.clock.monotonic_s())
    assert await office.tick() == DUE_SLICE
    assert office.guard.jumped
    assert len(office.renewals()) == DUE_SLICE
    assert [r.route for r in office.posted if r.route != "clock.package"] == []
