"""`/staff/v1`: what the books say of a day, its end, and look-ups unlocked.

CARE-2, CARE-3, PAY-11…13.  Reports and invoices are read beside the writer; whatever changes
something is a request to it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Protocol, cast

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.bulk import number_reason
from telcod.days import business_date, day_start_ms
from telcod.epay.files import FILE_BYTES_MAX, BadGatewayFile, read_gateway_file
from telcod.errors import Refusal
from telcod.msisdn import NumberError
from telcod.reports import REPORTS, Report, RowsReader, make_report
from telcod.rows import INVOICE, Invoice
from telcod.types import Channel
from telcod.types import Request as Asked
from telcod.web.auth import SCOPES, Caller
from telcod.web.open_routes import ask, backend_of
from telcod.web.ports import Backend
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused, checked

CallerRequest = Request[Any, Caller, Any]

FILE_CHARS_MAX: Final = FILE_BYTES_MAX
_COMMON: Final[dict[str, Any]] = {
    "tags": ["books"],
    "opt": {SCOPES: (Scope.STAFF, Scope.ADMIN)},
    "responses": PROBLEMS,
}
_INVOICES: Final = (
    "SELECT payment, msisdn, centre, day, at, name, address, email, purpose, amount_vnd "
    "FROM invoice WHERE day = ? AND centre = ? ORDER BY at, payment"
)
# What the rules refuse, and what to do about it.
_REFUSED: Final[Mapping[str, tuple[Refusal, str, str]]] = {
    "reconcile.not_over": (
        Refusal.CONFLICT,
        "the day is not over",
        "Wait for the gateway's file of the whole day.",
    ),
    "reconcile.other_file": (
        Refusal.CONFLICT,
        "another file of this day was accepted",
        "Book what differs by hand; a file is accepted once and for all.",
    ),
    "settlement.other_amount": (
        Refusal.CONFLICT,
        "another amount of this kind was noted for this day",
        "Look at what was noted; what the bank corrects is noted as the other kind.",
    ),
}


class ReadingBackend(Backend, Protocol):
    """A daemon whose books can be read beside the writer."""

    @property
    def reader(self) -> RowsReader:
        """Reads what is committed."""
        ...


class GatewayFileBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's file of a day, as it came."""

    file: Annotated[str, Meta(min_length=1, max_length=FILE_CHARS_MAX)]


class Difference(msgspec.Struct, frozen=True):
    """What one side has and the other hasn't; `line` 0 and below: ours, not in the file."""

    line: int
    payment: str
    verdict: str
    amount_vnd: int
    ours_vnd: int
    cashier: str


class Reconciled(msgspec.Struct, frozen=True):
    """What came of a file: how many of each verdict, and the first differences.

    `reconcile.done_before`: this very file was accepted before, nothing was done now.
    """

    outcome: str
    day: int
    lines: int
    amount_vnd: int
    accepted_at: int
    counts: dict[str, int]
    differences: tuple[Difference, ...]


class Lack(msgspec.Struct, frozen=True):
    """Why a day stays open."""

    code: str
    detail: str


class DayEnd(msgspec.Struct, frozen=True):
    """`day.closed`, `day.closed_before`, or `day.open` with what is missing."""

    outcome: str
    day: int
    missing: tuple[Lack, ...] = ()
    closed_at: int = 0
    collected_vnd: int = 0
    cleared_vnd: int = 0
    transit_vnd: int = 0
    differences: int = 0


class SettlementBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the acquiring bank has paid for a day."""

    kind: Literal["advance", "final"]
    amount_vnd: Annotated[int, Meta(ge=1, le=AMOUNT_VND_MAX)]


class Settled(msgspec.Struct, frozen=True):
    """What the bank has paid for the day so far; `owed_vnd` is what the gateway owes in all."""

    outcome: str
    day: int
    kind: str
    amount_vnd: int
    settled_vnd: int
    owed_vnd: int


class Unlocked(msgspec.Struct, frozen=True):
    """`lookup.unlocked`, or `lookup.not_locked` when it was not locked."""

    outcome: str


Day = Annotated[
    str, PathParameter(description="A day of Viet Nam, `2026-03-02` or `20260302`.", max_length=10)
]
QueryDay = Annotated[
    str,
    QueryParameter(name="date", description="A day of Viet Nam, as `2026-03-02`.", max_length=10),
]
Centre = Annotated[int, QueryParameter(name="centre", description="1 to 6.", ge=1, le=6)]
Number = Annotated[str, PathParameter(description="A number in any accepted form.", max_length=40)]


@get("/staff/v1/reports/{name:str}", summary="A report of a day", **_COMMON)
async def report(
    request: CallerRequest,
    name: Annotated[str, PathParameter(description=f"One of {', '.join(REPORTS)}.")],
    day: QueryDay,
) -> Report:
    """From the books as they are now; today's is of today so far."""
    if name not in REPORTS:
        what_to_do = f"Ask for one of {', '.join(REPORTS)}."
        raise Refused(Refusal.NOT_FOUND, f"there is no report {name!r}", what_to_do=what_to_do)
    return await make_report(_reader_of(request), name, day_of(day, field="date"))


@get("/staff/v1/invoices", summary="The invoices of a day and centre", **_COMMON)
async def invoices(request: CallerRequest, day: QueryDay, centre: Centre) -> list[Invoice]:
    """Those that were asked for on the day, with names and addresses of that moment."""
    return await read_invoices(_reader_of(request), day_of(day, field="date"), centre)


