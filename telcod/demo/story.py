"""What telcod did, line by line, and how the books stand: read from the books after every commit.

Only reads, by the reader that the daemon has anyway; nothing is told that is not committed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from telcod.billing.accounts import (
    GATEWAY_RECEIVABLE,
    REVENUE_PACKAGE,
    REVENUE_SMS,
    REVENUE_VOICE,
    TRANSIT,
    account_name,
    debt_account,
    main_account,
)
from telcod.demo.people import Person
from telcod.rows import (
    ACCOUNT,
    CALL,
    ENTRY,
    MO,
    PAYMENT,
    SUBSCRIPTION,
    USSD_SESSION,
    Account,
    Call,
    Entry,
    MoRow,
    PackageStatus,
    Payment,
    Subscription,
    Table,
    UssdSession,
)
from telcod.storage.readers import BooksReader
from telcod.types import Answer

LINES_MAX: Final = 300
_NEWER_MAX: Final = 500
_SHOWN_CHARS: Final = 80
_OWN: Final = (REVENUE_VOICE, REVENUE_SMS, REVENUE_PACKAGE, GATEWAY_RECEIVABLE)
_COMMANDS: Final = "SELECT key, answer, at FROM command WHERE at >= ? ORDER BY at, key LIMIT ?"


class StoryLine(msgspec.Struct, frozen=True):
    """One thing that telcod did.

    `kind` is `text`, `screen`, `call`, `payment`, `command` or `entry`; `who` a number;
    `what` what was asked, `came` what came of it.  An entry has `amount_vnd`, and the accounts as
    `what` and `came`.
    """

    id: int
    at_ms: int
    kind: str
    who: str
    what: str
    came: str
    amount_vnd: int = 0
    note: str = ""


class Purse(msgspec.Struct, frozen=True):
    """What a subscriber has, or owes (below zero); `package` is empty without one."""

    phone: str
    kind: str
    posted_vnd: int
    held_vnd: int
    package: str = ""
    trial: bool = False


class Own(msgspec.Struct, frozen=True):
    """One of the operator's own accounts."""

    account: str
    posted_vnd: int


class Books(msgspec.Struct, frozen=True):
    """How the books stand."""

    purses: tuple[Purse, ...]
    own: tuple[Own, ...]


