"""What a daemon would only stumble over when it starts, found before, for `telcod check` (CLI-3).

Each of these is looked at again at the start, by whoever needs it; here they are told together.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import msgspec

from telcod.errors import NotStarted
from telcod.mqtt.client import tls_context as mqtt_tls
from telcod.rules import Rules
from telcod.settings import FILE_NAME, Problem, Settings
from telcod.smpp.link import tls_context as link_tls
from telcod.vault import KEY_BYTES

_HEX_DIGITS: Final = 2 * KEY_BYTES


def start_problems(settings: Settings, rules: Rules | None) -> list[Problem]:
    """All that would keep a daemon from starting though each file is right.

    Args:
        settings: The configuration.
        rules: What its files make; None if they are wrong.
    """
    found = [*_store(settings), *_secret(settings), *_networks(settings)]
    found += [*_links(settings, rules), *_broker(settings)]
    file = str(settings.folder / FILE_NAME)
    return [Problem(file, key, reason) for key, reason in found]


_Found = Iterator[tuple[str, str]]


def _store(settings: Settings) -> _Found:
    if settings.sqlite_path_or_none() is None:
        yield "store.url", "names a server; set it to sqlite:///path/to/telcod.db"


def _secret(settings: Settings) -> _Found:
    secret = settings.security.secret
    if secret is None:
        return
    try:
        right = len(bytes.fromhex(secret.reveal())) == KEY_BYTES
    except ValueError:
        right = False
    if not right:
        yield "security.secret", f"must be {_HEX_DIGITS} hexadecimal digits"


def _networks(settings: Settings) -> _Found:
    http = settings.http
    for name, networks in (("allow_from", http.allow_from), ("proxies", http.proxies)):
        for at, text in enumerate(networks):
            try:
                ip_network(text, strict=False)
            except ValueError as error:
                yield f"http.{name}[{at}]", str(error)


def _links(settings: Settings, rules: Rules | None) -> _Found:
    for at, link in enumerate(settings.smpp.links):
        known = link.short_codes if rules is None else rules.dispatcher.short_codes
        unknown = sorted(set(link.short_codes) - set(known))
        if unknown:
            key = f"smpp.links[{at}].short_codes"
            yield key, f"no keyword leads to {', '.join(unknown)}"
        if link.tls:
            authorities = str(settings.folder / link.tls_ca) if link.tls_ca else ""
            try:
                link_tls(msgspec.structs.replace(link, tls_ca=authorities))
            except OSError as error:
                yield f"smpp.links[{at}].tls_ca", f"{Path(link.tls_ca)} can't be used: {error}"


def _broker(settings: Settings) -> _Found:
    if settings.mqtt is None:
        return
    try:
        mqtt_tls(settings.mqtt, settings.folder)
    except NotStarted as error:
        yield "mqtt.tls_ca", str(error)
