"""DK, DK7, HUY, KT, and Y/N for a registration that waits: the parent-child package (PKG-1…9)."""

from typing import Final

import msgspec

from handlers.common import command_name, for_subscribers, named, package_terms, tell
from telcod.billing.accounts import REVENUE_PACKAGE, main_account
from telcod.billing.ledger import Declined, Transfer, post
from telcod.billing.packages import (
    Cancel,
    Refusal,
    Renew,
    Start,
    Suspend,
    decide_register,
    decide_renewal,
    first_reminder_ms,
    in_reminder_window,
    next_action_ms,
    next_reminder_ms,
    postponed_reminder_ms,
)
from telcod.days import MINUTE_MS
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    ACCOUNT,
    PENDING_CONFIRM,
    PERIOD,
    SUBSCRIBER,
    SUBSCRIPTION,
    PackageStatus,
    PendingConfirm,
    Period,
    State,
    Subscriber,
    Subscription,
)
from telcod.tx import Tx
from telcod.types import Reply, Request, say

DAY: Final = "day"
WEEK: Final = "week"
REACHABLE: Final = frozenset({State.ACTIVE, State.OUT_OF_MONEY})
COMMANDS: Final = {DAY: "DK", WEEK: "DK7"}
# The kind of its text in the outbox, by which `telcod.check` dates the end.
ENDED_UNPAID: Final = "package.ended_unpaid"


