"""Receiver-paid texts: a text to 1566+number is for that number, who pays (PFM-2, PFM-30).

Whitelisted with a working package: B gets it at once.  Otherwise the text is kept for 24 h and B is
asked on the screen, by a USSD push with the keys of PFM-12; if the push fails, or nobody presses a
key, by a text with a code: `Y code` takes it, `N code` doesn't.  The price is held when B agrees
and posted when the text has arrived; a text that could not be delivered costs nothing.
"""

from typing import Final

import msgspec

from handlers.common import for_subscribers, limited, tell
from handlers.lists import put_on_list
from handlers.requests import count_request, keys_offered, too_often
from telcod.billing.accounts import REVENUE_SMS, main_account
from telcod.billing.calls import Refused, decide_offer
from telcod.billing.consent import Accept, AskAgain, decide_consent
from telcod.billing.holds import hold, settle
from telcod.billing.ledger import Transfer
from telcod.billing.lists import on_net
from telcod.billing.packages import is_working
from telcod.days import HOUR_MS, SECOND_MS
from telcod.errors import LedgerCorrupt
from telcod.msisdn import Msisdn, national
from telcod.rows import (
    ACCOUNT,
    ASKED_TEXT,
    HELD_TEXT,
    HOLD,
    LIST_ENTRY,
    MO,
    SUBSCRIBER,
    SUBSCRIPTION,
    AskedText,
    HeldText,
    HoldStatus,
    ListKind,
    OutboxState,
    State,
    Subscriber,
    TextState,
)
from telcod.text import count_parts, gsm_safe
from telcod.tx import Tx
from telcod.types import Line, Reply, Request, say

KIND: Final = "forward"
ASKED: Final = "consent"
SHORT_CODE: Final = "1566"
CODES: Final = 10_000
CODE_DIGITS: Final = 4
TYPED_CHARS_MAX: Final = 12  # Of a wrong code, in the reply that repeats it.
CODE_STEP: Final = 7_919  # Prime to CODES: neighbours in time get codes that don't look alike.

# The question on the screen, by the keys that are offered.
PUSHED: Final = {"124": "forward.push_ask", "1234": "forward.push_ask_listed"}

# What A is told (PFM-13): one neutral text, with two exceptions.
TOLD: Final = {
    Refused.TOO_OFTEN: "forward.too_often",
    Refused.OWN_NUMBER: "forward.not_served",
    Refused.CALLER_NOT_SERVED: "forward.not_served",
    Refused.PAYER_NOT_SERVED: "forward.not_served",
}


@for_subscribers
def forward(request: Request, tx: Tx, sender: Subscriber) -> Reply:
    """A texts 1566+B.  `args`: B's number (empty when it is none), the text as decoded."""
    number, text = request.args
    if not number:
        return limited(request, tx, say("forward.malformed"))
    if not text:
        return limited(request, tx, say("forward.empty"))
    payer_msisdn = int(number)
    payer = tx.get(SUBSCRIBER, payer_msisdn)
    tariff = tx.rules.tariffs.at(tx.now_ms)
    parts = count_parts(text).count
    price_vnd = parts * tariff.sms.part_vnd
    listed = tx.group(LIST_ENTRY, payer_msisdn).get((payer_msisdn, sender.msisdn))
    limits = tx.rules.limits.calls
    offer = decide_offer(
        sender,
        payer,
        tx.get(ACCOUNT, main_account(payer_msisdn)),
        price_vnd,
        limits,
        listed=listed.kind if listed else None,
        package_works=is_working(tx.get(SUBSCRIPTION, payer_msisdn)),
        too_often=too_often(tx, sender.msisdn, payer_msisdn, limits),
    )
    if offer.refused is not None or payer is None:
        return say(TOLD.get(offer.refused or Refused.PAYER_NOT_SERVED, "forward.refused"))
    count_request(tx, sender.msisdn, payer_msisdn, limits)
    held = HeldText(
        mo=tx.next_seq(MO),
        sender=sender.msisdn,
        payer=payer_msisdn,
        text=text,
        parts=parts,
        price_vnd=price_vnd,
        tariff=tariff.id,
        state=TextState.ASKING.value,
        code="",
        at=tx.now_ms,
        due_at=tx.now_ms + limits.text_kept_h * HOUR_MS,
    )
    _tell_others(tx, held, TextState.ASKING)
    if offer.connect:
        return say("forward.sent") if _send(tx, held) else say("forward.refused")
    return _ask(tx, held, payer)


def answer(request: Request, tx: Tx, payer: Subscriber, *, accepts: bool) -> Reply:
    """`Y code` or `N code` of B (PFM-30)."""
    code = request.args[0].zfill(CODE_DIGITS)
    asked = tx.group(ASKED_TEXT, payer.msisdn).get((payer.msisdn, code))
    held = tx.get(HELD_TEXT, asked.mo) if asked is not None else None
    if asked is None or held is None:
        return say("forward.code_unknown", code=gsm_safe(code, TYPED_CHARS_MAX))
    return _answered(tx, held, payer, accepts=accepts)


