"""Where the books are, by `store.url`: a file of this daemon's own, or a server for several."""

from pathlib import Path
from typing import Final, Protocol

from telcod.errors import NotStarted
from telcod.ports import Store
from telcod.settings import Settings
from telcod.storage.readers import BooksReader, SqliteReader
from telcod.storage.sqlite import SqliteStore

KEY_FILE: Final = "telcod.key"
MIB: Final = 1024 * 1024


class Books(Protocol):
    """The books of one configuration, not opened yet."""

    @property
    def shared(self) -> bool:
        """Whether other daemons may write them too."""
        ...

    @property
    def path(self) -> Path | None:
        """The file; None if it is a server's affair."""
        ...

    @property
    def key_path(self) -> Path:
        """Where the installation's secret is kept, unless the configuration says it."""
        ...

    def open(self) -> Store:
        """Open them to write.

        Raises:
            StoreLocked: Another daemon has them for itself.
            StoreAway: The server can't be reached.
            StoreFailed: They can't be trusted.
        """
        ...

    def reader(self) -> BooksReader:
        """Read them beside the writer; to be used by `async with`."""
        ...


class FileBooks:
    """An SQLite file.  See `Books`."""

    shared: Final = False

    def __init__(self, path: Path, *, reserve_bytes: int = 0) -> None:
        self.path: Final = path
        self._reserve_bytes: Final = reserve_bytes
        self.key_path: Final = path.with_name(f"{path.name}.key")

    def open(self) -> Store:
        """See `Books.open`."""
        return SqliteStore.open(self.path, reserve_bytes=self._reserve_bytes)

    def reader(self) -> BooksReader:
        """See `Books.reader`."""
        return SqliteReader(self.path)


class ServerBooks:
    """A database on a PostgreSQL server.  See `Books`."""

    shared: Final = True
    path: Final = None

    def __init__(self, url: str, folder: Path) -> None:
        self._url: Final = url
        self.key_path: Final = folder / KEY_FILE

    def open(self) -> Store:
        """See `Books.open`."""
        # The driver is loaded by who has a server only.
        from telcod.storage.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore.open(self._url)

    def reader(self) -> BooksReader:
        """See `Books.reader`."""
        from telcod.storage.postgres_readers import PostgresReader  # noqa: PLC0415

        return PostgresReader(self._url)


def books_of(settings: Settings) -> Books:
    """The books that a configuration names.

    Raises:
        NotStarted: `store.url` names neither a file nor a PostgreSQL server.
    """
    path = settings.sqlite_path_or_none()
    if path is not None:
        return FileBooks(path.resolve(), reserve_bytes=settings.store.reserve_mb * MIB)
    url = settings.store.url
    if not url.startswith(("postgresql://", "postgres://")):
        raise NotStarted(
            "store.url names neither a file nor a server",
            what_to_do="Set it to sqlite:///path/to/telcod.db or postgresql://host/database.",
        )
    return ServerBooks(url, settings.folder)
