"""A telcod's life: start, reload, clocks that jump, stop, start again (CLI-1, CLI-9, DESIGN 4)."""

import shutil

import pytest

from telcod.clock import ManualClock
from telcod.days import DAY_MS, HOUR_MS, day_start_ms
from telcod.rows import OutboxState
from telcod.settings import shipped_config_dir
from telcod.simulator.smsc_behaviour import STATUS_THROTTLED, Behaviour
from telcod.types import Channel, Request
from tests.e2e.harness import DATABASE, Telcod, TelcodProcess, link, subscribers, write_settings
from tests.world import World

A, B = 84903000001, 84903000002
NUMBERS = tuple(range(84903000100, 84903000130))
NO_PACKAGE = "Quy khach chua dang ky goi Payforme. Soan"
NOON_MS = day_start_ms(20261201) + 12 * HOUR_MS

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(simulated, tmp_path):
    write_settings(tmp_path, link(simulated))
    lines = [{"msisdn": each, "balance_vnd": 20_000} for each in (A, B, *NUMBERS)]
    subscribers(tmp_path, *lines)
    return tmp_path


async def texted(smsc, msisdn, text):
    before = len(smsc.texts_to(str(msisdn)))
    [sent] = smsc.send_text(str(msisdn), "1566", text)
    assert await sent == 0
    return (await smsc.wait_text(str(msisdn), before + 1))[-1]


def in_books(folder):
    with World(folder / DATABASE) as world:
        return world.sent_to, [row.state for row in world.outbox()], world.check()


# ------------------------------------------------------------------------------------ stop, start


@pytest.mark.rule("CLI-1")
async def test_it_says_when_links_are_bound_and_http_listens_and_ends_in_order(simulated, folder):
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("link a is bound to 127.0.0.1")
        sent = [simulated.send_text(str(msisdn), "1566", "KT")[0] for msisdn in NUMBERS]
        assert [await one for one in sent] == [0] * len(NUMBERS)
        assert await telcod.terminate() == 0
        assert telcod.out[-1] == "telcod has stopped\n"
        assert simulated.connection_count == 0
        assert simulated.conversation.commands()[-2:] == ["unbind", "unbind_resp"]
    _, states, complaints = in_books(folder)
    assert len(states) == len(NUMBERS)
    assert not complaints


@pytest.mark.rule("CLI-1", "SMPP-5")
async def test_what_could_not_be_sent_before_the_stop_is_sent_after_the_start(simulated, folder):
    simulated.behave(Behaviour(submit_status=STATUS_THROTTLED))
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        sent = [simulated.send_text(str(msisdn), "1566", "KT")[0] for msisdn in NUMBERS]
        assert [await one for one in sent] == [0] * len(NUMBERS)
        assert await telcod.terminate() == 0
        _, states, _ = in_books(folder)
        assert states == [OutboxState.PENDING] * len(NUMBERS)
        simulated.behave(Behaviour())
        await telcod.start()
        for msisdn in NUMBERS:
            [text] = await simulated.wait_text(str(msisdn))
            assert NO_PACKAGE in text
        assert await telcod.terminate() == 0
    taken = [one for one in simulated.submitted if one.status == 0]
    assert [one.fields["destination_addr"] for one in taken] == [str(each) for each in NUMBERS]
    assert set(in_books(folder)[1]) == {OutboxState.ACCEPTED}


@pytest.mark.rule("SMPP-2", "SMPP-5")
async def test_a_kill_in_mid_flow_costs_no_text_its_effect_or_its_answer(simulated, folder):
    simulated.behave(Behaviour(window=3))
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        sent = [simulated.send_text(str(msisdn), "1566", "DK")[0] for msisdn in NUMBERS]
        await sent[5]
        await telcod.kill()
        assert not sent[-1].settled
        await telcod.start()
        assert [await one.taken() for one in sent] == [0] * len(NUMBERS)
        for msisdn in NUMBERS:
            for text in await simulated.wait_text(str(msisdn)):  # Perhaps twice, but the same.
                assert "mien phi dung thu" in text
        assert await telcod.terminate() == 0
    with World(folder / DATABASE) as world:
        assert len(world.outbox()) == len(NUMBERS)
        assert not world.check()


@pytest.mark.rule("CLI-9")
async def test_a_second_daemon_on_the_same_file_ends_at_once_and_says_why(simulated, folder):
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        second = TelcodProcess(folder)
        await second.start(ready=False)
        assert await second.wait_exit() == 3
        assert second.out == []
        assert "in use by another telcod" in "".join(second.errors)
        assert "Traceback" not in second.said
        assert NO_PACKAGE in await texted(simulated, A, "KT")


# ---------------------------------------------------------------------------------------- reload


def own_messages(folder, before, after):
    """Give the folder messages of its own, with one of them changed."""
    if not (folder / "messages").exists():
        shutil.copytree(shipped_config_dir() / "messages", folder / "messages")
    path = folder / "messages" / "vi.toml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.mark.rule("CLI-1", "CFG-2")
