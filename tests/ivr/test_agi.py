"""FastAGI as transcripts of Asterisk's side: who is asked, joined, refused, and what breaks."""

import asyncio

import pytest

from ivr.agi import AgiServer
from telcod.errors import NotStarted, Overloaded
from telcod.simulator.watch import WAIT_S
from telcod.types import Request
from tests.e2e.harness import Telcod
from tests.ivr.asterisk import (
    A_CHANNEL,
    AN,
    BINH,
    CALL,
    QUESTION,
    SECRET,
    Pbx,
    books,
    variables,
)
from tests.web.fake_backend import RULES

pytestmark = [pytest.mark.anyio, pytest.mark.rule("IVR-5")]

THE_TWO_TALK = """
    > CHANNEL STATUS "PJSIP/network-00000001"
    < 200 result=4
    > SET VARIABLE "TELCOD_PAYER" "84903000002"
    < 200 result=1
    > SET VARIABLE "TELCOD_REASON" ""
    < 200 result=1
    > SET VARIABLE "TELCOD_LANGUAGE" "vi"
    < 200 result=1
    > SET VARIABLE "TELCOD_LIMIT_MS" "600000"
    < 200 result=1
    > SET VARIABLE "TELCOD_WARN_MS" "30000"
    < 200 result=1
    > SET VARIABLE "TELCOD_ACTION" "connect"
    < 200 result=1
    (closed)
"""
NOBODY_TALKS = """
    > SET VARIABLE "TELCOD_PAYER" "84903000002"
    < 200 result=1
    > SET VARIABLE "TELCOD_REASON" "not_accepted"
    < 200 result=1
    > SET VARIABLE "TELCOD_LANGUAGE" "vi"
    < 200 result=1
    > SET VARIABLE "TELCOD_LIMIT_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_WARN_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_ACTION" "refuse"
    < 200 result=1
    (closed)
"""
A_HEARS_UNAVAILABLE = """
    > SET VARIABLE "TELCOD_PAYER" ""
    < 200 result=1
    > SET VARIABLE "TELCOD_REASON" "unavailable"
    < 200 result=1
    > SET VARIABLE "TELCOD_LANGUAGE" "vi"
    < 200 result=1
    > SET VARIABLE "TELCOD_LIMIT_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_WARN_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_ACTION" "refuse"
    < 200 result=1
    * vi/unavailable
    (closed)
"""
CHARGED = """
    > SET VARIABLE "TELCOD_CHARGED" "{}"
    < 200 result=1
    (closed)
"""


@pytest.fixture
async def pbx():
    async with Pbx() as running:
        yield running


async def consent(pbx, transcript):
    await pbx.script("consent", CALL, A_CHANNEL, transcript=transcript)


async def accepted(pbx):
    await pbx.dial()
    await consent(pbx, f"{QUESTION}! 1\n{THE_TWO_TALK}")


# -- the life of a call


@pytest.mark.rule("PFM-12", "PFM-15")
async def test_b_hears_number_and_prices_and_accepts_by_a_key_while_the_question_plays(pbx):
    await pbx.dial()
    await consent(pbx, f"{QUESTION}! 1\n{THE_TWO_TALK}")
    assert pbx.call()["state"] == "talking"


@pytest.mark.rule("PFM-1", "PFM-16")
async def test_what_lies_between_joining_and_parting_is_charged(pbx):
    await accepted(pbx)
    times = ("1795326428010", "1795326435518")  # 7.508 s, of which 0.1 s is Asterisk's own
    await pbx.script("ended", CALL, *times, transcript=CHARGED.format(200))
    assert pbx.call()["billed_seconds"] == 8


@pytest.mark.rule("PFM-16")
@pytest.mark.parametrize(
    "times",
    [("", "1795326435518"), ("1795326428010", ""), ("nonsense", "1795326435518"), ("9" * 40, "1")],
    ids=["never joined", "never parted", "no moment", "no moment of this world"],
)
async def test_without_two_moments_there_was_no_talk_and_no_charge(pbx, times):
    await accepted(pbx)
    await pbx.script("ended", CALL, *times, transcript=CHARGED.format(0))
    assert pbx.call()["state"] == "ended"


