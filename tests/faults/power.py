"""A life of telcod, and what is left of it when the power fails at any moment of it (F3).

One real life is recorded by strace.  At each moment asked for, what the disk may hold is drawn
(`disk.py`), opened by the store as after any crash, and compared with what telcod had said on the
wire by then: what was acknowledged is there with its effect, what was answered is in the books, and
nothing is there twice.
"""

import random
import shutil
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from telcod.check import check_books
from telcod.errors import TelcodError
from telcod.rows import MO, OUTBOX_SMS
from telcod.simulator.smsc import SimulatedSmsc
from telcod.storage.sqlite import SqliteStore
from telcod.vault import Vault
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.disk import Disk, read_trace, trace_command
from tests.faults.process import Injection, TelcodProcess
from tests.faults.sweep import LIFE_S, Point, Sweep, WatchedSmsc
from tests.world import shipped_rules

KEY = f"{DATABASE}.key"
NAMES = tuple(
    f"{DATABASE}{ending}" for ending in ("", "-wal", "-journal", ".lock", ".key", ".key.new")
)
BIND_TRANSCEIVER, DELIVER_SM_RESP, SUBMIT_SM = 0x00000009, 0x80000005, 0x00000004
HEADER = struct.Struct(">IIII")
FIRST_STRANGER = 84903700001  # Nobody's number.


class Recording(Injection):
    """strace writes down the life; nothing is injected where no call is named."""

    def strace(self, log):
        """The strace command that records."""
        inject = f"{self.call}:{self.what}:when={self.when}" if self.call else ""
        return trace_command(log, inject)


RECORDING = Recording("", "", "")


class Said(NamedTuple):
    """What left for the SMSC: when (after so many acts), a response or a text, its number."""

    place: int
    command: int
    sequence: int


class Record:
    """A life that strace wrote down, and the files in its folder before it."""

    def __init__(self, folder, trace, before) -> None:
        self._folder = folder
        self._before = before
        with trace.open(encoding="ascii") as lines:
            self.acts = read_trace(lines)
        self.said = said_on_the_wire(self.acts)

    def moments(self, count, *, seed, images) -> Iterator[int]:
        """Draw moments; at each the folder `images` holds what the power left."""
        dice = random.Random(seed)
        # Half of them just after telcod said something, where it owes the most.
        spoken = sorted({each.place for each in self.said})
        anywhere = range(len(self.acts) + 1)
        drawn = sorted(
            dice.choice(spoken) if number % 2 else dice.choice(anywhere) for number in range(count)
        )
        disk, done = Disk(self._folder, NAMES, self._before), 0
        for moment in drawn:
            for act in self.acts[done:moment]:
                disk.do(act)
            done = moment
            shutil.rmtree(images, ignore_errors=True)
            images.mkdir()
            for name, content in disk.image(dice).items():
                (images / name).write_bytes(content)
            yield moment

    def left_by(self, moment, command) -> list[int]:
        """The sequence numbers of what had left for the SMSC by a moment."""
        return [
            each.sequence for each in self.said if each.place <= moment and each.command == command
        ]

    def writers(self, names) -> set[int]:
        """The threads that wrote to, cut or synced any of these files."""
        files = {str(self._folder / name) for name in names}
        whats = {"write", "truncate", "sync"}
        return {act.thread for act in self.acts if act.path in files and act.what in whats}


def said_on_the_wire(acts) -> list[Said]:
    """The good responses and the texts on each connection that was bound.

    Each counts from the moment at which its write began: from then on it may have left.
    """
    streams: dict[str, bytearray] = defaultdict(bytearray)
    bound, said = set(), []
    for place, act in enumerate(acts, start=1):
        if act.what != "send":
            continue
        stream = streams[act.path]
        stream += act.data
        while len(stream) >= HEADER.size:
            length, command, status, sequence = HEADER.unpack_from(stream)
            if not HEADER.size <= length <= 1 << 16:
                stream.clear()  # A connection that speaks something else.
                break
            if len(stream) < length:
                break
            del stream[:length]
            if command == BIND_TRANSCEIVER:
                bound.add(act.path)
            elif act.path in bound and not status:
                said.append(Said(place, command, sequence))
    return said


