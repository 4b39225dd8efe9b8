"""SMSCs written by others, for telcod to be tested against: the npm package smpp, PyPI's smpp34.

Each runs as a process of its own, steered over its stdin and stdout by one JSON object a line:

    operation                                                        its event
    {"op": "deliver", "id", "source", "destination", "hex",          deliver_resp (id, status) or
      "data_coding", "esm_class", "tlvs": {tag: hex}}                  deliver_failed (id, reason)
    {"op": "answer", "id", "statuses": [...], "afterwards"}          done (id)
    {"op": "unbind"}                                                 unbind_resp, closed (session)
    {"op": "enquire_link", "id"}                                     enquire_link_resp (id)
    {"op": "drop", "id"}, {"op": "refuse", "id"}                     done (id), closed (session)
    {"op": "accept"}                                                 listening (port)

Unasked come bound (session, mode, can_receive), bind_refused, submit_sm (fields, and the status it
is answered with), unbound, generic_nack, error.  A status of null is silence.  What a package
cannot do is missing from its `can`.
"""

import asyncio
import contextlib
import fcntl
import itertools
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smpplib import consts

from telcod.simulator import smsc_text as texts
from telcod.simulator.smsc_text import Long
from telcod.simulator.watch import WAIT_S, Watch

FOLDER = Path(__file__).parent
NPM_FOLDER = FOLDER / "npm_smsc"
SYSTEM_ID, PASSWORD = "telcod", "secret"
LINE_BYTES_MAX = 1 << 20
TAGS = consts.OPTIONAL_PARAMS


@dataclass(frozen=True)
class Peer:
    """A foreign SMSC: how it is started and what its package lets a test ask for."""

    name: str
    command: tuple[str, ...]
    can: frozenset[str] = frozenset()
    needs_npm: bool = False

    def __str__(self):
        return self.name


NPM = Peer(
    "npm-smpp",
    ("node", str(NPM_FOLDER / "server.js")),
    frozenset(
        {
            "drop",
            "enquire_link",
            "check_password",
            "tell_mode",
            "answer_unbind",
            "take_unbind_resp",
            "keep_order",
        }
    ),
    needs_npm=True,
)
# smpp34 1.5.0, seen on the wire: the connection ends upon an ESME's unbind, seldom answered; the
# answer to its own unbind gets a generic_nack, and the connection stays until the ESME ends it.
# Deliveries asked for one right after the other run on its own threads: any may be written first.
SMPP34 = Peer("smpp34", (sys.executable, str(FOLDER / "smpp34_smsc.py")))
PEERS = (NPM, SMPP34)


def install_npm_packages():
    """Install what package-lock.json names, once, whoever of several processes comes first."""
    with (NPM_FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (NPM_FOLDER / "node_modules" / ".package-lock.json").exists():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=NPM_FOLDER, check=True, capture_output=True)


