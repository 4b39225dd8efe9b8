"""What staff do at the console: look a subscriber up, act on his behalf, end a case.

CARE-1, CARE-2.  A rule is written once: whatever a text does is done by the handler of that text,
told that it came from STAFF; what became of it goes to the subscriber as a text of kind `care`.
Each look-up and each act says in the audit log who did it, from where, and what came of it.

`args` begin with the address of who asks.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from handlers import selfcare_views
from handlers.common import SHORT_CODE_PAYFORME, write_audit
from handlers.packages import ENDED_UNPAID
from telcod.billing.accounts import debt_account, main_account
from telcod.billing.lists import on_net
from telcod.dispatch import Route
from telcod.rows import (
    ACCOUNT,
    CALL,
    LOOKUP_TRIES,
    OUTBOX_SMS,
    PAYMENT,
    PAYMENT_CASE,
    PAYMENT_PASSWORD,
    QUARANTINE,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    OutboxState,
    SubscriberDetail,
)
from telcod.tx import Tx
from telcod.types import Reply, Request

KIND: Final = "care"
CASE_CLOSED: Final = "care.case_closed"
"""The action by which calls and requests that were set aside are known to have been looked at."""
UNKNOWN_SUBSCRIBER: Final = Reply("subscriber.unknown")
MALFORMED: Final = Reply("care.malformed")

ON_BEHALF: Final = frozenset(
    {
        "package.register_day",
        "package.register_week",
        "package.cancel",
        "list.black_add",
        "list.black_remove",
        "list.white_add",
        "list.white_remove",
        "notices.stop",
        "notices.resume",
    }
)
"""What is done for a subscriber as by a text of his."""
BY_STAFF: Final = frozenset(
    {
        "lookup.unlock",
        "payment.review",
        "payment.clear_by_hand",
        "payment.propose_cancel",
        "payment.confirm_cancel",
        "payment.set_centre",
    }
)
"""What only staff do; these handlers tell the subscriber by themselves."""
RESENT: Final = frozenset(
    {"reply", "package", ENDED_UNPAID, "notice", "payment", "receipt", "hint", KIND}
)
"""Texts of ours that are as good the second time: no codes, no questions, nothing of others."""


def routes(leaves: Mapping[str, Route]) -> Mapping[str, Route]:
    """The routes of the console; `leaves` are those that it runs on somebody's behalf."""
    desk = _Desk(leaves)
    found = (
        Route("care.look_up", look_up),
        Route("care.act", desk.act),
        Route("care.staff", desk.staff),
        Route("care.close_case", desk.close_case),
        Route("care.resend", resend),
    )
    return {route.name: route for route in found}


def look_up(request: Request, tx: Tx) -> Reply:
    """A subscriber as he stands.  `args`: address, what of him is looked at.

    Audited, also when there is no such subscriber.
    """
    address, view = request.args
    msisdn = request.sender
    write_audit(tx, request, "lookup", str(msisdn), f"{view} from {address}")
    subscriber = tx.get(SUBSCRIBER, msisdn)
    if subscriber is None:
        return UNKNOWN_SUBSCRIBER
    detail = tx.get(SUBSCRIBER_DETAIL, msisdn) or SubscriberDetail(msisdn, "", "", "")
    main, debt = tx.get(ACCOUNT, main_account(msisdn)), tx.get(ACCOUNT, debt_account(msisdn))
    tries = tx.get(LOOKUP_TRIES, msisdn)
    data: dict[str, object] = {
        "msisdn": str(msisdn),
        "kind": subscriber.kind,
        "state": subscriber.state,
        "language": subscriber.language,
        "centre": subscriber.centre,
        "notices": bool(subscriber.notices),
        "since": subscriber.since,
        "name": detail.name,
        "address": detail.address,
        "email": detail.email,
        "balance_vnd": main.posted if main else 0,
        "held_vnd": main.held if main else 0,
        "debt_vnd": -debt.posted if debt else 0,
        "password_set": tx.get(PAYMENT_PASSWORD, msisdn) is not None,
        "locked_until": tries.locked_until if tries and tries.locked_until > tx.now_ms else 0,
        **selfcare_views.package(tx, subscriber),
        "lists": selfcare_views.lists(tx, subscriber),
    }
    return Reply("subscriber.shown", data=data)


def resend(request: Request, tx: Tx) -> Reply:
    """Send a subscriber a text of ours again.  `args`: address, its number in the outbox."""
    address, seq = request.args
    sms = tx.log_row(OUTBOX_SMS, int(seq))
    if sms is None or not sms.destination.isdigit():
        return Reply("care.no_text")
    subscriber = tx.get(SUBSCRIBER, int(sms.destination))
    # What was said to the number's last owner is not for this one (NUM-5).
    if subscriber is None or not on_net(subscriber) or sms.at < subscriber.since:
        return UNKNOWN_SUBSCRIBER
    if sms.kind not in RESENT or not sms.text:
        return Reply("care.not_resent")
    if sms.state == OutboxState.PENDING:
        return Reply("care.still_waits")
    tx.send_sms(subscriber.msisdn, sms.source, sms.text, kind=KIND)
    said = f"text {seq} ({sms.kind}) from {address}"
    write_audit(tx, request, "care.resend", str(subscriber.msisdn), said)
    data = {"outcome": "care.resent", "msisdn": str(subscriber.msisdn), "text": sms.text}
    return Reply("care.done", data=data)


