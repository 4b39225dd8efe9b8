"""What things cost, and from when.  Pure.

A tariff is a file of `config/tariffs/`; it names the moment it becomes valid and never changes
after that (DESIGN 5). The book of all tariffs answers which one prices an event.  Prices are whole
đồng with VAT (PKG-1, PFM-1, PFM-2).
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from telcod.days import HOUR_MS

_Vnd = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
_Price = Annotated[
    int, msgspec.Meta(ge=1, le=10_000_000)
]  # A paid period names its entry, and no entry moves nothing.
_Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 366)]


class PackageTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package: what a period costs and how long it lasts (PKG-1), how long the free trial is
    (PKG-2).
    """

    price_vnd: _Price
    period_h: _Hours
    trial_h: Annotated[int, msgspec.Meta(ge=0, le=24 * 366)] = 24

    @property
    def period_ms(self) -> int:
        """Length of a period in milliseconds."""
        return self.period_h * HOUR_MS

    @property
    def trial_ms(self) -> int:
        """Length of the free trial in milliseconds; 0 is no trial."""
        return self.trial_h * HOUR_MS


class VoiceTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receiver-paid talk: đồng per minute, the first block in seconds, then per second (PFM-1)."""

    minute_vnd: _Vnd
    first_block_s: Annotated[int, msgspec.Meta(ge=1, le=60)] = 6


class SmsTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receiver-paid texts: đồng per part as sent (PFM-2)."""

    part_vnd: _Vnd


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices from one moment on.  `id` goes into each entry that it priced."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
    valid_from_ms: int
    packages: Mapping[str, PackageTariff]
    voice: VoiceTariff
    sms: SmsTariff

    def fingerprint(self) -> str:
        """A hash of everything that matters, to notice a change after `valid_from` (F38)."""
        return sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class TariffBookError(ValueError):
    """The tariffs do not make a book; the message says which and why."""


class TariffBook:
    """All tariffs by the moment they become valid."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        """
        Raises:
            TariffBookError: No tariff, two with one id, or two that become valid at the same
            moment.
        """
        self._newest_first: Final = sorted(tariffs, key=lambda tariff: -tariff.valid_from_ms)
        ids = [tariff.id for tariff in self._newest_first]
        moments = [tariff.valid_from_ms for tariff in self._newest_first]
        if not ids:
            raise TariffBookError("there is no tariff")
        if len(set(ids)) != len(ids):
            raise TariffBookError(f"two tariffs have the same id among {', '.join(sorted(ids))}")
        if len(set(moments)) != len(moments):
            raise TariffBookError("two tariffs become valid at the same moment")
        self.tariffs: Final = tuple(self._newest_first)

    def at(self, ms: int) -> Tariff:
        """The tariff in force at a moment; before the first one, the first one."""
        for tariff in self._newest_first:
            if tariff.valid_from_ms <= ms:
                return tariff
        return self._newest_first[-1]
