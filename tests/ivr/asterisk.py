"""Asterisk's side of FastAGI, after a transcript: what telcod must say, and what it is answered.

Lines of a transcript:

- `> ...` telcod says exactly this; `< ...` Asterisk answers (or says by itself);
- `* a b c` telcod plays these recordings, one after the other, and nobody presses a key;
- `* a b! 1` the same, but key 1 is pressed during the last of them;
- `(closed)` telcod closes the connection.
"""

import asyncio
from typing import Any

from ivr.agi import AgiServer
from ivr.agi_protocol import ANY_KEY
from ivr.agi_scripts import Service
from telcod.bulk import SubscriberLine
from telcod.rows import Kind, State
from telcod.simulator.watch import WAIT_S
from telcod.types import Channel, Request
from tests.web.fake_backend import FakeBackend

AN, BINH = 84903000001, 84903000002
CALL = "pbx1-1795326426.0"
A_CHANNEL = "PJSIP/network-00000001"
SECRET = "s3cret-of-the-dialplan"
TO_BINH = "15660903000002"

BINH_IS_ASKED = """
    > SET VARIABLE "TELCOD_PAYER" "84903000002"
    < 200 result=1
    > SET VARIABLE "TELCOD_REASON" ""
    < 200 result=1
    > SET VARIABLE "TELCOD_LANGUAGE" "vi"
    < 200 result=1
    > SET VARIABLE "TELCOD_LIMIT_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_WARN_MS" "0"
    < 200 result=1
    > SET VARIABLE "TELCOD_ACTION" "ask"
    < 200 result=1
    (closed)
"""
AN_S_NUMBER = " ".join(f"vi/numbers/{digit}" for digit in "0903000001")
PRICES = (
    "vi/ask.2 vi/numbers/1 vi/numbers/thousand vi/numbers/5 vi/numbers/hundred "
    "vi/ask.3 vi/numbers/1 vi/numbers/hundred vi/numbers/5 vi/numbers/tens"
)
QUESTION = f"* vi/ask.1 {AN_S_NUMBER} {PRICES} vi/ask.4"


def variables(*, path, args=(), **more):
    """What Asterisk 16 says first, as it was recorded from one."""
    values = {
        "network": "yes",
        "network_script": path,
        "request": f"agi://127.0.0.1:4573/{path}",
        "channel": "PJSIP/network-00000002",
        "language": "vi",
        "type": "PJSIP",
        "uniqueid": "1795326426.1",
        "version": "16.28.0~dfsg-0+deb11u4",
        "callerid": "0903000001",
        "calleridname": "unknown",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": "unknown",
        "rdnis": "unknown",
        "context": "telcod",
        "extension": TO_BINH,
        "priority": "7",
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "139830862366464",
    } | more
    lines = [f"agi_{name}: {value}" for name, value in values.items()]
    lines += [f"agi_arg_{number}: {arg}" for number, arg in enumerate(args, 1)]
    return "\n".join([*lines, "", ""])


def books():
    """An and Binh have money."""
    backend = FakeBackend()
    for number in (AN, BINH):
        backend.add(
            SubscriberLine(msisdn=number, kind=Kind.PREPAID, state=State.ACTIVE, balance_vnd=20_000)
        )
    return backend


class Pbx:
    """telcod's FastAGI on real handlers, and an Asterisk that calls it; `async with Pbx()`."""

    def __init__(self, *, backend=None, submit=None, **options):
        self.backend = backend or books()
        service = Service(
            submit or self.backend.submit,
            self.backend.parse_number,
            lambda: self.backend.prompts,
            answer_wait_s=options.pop("answer_wait_s", WAIT_S),
            retry_pause_s=0,
        )
        usual: dict[str, Any] = {
            "secret": SECRET,
            "allow_from": ("127.0.0.0/8",),
            "sounds": "telcod",
        }
        self.server = AgiServer(
            service, self.backend.clock, host="127.0.0.1", port=0, **usual | options
        )

    async def __aenter__(self):
        await self.server.bind()
        self._running = asyncio.create_task(self.server.run())
        return self

    async def __aexit__(self, *_):
        self.server.stop()
        async with asyncio.timeout(WAIT_S):
            await self._running

    async def dial(self, dialled=TO_BINH, *, transcript=BINH_IS_ASKED, **more):
        """A dials."""
        await self.script("offer", CALL, dialled, transcript=transcript, extension=dialled, **more)

    async def script(self, name, *args, transcript, path="", **more):
        """Run a script of the dialplan, and hold telcod to a transcript."""
        environment = variables(path=path or f"{SECRET}/{name}", args=args, **more)
        async with asyncio.timeout(WAIT_S):
            reader, writer = await self.open()
            writer.write(environment.encode())
            try:
                for line in filter(None, map(str.strip, transcript.splitlines())):
                    await _play(line, reader, writer)
            finally:
                writer.close()

    async def open(self):
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    def call(self):
        """How the call stands in the books."""
        shown = Request("call.show", args=(CALL,), channel=Channel.IVR, actor="agi")
        return self.backend.take(shown).data


async def _play(line, reader, writer):
    mark, _, rest = line.partition(" ")
    match mark:
        case ">":
            assert (await reader.readline()).decode() == f"{rest}\n"
        case "<":
            writer.write(f"{rest}\n".encode())
        case "(closed)":
            assert await reader.read() == b""
        case "*":
            files, _, key = rest.partition("!")
            names = files.split()
            for name in names:
                await _heard(name, reader)
                pressed = ord(key.strip()) if key and name == names[-1] else 0
                writer.write(f"200 result={pressed} endpos=8000\n".encode())
        case _:
            raise ValueError(line)


async def _heard(name, reader):
    said = (await reader.readline()).decode()
    # B may end the question by any key; A hears what he hears.
    assert said in {f'STREAM FILE "telcod/{name}" "{keys}"\n' for keys in (ANY_KEY, "")}
