"""What staff, the network and the command line do to the books.

Top-ups, states, subscriber data, tokens (CLI-4, CLI-7, NUM-5).
"""

from typing import Any, Final

import msgspec

from handlers.common import write_audit
from handlers.packages import retry_after_topup
from telcod.billing.accounts import OPENING, SUSPENSE, TOPUP, WRITE_OFF, debt_account, main_account
from telcod.billing.ledger import Declined, Transfer, open_account, post
from telcod.billing.lists import numbers_of, on_net
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    ACCOUNT,
    LIST_ENTRY,
    PAYMENT_PASSWORD,
    PENDING_CONFIRM,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    SUBSCRIPTION,
    TOKEN,
    ListKind,
    State,
    Subscriber,
    SubscriberDetail,
    Subscription,
    Token,
)
from telcod.tx import Tx
from telcod.types import Language, Reply, Request

UNKNOWN_SUBSCRIBER: Final = "subscriber.unknown"


class SubscriberData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the subscriber data, as the customer system knows it (CLI-4).

    Amounts are whole đồng.
    """

    msisdn: int
    kind: str
    state: str
    balance_vnd: int = 0
    debt_vnd: int = 0
    name: str = ""
    address: str = ""
    centre: int = 1
    email: str = ""
    language: str = Language.VI.value


def top_up(request: Request, tx: Tx) -> Reply:
    """Add money to a main balance (or take it off a debt), and try a suspended package again at
    once (PKG-6).

    `args` are the amount in đồng and the reason.  The request's key makes a repeat harmless.
    """
    subscriber = tx.get(SUBSCRIBER, request.sender)
    if subscriber is None or not on_net(subscriber):
        return Reply(UNKNOWN_SUBSCRIBER)
    amount_vnd, reason = int(request.args[0]), request.args[1]
    account = (
        main_account(subscriber.msisdn)
        if subscriber.kind == "prepaid"
        else debt_account(subscriber.msisdn)
    )
    open_account(tx, account)
    posted = post(tx, Transfer(TOPUP, account, amount_vnd, "topup", request.key, request.event_ms))
    if isinstance(posted, Declined):
        return Reply(posted.value)
    tx.emit("balance", "credited", subscriber.msisdn, amount_vnd=amount_vnd, entry=posted.seq)
    if subscriber.state == State.OUT_OF_MONEY:
        subscriber = msgspec.structs.replace(subscriber, state=State.ACTIVE.value)
        tx.put(SUBSCRIBER, subscriber)
    retried = retry_after_topup(tx, subscriber)
    write_audit(tx, request, "topup", str(subscriber.msisdn), f"{amount_vnd} {reason}")
    balance = tx.get(ACCOUNT, account)
    data = {
        "balance_vnd": balance.posted if balance else 0,
        "package": retried.outcome if retried else "",
    }
    return Reply("topup.done", data=data)


def set_state(request: Request, tx: Tx) -> Reply:
    """Set what the network lets a subscriber do; `closed` takes everything that is his (NUM-5)."""
    subscriber = tx.get(SUBSCRIBER, request.sender)
    if subscriber is None:
        return Reply(UNKNOWN_SUBSCRIBER)
    state = State(request.args[0])
    if subscriber.state == state:
        return Reply("state.unchanged", data={"state": state.value})
    _change_state(request, tx, subscriber, state)
    write_audit(tx, request, "set_state", str(subscriber.msisdn), f"{subscriber.state} -> {state}")
    return Reply("state.set", data={"state": state.value})


def import_subscribers(request: Request, tx: Tx) -> Reply:
    """Take over lines of the subscriber data.

    The same lines again change nothing: balances only open, they are never set (CLI-4).
    """
    lines: Any = (request.body or {}).get("lines", ())
    counts = {"added": 0, "changed": 0, "unchanged": 0}
    tx.prefetch(SUBSCRIBER, [line["msisdn"] for line in lines])
    tx.prefetch(SUBSCRIBER_DETAIL, [line["msisdn"] for line in lines])
    for line in lines:
        counts[_take_over(request, tx, msgspec.convert(line, SubscriberData))] += 1
    if counts["added"] or counts["changed"]:
        write_audit(
            tx,
            request,
            "import",
            f"{len(lines)} lines",
            " ".join(f"{name}={count}" for name, count in counts.items()),
        )
    return Reply("import.done", data=counts)


def look_up(request: Request, tx: Tx) -> Reply:
    """Show all that is known of a subscriber.

    Every look-up is audited, also of a number that is nobody's (CARE-2).
    """
    msisdn = request.sender
    write_audit(tx, request, "lookup", str(msisdn))
    subscriber = tx.get(SUBSCRIBER, msisdn)
    if subscriber is None:
        return Reply(UNKNOWN_SUBSCRIBER)
    detail = tx.get(SUBSCRIBER_DETAIL, msisdn) or SubscriberDetail(msisdn, "", "", "")
    main, debt = tx.get(ACCOUNT, main_account(msisdn)), tx.get(ACCOUNT, debt_account(msisdn))
    package = tx.get(SUBSCRIPTION, msisdn)
    entries = tx.group(LIST_ENTRY, msisdn)
    data: dict[str, object] = {
        **msgspec.structs.asdict(subscriber),
        **msgspec.structs.asdict(detail),
        "notices": bool(subscriber.notices),
        "trial_used": bool(subscriber.trial_used),
        "balance_vnd": main.posted if main else 0,
        "held_vnd": main.held if main else 0,
        "debt_vnd": -debt.posted if debt else 0,
        "password_set": tx.get(PAYMENT_PASSWORD, msisdn) is not None,
        "package": None if package is None else _package_shown(package),
        "lists": {kind.value: len(numbers_of(entries, kind)) for kind in ListKind},
    }
    return Reply("subscriber.shown", data=data)


def create_token(request: Request, tx: Tx) -> Reply:
    """Keep the hash of a new bearer token.  `args`: name, scope, SHA-256 of the token (CLI-7)."""
    name, scope, token_hash = request.args
    if tx.get(TOKEN, name) is not None:
        return Reply("token.exists")
    tx.put(TOKEN, Token(name, scope, token_hash, tx.now_ms, 0))
    write_audit(tx, request, "token.create", name, scope)
    return Reply("token.created")


def revoke_token(request: Request, tx: Tx) -> Reply:
    """Take a bearer token out of use, at once and for ever (CLI-7)."""
    token = tx.get(TOKEN, request.args[0])
    if token is None or token.revoked_at:
        return Reply("token.unknown")
    tx.put(TOKEN, msgspec.structs.replace(token, revoked_at=tx.now_ms))
    write_audit(tx, request, "token.revoke", token.name, token.scope)
    return Reply("token.revoked")


def _package_shown(package: Subscription) -> dict[str, object]:
    return {
        "package": package.package,
        "status": package.status,
        "trial": bool(package.trial),
        "ends_at": package.ends_at,
        "failed_since": package.failed_since,
    }


def _take_over(request: Request, tx: Tx, line: SubscriberData) -> str:
    subscriber = tx.get(SUBSCRIBER, line.msisdn)
    detail = SubscriberDetail(line.msisdn, line.name, line.address, line.email)
    detail_changed = tx.get(SUBSCRIBER_DETAIL, line.msisdn) != detail
    if detail_changed:
        tx.put(SUBSCRIBER_DETAIL, detail)
    if subscriber is None:
        tx.put(
            SUBSCRIBER,
            Subscriber(
                line.msisdn,
                line.kind,
                line.state,
                line.language,
                line.centre,
                notices=1,
                trial_used=0,
                life=1,
                since=tx.now_ms,
            ),
        )
        _open_books(request, tx, line)
        return "added"
    changed = msgspec.structs.replace(subscriber, kind=line.kind, centre=line.centre)
    if changed != subscriber:
        tx.put(SUBSCRIBER, changed)
    if line.state != subscriber.state:
        _change_state(request, tx, changed, State(line.state))
        if subscriber.state == State.CLOSED:  # Somebody else now: his own language and money.
            _move_in(request, tx, line, detail)
    return (
        "changed"
        if detail_changed or changed != subscriber or line.state != subscriber.state
        else "unchanged"
    )


def _move_in(request: Request, tx: Tx, line: SubscriberData, detail: SubscriberDetail) -> None:
    """The new owner of a number that came back by an import."""
    subscriber = tx.get(SUBSCRIBER, line.msisdn)
    if subscriber is not None:
        tx.put(SUBSCRIBER, msgspec.structs.replace(subscriber, language=line.language))
        tx.put(SUBSCRIBER_DETAIL, detail)
        _open_books(request, tx, line, life=subscriber.life)


def _open_books(request: Request, tx: Tx, line: SubscriberData, *, life: int = 1) -> None:
    """What he has and owes when the books open comes from the account `opening`."""
    main, debt = main_account(line.msisdn), debt_account(line.msisdn)
    open_account(tx, main)
    command = f"opening:{line.msisdn}" + (f":{life}" if life > 1 else "")
    if line.balance_vnd:
        _must(
            post(
                tx, Transfer(OPENING, main, line.balance_vnd, "opening", command, request.event_ms)
            )
        )
    if line.debt_vnd:
        open_account(tx, debt)
        _must(
            post(tx, Transfer(debt, OPENING, line.debt_vnd, "opening", command, request.event_ms))
        )


def _change_state(request: Request, tx: Tx, subscriber: Subscriber, state: State) -> None:
    before = subscriber.state
    tx.emit("subscriber", "state_changed", subscriber.msisdn, state=state.value, before=before)
    if state is State.CLOSED:
        _close(tx, subscriber)
    elif subscriber.state == State.CLOSED:
        _reopen(request, tx, subscriber, state)
    else:
        tx.put(SUBSCRIBER, msgspec.structs.replace(subscriber, state=state.value))


def _close(tx: Tx, subscriber: Subscriber) -> None:
    """NUM-5: the number loses package, lists, password and settings.

    It goes from the lists of others.
    """
    msisdn = subscriber.msisdn
    tx.put(
        SUBSCRIBER,
        msgspec.structs.replace(
            subscriber, state=State.CLOSED.value, language=Language.VI.value, notices=1
        ),
    )
    for table in (SUBSCRIPTION, PAYMENT_PASSWORD, PENDING_CONFIRM):
        row: Any = tx.get(table, msisdn)
        if row is not None:
            tx.delete(table, row)
    for entry in [*tx.group(LIST_ENTRY, msisdn).values(), *tx.listing(msisdn)]:
        tx.delete(LIST_ENTRY, entry)


def _reopen(request: Request, tx: Tx, subscriber: Subscriber, state: State) -> None:
    """A number that comes back is somebody else.

    What the last owner left goes to suspense, what he owed is written off; his name goes.
    """
    detail = tx.get(SUBSCRIBER_DETAIL, subscriber.msisdn)
    if detail is not None:
        tx.delete(SUBSCRIBER_DETAIL, detail)
    tx.put(
        SUBSCRIBER,
        msgspec.structs.replace(
            subscriber,
            state=state.value,
            trial_used=0,
            life=subscriber.life + 1,
            since=tx.now_ms,
        ),
    )
    main, debt = (
        tx.get(ACCOUNT, main_account(subscriber.msisdn)),
        tx.get(ACCOUNT, debt_account(subscriber.msisdn)),
    )
    command = f"reopen:{subscriber.msisdn}:{subscriber.life + 1}"
    if main is not None and main.spendable_vnd > 0:
        _must(
            post(
                tx,
                Transfer(
                    main.id, SUSPENSE, main.spendable_vnd, "left_behind", command, request.event_ms
                ),
            )
        )
    if debt is not None and debt.posted < 0:
        _must(
            post(
                tx,
                Transfer(
                    WRITE_OFF, debt.id, -debt.posted, "left_behind", command, request.event_ms
                ),
            )
        )
    if debt is not None and debt.posted > 0:
        _must(
            post(
                tx,
                Transfer(debt.id, SUSPENSE, debt.posted, "left_behind", command, request.event_ms),
            )
        )


def _must(posted: object) -> None:
    if isinstance(posted, Declined):
        raise LedgerCorrupt(f"an opening entry is declined: {posted}")
