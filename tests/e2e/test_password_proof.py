"""A payment password lies nowhere in anything that telcod writes (PAY-1).

Whatever shape its text has, and whatever goes wrong with it: database, WAL, key file, backup, logs
and output are searched for it, in any case and in every form that bytes of a text come in.
"""

import asyncio
import base64
from itertools import count
from typing import Any

import pytest

import handlers
from telcod.rows import PAYMENT_PASSWORD, QUARANTINE
from telcod.simulator.smsc_behaviour import Behaviour
from telcod.simulator.smsc_text import Long
from telcod.storage.snapshot import back_up
from tests.e2e.harness import (
    DATABASE,
    Telcod,
    TelcodProcess,
    link,
    subscribers,
    write_settings,
)
from tests.world import World

POSTPAID = tuple(range(84903000200, 84903000240))
PREPAID = 84903000300
BURST = tuple(range(84903000400, 84903000490))  # More than may wait to be hashed.
STEM = "Zq7wExPuVk"  # All passwords here begin so; nothing else does.
PADDING = " " * 160

pytestmark = pytest.mark.anyio


# ------------------------------------------------------------------------------------- the search


def packed(text):
    """The text as seven-bit characters in a stream of octets, at every bit it may begin at."""
    bits = "".join(format(ord(char), "07b")[::-1] for char in text)
    for shift in range(8):
        shifted = "0" * shift + bits
        whole = [shifted[at : at + 8] for at in range(0, len(shifted) - 7, 8)]
        # The first octet may hold bits of the character before.
        yield bytes(int(octet[::-1], 2) for octet in whole[bool(shift) :])


def forms(secret):
    """Every sequence of octets, small letters only, that would give a password away."""
    for text in {secret, secret.lower(), secret.upper()}:
        octets = [text.encode(), text.encode("utf-16-be"), text.encode("utf-16-le"), *packed(text)]
        for each in octets:
            yield each
            yield each.hex().encode()
            for skip in range(3):
                # Base64 at each of its phases, without the characters that neighbours touch.
                begin, end = (0, 2, 3)[skip], (None, -3, -2)[(skip + len(each)) % 3]
                yield base64.b64encode(b"\0" * skip + each)[begin:end]


LOOKED_FOR = {form.lower() for form in forms(STEM) if len(form) >= 6}


