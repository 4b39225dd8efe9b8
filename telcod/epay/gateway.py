"""The port to card gateways: what is asked of one, and what it may say (PAY-4, PAY-5).  Pure.

Everything is idempotent by the payment's id.  A gateway says no by `GatewayRefused`; when it says
nothing, or nothing that makes sense, that is `GatewaySilent`, and never means yes or no.
"""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from telcod.errors import TelcodError

PAGE_OPEN_S: Final = 840
"""How long the payer may use the gateway's page; a minute less than the payment lives (PAY-5)."""

URL_CHARS_MAX: Final = 2_000


class Result(StrEnum):
    """What became of a payment at the gateway.

    `NONE` is that the gateway knows no such payment, or that nobody has paid and nobody can any
    more; `OPEN` that its page is still open to the payer.
    """

    AUTHORISED = "authorised"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    NONE = "none"
    OPEN = "open"


class PaymentOrder(NamedTuple):
    """A payment to be made; `card` is `international` or `domestic`.

    The payer is sent to `return_url` afterwards; the page speaks `language` (`vi` or `en`) first
    and may be used for `open_s` seconds.
    """

    payment_id: str
    amount_vnd: int
    card: str
    return_url: str
    language: str = "vi"
    open_s: int = PAGE_OPEN_S


class Created(NamedTuple):
    """The gateway has taken it: its own reference, and where the payer types his card."""

    gateway_ref: str
    redirect_url: str


class Said(NamedTuple):
    """What the gateway says of a payment.  `code` is its own word for why.

    `masked_card` and `card_token` name the card without its number; `cashier` is the bank's code of
    the counter that collected.
    """

    result: Result
    code: str = ""
    amount_vnd: int = 0
    masked_card: str = ""
    card_token: str = ""
    bank: str = ""
    cashier: str = ""


class GatewayRefused(TelcodError):
    """The gateway says no, and will say no again; `code` is its word for why."""

    next_step = "Nothing was taken; the payer may pay in another way."

    def __init__(self, code: str) -> None:
        super().__init__(f"the card gateway refuses: {code}")
        self.code: Final = code


class GatewaySilent(TelcodError):
    """No answer, or none that makes sense: the gateway may have done it or not.  Ask again."""

    next_step = "Ask it again later; asking twice does nothing twice."


class CardGateway(Protocol):
    """One gateway."""

    async def create(self, order: PaymentOrder) -> Created:
        """Make a payment known and get its page; the same order again gets the same page.

        Raises:
            GatewayRefused: It does not take this payment.
            GatewaySilent: Nobody knows.
        """
        ...

    async def inquire(self, payment_id: str, gateway_ref: str) -> Said:
        """What became of a payment; without a reference, by the payment's id alone.

        Raises:
            GatewaySilent: Nobody knows.
        """
        ...

    async def void(self, payment_id: str, gateway_ref: str, amount_vnd: int) -> bool:
        """Give back what was authorised, or see to it that nothing can be; whether it has.

        Raises:
            GatewaySilent: Nobody knows.
        """
        ...


def is_page(url: str) -> bool:
    """Whether a browser can be sent to an address: http or https, a host, nothing hidden in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed when asked for
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>\\')
    named = bool(parts.hostname) and parts.username is None and parts.password is None
    return plain and named and len(url) <= URL_CHARS_MAX and parts.scheme in {"http", "https"}