def free_port():
    """Choose a port; smpp34 cannot say which one it got for port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Delivery:
    """A deliver_sm sent; `await delivery` gives the command_status of its answer."""

    def __init__(self, smsc, number):
        self.smsc = smsc
        self.number = number

    def __await__(self):
        return self.status().__await__()

    async def status(self, *, wait_s=WAIT_S):
        """Wait for the answer.

        Raises:
            ConnectionError: It was not delivered: nobody was bound, or the session ended.
            TimeoutError: It was not answered within `wait_s` seconds.
        """
        event = await self.smsc.next_event(
            "deliver_resp", "deliver_failed", id=self.number, wait_s=wait_s
        )
        if event["event"] == "deliver_failed":
            raise ConnectionError(event["reason"])
        return event["status"]


class ForeignSmsc:
    """One running foreign SMSC; `async with ForeignSmsc(NPM) as smsc:`."""

    def __init__(self, peer):
        self.peer = peer
        self.host = "127.0.0.1"
        self.port = 0
        self.events = []  # Not yet taken by `next_event`, oldest first.
        self.submitted = []
        self.mailbox = texts.Mailbox()
        self._watch = Watch()
        self._ids = itertools.count(1)
        self._references = itertools.count(1)
        self._process: Any = None
        self._reading: Any = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    def can(self, what):
        return what in self.peer.can

    # --- life ---------------------------------------------------------------------------------

    async def start(self):
        """Start the process and wait until it listens; after `die` on the same port."""
        if self.peer.needs_npm:
            await asyncio.to_thread(install_npm_packages)
        self.port = self.port or free_port()
        settings = {"port": self.port, "system_id": SYSTEM_ID, "password": PASSWORD}
        self._process = await asyncio.create_subprocess_exec(
            *self.peer.command,
            json.dumps(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=LINE_BYTES_MAX,
        )
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        await self.next_event("listening")

    async def stop(self):
        """End the process in its own way, or by force."""
        if self._process is not None:
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._process.wait()
            await self.die()

    async def die(self):
        """Kill the process, as a crash would; its connections break."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._reading
            self._process = None

    # --- operations -----------------------------------------------------------------------------

    async def deliver(
        self, source, destination, data, *, data_coding=0, esm_class=0, tlvs=None
    ) -> Delivery:
        """Send a deliver_sm with these octets; `tlvs` are octets by tag."""
        number = next(self._ids)
        await self._operate(
            "deliver",
            id=number,
            source=source,
            destination=destination,
            hex=data.hex(),
            data_coding=data_coding,
            esm_class=esm_class,
            tlvs={str(tag): value.hex() for tag, value in (tlvs or {}).items()},
        )
        return Delivery(self, number)

    async def send_text(
        self, msisdn, short_code, text, *, data_coding=None, long=Long.UDH8, order=None
    ) -> list[Delivery]:
        """Send a phone's text, in parts if it is long; see `SimulatedSmsc.send_text`."""
        parts = texts.compose(
            text, data_coding=data_coding, long=Long(long), reference=next(self._references)
        )
        return [
            await self.deliver(
                msisdn,
                short_code,
                part.short_message,
                data_coding=part.data_coding,
                esm_class=part.esm_class,
                tlvs={TAGS[name]: octets(name, value) for name, value in part.tlvs.items()},
            )
            for part in (parts if order is None else [parts[index] for index in order])
        ]

    async def answer(self, *statuses, afterwards=0):
        """Answer the next submits with these statuses, later ones with `afterwards`.

        None is silence: the submit is taken and never answered.
        """
        await self._ask("answer", statuses=statuses, afterwards=afterwards)

    async def enquire_link(self):
        """Send enquire_link and wait for its answer (if the package `can`)."""
        number = next(self._ids)
        await self._operate("enquire_link", id=number)
        await self.next_event("enquire_link_resp", id=number)

    async def unbind(self):
        """Send unbind on every session; `next_event("closed")` tells their end."""
        await self._operate("unbind")

    async def drop(self):
        """Cut every session, if the package `can`, else the whole process dies and comes back."""
        if self.can("drop"):
            await self._ask("drop")
        else:
            await self.die()
            await self.start()

    async def refuse(self):
        """Stop listening; sessions stay."""
        await self._ask("refuse")

    async def accept(self):
        """Listen again."""
        await self._operate("accept")
        await self.next_event("listening")

    # --- events ---------------------------------------------------------------------------------

    async def next_event(self, *kinds, wait_s=WAIT_S, **fields):
        """Take the oldest event of one of these kinds, or of any, with these fields.

        Raises:
            TimeoutError: None came within `wait_s` seconds.
        """

        def wanted():
            return [
                event
                for event in self.events
                if (not kinds or event["event"] in kinds) and fields.items() <= event.items()
            ]

        what = f"{self.peer}: event {kinds} {fields}"
        await self._watch.until(lambda: bool(wanted()), what=what, wait_s=wait_s)
        event = wanted()[0]
        self.events.remove(event)
        return event

    async def wait_submitted(self, n, *, wait_s=WAIT_S):
        """Wait until `n` submits have come in all, whatever they were answered."""
        what = f"{self.peer}: submit {n}"
        await self._watch.until(lambda: len(self.submitted) >= n, what=what, wait_s=wait_s)

    async def wait_text(self, msisdn, n=1, *, wait_s=WAIT_S):
        """Wait until a number has received `n` texts in all, long ones whole, and give them."""
        what = f"{self.peer}: text {n} to {msisdn}"
        await self._watch.until(
            lambda: len(self.mailbox.texts_to(msisdn)) >= n, what=what, wait_s=wait_s
        )
        return self.mailbox.texts_to(msisdn)

    async def _ask(self, op, **fields):
        number = next(self._ids)
        await self._operate(op, id=number, **fields)
        await self.next_event("done", id=number)

    async def _operate(self, op, **fields):
        self._process.stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self, stdout):
        while line := await stdout.readline():
            event = json.loads(line)
            if event["event"] == "submit_sm":
                self.submitted.append(event)
                is_text = str(TAGS["ussd_service_op"]) not in event["tlvs"]
                # Silence takes the text all the same.
                if is_text and event["status"] in {0, None}:
                    self.mailbox.add(part_of(event))
            self.events.append(event)
            self._watch.changed()


def octets(name, value):
    """Write a TLV's value: one octet or two for a number, by its name."""
    if isinstance(value, bytes):
        return value
    return value.to_bytes(2 if name == "sar_msg_ref_num" else 1, "big")


def part_of(event):
    """Read a submit_sm event for the mailbox.

    One package gives the text that it decoded and the header apart, the other gives octets.
    """
    coding = event["data_coding"]
    if event["text"] is None:
        body = bytes.fromhex(event["hex"])
    else:
        # Written again in the alphabet it was read from; the mailbox reads joined octets.
        [fields] = texts.compose(event["text"], data_coding=coding, long=Long.PAYLOAD)
        carried = (fields.short_message, *fields.tlvs.values())
        body = b"".join(each for each in carried if isinstance(each, bytes))
    concat = None
    if event["udh"]:
        header = bytes.fromhex(event["udh"])
        concat, _ = texts.split_udh(bytes([len(header)]) + header)
    elif event["esm_class"] & texts.UDHI:
        concat, body = texts.split_udh(body)
    elif str(TAGS["sar_msg_ref_num"]) in event["tlvs"]:
        names = ("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum")
        concat = texts.Concat(*(int(event["tlvs"][str(TAGS[name])], 16) for name in names))
    return texts.Part(event["source"], event["destination"], coding, body, concat)
