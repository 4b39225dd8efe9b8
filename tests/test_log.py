"""Logs never show a number, a text or a password, whoever wrote the line."""

import io
import json
import logging
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from telcod import log
from telcod.clock import ManualClock
from telcod.msisdn import Msisdn
from telcod.msisdn import masked as masked_number

NUMBER = 84903123456


@pytest.fixture
def lines():
    """Configure logs into a text, and put all back as it was."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configure(**options):
        clock = ManualClock(1_700_000_000_123)
        log.configure(stream=stream, clock=clock, cached=False, **options)
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def said(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.rule("CLI-1")
def test_a_line_is_one_json_object_with_the_event_first(lines):
    stream = lines()
    structlog.get_logger("telcod.smpp").info("link.bound", link="smsc-a", window=100)
    assert stream.getvalue() == (
        '{"timestamp":"2023-11-14T22:13:20.123Z","level":"info","event":"link.bound",'
        '"link":"smsc-a","window":100,"logger":"telcod.smpp"}\n'
    )


@pytest.mark.rule("CLI-1")
def test_people_get_a_line_that_is_no_json(lines):
    stream = lines(form="console")
    structlog.get_logger("telcod").warning("link.lost", link="smsc-a")
    text = stream.getvalue()
    assert "link.lost" in text
    assert "link=smsc-a" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("84903123456", "8490***3456"),
        ("+84903123456", "+8490***3456"),
        ("0084903123456", "008490***3456"),
        ("0903123456", "090***3456"),
        ("01201234567", "0120***4567"),
        ("from 84903123456 to 0912345678.", "from 8490***3456 to 091***5678."),
        ('{"msisdn":"84903123456"}', '{"msisdn":"8490***3456"}'),
        ("1700000000123", "1700000000123"),
        ("849031234567", "849031234567"),
        ("1566", "1566"),
        ("", ""),
    ],
)
def test_a_number_is_masked_wherever_it_stands_in_a_text(text, shown):
    assert log.masked(text) == shown


@given(st.integers(84_000_000_000, 84_999_999_999))
def test_a_number_is_masked_as_the_rest_of_telcod_masks_it(number):
    assert log.masked(str(number)) == masked_number(Msisdn(number))


class Pdu(msgspec.Struct):
    source_addr: str
    short_message: bytes


@pytest.mark.rule("PAY-1", "SMPP-8")
@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("msisdn", NUMBER, "8490***3456"),
        ("key", f"call:{NUMBER}:1", "call:8490***3456:1"),
        ("numbers", [NUMBER, "0903123456"], ["8490***3456", "090***3456"]),
        (
            "body",
            {"password": "abcd", "n": {"text": "hi"}},
            {"password": "***", "n": {"text": "***"}},
        ),
        ("body", {f"{NUMBER}": 1}, {"8490***3456": 1}),
        ("text", "MK abcd", "***"),
        ("password", "abcd", "***"),
        ("token", None, "***"),
        ("short_message", b"MK abcd", "***"),
        ("frame", b"MK abcd", "<7 bytes>"),
        (
            "pdu",
            Pdu(str(NUMBER), b"MK abcd"),
            {"source_addr": "8490***3456", "short_message": "***"},
        ),
        ("error", ValueError(f"{NUMBER} is odd"), "8490***3456 is odd"),
        ("amount_vnd", 1_000, 1_000),
        ("at_ms", 1_700_000_000_123, 1_700_000_000_123),
        ("wait_s", 0.5, 0.5),
        ("ok", True, True),
        ("payer", None, None),
    ],
)
def test_what_must_not_be_seen_is_not_seen(lines, key, value, shown):
    stream = lines()
    structlog.get_logger().info("x.done", **{key: value})
    assert said(stream)[0][key] == shown


def test_a_value_that_contains_itself_ends(lines):
    stream = lines()
    endless: dict[str, object] = {}
    endless["again"] = endless
    structlog.get_logger().info("x.done", endless=endless)
    assert '"..."' in stream.getvalue()


@pytest.mark.rule("PAY-1")
def test_a_traceback_shows_no_variables_and_no_numbers(lines):
    stream = lines()
    password = "hunter22"
    try:
        raise ValueError(f"no such number {NUMBER}")
    except ValueError:
        structlog.get_logger().exception("request.failed")
    text = stream.getvalue()
    assert "no such number 8490***3456" in text
    assert "Traceback" in text
    assert password not in text
    assert str(NUMBER) not in text


@pytest.mark.rule("PAY-1")
def test_a_traceback_for_people_shows_no_variables_either(lines):
    stream = lines(form="console")
    password = "hunter22"
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("request.failed")
    assert "ValueError" in stream.getvalue()
    assert stream.getvalue().count(password) == 0


def test_what_libraries_log_takes_the_same_pipe(lines):
    stream = lines()
    logging.getLogger("uvicorn.error").warning("from %s", f"0{NUMBER % 10**9}")
    (line,) = said(stream)
    assert line["event"] == "from 090***3456"
    assert (line["level"], line["logger"]) == ("warning", "uvicorn.error")


def test_a_librarys_broken_log_call_harms_nobody(lines):
    stream = lines()
    logging.getLogger("some.library").error("%d of %d", "one")  # noqa: PLE1206
    assert said(stream)[0]["event"] == "%d of %d"


def test_a_librarys_exception_is_told_with_its_traceback(lines):
    stream = lines()
    try:
        raise ValueError(str(NUMBER))
    except ValueError:
        logging.getLogger("litestar").exception("failed")
    (line,) = said(stream)
    assert "ValueError: 8490***3456" in line["exception"]


def test_half_a_surrogate_pair_is_logged_too(lines):
    stream = lines()
    structlog.get_logger().info("x.done", heard="\ud83d")
    assert said(stream)[0]["heard"] == "\ud83d"


def test_a_log_that_cannot_be_written_stops_nothing(lines):
    lines().close()
    structlog.get_logger().info("x.done")


def test_a_level_that_is_off_formats_nothing(lines):
    class Costly:
        def __str__(self):
            raise AssertionError("formatted")

    stream = lines(level="warning")
    structlog.get_logger().info("x.done", value=Costly())
    logging.getLogger("library").info("%s", Costly())
    assert stream.getvalue() == ""


def test_a_line_for_each_http_request_is_ours_to_write(lines):
    stream = lines(level="info")
    logging.getLogger("uvicorn.access").info("GET /")
    assert stream.getvalue() == ""


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters())
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_logged_becomes_a_line(value):
    line: Any = {"event": "x.done", "value": value}
    for processor in log.pipe(form="json", clock=ManualClock(0)):
        line = processor(None, "info", line)
    assert json.loads(line)["event"] == "x.done"
