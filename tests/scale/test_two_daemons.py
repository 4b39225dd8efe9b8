"""Two daemons, two links, one database: whatever dies, one effect and one answer each."""

import asyncio
import contextlib
import itertools
import random

import httpx
import msgspec
import pytest

from telcod.billing.accounts import main_account
from telcod.rows import ACCOUNT, OUTBOX_SMS, PERIOD, OutboxState
from telcod.settings import load
from telcod.simulator.ivr import SimulatedIvr
from telcod.simulator.smsc_behaviour import Behaviour
from telcod.storage.postgres_snapshot import open_postgres_snapshot
from telcod.web.server import control_socket_path
from tests.cutter import Cutter
from tests.faults.script import PRICES_VND, national
from tests.faults.sweep import Moment
from tests.postgres import Server, server
from tests.scale.fleet import BEHAVIOUR, TAKEN_OVER_S, Fleet

RULES = pytest.mark.rule("SMPP-2", "SMPP-3", "SMPP-5", "KW-3", "PKG-1", "PKG-2", "LST-2", "CLI-6")
TEXTS = 150
PROBES_S = 2.0  # How long the SMSC lets a silent link be.
PROBING = msgspec.structs.replace(BEHAVIOUR, enquire_link_s=PROBES_S)
THROTTLED = 0x58
MOMENTS = (
    *(Moment("deliver_sm_resp", count) for count in (1, 7, 23, 61)),
    *(Moment("submit_sm", count, before=True) for count in (1, 11, 41)),
    *(Moment("submit_sm", count) for count in (2, 17, 53)),
)


def play(folder, story, *, url=None, **settings):
    """Run a story of a fleet, let it end, and judge it."""

    async def run():
        async with Fleet(folder, url or server().books(), **settings) as fleet:
            await story(fleet)
            await fleet.answered()
            complaints = fleet.judge()
            print(fleet.summary())
            return complaints

    return asyncio.run(run())