class _Desk:
    """The handlers of what runs other handlers; knows them by their routes."""

    def __init__(self, leaves: Mapping[str, Route]) -> None:
        self._leaves: Final = leaves

    def act(self, request: Request, tx: Tx) -> Reply:
        """Do for a subscriber what a text of his would; he is told when it changed anything.

        `args`: address, the route of that text, the words after its keyword.  `data` has that
        handler's outcome, its text in his language, and whether he was told.
        """
        address, name, *words = request.args
        subscriber = tx.get(SUBSCRIBER, request.sender)
        if subscriber is None or not on_net(subscriber):
            return UNKNOWN_SUBSCRIBER
        if name not in ON_BEHALF:
            return MALFORMED
        leaf = self._leaves[name]
        args = tx.rules.dispatcher.arguments(leaf, words)
        if args is None:
            return MALFORMED
        asked = Request(
            name,
            sender=subscriber.msisdn,
            args=args,
            channel=request.channel,
            short_code=SHORT_CODE_PAYFORME,
            key=request.key,
            event_ms=tx.now_ms,
            actor=request.actor,
        )
        before = tx.mark()
        reply = leaf.handler(asked, tx)
        is_changed = tx.mark() != before
        render = tx.rules.catalogue.render
        text = " ".join(render(key, values, subscriber.language) for key, values in reply.lines)
        if is_changed and text:
            tx.send_sms(subscriber.msisdn, SHORT_CODE_PAYFORME, text, kind=KIND)
        said = " ".join([*words, "->", reply.outcome, "from", address])
        write_audit(tx, request, f"care.{name}", str(subscriber.msisdn), said)
        told = is_changed and bool(text)
        return Reply("care.done", data={"outcome": reply.outcome, "text": text, "told": told})

    def staff(self, request: Request, tx: Tx) -> Reply:
        """An act of staff.  `args`: address, its route, its own arguments."""
        address, name, *rest = request.args
        if name not in BY_STAFF or not _makes_sense(name, rest):
            return MALFORMED
        inner = msgspec.structs.replace(request, route=name, args=tuple(rest))
        reply = self._leaves[name].handler(inner, tx)
        said = " ".join([*rest[:2], "->", reply.outcome, "from", address])
        write_audit(tx, request, f"care.{name}", _whom(tx, request, name, rest), said)
        return Reply("care.done", data={**(reply.data or {}), "outcome": reply.outcome})

    def close_case(self, request: Request, tx: Tx) -> Reply:
        """A person has looked at a case.  `args`: address, what it is of, its id, his note.

        What is of a payment closes the payment's case; suspect calls and requests that were set
        aside are known to be closed by their line in the audit log.
        """
        address, source, name, note = request.args
        if source == "payment_case" and name.isdigit():
            case = tx.log_row(PAYMENT_CASE, int(name))
            inner = msgspec.structs.replace(request, route="payment.close_case", args=(name, note))
            reply = self._leaves["payment.close_case"].handler(inner, tx)
            payment = tx.get(PAYMENT, case.payment) if case is not None else None
            subject = str(payment.msisdn) if payment is not None else f"case {name}"
            if case is not None and not case.closed_at:
                write_audit(tx, request, CASE_CLOSED, subject, f"case {name} from {address}")
            return Reply("care.done", data={**(reply.data or {}), "outcome": reply.outcome})
        if source == "call":
            is_there = tx.get(CALL, name) is not None
        elif source == "quarantine" and name.isdigit():
            is_there = tx.log_row(QUARANTINE, int(name)) is not None
        else:
            return MALFORMED
        if not is_there:
            return Reply("payment.no_such_case")
        write_audit(tx, request, CASE_CLOSED, f"{source} {name}", f"{note} from {address}")
        return Reply("care.done", data={"outcome": "payment.case_closed"})


def _makes_sense(name: str, rest: list[str]) -> bool:
    """Whether an act of staff has the arguments that its handler takes."""
    match name:
        case "lookup.unlock":
            return not rest
        case "payment.review":
            return len(rest) == 3 and rest[1] in {"pass", "reject"}
        case "payment.set_centre":
            return len(rest) == 2 and rest[0].isdigit() and rest[1] in {"open", "closed"}
        case _:
            return len(rest) == 2


def _whom(tx: Tx, request: Request, name: str, rest: list[str]) -> str:
    """Whose story an act belongs to."""
    if name == "payment.set_centre":
        return f"centre {rest[0]}"
    if name == "lookup.unlock":
        return str(request.sender)
    payment = tx.get(PAYMENT, rest[0])
    return str(payment.msisdn) if payment is not None else rest[0]
