"""Receiver-paid calls: prices, grants, and what each event of a call does to it (PFM-1, PFM-10…17).
Pure.

A call is one row.  Money is reserved before the two are connected (a *grant* of talk seconds, with
a hold of what they cost), the grant grows while they talk, and the end charges what was used and
lets go of the rest.  Reports are cumulative: whatever their order, repeats and losses, the most
that was reported counts, and never more than was granted.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from telcod.billing.lists import on_net
from telcod.billing.tariffs import VoiceTariff
from telcod.rows import Account, CallState, ListKind, State, Subscriber


class CallLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of PFM that are settings."""

    eligible_kinds: tuple[str, ...] = ("prepaid",)
    slice_s: int = 600
    call_max_s: int = 3_600
    grant: str = "slice"  # or "whole": where the platform cannot extend
    grace_s: int = 30
    ring_max_s: int = 120
    answer_within_s: int = 8
    asks_max: int = 3
    ask_slack_s: int = 60
    warn_s: int = 30
    per_pair_max: int = 10
    per_caller_max: int = 30
    rate_within_h: int = 24
    receipts: bool = True
    platform_measures_talk: bool = True
    text_kept_h: int = 24
    text_receipt_within_h: int = 48
    text_charged_on: str = "delivered"  # or "accepted": where the SMSC gives no receipts


class Refused(StrEnum):
    """Why a call is not paid for.  Decided, and reported, in this order (PFM-10)."""

    NUMBER_MALFORMED = "number_malformed"
    OWN_NUMBER = "own_number"
    CALLER_NOT_SERVED = "caller_not_served"
    PAYER_NOT_SERVED = "payer_not_served"
    BLACKLISTED = "blacklisted"
    TOO_OFTEN = "too_often"
    NO_MONEY = "no_money"
    BUSY = "busy"
    DECLINED = "declined"
    SILENT = "silent"
    WRONG_KEYS = "wrong_keys"
    HUNG_UP = "hung_up"
    NO_ANSWER = "no_answer"
    PAYER_BUSY = "payer_busy"
    VOICEMAIL = "voicemail"
    EXPIRED = "expired"
    CALLER_GONE = "caller_gone"


# What A hears (PFM-13, LST-4): one neutral text, whatever the reason, with two exceptions.
PROMPTS: Final[dict[Refused, str]] = {
    Refused.TOO_OFTEN: "refused_too_often",
    Refused.NUMBER_MALFORMED: "refused_not_served",
    Refused.OWN_NUMBER: "refused_not_served",
    Refused.CALLER_NOT_SERVED: "refused_not_served",
    Refused.PAYER_NOT_SERVED: "refused_not_served",
}
NEUTRAL_PROMPT: Final = "refused"


def price_vnd(seconds: int, tariff: VoiceTariff) -> int:
    """What so many seconds of talk cost, in đồng (PFM-1).

    Nothing for 0; the first block as a whole, then per second.  A fraction of a đồng is dropped,
    for the payer.
    """
    if seconds <= 0:
        return 0
    return max(seconds, tariff.first_block_s) * tariff.minute_vnd // 60


