"""What a person sees of daemons on a server: how they start, stand, and end."""

import asyncio

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from telcod.errors import FATES, NotStarted
from telcod.simulator.smsc import SimulatedSmsc
from tests.cutter import Cutter
from tests.e2e.harness import Telcod, link
from tests.postgres import server

SECRET, ANOTHER = "ab" * 32, "cd" * 32
AWAY = "the database is away"
END_S = 20
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@pytest.fixture(autouse=True)
def usual_logs():
    """A daemon sets the logs of this process up, also one that then does not start."""
    yield
    structlog.reset_defaults()


def settings(url, secret=SECRET):
    return {"store": {"url": url}, "security": {"secret": secret}}


def gauges(telcod):
    found = text_string_to_metric_families(telcod.daemon.metrics.render().decode())
    return {sample.name: sample.value for family in found for sample in family.samples}


async def become(condition, what):
    """Until something is so that happens once a second at the latest."""
    async with asyncio.timeout(END_S):
        while not condition():  # noqa: ASYNC110  # Nobody tells of it.
            await asyncio.sleep(0.02)


@pytest.mark.rule("CLI-1", "CLI-9")
@pytest.mark.parametrize("database", ["nowhere", "no server"])
def test_without_its_database_it_does_not_start_and_says_so(tmp_path, database):
    url = server().url("nowhere")
    if database == "no server":
        with Cutter(server().port) as closed:
            url = url.replace(f":{server().port}/", f":{closed.port}/")

    async def run():
        with pytest.raises(NotStarted) as raised:
            await Telcod(tmp_path, **settings(url)).start()
        said = raised.value.sentence()
        assert said.startswith("127.0.0.1/nowhere: ")
        assert said.endswith("See that the database runs, and that store.url names it.")
        assert FATES[NotStarted].exit_code == 3

    asyncio.run(run())


@pytest.mark.rule("CLI-1", "CLI-8", "CLI-9", "HTTP-3")
def test_daemons_on_the_same_books_say_who_does_what(tmp_path):
    """One after another on the same server, because they are of one process here."""
    url = server().books()
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()

    async def run():
        async with SimulatedSmsc() as smsc, Telcod(folders[0], link(smsc), **settings(url)) as one:
            await one.wait_bound()
            await become(lambda: one.daemon.duty.held, "the duty")
            with pytest.raises(NotStarted, match="another secret of the installation") as raised:
                await Telcod(folders[1], **settings(url, ANOTHER)).start()
            assert "telcod.key" in raised.value.what_to_do
            two = Telcod(folders[2], link(smsc, "b"), **settings(url))
            await two.start()
            try:
                await become(lambda: one.daemon.daemons == 2 == two.daemon.daemons, "two")
                status = await two.daemon.status()
                assert (status.daemons, status.on_duty) == (2, False)
                status = await one.daemon.status()
                assert (status.daemons, status.on_duty) == (2, True)
                two.daemon.ops.tick()
                found = gauges(two)
                assert (found["telcod_on_duty"], found["telcod_daemons"]) == (0, 2)
            finally:
                await two.stop()
            await become(lambda: one.daemon.daemons == 1, "one")

    asyncio.run(run())


@pytest.mark.rule("HTTP-3", "CLI-8")
def test_while_the_database_is_away_it_says_so_and_is_back_by_itself(tmp_path):
    url = server().books()

    async def run(cutter):
        through = url.replace(f":{server().port}/", f":{cutter.port}/")
        async with (
            SimulatedSmsc() as smsc,
            Telcod(tmp_path, link(smsc), **settings(through)) as telcod,
        ):
            await telcod.wait_bound()
            await become(lambda: telcod.daemon.duty.held, "the duty")
            assert telcod.daemon.ready_lacks() == []
            cutter.refuses = True
            with server().admin() as db:
                db.execute(END_ALL, (url.rpartition("/")[2],))
            await become(lambda: AWAY in telcod.daemon.ready_lacks(), "its absence")
            assert not telcod.daemon.duty.held
            assert "the disk is full" not in telcod.daemon.ready_lacks()
            cutter.refuses = False
            await become(lambda: telcod.daemon.ready_lacks() == [], "its return")
            await become(lambda: telcod.daemon.duty.held, "the duty")
            smsc.send_text("84903000001", "1566", "HD")
            await smsc.wait_text("84903000001")

    with Cutter(server().port) as cutter:
        asyncio.run(run(cutter))


@pytest.mark.rule("CLI-1")
@pytest.mark.parametrize("store", ["a server", "a file"])
def test_a_daemon_of_which_a_part_breaks_ends_and_does_not_hang(tmp_path, store):
    def broken():
        raise KeyError("what")

    async def run():
        store_settings = settings(server().books()) if store == "a server" else {}
        async with SimulatedSmsc() as smsc:
            telcod = Telcod(tmp_path, link(smsc), **store_settings)
            await telcod.start()
            await telcod.wait_bound()
            telcod.daemon.ops.tick = broken
            await asyncio.wait({telcod._running}, timeout=END_S)
            assert isinstance(telcod._running.exception(), ExceptionGroup)
            telcod._running = None

    asyncio.run(run())
