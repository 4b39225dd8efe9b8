"""The doors for people with a browser: online payment, self-care, the staff console.

Part of the composition root, as `telcod.doors` is for USSD and MQTT.
"""

import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from litestar.handlers import HTTPRouteHandler

from telcod.clock import ClockGuard
from telcod.console.house import Console
from telcod.epay.house import Epay
from telcod.epay.site.routes import SiteSettings
from telcod.errors import NotStarted
from telcod.mail import MailServer
from telcod.selfcare.house import SelfCare
from telcod.settings import Settings
from telcod.storage.readers import BooksReader
from telcod.vault import Vault
from telcod.web.limits import AllowList
from telcod.web.ports import Backend
from telcod.web.shortcut import Full


class Pages:
    """Mount `http_routes()`, and `async with pages:` run `run()`.

    Args:
        settings: What is configured.
        backend: The daemon.
        guard: While the clock has jumped nothing happens by it.
        vault: Makes the tokens of forms, and the hashes of login codes.
        reader: Reads the books, once they are open.
        staff_reader: Reads them too: what staff look up is read beside the daemon's own work.

    Raises:
        NotStarted: The mail server's certificates can't be read.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        guard: ClockGuard,
        vault: Vault,
        reader: Callable[[], BooksReader],
        staff_reader: BooksReader,
    ) -> None:
        self._stack: Final = AsyncExitStack()
        self._epay: Final = Epay(
            settings.epay,
            backend,
            guard,
            vault,
            reader,
            site=_site(settings),
            mail=_mail(settings),
        )
        self._selfcare: Final = SelfCare(backend, vault)
        self._staff_reader: Final = staff_reader
        self._console: Final = Console(backend, vault, lambda: self._staff_reader)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._epay)
        await self._stack.enter_async_context(self._staff_reader)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def http_routes(self) -> Sequence[HTTPRouteHandler]:
        """All of them."""
        return (
            *self._epay.http_routes(),
            *self._selfcare.http_routes(),
            *self._console.http_routes(),
        )

    def shortcut(self, path: str) -> Full | None:
        """What can be refused without the framework."""
        return self._epay.shortcut(path)

    async def run(self) -> None:
        """What they do by themselves, until cancelled."""
        await self._epay.run()


def _site(settings: Settings) -> SiteSettings | None:
    epay = settings.epay
    if epay is None or not epay.site:
        return None
    proxies = AllowList(epay.proxies) if epay.proxies else None
    return SiteSettings(url=epay.site_url, gateway_url=epay.gateway_url, proxies=proxies)


def _mail(settings: Settings) -> MailServer | None:
    mail = settings.mail
    if mail is None:
        return None
    context = None
    if mail.tls_ca:
        try:
            context = ssl.create_default_context(cafile=str(settings.folder / mail.tls_ca))
        except OSError as error:
            raise NotStarted(
                f"the certificates of {mail.tls_ca} can't be used: {error}",
                what_to_do="Set mail.tls_ca to a file of PEM certificates that can be read.",
            ) from error
    return MailServer(
        mail.host,
        mail.port,
        mail.sender,
        mail.sender_name,
        mail.tls,
        mail.user,
        mail.password.reveal() if mail.password else "",
        context,
    )
