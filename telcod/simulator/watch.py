"""Wait for a condition instead of for a while.  No clock of its own, one event loop."""

import asyncio
from collections.abc import Callable

WAIT_S = 10.0  # Long enough for a busy machine; only a test that fails waits this long.


class Watch:
    """Wakes those who wait for a condition; whoever changes something says so by `changed`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def changed(self) -> None:
        """Look at every condition again."""
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    async def until(
        self, condition: Callable[[], bool], *, what: str, wait_s: float = WAIT_S
    ) -> None:
        """Return as soon as the condition holds.

        Args:
            condition: Cheap and without effect; it is asked after every change.
            what: What is waited for, for the message of the failure.
            wait_s: Seconds after which to give up.

        Raises:
            TimeoutError: It did not come true in time.
        """
        if condition():
            return
        future = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(wait_s):
                await future
        except TimeoutError as error:
            raise TimeoutError(f"{what}: not within {wait_s} s") from error
        finally:
            self._waiting.remove(entry)
