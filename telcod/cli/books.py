"""The books as the command line sees them, whether a daemon serves them or not (CLI-4).

`open_books` asks the control socket first; when no daemon answers, the file is opened here, under
the daemon's own lock.  Either way the same requests run through the same handlers.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from telcod.bulk import SubscriberLine
from telcod.errors import NotStarted, StoreLocked
from telcod.settings import Settings

Data = Mapping[str, Any]


class Books(Protocol):
    """What commands do to the books.

    Every method may raise `Refused` (the rules say no) or another `TelcodError` (it went wrong);
    nothing was done then.
    """

    @property
    def served(self) -> bool:
        """Whether a daemon serves them."""
        ...

    def show(self, msisdn: str) -> Data:
        """All that is known of a subscriber; `msisdn` in any accepted form."""
        ...

    def top_up(self, msisdn: str, amount_vnd: int, reason: str, *, key: str) -> Data:
        """Add money; the same key again changes nothing."""
        ...

    def set_state(self, msisdn: str, state: str) -> Data:
        """Set what the network lets a subscriber do."""
        ...

    def import_lines(self, lines: Sequence[SubscriberLine]) -> Data:
        """Take over a chunk of subscriber data; counts of `added`, `changed`, `unchanged`."""
        ...

    def tokens(self) -> Sequence[Data]:
        """All bearer tokens: name, scope, created_at, revoked_at."""
        ...

    def create_token(self, name: str, scope: str) -> str:
        """Make a bearer token, and return it."""
        ...

    def revoke_token(self, name: str) -> Data:
        """Take a bearer token out of use."""
        ...

    def back_up(self, path: Path) -> int:
        """Copy the books into a new file; its size in bytes."""
        ...


@contextlib.contextmanager
def open_books(settings: Settings, *, create: bool = False) -> Iterator[Books]:
    """Open the books for one command.

    Args:
        settings: Where they are.
        create: Whether to begin new ones when there are none.

    Raises:
        NotStarted: There are none, or they are served by a daemon that does not answer.
        StoreFailed: The file can't be trusted.
    """
    from telcod.cli.remote import RemoteBooks  # noqa: PLC0415  (each way loads only what it needs)
    from telcod.web.sockets import control_socket_path  # noqa: PLC0415

    socket_path = control_socket_path(settings)
    remote = RemoteBooks.connect_or_none(socket_path)
    if remote is not None:
        with contextlib.closing(remote):
            yield remote
        return
    with contextlib.closing(_local(settings, socket_path, create=create)) as local:
        yield local


def _local(settings: Settings, socket_path: Path | None, *, create: bool) -> "Any":
    from telcod.cli.local import LocalBooks  # noqa: PLC0415

    path = settings.sqlite_path_or_none()
    if path is None:
        raise NotStarted(
            "no daemon answers, and store.url names a server, not a file",
            what_to_do="Start telcod, and set http.control_socket to where it listens.",
        )
    if not create and not path.exists():
        raise NotStarted(f"there is no database at {path}", what_to_do=_NO_DATABASE)
    try:
        return LocalBooks.open(settings, path)
    except StoreLocked as error:
        raise StoreLocked(
            f"a telcod uses {path}, but does not answer on {socket_path}",
            what_to_do="Wait a moment if it starts or stops; else look at its http.control_socket.",
        ) from error


_NO_DATABASE: Final = "Name the right configuration by --config, or start telcod once."
