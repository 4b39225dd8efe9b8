"""`telcod run` as a process: what it says, how it stops, why it does not start (CLI-1)."""

import contextlib
import json
import signal
import subprocess
import sys

import httpx
import pytest

pytestmark = pytest.mark.rule("CLI-1")

WAIT_S = 20


@contextlib.contextmanager
def running(place, *options):
    command = [sys.executable, "-m", "telcod", "run", "--config", str(place.folder), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place.folder
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.rule("CLI-9", "HTTP-3")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_http_listens_and_stops_cleanly(place, number):
    with running(place) as process:
        line = process.stdout.readline().strip()
        address = line.removeprefix("HTTP listens on ")
        assert httpx.get(f"{address}/healthz").json()["alive"] is True
        assert httpx.get(f"{address}/readyz").json()["missing"] == ["no SMPP link is bound"]
        process.send_signal(number)
        told, logged = process.communicate(timeout=10)
        assert process.returncode == 0
        assert told.splitlines()[-1] == "telcod has stopped"
        events = [json.loads(line) for line in logged.splitlines()]
        assert {"daemon.started", "http.answered"} >= {event["event"] for event in events}
        assert not (place.folder / "telcod.db.sock").exists()


@pytest.mark.rule("CLI-9")
def test_a_second_one_on_the_same_books_does_not_start_and_disturbs_nobody(place):
    with place.served(), running(place) as second:
        _, told = second.communicate(timeout=WAIT_S)
        assert second.returncode == 3
        assert "is in use by another telcod." in told
        assert "Traceback" not in told
        assert place.tell("status").stdout.startswith("telcod ")


@pytest.mark.rule("CLI-9")
def test_a_wrong_configuration_ends_with_3_and_every_problem(place):
    place.file("telcod.toml", "[http]\nport = 'x'\n[store]\nurl = 'mysql://x'\n")
    with running(place) as process:
        _, told = process.communicate(timeout=WAIT_S)
        assert process.returncode == 3
        assert "http.port" in told
        assert "store.url" in told


def test_logs_are_for_people_when_asked(place):
    with running(place, "--log", "console") as process:
        process.stdout.readline()
        process.terminate()
        _, logged = process.communicate(timeout=WAIT_S)
        assert not logged.startswith("{")
        assert "daemon.started" in logged