def answer_push(request: Request, tx: Tx) -> Reply:
    """A key that B pressed on the screen (PFM-12).

    `args`: the text's number in the journal, the key, how often he was asked so far.  `again` in
    the data: the question stays on the screen.
    """
    held = tx.get(HELD_TEXT, int(request.args[0]))
    payer = tx.get(SUBSCRIBER, request.sender)
    if (
        held is None
        or payer is None
        or held.payer != payer.msisdn
        or held.state != TextState.ASKING
    ):
        return say("ussd.nothing_asked")
    keys, key = keys_offered(tx, payer.msisdn), request.args[1]
    decided = decide_consent(
        "digit",
        key,
        keys=keys,
        asks=int(request.args[2]),
        asks_max=tx.rules.limits.calls.asks_max,
    )
    if isinstance(decided, AskAgain):
        reply = say(PUSHED[keys], caller=held.sender, price=held.price_vnd)
        again = Line("forward.push_again", {})
        return Reply("forward.asked_again", (again, *reply.lines), {"again": True})
    if isinstance(decided, Accept):
        if decided.whitelist:
            put_on_list(tx, payer.msisdn, held.sender, ListKind.WHITE)
        return _answered(tx, held, payer, accepts=True)
    if decided.blacklist:
        put_on_list(tx, payer.msisdn, held.sender, ListKind.BLACK)
    return _answered(tx, held, payer, accepts=False)


def pushed(request: Request, tx: Tx) -> Reply:
    """What became of the push that asks B.

    `args`: the text's number in the journal, what became of it.
    """
    held = tx.get(HELD_TEXT, int(request.args[0]))
    if held is None or request.args[1] == "accepted" or not _waits_for_a_key(held):
        return Reply("push.noted")
    if tx.now_ms < _kept_until(tx, held):
        _ask_by_text(tx, held)
    else:  # telcod did not run meanwhile.
        _expire(tx, held)
    return Reply("push.noted")


def outcome(request: Request, tx: Tx) -> Reply:
    """What became of a forwarded text at the SMSC.

    `args`: its number in the journal, the new state of the outbox row.
    """
    held = tx.get(HELD_TEXT, int(request.args[0]))
    if held is None or held.state != TextState.SENDING:
        return Reply("forward.moved_on")
    state = OutboxState(int(request.args[1]))
    on_acceptance = tx.rules.limits.calls.text_charged_on == "accepted"
    if state is OutboxState.DELIVERED or (state is OutboxState.ACCEPTED and on_acceptance):
        _charge(tx, held)
        return Reply("forward.delivered")
    if state in {OutboxState.FAILED, OutboxState.EXPIRED, OutboxState.UNDELIVERED}:
        _give_back(tx, held)
        return Reply("forward.undelivered")
    return Reply("forward.on_the_way")


def look_after(request: Request, tx: Tx) -> Reply:
    """The clock's turn: nobody answered, or no receipt came.

    `args`: the text's number in the journal.
    """
    held = tx.get(HELD_TEXT, int(request.args[0]))
    if held is None or not 0 < held.due_at <= tx.now_ms:
        return Reply("clock.not_due")
    if _waits_for_a_key(held) and tx.now_ms < _kept_until(tx, held):
        _ask_by_text(tx, held)
        return Reply("forward.asked_by_text")
    if held.state == TextState.ASKING:
        _expire(tx, held)
        return Reply("forward.expired")
    _give_back(tx, held)  # Nobody can say that it arrived: not charged.
    return Reply("forward.undelivered")


def _answered(tx: Tx, held: HeldText, payer: Subscriber, *, accepts: bool) -> Reply:
    if tx.now_ms >= _kept_until(tx, held):
        _expire(tx, held)
        return say("forward.expired")
    if not accepts:
        _close(tx, held, TextState.REFUSED)
        _tell_sender(tx, held, "forward.refused_later")
        return say("forward.declined", caller=held.sender)
    if payer.state != State.ACTIVE:  # He was when he was asked (PFM-4); it still waits.
        return say("forward.not_served")
    if _send(tx, held):
        return say("forward.accepted", caller=held.sender, price=held.price_vnd)
    if _waits_for_a_key(held):  # He may top up and answer by the code.
        held = _coded(tx, held)
    return say("forward.no_money", price=held.price_vnd, code=held.code)


def _ask(tx: Tx, held: HeldText, payer: Subscriber) -> Reply:
    if _free_code(tx, held) is None:
        return say("forward.refused")
    key = PUSHED[keys_offered(tx, payer.msisdn)]
    values = {"caller": held.sender, "price": held.price_vnd}
    text = tx.rules.catalogue.render(key, values, payer.language)
    until = tx.now_ms + tx.rules.limits.ussd.push_answer_s * SECOND_MS
    if tx.push(payer.msisdn, text, kind=ASKED, ref=str(held.mo), asks=True, expires_at=until):
        tx.put(HELD_TEXT, msgspec.structs.replace(held, due_at=until))
    else:
        _ask_by_text(tx, held)
    return say("forward.waiting")


