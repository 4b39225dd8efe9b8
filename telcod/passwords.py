"""Payment passwords: argon2id, on a thread of its own (PAY-1).

The parameters are OWASP's for argon2id: 19 MiB, two passes, one lane; about 20 ms.  One thread
bounds what a flood of `MK` texts can cost.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher

MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1


class PasswordHashes:
    """Hashes passwords; `close` when done."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB) -> None:
        self._hasher: Final = PasswordHasher(
            time_cost=PASSES, memory_cost=memory_kib, parallelism=LANES
        )
        self._thread: Final = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="telcod-passwords"
        )

    def submit(self, secret: str) -> Future[str]:
        """Hash a password, its case already folded; the future's result is what may be stored."""
        return self._thread.submit(self._hasher.hash, secret)

    def close(self) -> None:
        """End the thread; what it is at is finished first."""
        self._thread.shutdown(wait=True, cancel_futures=True)
