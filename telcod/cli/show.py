"""How the command line shows things to people: tables, times, money."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from telcod.msisdn import Msisdn, national
from telcod.text.values import local_time

Data = Mapping[str, Any]


def console(*, err: bool = False) -> Console:
    """Where tables go; plain text when that is no terminal."""
    return Console(stderr=err, highlight=False, soft_wrap=True)


def as_typed(text: str) -> Text:
    """What other people wrote, on a terminal: no markup of ours, and nothing that it obeys."""
    return Text(
        "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    )


def when(at_ms: int) -> str:
    """A moment in Viet Nam time; a dash for none."""
    return local_time(at_ms) if at_ms else "-"


def money(amount_vnd: int) -> str:
    """`12.500 đ`."""
    return f"{amount_vnd:,} đ".replace(",", ".")


def subscriber_table(data: Data) -> Table:
    """One subscriber, field by field."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _fields(data):
        table.add_row(Text(name), as_typed(value))
    return table


def token_table(tokens: Sequence[Data]) -> Table:
    """All tokens, the newest last."""
    table = Table("name", "scope", "made", "revoked", box=None, pad_edge=False)
    for token in sorted(tokens, key=lambda token: token["created_at"]):
        made, revoked = when(token["created_at"]), when(token["revoked_at"])
        table.add_row(token["name"], token["scope"], made, revoked)
    return table


def _fields(data: Data) -> list[tuple[str, str]]:
    number = Msisdn(data["msisdn"])
    return [
        ("number", f"{national(number)} ({number})"),
        ("kind", f"{data['kind']}, {data['state']}"),
        ("name", data["name"] or "-"),
        ("address", data["address"] or "-"),
        ("e-mail", data["email"] or "-"),
        ("centre", str(data["centre"])),
        ("language", data["language"]),
        ("balance", _balance(data)),
        ("debt", money(data["debt_vnd"])),
        ("package", _package(data["package"])),
        ("trial", "used" if data["trial_used"] else "not used yet"),
        ("lists", f"whitelist {data['lists']['white']}, blacklist {data['lists']['black']}"),
        ("notices", "on" if data["notices"] else "off"),
        ("payment password", "set" if data["password_set"] else "not set"),
    ]


def _balance(data: Data) -> str:
    held = f", of which {money(data['held_vnd'])} set aside" if data["held_vnd"] else ""
    return money(data["balance_vnd"]) + held


def _package(package: Data | None) -> str:
    if package is None:
        return "none"
    kind = f"{package['package']}{' (free trial)' if package['trial'] else ''}"
    match package["status"]:
        case "active":
            return f"{kind}, until {when(package['ends_at'])}"
        case "suspended":
            return f"{kind}, without money since {when(package['failed_since'])}"
        case status:
            return f"{kind}, {status}"


def span(seconds: int) -> str:
    """`3 d 4 h`, `4 h 12 min`, `12 min 5 s`, `5 s`."""
    minutes, rest_s = divmod(seconds, 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if days:
        return f"{days} d {rest_h} h"
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def volume(size_bytes: int) -> str:
    """`812 kB`, `4.3 GB`."""
    size: float = size_bytes
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} {unit}" if unit in {"B", "kB"} else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