@post(
    "/staff/v1/days/{day:str}/close",
    summary="Close the books of a day",
    status_code=HTTP_200_OK,
    **_COMMON,
)
async def close_day(request: CallerRequest, day: Day) -> DayEnd:
    """Once; while something is missing it says what, and changes nothing."""
    answer = await ask(request, close_request(day_of(day), request.auth.actor))
    return msgspec.convert(checked(answer), DayEnd)


@post(
    "/staff/v1/days/{day:str}/settlements",
    summary="Note what the bank has paid",
    status_code=HTTP_200_OK,
    **_COMMON,
)
async def note_settlement(
    request: CallerRequest, day: Day, data: JSONBody[SettlementBody]
) -> Settled:
    """Of each kind one a day; the same again changes nothing."""
    asked = settlement_request(day_of(day), data.kind, data.amount_vnd, request.auth.actor)
    answer = await ask(request, asked)
    return msgspec.convert(accepted(checked(answer)), Settled)


@post(
    "/staff/v1/subscribers/{msisdn:str}/lookup-unlock",
    summary="Let a subscriber look up again",
    status_code=HTTP_200_OK,
    **_COMMON,
)
async def unlock(request: CallerRequest, msisdn: Number) -> Unlocked:
    """Audited; he is told by a text."""
    backend = backend_of(request)
    number = backend.parse_number(msisdn)
    if isinstance(number, NumberError):
        raise Refused(Refusal.MALFORMED, number_reason(msisdn, number), field="msisdn")
    asked = Asked("lookup.unlock", sender=number, channel=Channel.STAFF, actor=request.auth.actor)
    return msgspec.convert(checked(await ask(request, asked)), Unlocked)


def routes(*, file_bytes_max: int) -> tuple[HTTPRouteHandler, ...]:
    """The routes; the control socket takes larger files than the network does."""

    @post(
        "/staff/v1/days/{day:str}/reconciliation",
        summary="Match the gateway's file of a day",
        status_code=HTTP_200_OK,
        request_max_body_size=file_bytes_max,
        **_COMMON,
    )
    async def reconcile(
        request: CallerRequest, day: Day, data: JSONBody[GatewayFileBody]
    ) -> Reconciled:
        """Whole and once: every line gets its verdict, differences go to suspense with a case each.

        The same file again changes nothing; another one of the same day is refused.
        """
        asked = reconcile_request(day_of(day), data.file.encode(), request.auth.actor)
        answer = await ask(request, asked)
        return msgspec.convert(accepted(checked(answer)), Reconciled)

    return (report, invoices, close_day, note_settlement, unlock, reconcile)


def day_of(text: str, *, field: str = "day") -> int:
    """A day that somebody wrote, as yyyymmdd.

    Raises:
        Refused: It is none.
    """
    digits = text.replace("-", "") if len(text) == 10 and text[4] == text[7] == "-" else text
    if len(digits) == 8 and digits.isascii() and digits.isdigit():
        try:
            if business_date(day_start_ms(int(digits))) == int(digits):
                return int(digits)
        except (ValueError, OverflowError):
            pass
    raise Refused(Refusal.MALFORMED, f"{text!r} is no day, as 2026-03-02", field=field)


def reconcile_request(day: int, content: bytes, actor: str) -> Asked:
    """What matches a file.

    Raises:
        Refused: The file is not whole, or not of the day; the message names the first mistakes.
    """
    try:
        file = read_gateway_file(content, day)
    except BadGatewayFile as error:
        shown = "; ".join(str(problem) for problem in error.problems[:_PROBLEMS_SHOWN])
        raise Refused(
            Refusal.MALFORMED,
            f"the file can't be taken: {shown}",
            field="file",
            what_to_do="Get the whole file from the gateway; the day stays open until then.",
        ) from error
    body: dict[str, object] = {
        "day": file.day,
        "hash": file.hash,
        "lines": file.lines,
        "lines_count": file.lines_count,
        "amount_vnd": file.amount_vnd,
    }
    return Asked("reconcile.file", channel=Channel.STAFF, actor=actor, body=body)


def close_request(day: int, actor: str) -> Asked:
    """What closes the books of a day."""
    return Asked("day.close", args=(str(day),), channel=Channel.STAFF, actor=actor)


def settlement_request(day: int, kind: str, amount_vnd: int, actor: str) -> Asked:
    """What notes that the bank has paid."""
    args = (str(day), kind, str(amount_vnd))
    return Asked("settlement.note", args=args, channel=Channel.STAFF, actor=actor)


def accepted(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of an answer that is no refusal.

    Raises:
        Refused: It is one.
    """
    refused = _REFUSED.get(str(data["outcome"]))
    if refused is not None:
        refusal, detail, what_to_do = refused
        raise Refused(refusal, f"{detail} ({data['day']})", what_to_do=what_to_do)
    return data


async def read_invoices(reader: RowsReader, day: int, centre: int) -> list[Invoice]:
    """The batch of a day and centre, in the order they were asked for."""
    return [INVOICE.row(*row) for row in await reader.rows(_INVOICES, (day, centre))]


_PROBLEMS_SHOWN: Final = 5


def _reader_of(request: CallerRequest) -> RowsReader:
    return cast("ReadingBackend", backend_of(request)).reader
