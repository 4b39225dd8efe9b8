"""The simulated gateway's notifications: signed, sent, sent again until somebody says 2xx.

Signed as Standard Webhooks prescribe, by code of its own: no mistake agrees with telcod's.  When to
send is by the clock that is handed in.
"""

import hmac
import itertools
from base64 import b64decode, b64encode
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import httpx
import msgspec

from telcod.clock import Clock
from telcod.simulator.watch import Watch

SEND_WAIT_S: Final = 5.0
# After this many seconds it is tried again; then it is given up.
RETRIES_S: Final = (5, 30, 300, 1_800, 7_200, 18_000, 36_000)


class Sent(msgspec.Struct, frozen=True):
    """One try of one notification.  `status` 0: there was no answer."""

    webhook_id: str
    payment_id: str
    status: int
    headers: dict[str, str]
    body: bytes


class _Waiting(msgspec.Struct, kw_only=True):
    """A notification that is still to be sent."""

    webhook_id: str
    payment_id: str
    body: bytes
    due_ms: int
    tries: int = 0
    replays: int = 0
    forged: bool = False


class Notifier:
    """Sends to one address.

    Args:
        url: Where to; empty: nowhere yet, it waits.
        secrets: As they are written (`whsec_…`); several sign beside one another.
        clock: The time.
        rng: For ids.
        transport: How it reaches the address, instead of by TCP.
    """

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        clock: Clock,
        rng: Random,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self.secrets = tuple(secrets)
        self.sent: list[Sent] = []
        self.watch: Final = Watch()
        self._clock: Final = clock
        self._rng: Final = rng
        self._numbers: Final = itertools.count(1)
        self._waiting: list[_Waiting] = []
        self._client: Final = httpx.AsyncClient(
            timeout=SEND_WAIT_S, transport=transport, trust_env=False
        )

    @property
    def waiting(self) -> int:
        """How many notifications nobody has taken yet."""
        return len(self._waiting)

    def put(
        self,
        payment_id: str,
        fields: dict[str, Any],
        *,
        after_s: int = 0,
        times: int = 1,
        replays: int = 0,
        forged: bool = False,
    ) -> str:
        """Let a notification be sent; its id.  It goes out `times` times under this one id."""
        webhook_id = f"ntf_{next(self._numbers)}_{self._rng.getrandbits(64):016x}"
        now_ms = self._clock.wall_ms()
        said = {"notification_id": webhook_id, "payment_id": payment_id, **fields, "at": now_ms}
        body = msgspec.json.encode(said)
        for _ in range(times):
            self._waiting.append(
                _Waiting(
                    webhook_id=webhook_id,
                    payment_id=payment_id,
                    body=body,
                    due_ms=now_ms + after_s * 1_000,
                    replays=replays,
                    forged=forged,
                )
            )
        return webhook_id

    async def deliver(self) -> int:
        """Send what is due now; how many tries that made."""
        tries = 0
        now_ms = self._clock.wall_ms()
        due = [each for each in self._waiting if each.due_ms <= now_ms] if self.url else []
        for each in due:
            self._waiting.remove(each)
            headers = self.head(each.webhook_id, each.body, forged=each.forged)
            status = await self.send(each.payment_id, headers, each.body)
            for _ in range(each.replays):
                await self.send(each.payment_id, headers, each.body)
            tries += 1 + each.replays
            each.replays = 0
            if not 200 <= status < 300 and each.tries < len(RETRIES_S):
                each.due_ms = self._clock.wall_ms() + RETRIES_S[each.tries] * 1_000
                each.tries += 1
                self._waiting.append(each)
        return tries

    def head(self, webhook_id: str, body: bytes, *, forged: bool = False) -> dict[str, str]:
        """The headers of one try, signed now."""
        timestamp = str(self._clock.wall_ms() // 1_000)
        said = f"{webhook_id}.{timestamp}.".encode() + body
        signed = []
        for secret in self.secrets:
            key = self._rng.randbytes(32) if forged else b64decode(secret.removeprefix("whsec_"))
            signed.append(f"v1,{b64encode(hmac.digest(key, said, 'sha256')).decode()}")
        return {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signed),
        }

    async def send(self, payment_id: str, headers: dict[str, str], body: bytes) -> int:
        """Send these very bytes; the status of the answer, 0 if there was none."""
        try:
            response = await self._client.post(self.url, content=body, headers=headers)
            status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            status = 0
        self.sent.append(Sent(headers["webhook-id"], payment_id, status, headers, body))
        self.watch.changed()
        return status

    async def close(self) -> None:
        """Send nothing more."""
        await self._client.aclose()
