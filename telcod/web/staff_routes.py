"""`/staff/v1`: a subscriber looked up, topped up, blocked, by a person (CARE-1, CARE-2, CLI-4).

Every call is a request to the one writer, so each look-up and each act is in the audit log.
"""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get, post, put
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.bulk import number_reason
from telcod.errors import Refusal
from telcod.msisdn import Msisdn, NumberError
from telcod.rows import State
from telcod.web import staff_requests
from telcod.web.auth import SCOPES, Caller
from telcod.web.open_routes import ask, backend_of
from telcod.web.ports import Backend
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import KEY_CHARS_MAX, REASON_CHARS_MAX, Refused, checked

CallerRequest = Request[Any, Caller, Any]

_FOR_STAFF: Final = {SCOPES: (Scope.STAFF, Scope.ADMIN)}
_KEY: Final = "Idempotency-Key"


class PackageView(msgspec.Struct, frozen=True):
    """The parent-child package; times are Unix milliseconds."""

    package: str
    status: str
    trial: bool
    ends_at: int
    failed_since: int


class ListsView(msgspec.Struct, frozen=True):
    """How many numbers are on each list."""

    white: int
    black: int


class SubscriberView(msgspec.Struct, frozen=True):
    """One subscriber, as staff see him.  Money is whole đồng."""

    msisdn: int
    kind: str
    state: str
    language: str
    centre: int
    notices: bool
    name: str
    address: str
    email: str
    balance_vnd: int
    held_vnd: int
    debt_vnd: int
    password_set: bool
    trial_used: bool
    package: PackageView | None
    lists: ListsView


class TopUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to add to a main balance, or to take off a debt."""

    amount_vnd: Annotated[int, Meta(ge=1, le=AMOUNT_VND_MAX)]
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARS_MAX)]


class TopUpDone(msgspec.Struct, frozen=True):
    """The balance afterwards; of a postpaid subscriber it is minus his debt.

    `package` is what became of a package that waited for money; empty: none did.
    """

    outcome: str
    balance_vnd: int
    package: str


class StateChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network lets the subscriber do from now on."""

    state: State


class StateSet(msgspec.Struct, frozen=True):
    """`state.set`, or `state.unchanged` when it was so before."""

    outcome: str
    state: State


Number = Annotated[
    str,
    PathParameter(
        description="A number in any accepted form.",
        max_length=40,
        examples=[Example(value="0903123456"), Example(value="84903123456")],
    ),
]


@get(
    "/staff/v1/subscribers/{msisdn:str}",
    summary="Show a subscriber",
    tags=["staff"],
    opt=_FOR_STAFF,
    responses=PROBLEMS,
)
async def show(request: CallerRequest, msisdn: Number) -> SubscriberView:
    """Audited, also when there is no such subscriber."""
    backend = backend_of(request)
    number = _number(backend, msisdn)
    answer = await ask(request, staff_requests.look_up(number, actor=request.auth.actor))
    return msgspec.convert(checked(answer), SubscriberView)


@post(
    "/staff/v1/subscribers/{msisdn:str}/topups",
    summary="Top up a subscriber",
    tags=["staff"],
    opt=_FOR_STAFF,
    responses=PROBLEMS,
    status_code=HTTP_200_OK,
)
async def top_up(
    request: CallerRequest,
    msisdn: Number,
    data: JSONBody[TopUp],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name=_KEY,
            description="Names this one top-up: sent again with the same body it changes nothing.",
        ),
    ] = None,
) -> TopUpDone:
    """A package that waits for money is tried again at once."""
    key = _key(idempotency_key)
    backend = backend_of(request)
    number = _number(backend, msisdn)
    asked = staff_requests.top_up(
        number, data.amount_vnd, data.reason, key=key, actor=request.auth.actor
    )
    return msgspec.convert(checked(await ask(request, asked)), TopUpDone)


@put(
    "/staff/v1/subscribers/{msisdn:str}/state",
    summary="Set a subscriber's state",
    tags=["staff"],
    opt=_FOR_STAFF,
    responses=PROBLEMS,
)
async def set_state(
    request: CallerRequest, msisdn: Number, data: JSONBody[StateChange]
) -> StateSet:
    """`closed` takes package, lists, password and settings away."""
    backend = backend_of(request)
    number = _number(backend, msisdn)
    asked = staff_requests.set_state(number, data.state.value, actor=request.auth.actor)
    return msgspec.convert(checked(await ask(request, asked)), StateSet)


ROUTES: Final = (show, top_up, set_state)


def _number(backend: Backend, text: str) -> Msisdn:
    number = backend.parse_number(text)
    if isinstance(number, NumberError):
        raise Refused(Refusal.MALFORMED, number_reason(text, number), field="msisdn")
    return number


def _key(text: str | None) -> str:
    if text is None or not text.strip():
        raise Refused(Refusal.MALFORMED, f"the header {_KEY} is missing", field=_KEY)
    if len(text) > KEY_CHARS_MAX or not text.isprintable() or not text.isascii():
        reason = f"{_KEY} must be at most {KEY_CHARS_MAX} printable ASCII characters"
        raise Refused(Refusal.MALFORMED, reason, field=_KEY)
    return text.strip()
