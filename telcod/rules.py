"""Everything an operator may change without code, in force for a batch: prices, limits, texts,
keywords.  Pure.

One frozen value, so that SIGHUP swaps the whole of it between two batches and no request sees half
a change.
"""

from collections.abc import Mapping

import msgspec

from telcod.billing.calls import CallLimits
from telcod.billing.lists import ListLimits
from telcod.billing.packages import PackageLimits
from telcod.billing.tariffs import TariffBook
from telcod.dispatch import Dispatcher
from telcod.messages import Catalogue
from telcod.prompts import Prompts


class TextLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often wrong texts are answered (KW-3), how long parts wait (SMPP-3)."""

    unknown_answers_max: int = 5
    unknown_answers_within_min: int = 60
    parts_kept_min: int = 60
    assemblies_per_sender_max: int = 8
    parts_total_max: int = 200_000
    request_receipts: bool = False
    kept_days: int = 90
    reply_valid_h: int = 24


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`config/limits.toml`."""

    packages: PackageLimits = PackageLimits()
    lists: ListLimits = ListLimits()
    texts: TextLimits = TextLimits()
    calls: CallLimits = CallLimits()


class Rules(msgspec.Struct, frozen=True):
    """What the handlers go by."""

    tariffs: TariffBook
    limits: Limits
    catalogue: Catalogue
    dispatcher: Dispatcher
    old_prefixes: Mapping[str, str]
    prompts: Prompts
