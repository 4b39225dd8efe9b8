"""The card gateway with pages of its own, over HTTP: the port spoken to its JSON API.

Only an answer that is its API's own counts.  A proxy's 404 must not read as "nobody has paid", nor
a page of an error as a refusal: whatever else comes is `GatewaySilent`.
"""

import asyncio
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import structlog

from telcod.epay.gateway import (
    Created,
    GatewayRefused,
    GatewaySilent,
    PaymentOrder,
    Result,
    Said,
    is_page,
)
from telcod.settings import Secret

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 200
_NOT_KNOWN: Final = "payment_unknown"
# What is no refusal of this payment: our secret is wrong, or it asks us to wait.
_NO_REFUSAL: Final = frozenset({401, 403, 408, 425, 429})

_log = structlog.get_logger("telcod.epay.hosted")

S = TypeVar("S", bound=msgspec.Struct)


class _CreatedBody(msgspec.Struct, frozen=True):
    gateway_ref: str
    redirect_url: str


class _SaidBody(msgspec.Struct, frozen=True):
    payment_id: str
    result: Result
    code: str = ""
    amount_vnd: int = 0
    masked_card: str = ""
    card_token: str = ""
    bank: str = ""
    cashier: str = ""


class _VoidedBody(msgspec.Struct, frozen=True):
    voided: bool


class _RefusedBody(msgspec.Struct, frozen=True):
    code: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class HostedGateway:
    """A `CardGateway`; `async with HostedGateway(url, secret) as gateway:`.

    Args:
        url: Where its API is.
        secret: What opens it.
        connect_s: How long a connection may take, in seconds.
        answer_s: How long a whole answer may take, in seconds.
    """

    def __init__(
        self,
        url: str,
        secret: Secret,
        *,
        connect_s: float = CONNECT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._answer_s: Final = answer_s
        self._client: Final = httpx.AsyncClient(
            base_url=url,
            # Not packed: what unpacks to a thousand times its size is no answer of theirs.
            headers={"Authorization": f"Bearer {secret.reveal()}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(answer_s, connect=connect_s),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def create(self, order: PaymentOrder) -> Created:
        """See `CardGateway.create`."""
        body = {
            "amount_vnd": order.amount_vnd,
            "card": order.card,
            "return_url": order.return_url,
            "language": order.language,
            "open_s": order.open_s,
        }
        answer = await self._ask("PUT", _path(order.payment_id), body)
        if answer.status in {200, 201}:
            created = _read(answer, _CreatedBody)
            if not is_page(created.redirect_url) or not created.gateway_ref:
                raise _senseless(answer)
            return Created(_short(created.gateway_ref), created.redirect_url)
        if 400 <= answer.status < 500 and answer.status not in _NO_REFUSAL:
            raise GatewayRefused(_short(_read(answer, _RefusedBody).code))
        raise _senseless(answer)

    async def inquire(self, payment_id: str, gateway_ref: str) -> Said:
        """See `CardGateway.inquire`."""
        answer = await self._ask("GET", _path(payment_id), ref=gateway_ref)
        if answer.status == 404 and _read(answer, _RefusedBody).code == _NOT_KNOWN:
            return Said(Result.NONE)
        if answer.status != 200:
            raise _senseless(answer)
        said = _read(answer, _SaidBody)
        if said.payment_id != payment_id:
            raise _senseless(answer)
        return Said(
            said.result,
            _short(said.code),
            said.amount_vnd,
            _short(said.masked_card),
            _short(said.card_token),
            _short(said.bank),
            _short(said.cashier),
        )

    async def void(self, payment_id: str, gateway_ref: str, amount_vnd: int) -> bool:
        """See `CardGateway.void`."""
        body = {"gateway_ref": gateway_ref, "amount_vnd": amount_vnd}
        answer = await self._ask("POST", f"{_path(payment_id)}/void", body)
        if answer.status == 200:
            return _read(answer, _VoidedBody).voided
        if answer.status in {404, 409}:
            _log.warning("void.refused", payment=payment_id, code=_read(answer, _RefusedBody).code)
            return False
        raise _senseless(answer)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, ref: str = ""
    ) -> _Answer:
        """One request and its whole answer, in time and within bounds.

        Raises:
            GatewaySilent: There is none.
        """
        params = {"gateway_ref": ref} if ref else None
        try:
            async with (
                asyncio.timeout(self._answer_s),
                self._client.stream(method, path, json=body, params=params) as response,
            ):
                read = b""
                async for chunk in response.aiter_raw():
                    read += chunk
                    if len(read) > ANSWER_BYTES_MAX:
                        raise GatewaySilent("the card gateway's answer has no end")
                return _Answer(response.status_code, read)
        except TimeoutError as error:
            raise GatewaySilent("the card gateway does not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            kind = type(error).__name__
            raise GatewaySilent(f"the card gateway does not answer: {kind}") from error


def _path(payment_id: str) -> str:
    return f"/v1/payments/{quote(payment_id, safe='')}"


def _read(answer: _Answer, shape: type[S]) -> S:
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Its body may hold anything, so it is neither logged nor told.
        raise GatewaySilent(f"the card gateway's {answer.status} makes no sense") from error


def _senseless(answer: _Answer) -> GatewaySilent:
    if answer.status in {401, 403}:
        what_to_do = "Look at [epay] gateway_secret: the gateway does not know it."
        return GatewaySilent("the card gateway does not let us in", what_to_do=what_to_do)
    return GatewaySilent(f"the card gateway answers {answer.status}")


def _short(text: str) -> str:
    """A gateway's words for our books, within bounds."""
    return "".join(char for char in text[:TEXT_CHARS_MAX] if char.isprintable())
