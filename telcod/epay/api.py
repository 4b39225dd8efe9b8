"""`/epay/v1`: payments for portals, their look-ups and invoices (PAYAPI-1).

A portal sees the payments that it asked for itself, and no others.  Where the rules refuse one,
`code` of the problem is the outcome that docs/payments.md lists.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from litestar import Request as HttpRequest
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED
from msgspec import Meta

from telcod.bulk import EMAIL_CHARS_MAX, number_reason
from telcod.epay.cashier import (
    Cashier,
    NewPayment,
    PaymentRefused,
    PaymentUnknown,
    PaymentView,
)
from telcod.epay.gateway import is_page
from telcod.errors import Refusal
from telcod.msisdn import NumberError
from telcod.types import Channel
from telcod.types import Request as Asked
from telcod.web.auth import SCOPES, Caller
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.ports import Backend
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import KEY_CHARS_MAX, Refused, checked

RETURN_URL_CHARS_MAX: Final = 1_000
_KEY: Final = "Idempotency-Key"

CallerRequest = HttpRequest[Any, Caller, Any]


class LookUp(Protocol):
    """Compares a password with its hash, off the writer; `LookUps.look_up` is one."""

    async def __call__(
        self, backend: Backend, msisdn_text: str, password: str, *, actor: str
    ) -> Mapping[str, Any] | None:
        """Name, address and debt; None whatever the reason why not (PAY-2)."""
        ...


PORTALS: Final = (Scope.PORTAL, Scope.ADMIN)
PAYMENTS: Final = "/epay/v1/payments"
_COMMON: Final[dict[str, Any]] = {
    "tags": ["epay"],
    "opt": {SCOPES: PORTALS},
    "responses": PROBLEMS,
}
_MALFORMED: Final[Mapping[str, tuple[str, str]]] = {
    "payment.wrong_purpose": ("purpose", "bills are for postpaid numbers, top-ups for prepaid"),
    "payment.amount": ("amount_vnd", "the amount is not within the limits of one payment"),
}
_CONFLICT: Final[Mapping[str, str]] = {
    "payment.not_served": "nobody can pay for this number",
    "payment.unknown_pending": "an earlier payment is not known to have failed; wait for its end",
    "payment.too_many": "the number has no more payments today",
    "payment.too_much": "the number has reached what it may pay in a day",
    "payment.stopped": "the payment can't be made online",
    "payment.id_used": "another payment has this id; use another key",
    "invoice.no_payment": "there is no such payment",
    "invoice.not_cleared": "the payment is not cleared, so there is nothing to invoice",
    "invoice.already": "the invoice was asked for before",
    "invoice.no_address": "no address is known to send it to; call 9090",
}
# What the handler of `invoice.ask` answers when it has taken the wish down.
_NOTED: Final = "invoice.noted"


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a portal sends; a field that it misspells is told, not dropped."""


class PaymentBody(_Asked, frozen=True, kw_only=True):
    """A payment that somebody wants to make.

    `payer_address` is the IP address he pays from, if the portal knows it (PAY-6).
    """

    msisdn: Annotated[str, Meta(min_length=1, max_length=40)]
    amount_vnd: Annotated[int, Meta(ge=0, le=10**12, description="Whole dong.")]
    purpose: Literal["bill", "topup"]
    card: Literal["international", "domestic"]
    return_url: Annotated[
        str, Meta(max_length=RETURN_URL_CHARS_MAX, description="Where the payer comes back to.")
    ]
    email: Annotated[
        str,
        Meta(max_length=EMAIL_CHARS_MAX, pattern=r"^([^@\s,;:<>()\"\\]+@[A-Za-z0-9.-]+)?\Z"),
    ] = ""
    invoice: bool = False
    payer_address: Annotated[str, Meta(pattern=r"^[0-9a-fA-F.:]{0,45}\Z")] = ""


class LookUpBody(_Asked, frozen=True, kw_only=True):
    """A number and its payment password."""

    msisdn: Annotated[str, Meta(min_length=1, max_length=40)]
    password: Annotated[str, Meta(max_length=100)]

    def __repr__(self) -> str:
        return "LookUpBody(***)"


class PaymentOpened(msgspec.Struct, frozen=True):
    """A payment that was taken on; the payer goes to `redirect_url`.

    It is empty while the gateway has not answered (state `created`): ask again in a moment.
    """

    payment_id: str
    state: str
    redirect_url: str


class PaymentShown(msgspec.Struct, frozen=True):
    """A payment as it stands; times are Unix milliseconds.  `reason` is why it is not paid."""

    payment_id: str
    state: str
    redirect_url: str
    amount_vnd: int
    purpose: str
    card: str
    masked_card: str
    reason: str
    invoice: bool
    created_at: int
    cleared_at: int


class InvoiceNoted(msgspec.Struct, frozen=True):
    """The invoice goes out with the batch of the day."""

    payment_id: str
    outcome: str


class Found(msgspec.Struct, frozen=True):
    """Whose number it is, and what he owes in whole đồng."""

    name: str
    address: str
    debt_vnd: int


