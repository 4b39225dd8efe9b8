"""The console put together, for the composition root (CARE-1…3)."""

from collections.abc import Callable, Sequence
from typing import Final

from litestar.handlers import HTTPRouteHandler

from telcod.console import api
from telcod.console.desk import Desk
from telcod.console.site import Site
from telcod.reports import RowsReader
from telcod.vault import Vault
from telcod.web.ports import Backend


class Console:
    """One for a daemon; mount `http_routes()`.

    Args:
        backend: The daemon, whose routes have those of `handlers.care`.
        vault: Seals sessions.
        reader: Reads the books, once they are open; best a connection of its own.
    """

    def __init__(self, backend: Backend, vault: Vault, reader: Callable[[], RowsReader]) -> None:
        self._desk: Final = Desk(backend, reader)
        self._site: Final = Site(self._desk, vault)

    def http_routes(self) -> Sequence[HTTPRouteHandler]:
        """The routes of `/staff/v1` that are the console's, and the pages of `/console`."""
        return (*api.routes(self._desk), *self._site.routes())
