"""What who runs telcod sees of it: status, top, gauges; traces that Wireshark reads; a restore.

CLI-6, CLI-8, HTTP-3, SMPP-8.
"""

import asyncio
import os
import pty
import shutil
import stat
import subprocess
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telcod.cli.root import telcod as command
from telcod.rows import MO, PERIOD, SUBSCRIPTION
from telcod.settings import shipped_config_dir
from telcod.simulator.smsc_behaviour import STATUS_THROTTLED, Behaviour
from telcod.smpp.trace import TraceBegun, TracedPdu
from telcod.web.staff_requests import Refused
from tests.e2e.harness import (
    DATABASE,
    Telcod,
    TelcodProcess,
    link,
    subscribers,
    write_settings,
)
from tests.world import World
from ussd.steps import Step, shown, step_request

pytestmark = [pytest.mark.anyio, pytest.mark.rule("CLI-8")]

A = 84903000001
NUMBERS = tuple(range(84903000100, 84903000160))
TSHARK = ("ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "tcp.desegment_tcp_streams:TRUE")


async def tell(folder, *words, environ=None):
    """Run a command in a process of its own; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "telcod", "--config", str(folder), *map(str, words)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "110"} | (environ or {}),
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def page(daemon):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(daemon.metrics.render().decode())
        for sample in family.samples
    }


async def texted(smsc, msisdn, text, code="1566"):
    [sent] = smsc.send_text(str(msisdn), code, text)
    assert await sent == 0


# ---------------------------------------------------------------------------------- status, gauges


async def test_status_says_what_is_bound_and_what_waits_and_why(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers({"msisdn": A})
        await texted(simulated, A, "KT")
        await simulated.wait_text(str(A))
        await telcod.wait_settled(1)
        status = await telcod.daemon.status()
        assert status.lacks == ()
        assert [(each.name, each.bound) for each in status.links] == [("a", True)]
        assert (status.waiting.texts, status.waiting.oldest_text_s) == (0, 0)
        assert status.http == f"127.0.0.1:{telcod.daemon.web.port}"

        simulated.behave(Behaviour(submit_status=STATUS_THROTTLED))
        await texted(simulated, A, "KT")
        assert (await telcod.daemon.status()).waiting.texts == 1

        await simulated.stop(abrupt=True)
        await telcod.wait_told("link a is no longer bound")
        status = await telcod.daemon.status()
        assert status.lacks == ("no SMPP link is bound",)
        assert status.links[0].last_error


@pytest.mark.rule("HTTP-3")
async def test_the_gauges_show_how_it_stands(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await telcod.wait_bound()
        ops = telcod.daemon.ops
        await telcod.subscribers({"msisdn": A})
        await texted(simulated, A, "DK")
        await simulated.wait_text(str(A))
        await telcod.wait_settled(1)
        ops.tick()
        await ops.look_at_books()
        before = page(telcod.daemon)
        assert before["telcod_ready",] == 1
        assert before["telcod_outbox_pending_texts",] == 0
        assert before["telcod_texts_received_total", "answered"] == 1
        assert before["telcod_text_seconds_count",] == 1
        assert before["telcod_requests_total", "staff"] == 1
        assert before["telcod_books_bytes",] > 0
        assert before["telcod_disk_free_bytes",] > 0

        simulated.behave(Behaviour(submit_status=STATUS_THROTTLED))
        await texted(simulated, A, "KT")
        await simulated.stop(abrupt=True)
        await telcod.wait_told("link a is no longer bound")
        await telcod.wait_logged("link.unreachable", 2)
        ops.tick()
        await ops.look_at_books()
        after = page(telcod.daemon)
        assert after["telcod_ready",] == 0
        assert after["telcod_link_bound", "a"] == 0
        assert after["telcod_link_reconnects_total", "a"] >= 1
        assert after["telcod_outbox_pending_texts",] == 1


async def test_money_that_is_earned_is_seen_in_the_pulse(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers({"msisdn": A})
        await texted(simulated, A, "DK")
        await texted(simulated, A, "HUY")
        before = await telcod.daemon.ops.pulse()
        assert before.earned_vnd == {"package": 0, "voice": 0, "sms": 0}
        await texted(simulated, A, "DK")  # no second trial: it costs
        pulse = await telcod.daemon.ops.pulse()
        assert pulse.earned_vnd["package"] == 1_000
        assert pulse.texts == before.texts + 1 == 3
        assert pulse.text.counts[-1] == 3
        [link_pulse] = pulse.links
        assert link_pulse.pdus_in > before.links[0].pdus_in


# --------------------------------------------------------------------------------------------- top


@pytest.fixture
def folder(simulated, tmp_path):
    write_settings(tmp_path, link(simulated))
    lines = [{"msisdn": each, "balance_vnd": 20_000} for each in (A, *NUMBERS)]
    subscribers(tmp_path, *lines)
    return tmp_path


async def test_top_once_shows_links_rates_latencies_and_money(simulated, folder):
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        await texted(simulated, A, "DK")
        code, out, err = await tell(folder, "top", "--once", "--interval", "0.05")
        assert (code, err) == (0, "")
        for part in ("ready", "PDUs in/s", "texts received", "commit", "together", "0 đ"):
            assert part in out
        assert any(line.startswith("a ") and "bound" in line for line in out.splitlines())


async def test_top_on_a_terminal_goes_on_until_q(simulated, folder):
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "telcod", "--config", str(folder), "top", "--interval", "0.05"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"},
        )
        os.close(theirs)
        seen = await asyncio.to_thread(read_until, ours, b"together", times=3)
        os.write(ours, b"q")
        await asyncio.to_thread(read_until, ours, None)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        os.close(ours)
        assert b"Traceback" not in seen


def read_until(fd, part, *, times=1):
    """What a terminal shows until some words came so often; None is until its end."""
    seen = b""
    while part is None or seen.count(part) < times:
        try:
            data = os.read(fd, 65_536)
        except OSError:  # the other side has gone
            break
        if not data:
            break
        seen += data
    return seen


# ------------------------------------------------------------------------------------------- trace


@pytest.mark.rule("SMPP-8", "PAY-1")
async def test_a_trace_is_read_by_tshark_as_valid_smpp_and_holds_no_password(simulated, folder):
    """A link that is bound already, and one that binds while it is traced."""
    path = folder / "a.pcap"
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        process: Any = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "telcod", "--config", str(folder)),
            *("trace", "--link", "a", "--pcap", str(path), "--pdus", "16"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert b"Tracing link a;" in await process.stderr.readline()
        for text, code in (("DK", "1566"), ("MK geheim12", "9223")):
            await texted(simulated, A, text, code)  # deliver_sm, submit_sm and their answers
        await simulated.wait_text(str(A), 2)
        simulated.drop()
        await telcod.wait_line("is bound", 2)
        for text in ("KT", "KT"):
            await texted(simulated, A, text)
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        assert out.decode() == f"16 PDUs of link a are in {path}.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    assert b"geheim12" not in data
    assert b"secret\0" not in data  # the password of the bind

    lines = dissected(path, "smpp.command_id", "smpp.sequence_number", "smpp.destination_addr")
    commands = [int(line[0], 0) for line in lines if line[0]]
    assert len(commands) == 16
    assert commands[:4] == [0x05, 0x8000_0005, 0x04, 0x8000_0004]
    assert {0x09, 0x8000_0009} <= set(commands)
    assert {"1566", "9223", str(A)} <= {line[2] for line in lines}
    wrong = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
    assert dissected(path, "frame.number", show=wrong) == []
    gaps = "tcp.analysis.lost_segment || tcp.analysis.retransmission || tcp.analysis.out_of_order"
    assert dissected(path, "frame.number", show=gaps) == []
    assert (
        len(dissected(path, "frame.number", show="tcp.flags.syn == 1 && tcp.flags.ack == 0")) == 2
    )


def dissected(path, *fields, show=""):
    """What tshark finds: of each packet that is shown the wanted fields."""
    found = subprocess.run(
        [
            *("tshark", "-r", path, "-T", "fields", "-E", "separator=|"),
            *(part for option in TSHARK for part in ("-o", option)),
            *(part for field in fields for part in ("-e", field)),
            *(("-Y", show) if show else ()),
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    return [line.split("|") for line in found.stdout.splitlines()]


@pytest.mark.rule("CLI-9")
async def test_a_trace_of_no_link_or_into_a_file_that_is_there_is_refused(simulated, folder):
    path = folder / "a.pcap"
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        code, _, err = await tell(folder, "trace", "--link", "nope", "--pcap", path)
        assert (code, path.exists()) == (1, False)
        assert "no link is called 'nope'. Links: a." in err
        path.write_bytes(b"precious")
        code, _, err = await tell(folder, "trace", "--pcap", path)
        assert code == 1
        assert "there already" in err
        assert path.read_bytes() == b"precious"


async def test_a_trace_ends_when_telcod_stops_and_the_link_is_left_alone_when_it_ends(
    simulated, tmp_path
):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await telcod.wait_bound()
        ops = telcod.daemon.ops
        with pytest.raises(Refused):
            await anext(ops.trace("nope"))
        lines = ops.trace("a", pdus=1)
        assert await anext(lines) == TraceBegun("a", bound=True)
        await telcod.subscribers({"msisdn": A})
        await texted(simulated, A, "KT")
        assert isinstance(await anext(lines), TracedPdu)
        assert [line async for line in lines] == []
        traced = ops.trace("a")
        await anext(traced)
        await telcod.stop()
        async with asyncio.timeout(10):
            rest = [line async for line in traced]
        assert all(isinstance(line, TracedPdu) for line in rest)


# ----------------------------------------------------------------------------------------- restore


@pytest.mark.rule("CLI-6", "SMPP-5")
async def test_a_backup_taken_under_load_restores_to_all_that_was_acknowledged_before(
    simulated, folder, tmp_path_factory
):
    """The drill: texts come all the time, a backup is made, more come, and the machine is lost."""
    backup = folder / "backup.db"
    async with TelcodProcess(folder) as telcod:
        await telcod.wait_line("is bound")
        before = [simulated.send_text(str(each), "1566", "DK")[0] for each in NUMBERS[:20]]
        assert [await one for one in before] == [0] * 20
        under_way = [simulated.send_text(str(each), "1566", "DK")[0] for each in NUMBERS[20:40]]
        code, _, err = await tell(folder, "db", "backup", backup)
        assert (code, err) == (0, "")
        assert [await one for one in under_way] == [0] * 20
        after = [simulated.send_text(str(each), "1566", "DK")[0] for each in NUMBERS[40:]]
        assert [await one for one in after] == [0] * 20
        await telcod.kill()

    other = tmp_path_factory.mktemp("other")
    write_settings(other, link(simulated))
    code, out, err = await tell(other, "db", "restore", backup)
    assert code == 0, err
    assert "checked" in out
    assert f"{DATABASE}.key is not beside it" in err
    shutil.copy(folder / f"{DATABASE}.key", other)
    assert (await tell(other, "db", "check"))[:2] == (0, "The books are right.\n")
    code, _, err = await tell(other, "db", "restore", backup)
    assert code == 1
    assert "there already" in err

    bound = sum("bind" in name for name in simulated.conversation.commands())
    async with TelcodProcess(other) as telcod:
        await telcod.wait_line("link a is bound")
        assert sum("bind" in name for name in simulated.conversation.commands()) > bound
        assert "all is well" in (await tell(other, "status"))[1]
        await texted(simulated, A, "DK")
        assert await telcod.terminate() == 0
    with World(other / DATABASE) as world:
        registered = {row.msisdn for row in world.store.scan(SUBSCRIPTION)}
        assert {*NUMBERS[:20], A} <= registered
        # A trial for each, and only one: nothing of the backup was done twice.
        assert len(list(world.store.scan(PERIOD))) == len(registered)
        assert {row.source for row in world.store.scan(MO)} >= {str(each) for each in NUMBERS[:20]}
        assert not world.check()


def test_every_command_of_operations_has_help():
    for name in ("status", "top", "trace"):
        assert command.commands[name].help
        assert all(param.help for param in command.commands[name].params if param.name != "path")


# ------------------------------------------------------------------------------------------ reload


@pytest.mark.rule("CLI-1", "CFG-2", "USSD-3")
async def test_a_reload_takes_a_changed_menu_and_a_mistake_in_it_changes_nothing(
    simulated, tmp_path
):
    shutil.copytree(shipped_config_dir() / "ussd", tmp_path / "ussd")
    menu = tmp_path / "ussd" / "1566.toml"
    shipped = menu.read_text(encoding="utf-8")

    async with Telcod(tmp_path, link(simulated)) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers({"msisdn": A})

        async def first_screen(session):
            request = step_request(
                session,
                Step(msisdn=str(A), service_code="*1566#", step=0),
                platform="test",
                sender=A,
            )
            return shown(await telcod.daemon.submit(request)).text

        assert "Payforme: nguoi nhan tra" in await first_screen("one")
        menu.write_text(shipped.replace("Payforme: nguoi nhan tra", "Nguoi nhan tra", 1), "utf-8")
        assert await telcod.daemon.reload()
        assert "Payforme" not in (await first_screen("two")).splitlines()[0]
        menu.write_text(shipped.replace('first = "main"', 'first = "nowhere"'), "utf-8")
        assert not await telcod.daemon.reload()
        assert "1566.toml: first" in "".join(telcod.told)
        assert "Payforme" not in (await first_screen("three")).splitlines()[0]
        assert telcod.count_told("link a is bound") == 1
