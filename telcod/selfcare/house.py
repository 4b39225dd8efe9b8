"""Self-care put together: the app's API and the site, for the composition root (SELF-1)."""

from collections.abc import Callable, Sequence
from typing import Final

from litestar.handlers import HTTPRouteHandler

from telcod.selfcare import api, site
from telcod.selfcare.door import ANSWER_S, Door
from telcod.selfcare.pages import SelfPages
from telcod.vault import Vault
from telcod.web.ports import Backend


class SelfCare:
    """One for a daemon; see `Door` for the arguments."""

    def __init__(
        self,
        backend: Backend,
        vault: Vault,
        *,
        answer_s: float = ANSWER_S,
        draw_code: Callable[[], str] | None = None,
    ) -> None:
        self._backend: Final = backend
        self._door: Final = Door(backend, vault, answer_s=answer_s, draw_code=draw_code)

    def http_routes(self) -> Sequence[HTTPRouteHandler]:
        """The routes of `/self/v1` and `/me`."""
        door = self._door
        return (*api.routes(self._backend, door), *site.routes(self._backend, door, SelfPages()))
