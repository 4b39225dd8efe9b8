"""The bytes of FastAGI: what Asterisk writes, in whatever pieces, and what it can read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.agi_protocol import (
    ANY_KEY,
    LINE_BYTES_MAX,
    OTHER_LINES_MAX,
    USAGE_LINES_MAX,
    VARIABLES_MAX,
    AgiLost,
    AgiReader,
    Answer,
    Environment,
    Hangup,
    channel_status,
    command,
    set_variable,
    stream_file,
    wait_for_digit,
)

pytestmark = pytest.mark.rule("IVR-5")

ENVIRONMENT = (
    "agi_network: yes\nagi_network_script: s3cret/offer\nagi_callerid: 0903000001\n"
    "agi_calleridname: Nguyễn: An\nagi_language: vi_VN\nagi_arg_1: 17.1\nagi_arg_3: x y\n\n"
)


def read(text, *, after_environment=True):
    reader = AgiReader()
    reader.feed(("agi_network_script: x\n\n" if after_environment else "").encode())
    assert len(list(reader.events())) == after_environment
    reader.feed(text.encode())
    return list(reader.events())


def test_the_environment_is_read_whole():
    [environment] = read(ENVIRONMENT, after_environment=False)
    assert isinstance(environment, Environment)
    assert environment.path == "s3cret/offer"
    assert environment.args == ("17.1", "", "x y")
    assert (environment.caller, environment.language) == ("0903000001", "vi")
    assert environment.variables["agi_calleridname"] == "Nguyễn: An"


def test_a_name_that_a_caller_made_up_can_not_change_what_was_said_before():
    text = "agi_network_script: good/offer\nagi_network_script: evil/offer\n\n"
    assert read(text, after_environment=False)[0].path == "good/offer"


def test_a_hidden_caller_has_no_number_and_a_query_is_no_path():
    text = "agi_network_script: /s/offer?x=1\nagi_callerid: unknown\n\n"
    [environment] = read(text, after_environment=False)
    assert (environment.path, environment.caller) == ("s/offer", "")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("200 result=0", Answer(200, "0")),
        ("200 result=1 (a (b) c)", Answer(200, "1", "a (b) c")),
        ("200 result=49 endpos=8000", Answer(200, "49", "", 8000)),
        ("200 result=-1 endpos=0\r", Answer(200, "-1")),
        ("200 result= (timeout)", Answer(200, "", "timeout")),
        ("200 result=1234", Answer(200, "1234")),
        ("510 Invalid or unknown command", Answer(510)),
        ("511 Command Not Permitted on a dead channel or intercept routine", Answer(511)),
        ("520 Invalid command syntax.", Answer(520)),
        ("520-Invalid command syntax.\nUsage: X\n HANGUP\n520 End of proper usage.", Answer(520)),
        ("100 result=0 Trying...\n200 result=0", Answer(200, "0")),
    ],
)
def test_each_answer_of_asterisk_is_understood(line, answer):
    assert read(f"{line}\n") == [answer]


def test_a_hangup_may_stand_in_the_middle():
    assert read("HANGUP\n200 result=-1 endpos=7\n") == [Hangup(), Answer(200, "-1", "", 7)]


def test_the_code_of_a_key_is_a_key_and_nothing_else_is():
    assert {Answer(200, str(ord(key))).key for key in ANY_KEY} == set(ANY_KEY)
    assert {Answer(200, result).key for result in ("0", "-1", "65", "", "x", "999999")} == {""}


@given(st.data())
def test_any_chunking_gives_the_same_events(data):
    stream = (ENVIRONMENT + "HANGUP\n200 result=1 (ư)\n520-a\nb\n520 c\n100 x\n").encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    got: list[Any] = []
    reader = AgiReader()
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:stop])
        got += reader.events()
    environment, *rest = got
    assert environment.args == ("17.1", "", "x y")
    assert rest == [Hangup(), Answer(200, "1", "ư"), Answer(520)]


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_read_or_refused(data):
    for head in (b"", b"agi_network_script: x\n\n"):
        reader = AgiReader()
        try:
            reader.feed(head + data)
            list(reader.events())
        except AgiLost:
            pass


@pytest.mark.parametrize(
    "text",
    [
        "x" * (LINE_BYTES_MAX + 1),
        "x" * (LINE_BYTES_MAX + 1) + "\n",
        "HANGUP\n" * (OTHER_LINES_MAX + 1),
        "100 a\n" * (OTHER_LINES_MAX + 1),
        "520-a\n" + "b\n" * (USAGE_LINES_MAX + 1),
        "\n",
        "200\n",
        "result=0\n",
    ],
    ids=["line", "whole line", "hangups", "trying", "usage", "empty", "no result", "no code"],
)
def test_everything_has_its_limit(text):
    with pytest.raises(AgiLost):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"agi_arg_{number}: x\n" for number in range(VARIABLES_MAX + 1)),
        "agi_channel: x\n\n",
        "channel: x\n",
    ],
    ids=["variables", "no script", "no variable"],
)
def test_the_environment_has_its_limits(text):
    with pytest.raises(AgiLost):
        read(text, after_environment=False)


def test_commands_are_written_as_asterisk_reads_them():
    assert stream_file("telcod/vi/ask.1", "12") == b'STREAM FILE "telcod/vi/ask.1" "12"\n'
    assert wait_for_digit(8_000) == b'WAIT FOR DIGIT "8000"\n'
    assert set_variable("A", "") == b'SET VARIABLE "A" ""\n'
    assert channel_status("SIP/a-1") == b'CHANNEL STATUS "SIP/a-1"\n'
    assert command("X", 'a "b" \\c') == b'X "a \\"b\\" \\\\c"\n'


@given(st.text())
def test_no_word_of_a_command_ends_its_line(word):
    try:
        line = command("X", word)
    except ValueError:
        assert not word.isprintable()
    else:
        assert line.count(b"\n") == 1
        assert line.endswith(b'"\n')
