"""`telcod status`: one screen, for people and programs, and an exit code (CLI-8)."""

import io
import json

import msgspec
import pytest
from rich.console import Console

from telcod.cli.show import span, volume
from telcod.cli.status import _fields, complaints, screen
from telcod.web.ports import BrokerStatus, LinkStatus, Status, Waiting

pytestmark = pytest.mark.rule("CLI-8")

replace = msgspec.structs.replace
LINK = LinkStatus("smsc-a", "10.0.0.9", 2775, ("1566", "9223"), bound=True, outstanding=3)
WELL = Status(
    version="0.1.0",
    uptime_s=3 * 86_400 + 4 * 3_600,
    links=(LINK,),
    queue_requests=2,
    outbox_pending=7,
    commit_ms=1_790_000_000_000,
    started_ms=1_789_700_000_000,
    http="127.0.0.1:8080",
    fastagi="127.0.0.1:4573",
    broker=BrokerStatus("mqtt.example:8883", connected=True),
    waiting=Waiting(7, 125, 1, 2, 3, 4, 5, 0, 0),
    books_bytes=4_321_000_000,
    disk_free_bytes=81_000_000_000,
)


def shown(status):
    out = io.StringIO()
    Console(file=out, width=120, highlight=False, soft_wrap=True).print(screen(status))
    return out.getvalue()


def test_a_screen_tells_everything_that_is_well():
    text = shown(WELL)
    for part in (
        "telcod 0.1.0  all is well",
        "3 d 4 h, since",
        "127.0.0.1:8080",
        "127.0.0.1:4573",
        "mqtt.example:8883 connected",
        "2 requests wait",
        "7 texts (the oldest for 2 min 5 s), 1 USSD pushes, 2 e-mails",
        "3 calls, 4 USSD dialogues, 5 payments",
        "0 payment cases, 0 requests in quarantine",
        "books 4.3 GB, 81.0 GB free",
        "smsc-a",
        "10.0.0.9:2775",
        "1566 9223",
    ):
        assert part in text
    assert complaints(WELL) == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (replace(WELL, lacks=("the disk is full",)), "the disk is full"),
        (
            replace(WELL, links=(replace(LINK, bound=False, last_error="bind refused"),)),
            "link smsc-a is not bound",
        ),
        (
            replace(WELL, clock_jumped=True, clock_jump_ms=-7_200_000),
            "the clock jumped 7200 s back",
        ),
        (
            replace(WELL, log_bytes=300_000_000, log_grows=True),
            "the log of the books has grown to 300.0 MB: somebody reads them",
        ),
        (
            replace(WELL, broker=BrokerStatus("b:1", connected=False, last_error="refused")),
            "the broker b:1 is not there",
        ),
    ],
)
def test_what_is_not_well_stands_at_the_top_with_its_reason(status, told):
    text = shown(status)
    assert "not well" in text.splitlines()[0]
    assert told in text.splitlines()[1]


def test_a_link_that_is_not_bound_says_why():
    text = shown(replace(WELL, links=(replace(LINK, bound=False, last_error="bind [refused]"),)))
    assert "not bound: bind [refused]" in text


def test_what_is_not_configured_is_said_and_is_no_fault():
    text = shown(replace(WELL, fastagi="", broker=None, links=()))
    assert text.count("not configured") == 2
    assert "all is well" in text


def test_a_daemon_that_cannot_serve_ends_it_with_1(place):
    with place.served():
        done = place.tell("status")
        assert done.exit_code == 1
        assert "no SMPP link is bound" in done.stdout
        found = place.tell("status", "--json")
        assert found.exit_code == 1
        status = msgspec.convert(json.loads(found.stdout), Status)
        assert status.lacks == ("no SMPP link is bound",)
        assert status.http.startswith("127.0.0.1:")
        assert status.books_bytes > 0
        assert status.disk_free_bytes > 0
        assert status.commit_ms >= status.started_ms > 0


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize("words", [("status",), ("top", "--once"), ("trace", "--pcap", "x.pcap")])
def test_without_a_daemon_it_says_so(place, words):
    done = place.tell(*words)
    assert done.exit_code == 1
    assert "no telcod answers on" in done.stderr
    assert "telcod run" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (725, "12 min 5 s"), (15_120, "4 h 12 min"), (273_600, "3 d 4 h")],
)
def test_a_span_is_told_in_the_two_units_that_matter(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (812_000, "812 kB"), (4_321_000_000, "4.3 GB"), (2_500_000_000_000, "2.5 TB")],
)
def test_a_volume_is_told_in_a_unit_that_fits(size, text):
    assert volume(size) == text


@pytest.mark.parametrize(
    ("daemons", "on_duty", "said"),
    [
        (1, True, ""),
        (2, True, "2 on these books; this one does what only one may do"),
        (2, False, "2 on these books; this one does not do what only one may do"),
        (1, False, "1 on these books; this one does not do what only one may do"),
    ],
)
def test_of_several_daemons_it_says_how_many_and_who_is_on_duty(daemons, on_duty, said):
    status = replace(WELL, daemons=daemons, on_duty=on_duty)
    assert dict(_fields(status)).get("daemons", "") == said
    assert complaints(status) == []