@pytest.mark.rule("PFM-12")
async def test_a_slow_digit_after_the_question_counts(pbx):
    await pbx.dial()
    slow = """
        > WAIT FOR DIGIT "8000"
        < 200 result=49
    """
    await consent(pbx, f"{QUESTION}\n{slow.strip()}\n{THE_TWO_TALK}")
    assert pbx.call()["state"] == "talking"


@pytest.mark.rule("PFM-12", "PFM-13")
async def test_b_refuses_and_a_hears_the_neutral_text(pbx):
    await pbx.dial()
    await consent(pbx, f"{QUESTION}! 2\n{NOBODY_TALKS}")
    await pbx.script("refused", CALL, transcript="* vi/refused\n(closed)")
    assert pbx.call()["reason"] == "declined"


@pytest.mark.rule("PFM-12")
async def test_wrong_keys_and_silence_are_asked_again_and_then_refused(pbx):
    await pbx.dial()
    silence = '> WAIT FOR DIGIT "8000"\n< 200 result=0'
    await consent(pbx, f"{QUESTION}! 7\n{QUESTION}\n{silence}\n{QUESTION}! #\n{NOBODY_TALKS}")
    assert pbx.call()["reason"] == "wrong_keys"


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(
    "end",
    ["< HANGUP", "< 200 result=-1 endpos=4000", "< 511 Command Not Permitted on a dead channel"],
)
async def test_b_hangs_up_in_the_middle_of_the_question(pbx, end):
    await pbx.dial()
    first = '> STREAM FILE "telcod/vi/ask.1" "0123456789*#"'
    await consent(pbx, f"{first}\n{end}\n(closed)")
    assert pbx.call()["reason"] == "hung_up"


@pytest.mark.rule("PFM-12")
async def test_b_hangs_up_instead_of_pressing_a_key(pbx):
    await pbx.dial()
    waiting = '> WAIT FOR DIGIT "8000"\n< HANGUP\n< 200 result=-1\n(closed)'
    await consent(pbx, f"{QUESTION}\n{waiting}")
    assert pbx.call()["reason"] == "hung_up"


@pytest.mark.rule("IVR-3")
async def test_a_hangs_up_while_b_is_asked_and_b_is_dropped(pbx):
    await pbx.dial()
    drop = '> SET VARIABLE "TELCOD_DROP" "payer"\n< 200 result=1\n(closed)'
    await pbx.script("left", CALL, transcript=drop)
    assert pbx.call()["reason"] == "caller_gone"


@pytest.mark.rule("IVR-3")
async def test_a_who_hangs_up_during_the_talk_leaves_the_end_to_the_channel_that_measures(pbx):
    await accepted(pbx)
    await pbx.script("left", CALL, transcript="(closed)")
    assert pbx.call()["state"] == "talking"


@pytest.mark.rule("IVR-3", "PFM-15")
async def test_b_accepts_when_a_has_gone_and_is_not_charged(pbx):
    await pbx.dial()
    gone = '> CHANNEL STATUS "PJSIP/network-00000001"\n< 200 result=-1'
    nobody = NOBODY_TALKS.replace("not_accepted", "unavailable").replace("84903000002", "")
    nobody = nobody.replace('"TELCOD_LANGUAGE" "vi"', '"TELCOD_LANGUAGE" ""')
    await consent(pbx, f"{QUESTION}! 1\n{gone}\n{nobody}")
    assert pbx.call() == pbx.call() | {"state": "ended", "charged_vnd": 0}


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(
    ("status", "reason"),
    [("BUSY", "payer_busy"), ("NOANSWER", "no_answer"), ("CHANUNAVAIL", "no_answer")],
)
async def test_b_is_not_reached_and_a_hears_so(pbx, status, reason):
    await pbx.dial()
    await pbx.script("refused", CALL, status, transcript="* vi/refused\n(closed)")
    assert pbx.call()["reason"] == reason


@pytest.mark.rule("PFM-10", "PFM-15")
async def test_a_call_that_needs_no_question_is_joined_at_once_and_let_go_if_b_does_not_come(pbx):
    lists(pbx, "DK", "W 0903000001")
    connect = THE_TWO_TALK.partition("< 200 result=4\n")[2]
    await pbx.dial(transcript=connect)
    await pbx.script("refused", CALL, "NOANSWER", transcript="* vi/refused\n(closed)")
    assert pbx.call() == pbx.call() | {"state": "ended", "charged_vnd": 0}