async def load_until(fleet, reached, what):
    """Let texts flow until something has happened."""
    while not reached():
        fleet.write(TEXTS)
        await fleet.until(lambda: reached() or fleet.smsc.unwritten < TEXTS // 2, what)


async def load_while(fleet, doing):
    """Let texts flow until a coroutine has done its work; what it gives."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(doing)
        task.add_done_callback(lambda _: fleet.smsc.watch.changed())
        await load_until(fleet, task.done, "the end of it")
    return task.result()


async def taken_over_by(fleet, other, since_s):
    """The single duty has gone to the other daemon, in time."""
    await fleet.poll(lambda: fleet.on_duty() == other.name)
    assert asyncio.get_running_loop().time() - since_s < TAKEN_OVER_S


async def kill_in_mid_load(fleet, member, moment):
    """Let texts flow until a moment, kill one daemon then, and see the other one take over."""
    died = []

    def kill():
        member.kill()
        died.append(asyncio.get_running_loop().time())

    fleet.smsc.at(moment, kill)
    await load_until(fleet, lambda: died, "a death")
    fleet.smsc.at(None, lambda: None)
    await taken_over_by(fleet, fleet.other(member), died[0])
    await member.start()


async def kill_unread(fleet, count):
    """Whoever's answer is the `count`-th one dies, and the SMSC has not read it."""
    died = []

    def kill(member):
        member.kill()
        died.append((member, asyncio.get_running_loop().time()))

    fleet.smsc.lose_at(count, kill)
    await load_until(fleet, lambda: died, "a death")
    [(member, at_s)] = died
    await taken_over_by(fleet, fleet.other(member), at_s)
    await member.start()
    await fleet.bound(2)


async def cut_unread(fleet, count):
    """A link is cut before its answers were read; both daemons live, one knows of it."""
    losses = fleet.smsc.losses
    fleet.smsc.lose_at(count, fleet.fault)
    await load_until(fleet, lambda: fleet.smsc.losses > losses, "a cut")


@RULES
def test_whatever_dies_or_is_cut_the_other_daemon_goes_on_and_nothing_is_lost_or_doubled(tmp_path):
    async def story(fleet):
        for count in (10, 50):
            await cut_unread(fleet, count)
        await fleet.bound(2)
        await kill_unread(fleet, 40)
        await kill_in_mid_load(fleet, fleet.a, Moment("submit_sm", 30, before=True))

    assert not play(tmp_path, story)


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again_at_any_moment_they_lose_and_double_nothing(tmp_path, seed):
    dice = random.Random(seed)

    async def story(fleet):
        for moment in dice.sample(MOMENTS, 5):
            # Without waiting until the one that died last is bound again.
            await kill_in_mid_load(fleet, dice.choice(fleet.members), moment)
            await kill_unread(fleet, dice.randrange(1, 80))
        await fleet.bound(2)

    assert not play(tmp_path, story, seed=seed)


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_links_that_are_cut_again_and_again_lose_and_double_nothing(tmp_path, seed):
    """The text comes by the other link at once: its daemon has not heard of the cut yet."""
    dice = random.Random(seed)

    async def story(fleet):
        for _ in range(60):
            await cut_unread(fleet, dice.randrange(1, 60))

    assert not play(tmp_path, story, seed=seed)


async def freeze(fleet, member, *, with_the_turn):
    """Stop a daemon in mid-load while its batch is open, or while it is not; when it was."""
    while True:
        member.freeze()
        begun_s = asyncio.get_running_loop().time()
        if (fleet.with_the_turn() == member.name) == with_the_turn:
            return begun_s
        member.thaw()
        await asyncio.sleep(random.random() / 50)


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_the_turn", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_daemon_that_was_frozen_and_wakes_up_doubles_nothing(tmp_path, seed, with_the_turn):
    async def story(fleet):
        for member in fleet.members:
            begun_s = await load_while(fleet, freeze(fleet, member, with_the_turn=with_the_turn))
            await load_while(fleet, taken_over_by(fleet, fleet.other(member), begun_s))
            # Nothing of it waits any more, or not yet everything has been taken over.
            if seed:
                await fleet.settled()
                await fleet.poll(fleet.nothing_waits)
            member.thaw()
            fleet.write(TEXTS)
            await fleet.bound(2)
            await fleet.settled()

    assert not play(tmp_path, story, seed=seed, behaviour=PROBING)


# -- the judge sees what it should


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_the_judge_catches_a_daemon_that_does_not_look_what_others_have_had(tmp_path):
    async def story(fleet):
        for count in (40, 60):
            await cut_unread(fleet, count)
        await kill_unread(fleet, 40)

    complaints = play(tmp_path, story, plant="twins_unseen")
    assert any(complaint.startswith("journal: ") for complaint in complaints)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_the_judge_catches_a_daemon_that_sends_what_others_have_taken_over(tmp_path):
    async def story(fleet):
        # It has texts that it can't send yet: the SMSC answers none.
        fleet.smsc.behave(msgspec.structs.replace(PROBING, submit_status=THROTTLED))
        fleet.write(TEXTS)
        await fleet.settled()
        begun_s = await freeze(fleet, fleet.a, with_the_turn=False)
        fleet.smsc.behave(PROBING)
        await taken_over_by(fleet, fleet.b, begun_s)
        await fleet.poll(fleet.nothing_waits)
        fleet.a.thaw()
        await fleet.bound(2)
        fleet.write(TEXTS)

    complaints = play(tmp_path, story, plant="sent_though_taken_over", behaviour=PROBING)
    assert any("sent again" in complaint for complaint in complaints)


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_database_that_is_restarted_in_mid_batch_twice_loses_and_doubles_nothing(tmp_path, how):
    database = Server()

    async def restart(fleet):
        while not fleet.with_the_turn():  # noqa: ASYNC110  # It is another process that has it.
            await asyncio.sleep(0)
        for member in fleet.members:
            fleet.fault(member)
        await asyncio.to_thread(database.stop, how)
        await asyncio.to_thread(database.start)
        for member in fleet.members:
            fleet.fault(member)

    async def story(fleet):
        for _ in range(2):
            fleet.write(TEXTS)
            await load_while(fleet, restart(fleet))
            await fleet.settled()
            await fleet.poll(fleet.on_duty)

    try:
        assert not play(tmp_path, story, url=database.books())
    finally:
        database.remove()


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("away_s", [0.0, 12.0])
def test_a_daemon_that_is_cut_off_the_database_doubles_nothing(tmp_path, answered, away_s):
    url = server().books()

    async def cut(fleet, cutter):
        fleet.fault(fleet.a)
        cuts = cutter.cuts
        cutter.cut_at(b"COMMIT", answered=answered, done=b"COMMIT")
        cutter.refuses = away_s > 0
        await fleet.poll(lambda: cutter.cuts > cuts)
        fleet.fault(fleet.a)
        if away_s:
            await taken_over_by(fleet, fleet.b, asyncio.get_running_loop().time())
            await asyncio.sleep(away_s)
        cutter.refuses = False
        fleet.fault(fleet.a)

    with Cutter(server().port) as cutter:
        through = url.replace(f":{server().port}/", f":{cutter.port}/")

        async def story(fleet):
            for _ in range(3):
                await load_while(fleet, cut(fleet, cutter))
                await fleet.settled()

        assert not play(tmp_path, story, url=url, urls=(through, url))


@RULES
@pytest.mark.rule("SMPP-4")
@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", [True, False])
def test_receipts_count_whichever_daemon_they_come_to(tmp_path, first):
    behaviour = Behaviour(window=20, retry_pause_s=0.2, receipts=True, receipt_first=first)

    async def story(fleet):
        fleet.write(3 * TEXTS)
        await fleet.answered()
        await fleet.poll(
            lambda: not fleet.ask("SELECT COUNT(*) FROM outbox_sms WHERE state IN (0, 1)")
        )
        with contextlib.closing(open_postgres_snapshot(fleet.url)) as books:
            states = {row.state for row in books.scan(OUTBOX_SMS)}
        assert states == {OutboxState.DELIVERED}

    limits = {"texts": {"request_receipts": True}}
    assert not play(tmp_path, story, behaviour=behaviour, limits=limits)


# -- one balance, charged by both

CALLS = 12
TALK_S = 60
CALLERS_FIRST = 84905000001
PAYER = 84905900001
OPENING_VND = 12_500  # For eight minutes, and a bit.


def line(msisdn, balance_vnd):
    return {"msisdn": msisdn, "kind": "prepaid", "state": "active", "balance_vnd": balance_vnd}


@contextlib.asynccontextmanager
async def platform(member, name):
    """A voice platform that asks one of the daemons."""
    socket = str(control_socket_path(load(member.config, {})))
    transport = httpx.AsyncHTTPTransport(uds=socket)
    async with SimulatedIvr("http://telcod", "none", name=name, transport=transport) as ivr:
        yield ivr


async def one_call(number, attempt, here, there):
    """One call by one daemon, its last words also to the other one; what it was charged."""
    call_id = f"call-{number}-{attempt}"
    offered = await here.offer(call_id, national(CALLERS_FIRST + number), f"1566{national(PAYER)}")
    if offered.get("action") == "busy":
        return None
    if offered.get("action") != "ask":
        return 0
    agreed = await there.consent(call_id, "1")
    if agreed.get("action") != "connect":
        return 0
    await here.answered(call_id)
    first, second = await asyncio.gather(here.ended(call_id, TALK_S), there.ended(call_id, TALK_S))
    assert first.content == second.content
    assert await there.ended(call_id, TALK_S) == first
    return first.get("charged_vnd")


@pytest.mark.rule("PFM-15", "PFM-16", "IVR-3", "PKG-1", "PKG-2")
@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_one_balance_that_both_charge_is_never_overdrawn_and_each_charge_is_made_once(tmp_path):
    async def story(fleet):
        fleet.import_(
            line(PAYER, OPENING_VND), *(line(CALLERS_FIRST + at, 0) for at in range(CALLS))
        )
        charged: list[int] = []
        async with platform(fleet.a, "a") as a, platform(fleet.b, "b") as b:

            async def calls(numbers, here, there):
                for number in numbers:
                    for attempt in itertools.count():
                        charge = await one_call(number, attempt, here, there)
                        if charge is not None:
                            charged.append(charge)
                            break
                        # The payer is being asked about the other one's call.
                        await asyncio.sleep(0.05)

            async with asyncio.TaskGroup() as group:
                group.create_task(calls(range(0, CALLS, 2), a, b))
                group.create_task(calls(range(1, CALLS, 2), b, a))
                for text in ("DK", "HUY", "DK"):
                    # By whichever link; nobody else texts.
                    for pdu in fleet.smsc.send_text(str(PAYER), "1566", text):
                        await pdu.taken()
        with contextlib.closing(open_postgres_snapshot(fleet.url)) as books:
            [account] = [row for row in books.scan(ACCOUNT) if row.id == main_account(PAYER)]
            periods = [row.kind for row in books.scan(PERIOD) if row.msisdn == PAYER]
        paid_vnd = sum(charged) + periods.count("paid") * PRICES_VND["day"]
        assert account.posted == OPENING_VND - paid_vnd
        assert account.posted >= 0
        assert account.held == 0
        assert periods.count("trial") == 1
        assert 1_500 in charged
        assert fleet.db_check() == ""

    async def run():
        async with Fleet(tmp_path, server().books(), behaviour=BEHAVIOUR) as fleet:
            await story(fleet)

    asyncio.run(run())
