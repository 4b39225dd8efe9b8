"""Pushes by HTTP: what telcod says to a phone unasked is posted to a gateway's address (USSD-4).

The body is `{"session_id","msisdn","action":"ask"|"notify","text","expires_in_s"}`.  A gateway that
shows the screen answers 2xx; what the phone's owner then types comes as the first step of
`/ussd/v1/sessions/{session_id}`.  The session's id names the push, so a gateway that gets one twice
knows it.
"""

import asyncio
from typing import Final, Self

import httpx

from ussd.push import Push, PushFailed

WAIT_S: Final = 5.0
BODY_BYTES_MAX: Final = 4 * 1024
"""An answer's body says nothing to us: so much is read to keep the connection, more is cut."""

# A gateway says these of the moment, not of the push.
_FOR_NOW: Final = frozenset({408, 425, 429})


class HttpPushGateway:
    """A gateway at an address; `async with HttpPushGateway(url) as gateway:`.

    Args:
        url: Where pushes are posted.
        token: What goes along as a bearer token; none if empty.
        transport: How the address is reached, instead of by TCP.
    """

    def __init__(
        self, url: str, *, token: str = "", transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url: Final = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # What the environment says of proxies and certificates is not for a gateway of ours.
        self._client: Final = httpx.AsyncClient(
            headers=headers, timeout=WAIT_S, transport=transport, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def push(self, push: Push) -> None:
        """Hand a push over; returns when the gateway has accepted it.

        Raises:
            PushFailed: It has not.  To be tried again, unless it refused for good.
        """
        body = {
            "session_id": push.session_id,
            "msisdn": str(push.msisdn),
            "action": "ask" if push.asks else "notify",
            "text": push.text,
            "expires_in_s": push.expires_in_s,
        }
        try:
            # Whatever it says besides, and however slowly, is not waited for.
            async with (
                asyncio.timeout(WAIT_S),
                self._client.stream("POST", self._url, json=body) as answer,
            ):
                await _read(answer)
        except TimeoutError as error:
            raise PushFailed("the gateway does not answer in time", retry=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"the gateway can't be reached: {type(error).__name__}"
            retry = not isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL)
            raise PushFailed(reason, retry=retry) from error
        if answer.is_success:
            return
        retry = not answer.is_client_error or answer.status_code in _FOR_NOW
        raise PushFailed(f"the gateway answered {answer.status_code}", retry=retry)


async def _read(answer: httpx.Response) -> None:
    if "content-encoding" in answer.headers:
        return  # A little of it may unpack to more than we have room for.
    read = 0
    async for chunk in answer.aiter_bytes():
        read += len(chunk)
        if read > BODY_BYTES_MAX:
            return
