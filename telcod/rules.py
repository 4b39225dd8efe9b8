"""Everything an operator may change without code, in force for a batch: prices, limits, texts,
keywords.  Pure.

One frozen value, so that SIGHUP swaps the whole of it between two batches and no request sees half
a change.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from telcod.billing.calls import CallLimits
from telcod.billing.lists import ListLimits
from telcod.billing.lookup import LookupLimits
from telcod.billing.packages import PackageLimits
from telcod.billing.payments import PaymentLimits
from telcod.billing.risk import RiskRules
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


class UssdLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a USSD session lives without input, and may be gone on with (USSD-3); how long an
    answer to a push is waited for (USSD-4).
    """

    session_s: int = 180
    resume_s: int = 600
    screen_septets: Annotated[int, msgspec.Meta(ge=60, le=182)] = 182
    push_answer_s: int = 180


class NoticeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often A is told of receiver-pays after a call that failed for lack of money (PFM-20)."""

    per_hour_max: int = 1
    per_day_max: int = 3


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`config/limits.toml`."""

    packages: PackageLimits = PackageLimits()
    lists: ListLimits = ListLimits()
    texts: TextLimits = TextLimits()
    calls: CallLimits = CallLimits()
    ussd: UssdLimits = UssdLimits()
    notices: NoticeLimits = NoticeLimits()
    lookup: LookupLimits = LookupLimits()
    payments: PaymentLimits = PaymentLimits()


class Rules(msgspec.Struct, frozen=True):
    """What the handlers go by.

    `menus` are those of `ussd.menu`, by service code (`1566`).  `pushes`: there is a gateway for
    USSD that nobody asked for; `events`: somebody listens to events.  Without, none are written.
    """

    tariffs: TariffBook
    limits: Limits
    catalogue: Catalogue
    dispatcher: Dispatcher
    old_prefixes: Mapping[str, str]
    prompts: Prompts
    menus: Mapping[str, Any] = {}
    pushes: bool = False
    events: bool = False
    risk: RiskRules = RiskRules()