async def test_a_reload_changes_a_text_and_keeps_the_link_and_a_mistake_changes_nothing(
    simulated, folder
):
    own_messages(folder, NO_PACKAGE, "Chua co goi nao. Soan")
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        assert "Chua co goi nao. Soan" in await texted(simulated, A, "KT")

        own_messages(folder, "Chua co goi nao. Soan", "Bay gio chua co goi. Soan")
        telcod.hup()
        await telcod.wait_line("rules were read again and are in force")
        assert "Bay gio chua co goi. Soan" in await texted(simulated, A, "KT")

        own_messages(folder, "Bay gio chua co goi. Soan", "Chưa có gói. Soan")
        telcod.hup()
        await telcod.wait_line("reload refused, the old rules stay in force")
        [line] = [line for line in telcod.out if "reload refused" in line]
        assert "vi.toml: package.none" in line
        assert "Bay gio chua co goi. Soan" in await texted(simulated, A, "KT")
        assert telcod.said.count("is bound to") == 1
        assert await telcod.terminate() == 0


@pytest.mark.rule("CFG-2", "CLI-1", "CLI-9")
async def test_a_tariff_that_was_valid_may_not_change(simulated, folder):
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        shutil.copytree(shipped_config_dir() / "tariffs", folder / "tariffs")
        [path] = (folder / "tariffs").glob("*.toml")
        path.write_text(path.read_text().replace("price_vnd = 1000", "price_vnd = 900"))
        telcod.hup()
        await telcod.wait_line("tariffs that were valid have changed: ['2018-09-15']")
        await texted(simulated, A, "DK")  # The trial; then a package that costs.
        await texted(simulated, A, "HUY")
        assert "gia 1.000d" in await texted(simulated, A, "DK")
        assert await telcod.terminate() == 0

        again = TelcodProcess(folder)
        await again.start(ready=False)
        assert await again.wait_exit() == 3
        assert (
            "a tariff that was valid already has changed, or is gone: ['2018-09-15']" in again.said
        )
        assert "add a new one with a later valid_from" in again.said
        assert "Traceback" not in again.said

        path.write_text(path.read_text().replace('id = "2018-09-15"', 'id = "another"'))
        gone = TelcodProcess(folder)
        await gone.start(ready=False)
        assert await gone.wait_exit() == 3
        assert "or is gone: ['2018-09-15']" in gone.said


# ---------------------------------------------------------------------------------------- clocks


@pytest.mark.rule("PKG-6")
@pytest.mark.parametrize("jump_ms", [DAY_MS + HOUR_MS, 40 * 365 * DAY_MS, -HOUR_MS])
async def test_a_clock_that_jumps_stops_renewals_but_no_charge_until_it_is_confirmed(
    simulated, tmp_path, jump_ms
):
    clock = ManualClock(NOON_MS)
    async with Telcod(tmp_path, link(simulated), clock=clock) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers({"msisdn": A}, {"msisdn": B})
        assert "mien phi dung thu" in await texted(simulated, A, "DK")
        await texted(simulated, B, "DK")
        await texted(simulated, B, "HUY")
        clock.jump(jump_ms)
        [line] = await telcod.wait_logged("clock.jumped")
        assert line["jump_ms"] == jump_ms
        assert (await telcod.daemon.status()).clock_jumped

        # Texts are answered and charged; what happens by the calendar waits.
        assert "gia 1.000d" in await texted(simulated, B, "DK")
        assert await telcod.balance(B) == 19_000
        assert "dang dung thu mien phi" in await texted(simulated, A, "KT")
        assert await telcod.balance(A) == 20_000

        assert telcod.daemon.confirm_clock()
        clock.advance(2 * DAY_MS if jump_ms < 0 else 0)
        await telcod.wait_batches(lambda: renewed(telcod))
        assert await telcod.balance(A) == 19_000  # The present period, once; none that was missed.
        journal = await telcod.journal()
        assert [row.at for row in journal] == sorted(row.at for row in journal)
        assert not telcod.daemon.confirm_clock()


@pytest.mark.rule("PFM-16", "PFM-12")
@pytest.mark.parametrize("jump_ms", [40 * 365 * DAY_MS, -HOUR_MS])
async def test_nothing_is_measured_ended_or_dated_by_a_clock_that_has_jumped(
    simulated, tmp_path, jump_ms
):
    clock = ManualClock(NOON_MS)
    async with Telcod(tmp_path, link(simulated), clock=clock) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers({"msisdn": A}, {"msisdn": B})

        async def call(op, *args, sender=0):
            request = Request(f"call.{op}", sender, ("c", *map(str, args)), channel=Channel.IVR)
            return await telcod.daemon.submit(request)

        await call("offer", f"1566{B}", sender=A)
        clock.jump(jump_ms)
        answer = await call("consent", "digit", "1", "")
        assert answer.data["action"] == "connect"  # It's not too late by any true clock.
        await call("answered", 0)
        clock.jump(-jump_ms)
        clock.advance(60_000)
        ended = await call("ended", -1, 0)  # Measured by our own clock.
        assert ended.data["charged_vnd"] == 1_500
        assert telcod.daemon.engine.commit_ms == NOON_MS + 60_000


async def renewed(telcod):
    return await telcod.balance(A) < 20_000
