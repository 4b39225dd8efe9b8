"""The demo as a newcomer meets it: a process, a terminal, texts through SMPP."""

import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from telcod.demo import CONVERSATION, PEOPLE

WAIT_S = 60


@contextmanager
def demo(*options):
    command = [sys.executable, "-m", "telcod", "demo", *options]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


def read_until(process, words):
    """Lines up to the one with these words; the test's own time limit ends a wait in vain."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"{words!r} was not said:\n{''.join(lines)}")


@pytest.mark.rule("CLI-2")
def test_the_check_shows_the_conversation_and_the_books_and_says_that_all_is_well():
    with demo("--check") as process:
        said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    assert "Everything is as it must be." in said
    assert "db check: clean" in said
    assert "abc123" not in said
    assert all(f"{line.sender} >" in said for line in CONVERSATION)
    assert "dials *1566#" in said
    assert "connect" in said
    assert "payment.cleared" in said


@pytest.mark.rule("CLI-2", "DEMO-1")
def test_the_address_that_the_demo_prints_is_the_page_with_the_phones():
    with demo("--port", "0") as process:
        introduction = read_until(process, "Ctrl-C ends.")
        [address] = re.findall(r"http://127\.0\.0\.1:[0-9]+/$", introduction, re.MULTILINE)
        page = httpx.get(address, params={"lang": "en"}, trust_env=False)
        assert page.status_code == 200
        assert all(f'id="phone-{name}"' in page.text for name in "ABC")
        with httpx.stream("GET", f"{address}events", trust_env=False) as events:
            assert next(events.iter_lines()) == "event: everything"
            # Somebody who looks on does not keep it from ending.
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0


@pytest.mark.rule("CLI-2", "CLI-9")
def test_a_port_that_is_taken_is_said_and_nothing_starts():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        demo("--port", str(taken.getsockname()[1])) as process,
    ):
        said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 3
    assert "can't listen" in said
    assert "Traceback" not in said


@pytest.mark.rule("CLI-2", "CLI-1")
def test_a_text_typed_in_the_demo_is_answered_and_ctrl_c_ends_it():
    with demo("--port", "0") as process:
        introduction = read_until(process, "Ctrl-C ends.")
        assert all(person.who in introduction for person in PEOPLE)
        process.stdin.write("0903000001 1566 KT\n")
        process.stdin.flush()
        read_until(process, "to 0903000001: Quy khach chua dang ky goi Payforme")
        process.stdin.write("nonsense\n0903000004 1567 KT\n")
        process.stdin.flush()
        read_until(process, "command_status 0x0000000B")
        process.send_signal(signal.SIGINT)
        assert "telcod has stopped" in read_until(process, "telcod has stopped")
        assert process.wait(WAIT_S) == 0