class Story:
    """Reads on after every commit.

    Args:
        reader: Of the books.
        people: Whose accounts are shown.
    """

    def __init__(self, reader: BooksReader, people: tuple[Person, ...]) -> None:
        self._reader: Final = reader
        self._people: Final = people
        self._committed: Final = asyncio.Event()
        self._seqs: dict[Table[Any], int] = {MO: 0, ENTRY: 0}
        self._commands_at = 0
        self._commands_then: set[str] = set()
        self._stood: dict[str, str] = {}
        self._last_id = 0
        self.lines: deque[StoryLine] = deque(maxlen=LINES_MAX)
        self.books = Books((), ())

    def committed(self) -> None:
        """Something was committed: there may be more to read."""
        self._committed.set()

    async def wait(self) -> None:
        """Until something was committed since."""
        await self._committed.wait()
        self._committed.clear()

    async def begin(self) -> None:
        """Leave out what was before: the story begins now."""
        await self.read_on()
        self.lines.clear()

    async def read_on(self) -> list[StoryLine]:
        """The lines that are new, oldest first; `books` is read as well."""
        found = [_of_text(row) for row in await self._newer(MO)]
        found += await self._changes(USSD_SESSION, _of_screen)
        found += await self._changes(CALL, _of_call)
        found += await self._commands()
        found += await self._changes(PAYMENT, _of_payment)
        found += [_of_entry(row) for row in await self._newer(ENTRY)]
        found.sort(key=lambda line: line.at_ms)  # the sort is stable: cause before effect
        lines = []
        for line in found:
            self._last_id += 1
            lines.append(msgspec.structs.replace(line, id=self._last_id))
        self.lines.extend(lines)
        self.books = await self._read_books()
        return lines

    async def _newer(self, table: Table[Any]) -> list[Any]:
        names = ", ".join(table.columns)
        sql = f"SELECT {names} FROM {table.name} WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  (names are constants)
        found = await self._reader.rows(sql, (self._seqs[table], _NEWER_MAX))
        rows = [table.row(*row) for row in found]
        if rows:
            self._seqs[table] = rows[-1].seq
        return rows

    async def _commands(self) -> list[StoryLine]:
        """Keyed requests by their moment; those of the last one are known by their keys."""
        lines = []
        for key, answer, at in await self._reader.rows(_COMMANDS, (self._commands_at, _NEWER_MAX)):
            if at > self._commands_at:
                self._commands_at, self._commands_then = at, set()
            if key in self._commands_then:
                continue
            self._commands_then.add(key)
            said = msgspec.json.decode(answer, type=Answer)
            lines.append(StoryLine(0, at, "command", "", key, said.outcome))
        return lines

    async def _changes(
        self, table: Table[Any], line_of: Callable[[Any], StoryLine]
    ) -> list[StoryLine]:
        """Rows that stand otherwise than when they were last looked at; a demo has few."""
        lines = []
        for row in await self._reader.all(table):
            line = line_of(row)
            name, stands = f"{table.name}:{row.id}", f"{line.what} {line.came}"
            if self._stood.get(name) != stands:
                self._stood[name] = stands
                lines.append(line)
        return lines

    async def _read_books(self) -> Books:
        accounts: dict[int, Account] = {row.id: row for row in await self._reader.all(ACCOUNT)}
        packages: dict[int, Subscription] = {
            row.msisdn: row for row in await self._reader.all(SUBSCRIPTION)
        }
        purses = tuple(
            _purse(person, accounts, packages.get(person.msisdn)) for person in self._people
        )
        own = [(account_name(each), accounts[each].posted) for each in _OWN if each in accounts]
        transit_vnd = sum(accounts[each].posted for each in TRANSIT.values() if each in accounts)
        if transit_vnd:
            own.append(("transit", transit_vnd))
        return Books(purses, tuple(Own(name, posted) for name, posted in own))


def _purse(person: Person, accounts: dict[int, Account], package: Subscription | None) -> Purse:
    number = person.msisdn
    account = accounts.get(
        main_account(number) if person.kind == "prepaid" else debt_account(number)
    )
    works = package is not None and package.status == PackageStatus.ACTIVE
    return Purse(
        person.phone,
        person.kind,
        account.posted if account else 0,
        account.held if account else 0,
        package.package if package is not None and works else "",
        bool(package is not None and works and package.trial),
    )


def _of_text(row: MoRow) -> StoryLine:
    # The journal keeps no password: what is shown is what is kept.
    note = row.text or "***"
    return StoryLine(
        0, row.at, "text", row.source, f"{row.short_code}: {note}", row.verdict, note=row.route
    )


def _of_screen(row: UssdSession) -> StoryLine:
    asked = row.typed if row.step > 1 else f"*{row.service_code}#"
    shown = " ".join(row.shown.split())
    return StoryLine(0, row.touched_at, "screen", str(row.msisdn), asked, shown[:_SHOWN_CHARS])


def _of_call(row: Call) -> StoryLine:
    moments = (row.offered_at, row.consent_at, row.answered_at, row.ended_at)
    came = " ".join(
        word
        for word in (
            row.state,
            row.reason,
            f"key={row.consent_key}" if row.consent_key else "",
            f"granted={row.granted_s}s" if row.granted_s else "",
            f"billed={row.billed_s}s" if row.billed_s else "",
        )
        if word
    )
    return StoryLine(0, max(moments), "call", str(row.caller), str(row.payer), came)


def _of_payment(row: Payment) -> StoryLine:
    moments = (row.created_at, row.authorised_at, row.cleared_at)
    return StoryLine(
        0,
        max(moments),
        "payment",
        str(row.msisdn),
        f"{row.purpose} {row.id}",
        row.state,
        row.amount_vnd,
    )


def _of_entry(row: Entry) -> StoryLine:
    return StoryLine(
        0,
        row.committed_at,
        "entry",
        "",
        account_name(row.debit),
        account_name(row.credit),
        row.amount,
        row.kind,
    )
