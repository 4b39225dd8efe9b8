"""The gateway's notifications: `POST /epay/v1/gateway/notifications` (PAYAPI-2, PAY-5).

There is no token: the signature over the raw body is what lets a notification in, and who comes
without one learns nothing but that.  A notification that comes again gets the answer of the first
time; the same id with something else in it is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from litestar import Request as HttpRequest
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.epay.signatures import Head, Verdict, judge
from telcod.errors import Refusal
from telcod.types import Channel, Request
from telcod.web.gate import note
from telcod.web.limits import Buckets
from telcod.web.open_routes import backend_of
from telcod.web.problems import PROBLEMS
from telcod.web.staff_requests import Refused, checked

PATH: Final = "/epay/v1/gateway/notifications"
ROUTE: Final = "payment.notified"
ACTOR: Final = "gateway"
PER_S: Final = 100
BURST: Final = 200

_log = structlog.get_logger("telcod.epay.notifications")

_Word = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway says of a payment; fields that we don't know are its own business.

    `at` is when, Unix milliseconds by the gateway's clock; 0 if it does not say.
    """

    notification_id: Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z")]
    payment_id: Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")]
    result: Literal["authorised", "declined", "unknown"]
    amount_vnd: Annotated[int, Meta(ge=0, le=AMOUNT_VND_MAX)]
    code: _Word = ""
    masked_card: _Word = ""
    card_token: _Word = ""
    bank: _Word = ""
    cashier: _Word = ""
    at: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Taken(msgspec.Struct, frozen=True):
    """It is in the books; `outcome` is how the payment stands, or that it is a case."""

    outcome: str


def request_of(said: Notification) -> Request:
    """What the books are asked to note."""
    return Request(
        ROUTE,
        args=(
            said.payment_id,
            said.result,
            said.code,
            str(said.amount_vnd),
            said.masked_card,
            said.card_token,
            said.bank,
            said.cashier,
        ),
        channel=Channel.NETWORK,
        key=f"gateway:{said.notification_id}",
        event_ms=said.at,
        actor=ACTOR,
    )


def read(body: bytes, webhook_id: str) -> Notification:
    """A notification whose signature is good.

    Raises:
        Refused: It makes no sense, or its two ids are not one.
    """
    try:
        said = msgspec.json.decode(body, type=Notification)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Refusal.MALFORMED, f"the notification makes no sense: {error}") from error
    if said.notification_id != webhook_id:
        # One of them would be free to come again under the other's name.
        raise Refused(
            Refusal.MALFORMED, "must be the same as the header webhook-id", field="notification_id"
        )
    return said


def routes(
    secrets: Sequence[bytes], *, per_s: int = PER_S, burst: int = BURST
) -> tuple[HTTPRouteHandler, ...]:
    """The route, open to whoever has one of these secrets.

    Args:
        secrets: See `signatures.secret_bytes`; several while one is rotated.
        per_s: How many an address may send a second, over time.
        burst: How many at once.
    """
    buckets = Buckets(rate_per_s=per_s, burst=burst)

    @post(
        PATH,
        summary="The card gateway says what became of a payment",
        tags=["epay"],
        status_code=HTTP_200_OK,
        responses=PROBLEMS,
        operation_class=_SignedOperation,
    )
    async def notify(request: HttpRequest[Any, Any, Any]) -> Taken:
        """Signed as Standard Webhooks prescribe; the same id again gets the same answer."""
        backend = backend_of(request)
        address = request.client.host if request.client else ""
        if not buckets.may_call(address, now_s=backend.clock.monotonic_s()):
            raise Refused(Refusal.TOO_OFTEN, "too many notifications come from this address")
        body = await request.body()
        head = Head(*(request.headers.get(f"webhook-{name}", "") for name in _HEADERS))
        verdict = judge(head, body, secrets, now_ms=backend.clock.wall_ms())
        if verdict is not Verdict.GENUINE:
            _log.warning("notification.refused", reason=verdict.value, address=address)
            raise Refused(
                Refusal.NOT_AUTHENTICATED,
                "the notification is not signed as agreed",
                what_to_do="Sign it with a secret that is in use, now.",
            )
        said = read(body, head.webhook_id)
        note(request.scope, payment=said.payment_id, result=said.result)
        answer = await backend.submit(request_of(said))
        note(request.scope, outcome=answer.outcome)
        if answer.outcome == "payment.not_found":
            _log.warning("notification.stray", payment=said.payment_id, result=said.result)
            raise Refused(Refusal.NOT_FOUND, "there is no payment with this id")
        checked(answer)
        return Taken(answer.outcome)

    return (notify,)


_HEADERS: Final = ("id", "timestamp", "signature")


@dataclass
class _SignedOperation(Operation):
    """Its body is read raw, so the framework cannot know what it is."""

    def __post_init__(self) -> None:
        schema = Schema(
            type="object",  # type: ignore[arg-type]
            description="See docs/payments.md: notification_id, payment_id, result, amount_vnd, …",
        )
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema)})
        # The signature lets in, no token.
        self.security = []