def files_in(folder) -> dict[str, bytes]:
    """What a folder holds of the files that count."""
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


class AttentiveSmsc(WatchedSmsc):
    """An SMSC that remembers which message it sent under which number."""

    def __init__(self):
        super().__init__()
        self.sent = {}

    def received(self, connection, pdu):
        if pdu.command == "deliver_sm_resp":
            self.sent[pdu.sequence] = connection.outstanding.get(pdu.sequence)
        super().received(connection, pdu)


class PowerLoss(Sweep):
    """One recorded life that ends well; then the power fails in it, as often as one likes."""

    def __init__(self, folder, *, seed=1, plant=""):
        super().__init__(folder, seed=seed, plant=plant)
        self.smsc: Any = AttentiveSmsc()
        self.record: Any = None
        self.moments = 0
        self.acknowledged = 0  # Over all moments: responses that had left.
        self._images = folder / "power"

    async def live(self, *, recording=RECORDING, ends=frozenset({0})):
        """Record one life, from its start to a clean stop, or to where it gives up."""
        before = files_in(self._folder)
        await self.kill([Point(recording, stopping=True, ends=ends, refuses=len(ends) > 1)])
        self.record = Record(self._folder, self._folder / "said.strace", before)

    def fail(self, count, *, seed, until=""):
        """Let the power fail at `count` moments of the life; stops at the first complaint.

        `until`: that begins so; those before it are forgotten.
        """
        for moment in self.record.moments(count, seed=seed, images=self._images):
            self.moments += 1
            self._look_at_moment(moment)
            self.complaints = [each for each in self.complaints if each.startswith(until)]
            if self.complaints:
                self.complaints = [f"{each} (power lost at {moment})" for each in self.complaints]
                return

    def _look_at_moment(self, moment):
        told = self.record.left_by(moment, DELIVER_SM_RESP)
        self.acknowledged += len(told)
        owed = {id(self.smsc.sent[sequence]) for sequence in told}
        for pdu in self._pdus:
            pdu.settled = id(pdu) in owed
        try:
            Vault.of_file(self._images / KEY)
            store = SqliteStore.open(self._images / DATABASE)
        except (TelcodError, ValueError) as error:
            self._complain("start", repr(error))
            return
        for violation in check_books(store, tariffs=shipped_rules().tariffs):
            self._complain("books", f"{violation.invariant}: {violation.what}")
        done = self._look_at_journal(list(store.scan(MO)), all_done=False)
        self._look_at_subscribers(store, done)
        rows = list(store.scan(OUTBOX_SMS))
        if sorted(row.mo for row in rows) != sorted(self._answered):
            self._complain("answers", "not one for each text in the books")
        names = {(row.seq & 0xFFFF, row.destination) for row in rows}
        texts_out = len(self.record.left_by(moment, SUBMIT_SM))
        if lost := {name for name, _ in self.smsc.keys[:texts_out]} - names:
            self._complain("lost", f"{len(lost)} answers left and are not in the books")
        store.close()


async def first_start(folder, strangers):
    """Record the first start ever, in which so many strangers text, and a clean stop."""
    async with (
        SimulatedSmsc() as smsc,
        TelcodProcess(
            write_settings(folder, link(smsc)),
            folder / "said.log",
            injection=RECORDING,
            changed=smsc.watch.changed,
        ) as process,
    ):
        await smsc.wait_bound(wait_s=LIFE_S)
        for number in range(FIRST_STRANGER, FIRST_STRANGER + strangers):
            smsc.send_text(str(number), "1566", "DK")
            await smsc.wait_text(str(number), wait_s=LIFE_S)
        process.terminate()
        assert await process.exited(wait_s=LIFE_S) == 0
    return Record(folder, folder / "said.strace", {})