@for_subscribers
def register_day(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """DK: register the day package."""
    return _register(request, tx, subscriber, DAY)


@for_subscribers
def register_week(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """DK7: register the week package."""
    return _register(request, tx, subscriber, WEEK)


@for_subscribers
def cancel(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """HUY: no renewal, whitelist off, both at once; the lists are kept (PKG-7)."""
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    if current is None or current.status == PackageStatus.CANCELLED:
        return say("package.none_to_cancel")
    tx.put(
        SUBSCRIPTION,
        msgspec.structs.replace(
            current, status=PackageStatus.CANCELLED.value, next_at=0, remind_at=0
        ),
    )
    _tell_others(tx, "cancelled", subscriber, current.package)
    return say("package.cancelled", package=named(tx, subscriber, f"name.{current.package}"))


@for_subscribers
def show(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """KT: which package, until when, renewing or in trouble."""
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    if current is None or current.status == PackageStatus.CANCELLED:
        return say("package.none")
    price_vnd = tx.rules.tariffs.at(tx.now_ms).packages[current.package].price_vnd
    terms = package_terms(tx, subscriber, current.package, price_vnd, current.ends_at)
    if current.status == PackageStatus.SUSPENDED:
        return say(
            "package.in_trouble",
            since=current.failed_since,
            package=terms["package"],
            price=terms["price"],
        )
    return say("package.in_trial" if current.trial else "package.running", **terms)


def confirm(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """Y: carry out the registration that waits, within 30 minutes (PKG-9)."""
    pending = tx.get(PENDING_CONFIRM, subscriber.msisdn)
    if pending is None:
        return say("confirm.nothing")
    tx.delete(PENDING_CONFIRM, pending)
    if pending.expires_at <= tx.now_ms:
        return say("confirm.expired", command=COMMANDS[pending.package])
    return start(request, tx, subscriber, pending.package)


def decline(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """N: let the registration go that waits (PKG-9)."""
    pending = tx.get(PENDING_CONFIRM, subscriber.msisdn)
    if pending is None:
        return say("confirm.nothing")
    tx.delete(PENDING_CONFIRM, pending)
    return say("confirm.declined")


def start(request: Request, tx: Tx, subscriber: Subscriber, package: str) -> Reply:
    """Start a package now, or say why not (PKG-1…5)."""
    current, decision = _decide(tx, subscriber, package)
    if isinstance(decision, Refusal):
        return _refuse(tx, subscriber, current, package, decision)
    period_no = current.period_no + 1 if current else 1
    command = command_name(request, tx)
    _begin_period(tx, subscriber, package, decision, period_no, command, request.event_ms)
    remind_at = first_reminder_ms(decision, tx.rules.limits.packages)
    tx.put(
        SUBSCRIPTION,
        Subscription(
            msisdn=subscriber.msisdn,
            package=package,
            status=PackageStatus.ACTIVE.value,
            trial=int(decision.trial),
            period_no=period_no,
            started_at=decision.starts_at,
            ends_at=decision.ends_at,
            next_at=next_action_ms(ends_at=decision.ends_at, remind_at=remind_at),
            remind_at=remind_at,
            failed_since=0,
            tariff=tx.rules.tariffs.at(tx.now_ms).id,
        ),
    )
    if decision.trial:
        tx.put(SUBSCRIBER, msgspec.structs.replace(subscriber, trial_used=1))
    price_vnd = tx.rules.tariffs.at(tx.now_ms).packages[package].price_vnd
    terms = package_terms(tx, subscriber, package, price_vnd, decision.ends_at)
    _tell_others(tx, "started", subscriber, package, ends_at=decision.ends_at, trial=decision.trial)
    return say("package.trial_started" if decision.trial else "package.started", **terms)


def look_after(request: Request, tx: Tx) -> Reply:
    """The clock's turn on one subscription: remind, renew, try again, or end it (PKG-6, PKG-8).

    `args` are the period that was due; one that has moved on since is left alone, so that a repeat
    does nothing.
    """
    current = tx.get(SUBSCRIPTION, request.sender)
    subscriber = tx.get(SUBSCRIBER, request.sender)
    if current is None or subscriber is None or str(current.period_no) != request.args[0]:
        return Reply("clock.moved_on")
    if not 0 < current.next_at <= tx.now_ms:
        return Reply("clock.not_due")
    if current.status == PackageStatus.SUSPENDED or current.ends_at <= tx.now_ms:
        return renew(tx, subscriber, current)
    return _remind(tx, subscriber, current)


def retry_after_topup(tx: Tx, subscriber: Subscriber) -> Reply | None:
    """A suspended package is tried again at once after every top-up (PKG-6)."""
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    if current is None or current.status != PackageStatus.SUSPENDED:
        return None
    return renew(tx, subscriber, current)


def renew(tx: Tx, subscriber: Subscriber, current: Subscription) -> Reply:
    """Charge the next period, or suspend, or end it after 30 days (PKG-6)."""
    limits = tx.rules.limits.packages
    tariff = tx.rules.tariffs.at(tx.now_ms)
    account = tx.get(ACCOUNT, main_account(subscriber.msisdn))
    decision = decide_renewal(current, subscriber, account, tariff, limits, now_ms=tx.now_ms)
    match decision:
        case Renew():
            return _renewed(tx, subscriber, current, decision)
        case Suspend():
            if decision.first and subscriber.state in REACHABLE:
                terms = package_terms(
                    tx,
                    subscriber,
                    current.package,
                    tariff.packages[current.package].price_vnd,
                    current.ends_at,
                )
                tell(
                    tx,
                    subscriber,
                    "package.suspended",
                    kind="package",
                    package=terms["package"],
                    price=terms["price"],
                )
            tx.put(
                SUBSCRIPTION,
                msgspec.structs.replace(
                    current,
                    status=PackageStatus.SUSPENDED.value,
                    failed_since=decision.failed_since,
                    next_at=decision.retry_at,
                    remind_at=0,
                ),
            )
            if decision.first:
                _tell_others(tx, "suspended", subscriber, current.package)
            return Reply("package.suspended")
        case Cancel():
            tx.put(
                SUBSCRIPTION,
                msgspec.structs.replace(
                    current, status=PackageStatus.CANCELLED.value, next_at=0, remind_at=0
                ),
            )
            tell(
                tx,
                subscriber,
                ENDED_UNPAID,
                kind=ENDED_UNPAID,
                package=named(tx, subscriber, f"name.{current.package}"),
                command=COMMANDS[current.package],
                days=limits.cancel_after_h // 24,
            )
            _tell_others(tx, "ended_unpaid", subscriber, current.package)
            return Reply(ENDED_UNPAID)


def _register(request: Request, tx: Tx, subscriber: Subscriber, package: str) -> Reply:
    limits = tx.rules.limits.packages
    if not limits.confirm_registration:
        return start(request, tx, subscriber, package)
    current, decision = _decide(tx, subscriber, package)
    if isinstance(decision, Refusal):
        return _refuse(tx, subscriber, current, package, decision)
    expires_at = tx.now_ms + limits.confirm_within_min * MINUTE_MS
    tx.put(PENDING_CONFIRM, PendingConfirm(subscriber.msisdn, package, expires_at))
    price_vnd = tx.rules.tariffs.at(tx.now_ms).packages[package].price_vnd
    key = "confirm.ask_trial" if decision.trial else "confirm.ask"
    return say(
        key,
        package=named(tx, subscriber, f"name.{package}"),
        price=price_vnd,
        minutes=limits.confirm_within_min,
    )


def _decide(
    tx: Tx, subscriber: Subscriber, package: str
) -> tuple[Subscription | None, Start | Refusal]:
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    account = tx.get(ACCOUNT, main_account(subscriber.msisdn))
    rules = tx.rules
    tariff = rules.tariffs.at(tx.now_ms)
    return current, decide_register(
        package, subscriber, account, current, tariff, rules.limits.packages, now_ms=tx.now_ms
    )


def _refuse(
    tx: Tx, subscriber: Subscriber, current: Subscription | None, package: str, refusal: Refusal
) -> Reply:
    price = tx.rules.tariffs.at(tx.now_ms).packages[package].price_vnd
    match refusal:
        case Refusal.KIND_NOT_ELIGIBLE | Refusal.NOT_ACTIVE:
            return say(refusal.value)
        case Refusal.NO_MONEY:
            name = named(tx, subscriber, f"name.{package}")
            return say(refusal.value, package=name, price=price, command=COMMANDS[package])
        case Refusal.ALREADY | Refusal.ALREADY_SUSPENDED | Refusal.OTHER:
            if current is None:
                raise LedgerCorrupt(f"{subscriber.msisdn} has a package that is not there")
            name = named(tx, subscriber, f"name.{current.package}")
            if refusal is Refusal.ALREADY_SUSPENDED:
                return say(refusal.value, package=name, price=price)
            if refusal is Refusal.OTHER and current.status == PackageStatus.SUSPENDED:
                return say("package.other_suspended", package=name, command=COMMANDS[package])
            if refusal is Refusal.OTHER:
                return say(
                    refusal.value, package=name, end=current.ends_at, command=COMMANDS[package]
                )
            return say(refusal.value, package=name, end=current.ends_at)


def _begin_period(
    tx: Tx,
    subscriber: Subscriber,
    package: str,
    begun: Start | Renew,
    period_no: int,
    command: str,
    event_ms: int,
) -> None:
    entry_seq = 0
    if begun.price_vnd:
        tariff = tx.rules.tariffs.at(tx.now_ms)
        transfer = Transfer(
            debit=main_account(subscriber.msisdn),
            credit=REVENUE_PACKAGE,
            amount_vnd=begun.price_vnd,
            kind=f"package.{package}",
            command=command,
            event_ms=event_ms,
            tariff=tariff.id,
        )
        entry = post(tx, transfer)
        if isinstance(entry, Declined):
            raise LedgerCorrupt(f"a charge that was decided is declined: {entry}")
        entry_seq = entry.seq
    kind = "paid" if begun.price_vnd or not isinstance(begun, Start) else "trial"
    tx.put(
        PERIOD,
        Period(
            subscriber.msisdn,
            subscriber.life,
            period_no,
            package,
            kind,
            begun.starts_at,
            begun.ends_at,
            entry_seq,
        ),
    )


def _renewed(tx: Tx, subscriber: Subscriber, current: Subscription, decision: Renew) -> Reply:
    limits = tx.rules.limits.packages
    period_no = current.period_no + 1
    if decision.missed:
        # Down for whole periods: said in the books, charged to nobody (PKG-6).
        tx.put(
            PERIOD,
            Period(
                subscriber.msisdn,
                subscriber.life,
                period_no,
                current.package,
                "missed",
                current.ends_at,
                decision.starts_at,
                0,
            ),
        )
        period_no += 1
    command = f"renewal:{subscriber.msisdn}:{subscriber.life}:{period_no}"
    _begin_period(tx, subscriber, current.package, decision, period_no, command, decision.starts_at)
    started = Start(
        trial=False,
        price_vnd=decision.price_vnd,
        starts_at=decision.starts_at,
        ends_at=decision.ends_at,
    )
    worth_a_text = current.status == PackageStatus.SUSPENDED or current.trial or decision.missed
    told = bool(worth_a_text) or limits.renewal_notice == "always"
    if current.trial or not current.remind_at:
        remind_at = first_reminder_ms(started, limits)
    elif told and current.remind_at <= tx.now_ms:
        remind_at = next_reminder_ms(
            current.remind_at, limits, now_ms=tx.now_ms
        )  # The notice below says the same.
    else:
        remind_at = (
            current.remind_at
        )  # Also when it is due this very moment: then it is the next thing to do (PKG-8).
    tx.put(
        SUBSCRIPTION,
        msgspec.structs.replace(
            current,
            status=PackageStatus.ACTIVE.value,
            trial=0,
            period_no=period_no,
            started_at=decision.starts_at,
            ends_at=decision.ends_at,
            next_at=next_action_ms(ends_at=decision.ends_at, remind_at=remind_at),
            remind_at=remind_at,
            failed_since=0,
            tariff=tx.rules.tariffs.at(tx.now_ms).id,
        ),
    )
    if told:
        terms = package_terms(tx, subscriber, current.package, decision.price_vnd, decision.ends_at)
        tell(tx, subscriber, "package.renewed", kind="package", **terms)
    _tell_others(
        tx,
        "renewed",
        subscriber,
        current.package,
        ends_at=decision.ends_at,
        period=period_no,
        missed=decision.missed,
    )
    return Reply("package.renewed")


def _tell_others(tx: Tx, verb: str, subscriber: Subscriber, package: str, **body: object) -> None:
    """What other systems hear of it (MQTT-2)."""
    tx.emit("package", verb, subscriber.msisdn, package=package, **body)


def _remind(tx: Tx, subscriber: Subscriber, current: Subscription) -> Reply:
    """The reminder of automatic renewal, the notice before a trial ends.

    07:00–22:00 only (PKG-8).
    """
    limits = tx.rules.limits.packages
    if not in_reminder_window(tx.now_ms, limits):
        remind_at = postponed_reminder_ms(tx.now_ms, limits)
        _look_again(tx, current, remind_at)
        return Reply("package.reminder_postponed")
    price_vnd = tx.rules.tariffs.at(tx.now_ms).packages[current.package].price_vnd
    terms = package_terms(tx, subscriber, current.package, price_vnd, current.ends_at)
    tell(
        tx,
        subscriber,
        "package.trial_ends" if current.trial else "package.reminder",
        kind="package",
        **terms,
    )
    _look_again(
        tx,
        current,
        0 if current.trial else next_reminder_ms(current.remind_at, limits, now_ms=tx.now_ms),
    )
    return Reply("package.reminded")


def _look_again(tx: Tx, current: Subscription, remind_at: int) -> None:
    next_at = next_action_ms(ends_at=current.ends_at, remind_at=remind_at)
    tx.put(SUBSCRIPTION, msgspec.structs.replace(current, remind_at=remind_at, next_at=next_at))