@pytest.mark.rule("PFM-3", "PFM-10")
async def test_1566_alone_is_announced_and_the_payer_is_nobody(pbx):
    announced = A_HEARS_UNAVAILABLE.replace("unavailable", "guidance")
    announced = announced.replace('"TELCOD_REASON" "guidance"', '"TELCOD_REASON" ""')
    await pbx.dial("1566", transcript=announced.replace('"refuse"', '"announce"'))


@pytest.mark.rule("PFM-4")
async def test_a_caller_without_a_number_is_not_served(pbx):
    heard = A_HEARS_UNAVAILABLE.replace("* vi/unavailable", "* vi/refused_not_served")
    heard = heard.replace('"unavailable"', '"caller_not_served"')
    heard = heard.replace('"TELCOD_PAYER" ""', '"TELCOD_PAYER" "84903000002"')
    await pbx.dial(transcript=heard, callerid="unknown")


def lists(pbx, *texts):
    for text in texts:
        parsed = RULES.dispatcher.parse("1566", text)
        asked = Request(parsed.route, sender=BINH, args=parsed.args, short_code="1566")
        pbx.backend.take(asked)


# -- what breaks


@pytest.mark.rule("IVR-6", "PFM-13")
async def test_who_can_not_hear_the_price_is_not_asked(pbx):
    await pbx.dial()
    missing = '> STREAM FILE "telcod/vi/ask.1" "0123456789*#"\n< 200 result=0 endpos=0'
    await consent(pbx, f"{missing}\n{NOBODY_TALKS}")
    assert pbx.call()["state"] == "refused"


@pytest.mark.rule("IVR-3")
async def test_overloaded_books_refuse_a_call_and_say_that_they_are_away():
    async with Pbx() as pbx:
        pbx.backend.raises = Overloaded("too many wait")
        await pbx.dial(transcript=A_HEARS_UNAVAILABLE)
        await pbx.script("left", CALL, transcript="(closed)")
        await pbx.script("ended", CALL, "1", "2", transcript="(closed)")
        pbx.backend.raises = None
        assert pbx.call() is None


@pytest.mark.rule("IVR-3", "PFM-15")
async def test_b_accepts_and_the_books_fall_silent_nobody_is_joined():
    backend = books()

    async def submit(request):
        if request.route == "call.consent":
            raise Overloaded("too many wait")
        return await backend.submit(request)

    async with Pbx(backend=backend, submit=submit) as pbx:
        await pbx.dial()
        refused = A_HEARS_UNAVAILABLE.replace("* vi/unavailable\n", "")
        await consent(pbx, f"{QUESTION}! 1\n{refused}")
        assert pbx.call()["state"] == "asking"  # supervision ends it


@pytest.mark.rule("IVR-3")
async def test_books_that_do_not_answer_in_time_refuse_safely():
    never = asyncio.Event()

    async def submit(request):
        await never.wait()

    async with Pbx(submit=submit, answer_wait_s=0.01) as pbx:
        await pbx.dial(transcript=A_HEARS_UNAVAILABLE)


@pytest.mark.rule("PFM-16")
async def test_the_end_is_told_again_until_the_books_hear_it():
    backend, tries = books(), list[Request]()

    async def submit(request):
        if request.route == "call.ended" and len(tries) < 3:
            tries.append(request)
            raise Overloaded("too many wait")
        return await backend.submit(request)

    async with Pbx(backend=backend, submit=submit) as pbx:
        await accepted(pbx)
        await pbx.script("ended", CALL, "1000", "61050", transcript=CHARGED.format(1_500))
    assert len(tries) == 3


@pytest.mark.parametrize(
    "path",
    ["offer", "/offer", "wrong/offer", f"{SECRET}x/offer", f"{SECRET}/nonsense", SECRET, ""],
)
async def test_without_the_secret_and_a_script_nothing_is_said(pbx, path):
    await pbx.script("", CALL, "1566", path=path or " ", transcript="(closed)")
    assert not [request for request in pbx.backend.submitted if request.route == "call.offer"]


