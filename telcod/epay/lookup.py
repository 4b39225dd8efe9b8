"""Look-ups at the door: a password is compared with its hash here, off the writer (PAY-2).

Unknown number, no password and a wrong one cost the same: one read of the books, one argon2id of
the same parameters (against a dummy where there is no hash), one request to the engine.  The
password goes no further than the thread that compares it: no request, log or error holds it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from telcod.billing.lookup import Checked, judged_by
from telcod.errors import Overloaded
from telcod.msisdn import Msisdn, NumberError
from telcod.passwords import LANES, MEMORY_KIB, PASSES
from telcod.types import Answer, Channel, Request

WAITING_MAX: Final = 100
"""More than these wait some seconds: they are told to come again."""
PASSWORD_CHARS_MAX: Final = 64
SHOWN: Final = "lookup.shown"

ReadHash = Callable[[int], Awaitable[str]]
"""The hash of a number's payment password; empty when it has none."""


class LookUpBackend(Protocol):
    """What a look-up needs of the daemon (`telcod.web.ports.Backend` has it)."""

    async def submit(self, request: Request) -> Answer:
        """Carry out one request; returns after COMMIT."""
        ...

    def parse_number(self, text: str) -> Msisdn | NumberError:
        """Understand a number in any accepted form."""
        ...


class LookUps:
    """Compares passwords on a thread of its own, one after the other; `close` when done.

    Args:
        read_hash: Reads the committed hash of a number.
        memory_kib: Of argon2id; tests take less.
    """

    def __init__(self, read_hash: ReadHash, *, memory_kib: int = MEMORY_KIB) -> None:
        self._read_hash: Final = read_hash
        self._hasher: Final = PasswordHasher(
            time_cost=PASSES, memory_cost=memory_kib, parallelism=LANES
        )
        # Compared with where there is no hash; what comes of it counts for nothing.
        self._dummy: Final = self._hasher.hash("")
        self._thread: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telcod-lookups")
        self._waiting = 0

    def close(self) -> None:
        """End the thread; what it is at is finished first."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def look_up(
        self, backend: LookUpBackend, msisdn_text: str, password: str, *, actor: str = ""
    ) -> Mapping[str, Any] | None:
        """Name, address and debt of a number; None is a refusal, whatever the reason.

        Args:
            backend: The daemon.
            msisdn_text: A number in any form, or what somebody thinks is one.
            password: As typed; case does not matter (PAY-1).
            actor: Who asks, for the audit log.

        Raises:
            Overloaded: Too many wait to be compared; nothing happened.
            TelcodError: See `Backend.submit`.
        """
        if self._waiting >= WAITING_MAX:
            raise Overloaded("too many look-ups are waiting")
        number = backend.parse_number(msisdn_text)
        msisdn = 0 if isinstance(number, NumberError) else int(number)
        self._waiting += 1
        try:
            kept = await self._read_hash(msisdn)
            right = await asyncio.wrap_future(
                self._thread.submit(self._is_right, kept or self._dummy, _folded(password))
            )
        finally:
            self._waiting -= 1
        verdict = Checked.NONE if not kept else Checked.RIGHT if right else Checked.WRONG
        request = Request(
            "lookup.try",
            sender=msisdn,
            channel=Channel.WEB,
            actor=actor,
            body={"verdict": verdict.value, "judged_by": judged_by(kept)},
        )
        answer = await backend.submit(request)
        return dict(answer.data or {}) if answer.outcome == SHOWN else None

    def _is_right(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def _folded(password: str) -> str:
    """As MK keeps it: without blanks around, in capitals; no longer than any can be."""
    return password.strip().upper()[:PASSWORD_CHARS_MAX]
