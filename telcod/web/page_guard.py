"""What keeps pages from being misused: headers, the token of forms, who it is that asks.

A form is believed when it carries a token made of the cookie that the browser keeps for this site:
another site can make a browser send the form, but knows neither.
"""

import hmac
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from telcod.vault import Vault
from telcod.web.limits import AllowList

FORM_COOKIE: Final = "telcod_form"
FORM_FIELD: Final = "form_token"
FORM_KEPT_S: Final = 86_400
_IPV6_CUSTOMER_BITS: Final = 64
_FORWARDED_MAX: Final = 10
HSTS: Final = "max-age=31536000"


def page_headers(*, secure: bool, forms_to: Iterable[str] = ()) -> dict[str, str]:
    """The headers of every page: nothing from elsewhere, in no frame, not stored.

    Args:
        secure: Whether people come by https.
        forms_to: Origins that a form may lead to, also by a redirect; this site is always one.
    """
    targets = " ".join(("'self'", *forms_to))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # A page's address may name a payment; no other site is told it.
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "Cookie, Accept-Language",
    }
    return headers | ({"Strict-Transport-Security": HSTS} if secure else {})


class FormTokens:
    """Tokens for forms, of the cookie that goes with them.

    Args:
        vault: Of the installation, so that a form outlives a restart.
        site: A word of its own for each site.
    """

    def __init__(self, vault: Vault, site: str) -> None:
        self._vault: Final = vault
        self._site: Final = site

    def token(self, cookie: str) -> str:
        """What a form carries for who has this cookie."""
        return self._vault.fingerprint(f"form:{self._site}:{cookie}".encode()).hex()

    def is_genuine(self, cookie: str, token: str, *, fetch_site: str = "") -> bool:
        """Whether a form came from a page of ours.

        Args:
            cookie: The cookie; empty: there is none.
            token: What the form carries.
            fetch_site: The browser's own word for where it came from (`Sec-Fetch-Site`), if any.
        """
        if fetch_site not in {"", "none", "same-origin"} or not cookie:
            return False
        return hmac.compare_digest(token.encode(), self.token(cookie).encode())


def payer_address(client: str, forwarded: str, proxies: AllowList | None) -> str:
    """The address of who asks: the last one that no proxy of ours has.

    Args:
        client: Who opened the connection.
        forwarded: The header `X-Forwarded-For`; believed only as far as our own proxies wrote it.
        proxies: Our own proxies; None: there are none.

    Returns:
        An address, or nothing if it isn't one.
    """
    told = forwarded.split(",") if forwarded else []
    steps = [*told, client][-_FORWARDED_MAX:]
    address = steps.pop().strip()
    while proxies is not None and steps and proxies.admits(address):
        address = steps.pop().strip()
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def neighbourhood(address: str) -> str:
    """Who is counted as one: an address, or of IPv6 the network that one customer is given."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _IPV6_CUSTOMER_BITS), strict=False))
    return address
