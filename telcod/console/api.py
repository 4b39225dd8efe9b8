"""`/staff/v1`: the console for programs: a subscriber's story, acts on his behalf, cases, payments.

CARE-1, CARE-2, STAFF-1, STAFF-2.  What the pages show and do, as JSON, by the same desk.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta

from telcod.console.desk import Acted, By, Desk, SubscriberShown
from telcod.console.visits import address_of
from telcod.errors import Refusal
from telcod.rows import Centre, PaymentCase
from telcod.storage.care_queries import (
    KINDS,
    NOW_MS_MAX,
    AuditLine,
    AuditPage,
    Case,
    PaymentEntry,
    PaymentStory,
    StoryPage,
)
from telcod.web.auth import SCOPES, Caller
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import KEY_CHARS_MAX, REASON_CHARS_MAX, Refused

CallerRequest = Request[Any, Caller, Any]

WORDS_MAX: Final = 50
_KEY: Final = "Idempotency-Key"
_COMMON: Final[dict[str, Any]] = {
    "tags": ["care"],
    "opt": {SCOPES: (Scope.STAFF, Scope.ADMIN)},
    "responses": PROBLEMS,
}
_POSTED: Final[dict[str, Any]] = {**_COMMON, "status_code": HTTP_200_OK}

Reason = Annotated[str, Meta(min_length=1, max_length=REASON_CHARS_MAX, pattern=r"\S")]
Act = Literal[
    "package.register_day",
    "package.register_week",
    "package.cancel",
    "list.black_add",
    "list.black_remove",
    "list.white_add",
    "list.white_remove",
    "notices.stop",
    "notices.resume",
]


class ActBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do for a subscriber, as a text of his would; `words` are numbers, or `ALL`."""

    act: Act
    words: Annotated[
        tuple[Annotated[str, Meta(max_length=40)], ...], Meta(max_length=WORDS_MAX)
    ] = ()


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; it stands in the audit log."""

    reason: Reason


class ReviewBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a review came to: it may pass, or it is fraud; and why."""

    verdict: Literal["pass", "reject"]
    reason: Reason


class CloseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which case was looked at, as the list of cases names it, and what was found."""

    source: Literal["payment_case", "call", "quarantine"]
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    note: Reason


class CentreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a centre's clearing can be done now."""

    clearing: Literal["open", "closed"]


class Done(msgspec.Struct, frozen=True):
    """What came of it."""

    outcome: str


class PaymentShown(msgspec.Struct, frozen=True):
    """A payment for staff; the card is masked, moments are Unix milliseconds, 0 is not yet.

    `cancel_by` has proposed to cancel it as fraud; another one may confirm.
    """

    id: str
    state: str
    reason: str
    msisdn: str
    purpose: str
    card: str
    amount_vnd: int
    centre: int
    masked_card: str
    bank: str
    cashier: str
    gateway_ref: str
    platform: str
    risk: str
    created_at: int
    authorised_at: int
    cleared_at: int
    next_at: int
    asked: int
    voiding: int
    cancel_by: str
    cases: tuple[PaymentCase, ...]
    entries: tuple[PaymentEntry, ...]
    audit: tuple[AuditLine, ...]


Number = Annotated[str, PathParameter(description="A number in any accepted form.", max_length=40)]
Seq = Annotated[
    str, PathParameter(description="The text's number, as his story has it.", max_length=40)
]
CentreNumber = Annotated[int, PathParameter(description="1 to 6.")]
PaymentId = Annotated[str, PathParameter(description="The payment's id.", max_length=64)]
Before = Annotated[
    int,
    QueryParameter(
        description="`before` of the page before this one; 0: the newest.", ge=0, le=NOW_MS_MAX
    ),
]
Key = Annotated[
    str | None,
    HeaderParameter(
        name=_KEY, description="Names this one act: sent again it gets the same answer."
    ),
]


def routes(desk: Desk) -> Sequence[HTTPRouteHandler]:
    """All of them."""
    return (*_subscribers(desk), *_payments(desk), *_others(desk))


def _subscribers(desk: Desk) -> tuple[HTTPRouteHandler, ...]:
    @get("/staff/v1/subscribers/{msisdn:str}/details", summary="A subscriber in full", **_COMMON)
    async def details(request: CallerRequest, msisdn: Number) -> SubscriberShown:
        """With package, prices and lists; audited, also when there is no such subscriber."""
        return await desk.look_up(_by(request), desk.number(msisdn), "details")

    @get("/staff/v1/subscribers/{msisdn:str}/story", summary="A subscriber's story", **_COMMON)
    async def story(
        request: CallerRequest,
        msisdn: Number,
        kind: Annotated[
            str, QueryParameter(description=f"One of {', '.join(KINDS)}; none: all of them.")
        ] = "",
        before: Before = 0,
    ) -> StoryPage:
        """What happened to him, newest first, and who changed what.  Audited."""
        number = desk.number(msisdn)
        return (await desk.story(_by(request), number, kind=kind, before=before))[1]

    @post("/staff/v1/subscribers/{msisdn:str}/acts", summary="Act on his behalf", **_POSTED)
    async def act(
        request: CallerRequest, msisdn: Number, data: JSONBody[ActBody], idempotency_key: Key = None
    ) -> Acted:
        """By the handler of the text that would do the same; he is told by a text if it changed
        anything.
        """
        key = _key(idempotency_key)
        number = desk.number(msisdn)
        return await desk.act(_by(request), number, data.act, data.words, key=key)

    @post("/staff/v1/texts/{seq:str}/resend", summary="Send a text again", **_POSTED)
    async def resend(request: CallerRequest, seq: Seq, idempotency_key: Key = None) -> Done:
        """To a subscriber, by its number in his story; codes and questions are sent once only."""
        await desk.resend(_by(request), seq, key=_key(idempotency_key))
        return Done("care.resent")

    return (details, story, act, resend)