async def test_who_is_not_on_the_list_of_networks_gets_no_word():
    async with Pbx(allow_from=("10.0.0.0/8",)) as pbx:
        reader, writer = await pbx.open()
        assert await reader.read() == b""
        writer.close()


async def test_more_connections_than_may_be_are_closed_at_once():
    async with Pbx(connections_max=1) as pbx:
        _, first = await pbx.open()
        reader, second = await pbx.open()
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        first.close()
        second.close()


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\x01\x02\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"agi_x: " + b"y" * 10_000,
        b"\n",
        b"agi_network_script: a\n" * 3 + b"agi_x_1: \n" * 200,
        b"".join(b"agi_x%d: y\n" % number for number in range(200)),
    ],
    ids=["bytes", "http", "long line", "nothing", "repeats", "many variables"],
)
async def test_what_is_not_agi_is_cut_off_and_does_no_harm(pbx, said):
    reader, writer = await pbx.open()
    writer.write(said)
    if not said.endswith(b"\n") or b"repeats" in said:
        writer.write_eof()
    elif said.count(b"\n") == 203:
        writer.write(b"\n")
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    writer.close()
    await pbx.dial()


async def test_an_asterisk_that_does_not_say_what_was_dialled_is_answered_all_the_same(pbx):
    reader, writer = await pbx.open()
    said = (f"agi_network_script: {SECRET}/offer", "agi_callerid: 0903000001", f"agi_arg_1: {CALL}")
    writer.write("\n".join([*said, "", ""]).encode())
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readline()).startswith(b'SET VARIABLE "TELCOD_PAYER"')
    writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        "< 510 Invalid or unknown command",
        "< 520-Invalid command syntax.  Proper usage follows:\n< Usage: SET\n< 520 End of usage.",
        "< 200 nonsense",
        "< what?",
    ],
)
async def test_an_answer_that_can_not_be_ends_the_script_and_nobody_is_joined(pbx, answer):
    said = f'> SET VARIABLE "TELCOD_PAYER" "84903000002"\n{answer}\n(closed)'
    await pbx.dial(transcript=said)


async def test_asterisk_that_goes_away_or_falls_silent_leaves_nothing_behind():
    async with Pbx(command_wait_s=0.01) as pbx:
        reader, writer = await pbx.open()
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""  # silent from the beginning
        writer.close()
        said = '> SET VARIABLE "TELCOD_PAYER" "84903000002"\n(closed)'
        await pbx.dial(transcript=said)


async def test_a_bad_call_id_is_refused_before_any_book_is_opened(pbx):
    before = len(pbx.backend.submitted)
    await pbx.script("offer", "a/b", "1566", transcript="(closed)")
    await pbx.script("offer", transcript="(closed)")
    assert len(pbx.backend.submitted) == before


async def test_stopping_cuts_off_what_is_being_said():
    async with Pbx() as pbx:
        await pbx.dial()
        reader, writer = await pbx.open()
        writer.write(variables(path=f"{SECRET}/consent", args=(CALL, A_CHANNEL)).encode())
        assert await reader.readline()
        pbx.server.stop()
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()
        assert pbx.call()["state"] == "asking"


async def test_a_port_that_is_taken_is_said_at_start(pbx):
    other = AgiServer(
        pbx.server._service,
        pbx.backend.clock,
        host="127.0.0.1",
        port=pbx.server.port,
        secret="",
        allow_from=(),
        sounds="",
    )
    with pytest.raises(NotStarted):
        await other.bind()


@pytest.mark.rule("CFG-1")
async def test_the_daemon_answers_asterisk_when_it_is_configured(tmp_path):
    async with Telcod(tmp_path, fastagi={"port": 0, "secret": SECRET}) as telcod:
        await telcod.subscribers({"msisdn": AN}, {"msisdn": BINH})
        assert telcod.count_told("FastAGI listens on 127.0.0.1:")
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", telcod.daemon.agi.port)
            writer.write(variables(path=f"{SECRET}/offer", args=(CALL, "15660903000002")).encode())
            assert await reader.readline() == b'SET VARIABLE "TELCOD_PAYER" "84903000002"\n'
            writer.close()
            await telcod.wait_logged("agi.answered")
        assert SECRET not in telcod.log.text
