"""Reports, invoices and the end of the day as the command line asks for them (CLI-5).

As with `books`: a running daemon is asked over its control socket; when none answers, the file is
opened here, under the daemon's own lock, and the same requests run through the same handlers.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from telcod.cli.local import LocalBooks
from telcod.cli.remote import RemoteBooks
from telcod.errors import NotStarted, StoreLocked
from telcod.reports import Report, make_report
from telcod.rows import Invoice
from telcod.settings import Settings
from telcod.storage.readers import SqliteReader
from telcod.web.report_routes import (
    accepted,
    close_request,
    read_invoices,
    reconcile_request,
    settlement_request,
)
from telcod.web.sockets import control_socket_path

Data = Mapping[str, Any]
T = TypeVar("T")


class Desk(Protocol):
    """What the commands of CLI-5 ask.

    Every method may raise `Refused` (the rules say no) or another `TelcodError` (it went wrong);
    nothing was done then.
    """

    def report(self, name: str, day: int) -> Report:
        """A report of a day."""
        ...

    def invoices(self, day: int, centre: int) -> Sequence[Invoice]:
        """The invoices of a day and centre."""
        ...

    def reconcile(self, day: int, content: bytes) -> Data:
        """Match the gateway's file of a day."""
        ...

    def close_day(self, day: int) -> Data:
        """Close the books of a day, or say what is missing."""
        ...

    def settle(self, day: int, kind: str, amount_vnd: int) -> Data:
        """Note what the bank has paid for a day."""
        ...


class RemoteDesk(RemoteBooks):
    """The port `Desk` over a daemon's control socket."""

    def report(self, name: str, day: int) -> Report:
        """See `Desk.report`."""
        return msgspec.convert(self._call("GET", f"/staff/v1/reports/{name}?date={day}"), Report)

    def invoices(self, day: int, centre: int) -> Sequence[Invoice]:
        """See `Desk.invoices`."""
        found = self._json("GET", f"/staff/v1/invoices?date={day}&centre={centre}")
        return msgspec.convert(found, list[Invoice])

    def reconcile(self, day: int, content: bytes) -> Data:
        """See `Desk.reconcile`."""
        # Bytes that are no UTF-8 stay visible as such: the daemon tells what is wrong with them.
        body = {"file": content.decode("utf-8", "replace")}
        return self._call("POST", f"/staff/v1/days/{day}/reconciliation", body)

    def close_day(self, day: int) -> Data:
        """See `Desk.close_day`."""
        return self._call("POST", f"/staff/v1/days/{day}/close")

    def settle(self, day: int, kind: str, amount_vnd: int) -> Data:
        """See `Desk.settle`."""
        body = {"kind": kind, "amount_vnd": amount_vnd}
        return self._call("POST", f"/staff/v1/days/{day}/settlements", body)


class LocalDesk(LocalBooks):
    """The port `Desk` on the file itself."""

    def report(self, name: str, day: int) -> Report:
        """See `Desk.report`."""
        return self._read(lambda reader: make_report(reader, name, day))

    def invoices(self, day: int, centre: int) -> Sequence[Invoice]:
        """See `Desk.invoices`."""
        return self._read(lambda reader: read_invoices(reader, day, centre))

    def reconcile(self, day: int, content: bytes) -> Data:
        """See `Desk.reconcile`."""
        return accepted(self._ask(reconcile_request(day, content, self._actor)))

    def close_day(self, day: int) -> Data:
        """See `Desk.close_day`."""
        return self._ask(close_request(day, self._actor))

    def settle(self, day: int, kind: str, amount_vnd: int) -> Data:
        """See `Desk.settle`."""
        return accepted(self._ask(settlement_request(day, kind, amount_vnd, self._actor)))

    def _read(self, asked: Callable[[SqliteReader], Awaitable[T]]) -> T:
        async def reading() -> T:
            async with SqliteReader(self._store.path, longest_s=None) as reader:
                return await asked(reader)

        return asyncio.run(reading())


@contextlib.contextmanager
def open_desk(settings: Settings) -> Iterator[Desk]:
    """Open the books for one command.

    Raises:
        NotStarted: There are none, or they are served by a daemon that does not answer.
        StoreFailed: The file can't be trusted.
    """
    socket_path = control_socket_path(settings)
    remote = RemoteDesk.connect_or_none(socket_path)
    if remote is not None:
        with contextlib.closing(remote):
            yield remote
        return
    path = settings.sqlite_path_or_none()
    if path is None or not path.exists():
        raise NotStarted("there is no database, and no daemon answers", what_to_do=_NO_DATABASE)
    try:
        local = LocalDesk.open(settings, path)
    except StoreLocked as error:
        raise StoreLocked(
            f"a telcod uses {path}, but does not answer on {socket_path}",
            what_to_do="Wait a moment if it starts or stops; else look at its http.control_socket.",
        ) from error
    with contextlib.closing(local):
        yield local


_NO_DATABASE: Final = "Name the right configuration by --config, or start telcod once."