def _ask_by_text(tx: Tx, held: HeldText) -> None:
    """No key was pressed, or there is nobody to ask for one: by a text with a code."""
    payer = tx.get(SUBSCRIBER, held.payer)
    if payer is None:
        raise LedgerCorrupt(f"the payer of text {held.mo} is gone")
    held = _coded(tx, held)
    if not held.code or not on_net(payer):  # All codes are taken by now; or he has left (NUM-5).
        _expire(tx, held)
        return
    tell(
        tx,
        payer,
        "forward.ask",
        kind="consent",
        expires_at=held.due_at,
        caller=held.sender,
        price=held.price_vnd,
        code=held.code,
        end=held.due_at,
    )


def _coded(tx: Tx, held: HeldText) -> HeldText:
    """The text with a code by which it can be answered until it expires."""
    code = _free_code(tx, held) or ""
    held = msgspec.structs.replace(held, code=code, due_at=_kept_until(tx, held))
    tx.put(HELD_TEXT, held)
    if code:
        tx.put(ASKED_TEXT, AskedText(held.payer, code, held.mo))
    return held


def _free_code(tx: Tx, held: HeldText) -> str | None:
    taken = {asked.code for asked in tx.group(ASKED_TEXT, held.payer).values()}
    start = held.mo * CODE_STEP
    codes = (f"{(start + at) % CODES:04d}" for at in range(CODES))
    return next((code for code in codes if code not in taken), None)


def _waits_for_a_key(held: HeldText) -> bool:
    """Whether B was asked on the screen only."""
    return held.state == TextState.ASKING and not held.code


def _kept_until(tx: Tx, held: HeldText) -> int:
    return held.at + tx.rules.limits.calls.text_kept_h * HOUR_MS


def _send(tx: Tx, held: HeldText) -> bool:
    """Hold the price and let the text go, A's number in front; False when money is lacking."""
    limits = tx.rules.limits.calls
    due_at = tx.now_ms + limits.text_receipt_within_h * HOUR_MS
    if held.price_vnd:
        account = main_account(held.payer)
        declined = hold(tx, _hold_id(held), account, held.price_vnd, expires_at=due_at)
        if declined is not None:
            return False
    _forget_code(tx, held)
    tx.put(HELD_TEXT, msgspec.structs.replace(held, state=TextState.SENDING.value, due_at=due_at))
    text = f"{national(Msisdn(held.sender))}: {held.text}"
    tx.send_sms(
        held.payer, SHORT_CODE, text, kind=KIND, mo=held.mo, receipt=True, expires_at=due_at
    )
    return True


def _charge(tx: Tx, held: HeldText) -> None:
    if held.price_vnd:
        transfer = Transfer(
            main_account(held.payer),
            REVENUE_SMS,
            held.price_vnd,
            "sms",
            f"text:{held.mo}",
            tx.now_ms,
            tariff=held.tariff,
        )
        settle(tx, _hold_id(held), transfer)
    _close(tx, held, TextState.DELIVERED)


def _give_back(tx: Tx, held: HeldText) -> None:
    on_hold = tx.get(HOLD, _hold_id(held))
    if on_hold is not None and on_hold.status == HoldStatus.OPEN:
        settle(tx, on_hold.id, None)
    _close(tx, held, TextState.UNDELIVERED)
    _tell_sender(tx, held, "forward.undelivered")


def _expire(tx: Tx, held: HeldText) -> None:
    _close(tx, held, TextState.EXPIRED)
    _tell_sender(tx, held, "forward.refused_later")


def _close(tx: Tx, held: HeldText, state: TextState) -> None:
    """It is over; what was written in it is nobody's business any more."""
    _forget_code(tx, held)
    tx.put(HELD_TEXT, msgspec.structs.replace(held, state=state.value, text="", due_at=0))
    _tell_others(tx, held, state)


def _tell_others(tx: Tx, held: HeldText, state: TextState) -> None:
    """What other systems hear of it (MQTT-2); never what is written in it."""
    tx.emit(
        "text",
        state.value,
        held.payer,
        text=held.mo,
        sender=str(held.sender),
        parts=held.parts,
        price_vnd=held.price_vnd,
    )


def _forget_code(tx: Tx, held: HeldText) -> None:
    asked = tx.group(ASKED_TEXT, held.payer).get((held.payer, held.code))
    if asked is not None:
        tx.delete(ASKED_TEXT, asked)


def _tell_sender(tx: Tx, held: HeldText, key: str) -> None:
    sender = tx.get(SUBSCRIBER, held.sender)
    if sender is None:
        raise LedgerCorrupt(f"the sender of text {held.mo} is gone")
    if not on_net(sender):
        return  # The number is nobody's now, or soon somebody else's (NUM-5).
    tell(tx, sender, key, kind="notice", number=held.payer)


def _hold_id(held: HeldText) -> str:
    return f"text:{held.mo}"