def search(folder, *said):
    """What of all that a telcod in this folder has written gives a password away, and how."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    written = {path.name: path.read_bytes() for path in files}
    written |= {f"output {number}": text.encode() for number, text in enumerate(said)}
    return {
        name: hits
        for name, data in written.items()
        if (small := data.lower()) and (hits := [form for form in LOOKED_FOR if form in small])
    }


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode(),
        lambda text: text.upper().encode(),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be").hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
        lambda text: base64.b64encode(b"MK " + text.encode() + b" gui 9223"),
        lambda text: base64.b64encode(b"MK  " + text.encode() + b" gui 9223"),
        *(lambda text, skip=skip: next(packed("x" * skip + text)) for skip in range(8)),
    ],
)
def test_the_search_finds_a_password_however_it_is_written(tmp_path, written):
    secret = f"{STEM}77"
    (tmp_path / "telcod.db").write_bytes(b"\0\xff" * 50 + written(secret) + b"\xff\0" * 50)
    assert "telcod.db" in search(tmp_path)
    assert "output 0" in search(tmp_path, f"text={secret!r}")
    (tmp_path / "telcod.db").write_bytes(b"\0\xff" * 50)
    assert not search(tmp_path, "nothing")


# --------------------------------------------------------------------------------------- the proof


# What is texted, to which code, and how; each by a subscriber of its own, twice: set and changed.
SHAPES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("MK {}", "9223", {}),
    ("mk   {} gui 9223", "9223", {}),
    ("MK {}", "9223", {"data_coding": 8}),
    ("MẬT KHẨU {}", "9223", {}),
    ('MK "{}"', "9223", {}),
    ("“MK {}”", "9223", {}),
    ("MK <{}>", "9223", {}),
    ("MK\u200b {}", "9223", {}),
    ("MK {}é", "9223", {"data_coding": 8}),
    ("MK {}!", "9223", {}),
    ("MK {} {}", "9223", {}),
    ("MK {}toolongforapassword", "9223", {}),
    (f"MK {PADDING}{{}}", "9223", {}),
    (f"MK {PADDING}{{}}", "9223", {"long": Long.UDH16, "order": (1, 0)}),
    (f"MK {PADDING}{{}}", "9223", {"long": Long.SAR, "data_coding": 8, "order": (2, 0, 1)}),
    (f"MK {PADDING}{{}}", "9223", {"long": Long.PAYLOAD}),
    (f"MK {{}}{PADDING}", "9223", {"order": (0,)}),  # The rest never comes: the part waits.
    ("MK {}", "1566", {}),
    ("MK{}", "1566", {}),
    ("M K {}", "1566", {}),
    ("MK{}", "9223", {}),
    ("MK:{}", "9223", {}),
    ("MK.{}", "9223", {}),
    ("KM {}", "9223", {}),
    ("MMK {}", "9223", {}),
    ("{}", "9223", {}),
    ("{} MK", "9223", {}),
    ("HD {}", "9223", {}),
    ("MK {}\nMK {}", "9223", {}),
)


async def send_shapes(smsc, secrets, senders, shapes):
    """Text each shape; wait until the SMSC need not keep any of it."""
    sent = []
    for sender, (shape, code, how) in zip(senders, shapes, strict=False):
        secret = next(secrets)
        sent += smsc.send_text(str(sender), code, shape.format(secret, secret), **how)
    assert [await one.taken() for one in sent] == [0] * len(sent)


@pytest.mark.rule("PAY-1", "SMPP-8")
async def test_no_password_is_in_anything_that_a_telcod_writes(simulated, tmp_path):
    books = tmp_path / "books"
    books.mkdir()
    # A writer's queue of one: many texts are refused for now, and come again.
    sections = {"log": {"level": "debug"}, "engine": {"queue_max": 1}}
    write_settings(books, link(simulated, long_text="sar"), **sections)
    postpaid = {"kind": "postpaid", "balance_vnd": 0}
    subscribers(
        books,
        *({"msisdn": msisdn} | postpaid for msisdn in (*POSTPAID, *BURST)),
        {"msisdn": PREPAID},
    )
    simulated.behave(Behaviour(retry_pause_s=0.005))
    secrets = map(f"{STEM}{{}}".format, count(10))
    half = len(SHAPES) // 2
    async with TelcodProcess(books) as telcod:
        await telcod.wait_line("is bound")
        await send_shapes(simulated, secrets, POSTPAID, SHAPES)
        burst = [simulated.send_text(str(each), "9223", f"MK {next(secrets)}")[0] for each in BURST]
        await burst[0]
        await telcod.kill()
        await telcod.start()
        assert [await one.taken() for one in burst] == [0] * len(BURST)
        assert 0x64 in {status for one in burst for status in one.statuses}
        await send_shapes(simulated, secrets, [PREPAID] * len(SHAPES), SHAPES[:half])
        await send_shapes(simulated, secrets, POSTPAID, SHAPES)
        [told] = simulated.send_text(str(PREPAID), "1566", "HELLO X9yes")
        assert await told == 0
        backup = books / "backup.db"
        await asyncio.to_thread(back_up, books / DATABASE, backup)

        here = {f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}.key", DATABASE, backup.name}
        assert here <= {path.name for path in books.iterdir()}
        assert not search(books, telcod.said)
        assert await telcod.terminate() == 0
        assert not search(books, telcod.said)

        # The search has looked where texts lie: one that holds no password is kept, and found.
        for path in (books / DATABASE, backup):
            assert b"HELLO X9yes" in path.read_bytes()
        assert '"event":"daemon.started"' in telcod.said
    with World(books / DATABASE) as world:
        hashes = {row.msisdn: row.hash for row in world.store.scan(PAYMENT_PASSWORD)}
    assert set(BURST) <= hashes.keys()
    assert POSTPAID[0] in hashes
    assert PREPAID not in hashes
    assert all(each.startswith("$argon2id$") for each in hashes.values())


@pytest.mark.rule("PAY-1")
async def test_no_password_is_left_by_a_handler_that_breaks(simulated, tmp_path):
    def broken(request, tx):
        raise RuntimeError(f"no luck with {request!r}")

    mk = handlers.ROUTES["password.set"]
    wrong = handlers.ROUTES["text.malformed"]
    routes = {**handlers.ROUTES, mk.name: mk._replace(handler=broken)}
    routes[wrong.name] = wrong._replace(handler=broken)
    secrets = map(f"{STEM}{{}}".format, count(10))
    books = tmp_path / "books"
    books.mkdir()
    async with Telcod(books, link(simulated), routes=routes) as telcod:
        await telcod.wait_bound()
        await telcod.subscribers(*({"msisdn": each, "kind": "postpaid"} for each in POSTPAID))
        await send_shapes(simulated, secrets, POSTPAID, SHAPES)
        assert len(await telcod.rows(QUARANTINE)) >= len(SHAPES) // 2
        assert telcod.log.events("request.quarantined")
        await telcod.daemon.backup(books / "backup.db")
        assert not search(books, telcod.log.text, *telcod.told)