def affordable_s(amount_vnd: int, tariff: VoiceTariff) -> int:
    """The longest talk that an amount pays, in seconds; 0 when it does not pay the first block."""
    if amount_vnd < price_vnd(1, tariff):
        return 0
    if tariff.minute_vnd == 0:
        return 10**9
    return -(-(amount_vnd + 1) * 60 // tariff.minute_vnd) - 1


class Offer(NamedTuple):
    """What the rules say of a call before anybody is asked."""

    refused: Refused | None = None
    connect: bool = False


def decide_offer(
    caller: Subscriber | None,
    payer: Subscriber | None,
    account: Account | None,
    least_vnd: int,
    limits: CallLimits,
    *,
    listed: str | None,
    package_works: bool,
    too_often: bool,
) -> Offer:
    """Say what becomes of a request to pay for a call or a text, in the order of PFM-10.

    Args:
        caller: A, None when off-net.
        payer: B, None when off-net.
        account: B's main balance.
        least_vnd: What B must be able to pay at least, đồng: the first block, or the text.
        limits: Settings.
        listed: On which list of B's A stands, if any.
        package_works: Whether B's whitelist counts now.
        too_often: Whether A has asked too often (PFM-14).
    """
    served = _unserved(caller, payer, limits)
    if served is not None:
        return Offer(served)
    if listed == ListKind.BLACK:
        return Offer(Refused.BLACKLISTED)
    if too_often:
        return Offer(Refused.TOO_OFTEN)
    if account is None or account.spendable_vnd < least_vnd:
        return Offer(Refused.NO_MONEY)
    return Offer(connect=listed == ListKind.WHITE and package_works)


def _unserved(
    caller: Subscriber | None, payer: Subscriber | None, limits: CallLimits
) -> Refused | None:
    """PFM-4: A may be out of money, B must be active; both on-net and of an eligible kind."""
    if caller is None or not on_net(caller) or caller.kind not in limits.eligible_kinds:
        return Refused.CALLER_NOT_SERVED
    if caller.state not in {State.ACTIVE, State.OUT_OF_MONEY}:
        return Refused.CALLER_NOT_SERVED
    if (
        payer is None
        or not on_net(payer)
        or payer.kind not in limits.eligible_kinds
        or payer.state != State.ACTIVE
    ):
        return Refused.PAYER_NOT_SERVED
    return Refused.OWN_NUMBER if caller.msisdn == payer.msisdn else None


class Grant(NamedTuple):
    """So many seconds may be talked, and so much must be held for them.

    `final`: there will be no more.
    """

    seconds: int
    hold_vnd: int
    final: bool


def decide_grant(
    used_s: int,
    granted_s: int,
    held_vnd: int,
    spendable_vnd: int,
    tariff: VoiceTariff,
    limits: CallLimits,
) -> Grant:
    """Say how long the two may talk from now on, altogether (PFM-15).

    A slice beyond what is used already, or what held and free money pay, or the call limit,
    whichever is least; never less than was granted before.

    Args:
        used_s: Talk reported so far; 0 before the call.
        granted_s: Granted so far; 0 before the call.
        held_vnd: Held for this call so far.
        spendable_vnd: What the payer's balance has besides.
        tariff: The one that prices this call.
        limits: Settings.

    Returns:
        The grant; `seconds` 0 when not even the first block can be paid.
    """
    wanted_s = (
        limits.call_max_s
        if limits.grant == "whole"
        else min(used_s + limits.slice_s, limits.call_max_s)
    )
    possible_s = min(wanted_s, affordable_s(held_vnd + spendable_vnd, tariff))
    seconds = max(granted_s, possible_s)
    if seconds == 0:
        return Grant(0, 0, final=True)
    final = seconds >= limits.call_max_s or possible_s < wanted_s
    return Grant(seconds, max(held_vnd, price_vnd(seconds, tariff)), final)


class Charge(NamedTuple):
    """What the end of a call comes to.

    `written_off_vnd` is talk beyond the grant, the operator's loss (F24).
    """

    billed_s: int
    charged_vnd: int
    written_off_vnd: int


def decide_end(used_s: int, granted_s: int, tariff: VoiceTariff) -> Charge:
    """Charge the used time, never more than was granted (PFM-16)."""
    billed_s = min(used_s, granted_s)
    charged_vnd = price_vnd(billed_s, tariff)
    return Charge(billed_s, charged_vnd, price_vnd(used_s, tariff) - charged_vnd)


class Correction(NamedTuple):
    """A real end after supervision had closed the call.

    The difference the balance can bear, and the rest (PFM-17).
    """

    billed_s: int
    extra_vnd: int
    written_off_vnd: int


def decide_late_end(
    used_s: int, granted_s: int, charged_vnd: int, spendable_vnd: int, tariff: VoiceTariff
) -> Correction:
    """Say what a late end adds to what supervision charged.

    Never takes back, never beyond the grant.
    """
    end = decide_end(used_s, granted_s, tariff)
    missing_vnd = max(0, end.charged_vnd - charged_vnd)
    extra_vnd = min(missing_vnd, max(0, spendable_vnd))
    return Correction(end.billed_s, extra_vnd, missing_vnd - extra_vnd + end.written_off_vnd)


OPEN_STATES: Final = frozenset({CallState.ASKING, CallState.GRANTED, CallState.TALKING})