def _payments(desk: Desk) -> tuple[HTTPRouteHandler, ...]:
    @get("/staff/v1/payments/{payment_id:str}", summary="A payment in full", **_COMMON)
    async def show(request: CallerRequest, payment_id: PaymentId) -> PaymentShown:
        """With its cases, its entries and what was done to it.  Audited."""
        return payment_shown(await desk.payment(_by(request), payment_id))

    @post("/staff/v1/payments/{payment_id:str}/review", summary="Review a payment", **_POSTED)
    async def review(
        request: CallerRequest,
        payment_id: PaymentId,
        data: JSONBody[ReviewBody],
        idempotency_key: Key = None,
    ) -> Done:
        """While it waits for that, ten minutes at most (PAY-6)."""
        words = (data.verdict, data.reason)
        return await _on_payment(request, "review", payment_id, words, idempotency_key)

    @post("/staff/v1/payments/{payment_id:str}/clear-by-hand", summary="Clear by hand", **_POSTED)
    async def clear_by_hand(
        request: CallerRequest,
        payment_id: PaymentId,
        data: JSONBody[ReasonBody],
        idempotency_key: Key = None,
    ) -> Done:
        """What was cleared in the centre's own books (PAY-8)."""
        words = (data.reason,)
        return await _on_payment(request, "clear_by_hand", payment_id, words, idempotency_key)

    @post(
        "/staff/v1/payments/{payment_id:str}/propose-cancel",
        summary="Say that a cleared payment was fraud",
        **_POSTED,
    )
    async def propose(
        request: CallerRequest,
        payment_id: PaymentId,
        data: JSONBody[ReasonBody],
        idempotency_key: Key = None,
    ) -> Done:
        """The first of two people (PAY-9); nothing moves yet."""
        words = (data.reason,)
        return await _on_payment(request, "propose_cancel", payment_id, words, idempotency_key)

    @post(
        "/staff/v1/payments/{payment_id:str}/confirm-cancel",
        summary="Agree that it was fraud",
        **_POSTED,
    )
    async def confirm(
        request: CallerRequest,
        payment_id: PaymentId,
        data: JSONBody[ReasonBody],
        idempotency_key: Key = None,
    ) -> Done:
        """The second, with another token (STAFF-2): the money goes back, the subscriber is told."""
        words = (data.reason,)
        return await _on_payment(request, "confirm_cancel", payment_id, words, idempotency_key)

    async def _on_payment(
        request: CallerRequest, act: str, payment_id: str, words: Sequence[str], key: str | None
    ) -> Done:
        named = _key(key)
        return Done(await desk.on_payment(_by(request), act, payment_id, *words, key=named))

    return (show, review, clear_by_hand, propose, confirm)


def _others(desk: Desk) -> tuple[HTTPRouteHandler, ...]:
    @get("/staff/v1/cases", summary="What waits for a person", **_COMMON)
    async def cases() -> tuple[Case, ...]:
        """Oldest first."""
        return tuple(await desk.cases())

    @post("/staff/v1/cases/close", summary="Close a case", **_POSTED)
    async def close(request: CallerRequest, data: JSONBody[CloseBody]) -> Done:
        """With a note of what was found; one that is closed stays so."""
        return Done(await desk.close_case(_by(request), data.source, data.id, data.note))

    @get("/staff/v1/centres", summary="The centres", **_COMMON)
    async def centres() -> tuple[Centre, ...]:
        """Whether their clearing can be done now, and since when."""
        return tuple(await desk.centres())

    @put("/staff/v1/centres/{centre:int}", summary="Open or close a centre's clearing", **_COMMON)
    async def set_centre(
        request: CallerRequest, centre: CentreNumber, data: JSONBody[CentreBody]
    ) -> Done:
        """What waits for it is tried again soon after it is open."""
        if not 1 <= centre <= 6:
            raise Refused(Refusal.NOT_FOUND, "there are the centres 1 to 6")
        return Done(await desk.set_centre(_by(request), centre, data.clearing))

    @get("/staff/v1/audit", summary="The audit log", **_COMMON)
    async def audit(
        before: Before = 0,
        actor: Annotated[str, QueryParameter(max_length=100)] = "",
        subject: Annotated[str, QueryParameter(max_length=100)] = "",
        action: Annotated[str, QueryParameter(max_length=100)] = "",
    ) -> AuditPage:
        """Newest first; of an actor, a subject, or actions that begin with some word."""
        return await desk.audit(before=before, actor=actor, subject=subject, action=action)

    return (cases, close, centres, set_centre, audit)


def payment_shown(found: PaymentStory) -> PaymentShown:
    """A payment without what no person needs: tokens, addresses, e-mail."""
    row = found.payment
    own = {
        name: getattr(row, name)
        for name in PaymentShown.__struct_fields__
        if name not in {"msisdn", "cases", "entries", "audit"}
    }
    return PaymentShown(
        **own,
        msisdn=str(row.msisdn),
        cases=found.cases,
        entries=found.entries,
        audit=found.audit,
    )


def _by(request: CallerRequest) -> By:
    return By(request.auth.actor, address_of(request))


def _key(text: str | None) -> str:
    if text is None or not text.strip():
        raise Refused(Refusal.MALFORMED, f"the header {_KEY} is missing", field=_KEY)
    if len(text) > KEY_CHARS_MAX or not text.isprintable() or not text.isascii():
        reason = f"{_KEY} must be at most {KEY_CHARS_MAX} printable ASCII characters"
        raise Refused(Refusal.MALFORMED, reason, field=_KEY)
    return text.strip()