PaymentId = Annotated[
    str, PathParameter(description="As it was answered.", pattern=r"^[A-Za-z0-9_-]{1,64}\Z")
]
Key = Annotated[
    str,
    HeaderParameter(
        name=_KEY,
        description="The portal's own name for this payment; the same again changes nothing.",
        min_length=1,
        max_length=KEY_CHARS_MAX,
        pattern=r"^[!-~]+\Z",
    ),
]


def routes(cashier: Cashier, look_up: LookUp) -> tuple[HTTPRouteHandler, ...]:
    """The routes, behind a token of scope `portal`."""

    @post(PAYMENTS, summary="Pay by card", **_COMMON)
    async def open_payment(
        request: CallerRequest, key: Key, data: JSONBody[PaymentBody]
    ) -> Response[PaymentOpened]:
        """Takes the slot of the day and gets the gateway's page.  The same key again is answered
        with how the payment stands by then.
        """
        new = _new_payment(request, key, data)
        try:
            view = await cashier.open(new)
        except PaymentRefused as error:
            note(request.scope, outcome=error.outcome)
            raise refused(error.outcome) from error
        note(request.scope, payment=view.payment_id, state=view.state)
        opened = PaymentOpened(view.payment_id, view.state, view.redirect_url)
        status = HTTP_201_CREATED if view.redirect_url else HTTP_202_ACCEPTED
        return Response(opened, status_code=status, headers=_NOT_STORED)

    @get("/epay/v1/payments/{payment_id:str}", summary="How a payment stands", **_COMMON)
    async def show_payment(request: CallerRequest, payment_id: PaymentId) -> Response[PaymentShown]:
        """Of the payments that this portal has asked for."""
        view = await _own(cashier, request, payment_id)
        shown = {name: getattr(view, name) for name in PaymentShown.__struct_fields__}
        return Response(PaymentShown(**shown), headers=_NOT_STORED)

    @post(
        "/epay/v1/payments/{payment_id:str}/invoice",
        summary="Ask for the VAT invoice",
        status_code=HTTP_200_OK,
        **_COMMON,
    )
    async def ask_invoice(request: CallerRequest, payment_id: PaymentId) -> InvoiceNoted:
        """Of a payment that is cleared; once, a second time says that it was asked for."""
        await _own(cashier, request, payment_id)
        asked = Asked(
            "invoice.ask", args=(payment_id,), channel=Channel.WEB, actor=request.auth.actor
        )
        answer = await backend_of(request).submit(asked)
        note(request.scope, payment=payment_id, outcome=answer.outcome)
        checked(answer)
        if answer.outcome != _NOTED:
            raise refused(answer.outcome)
        return InvoiceNoted(payment_id, answer.outcome)

    @post("/epay/v1/lookups", summary="Name, address and debt", status_code=HTTP_200_OK, **_COMMON)
    async def look_up_debt(request: CallerRequest, data: JSONBody[LookUpBody]) -> Response[Found]:
        """An unknown number, no password and a wrong one are answered alike."""
        found = await look_up(
            backend_of(request), data.msisdn, data.password, actor=request.auth.actor
        )
        if found is None:
            raise Refused(
                Refusal.NOT_FOUND,
                "number and password do not belong together",
                what_to_do="Check both; one can pay without them.",
                members={"code": "lookup.refused"},
            )
        return Response(msgspec.convert(found, Found), headers=_NOT_STORED)

    return (open_payment, show_payment, ask_invoice, look_up_debt)


_NOT_STORED: Final = {"Cache-Control": "no-store"}


def refused(outcome: str) -> Refused:
    """How an outcome of the rules is told to a program."""
    if outcome in _MALFORMED:
        field, detail = _MALFORMED[outcome]
        members = {"code": outcome}
        return Refused(Refusal.MALFORMED, detail, field=field, members=members)
    detail = _CONFLICT.get(outcome, "the rules refuse this")
    return Refused(Refusal.CONFLICT, detail, members={"code": outcome})


def _new_payment(request: CallerRequest, key: str, data: PaymentBody) -> NewPayment:
    number = backend_of(request).parse_number(data.msisdn)
    if isinstance(number, NumberError):
        raise Refused(Refusal.MALFORMED, number_reason(data.msisdn, number), field="msisdn")
    if not is_page(data.return_url):
        raise Refused(Refusal.MALFORMED, "must be an http or https address", field="return_url")
    return NewPayment(
        platform=request.auth.actor,
        key=key,
        msisdn=number,
        amount_vnd=data.amount_vnd,
        purpose=data.purpose,
        card=data.card,
        return_url=data.return_url,
        email=data.email,
        invoice=data.invoice,
        address=data.payer_address,
    )


async def _own(cashier: Cashier, request: CallerRequest, payment_id: str) -> PaymentView:
    """A payment that this portal has asked for; an administrator sees all.

    Raises:
        Refused: There is none.
    """
    caller = request.auth
    channel = Channel.STAFF if caller.scope is Scope.ADMIN else Channel.WEB
    try:
        return await cashier.show(payment_id, platform=caller.actor, channel=channel)
    except PaymentUnknown as error:
        raise Refused(Refusal.NOT_FOUND, _NONE) from error


_NONE: Final = "no payment of this portal has this id"
