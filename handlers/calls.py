"""Receiver-paid calls: offer, consent, answered, progress, ended, and the supervision of lost ends
(PFM-10…18).

The call's row is its own idempotency record: an event that comes again, late or out of order finds
the call further on and gets the answer that stands.  Whatever platform asks (HTTP, VoiceXML, AGI),
these are the handlers that decide.

Every reply carries `data`, the flat object of INTERFACES IVR-1; its outcome says how the door must
answer: `call.ok`, `call.unknown` (404), `call.over` (409, with the final charge),
`call.wrong_order` (409).
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from handlers.common import tell
from handlers.lists import put_on_list
from handlers.requests import count_request, keys_offered, request_subjects, too_often
from telcod.billing.accounts import REVENUE_VOICE, WRITE_OFF, main_account
from telcod.billing.calls import (
    NEUTRAL_PROMPT,
    OPEN_STATES,
    PROMPTS,
    CallLimits,
    Refused,
    decide_end,
    decide_grant,
    decide_late_end,
    decide_offer,
    price_vnd,
)
from telcod.billing.consent import Accept, AskAgain, Refuse, decide_consent
from telcod.billing.holds import hold, settle
from telcod.billing.ledger import Declined, Transfer, post
from telcod.billing.packages import is_working
from telcod.billing.tariffs import Tariff
from telcod.days import SECOND_MS
from telcod.dialled import Asked, Direct, Guidance, read_dialled
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    ACCOUNT,
    ASKING,
    CALL,
    HOLD,
    LIST_ENTRY,
    RECENT,
    SUBSCRIBER,
    SUBSCRIPTION,
    Asking,
    Call,
    CallState,
    HoldStatus,
    ListKind,
    State,
    Subscriber,
    Table,
)
from telcod.tx import Tx
from telcod.types import Language, Reply, Request

OK: Final = "call.ok"
UNKNOWN: Final = "call.unknown"
OVER: Final = "call.over"
WRONG_ORDER: Final = "call.wrong_order"
CONNECT: Final = "connect"
ASK: Final = "ask"
REFUSE: Final = "refuse"
# Nobody talks longer, and no moment is later: a platform that says so is wrong, and must not break
# the books.
TALK_S_MAX: Final = 24 * 3_600
MOMENT_MS_MAX: Final = 4_102_444_800_000  # The year 2100.


def offer(request: Request, tx: Tx) -> Reply:
    """A dials: say whether to connect, ask B, refuse, announce, or leave the call alone (PFM-10,
    PFM-11).

    `args`: the platform's call id, what was dialled.  `sender` is A, 0 when the address is no
    subscriber's number.
    """
    call_id, dialled = request.args
    known = tx.get(CALL, row_id(request, call_id))
    if known is not None:
        # Another caller under a used id: nothing happens (F16).
        if request.sender and known.caller != request.sender:
            return Reply(WRONG_ORDER, data={"state": known.state})
        return _standing(tx, known)
    match read_dialled(dialled, tx.rules.old_prefixes):
        case Guidance():
            return Reply(OK, data=_said(tx, "announce", "guidance", _language(tx, request.sender)))
        case Direct(number):
            return _direct(request, tx, call_id, number)
        case Asked(number):
            if number is None:
                return _refused(request, tx, call_id, 0, Refused.NUMBER_MALFORMED)
            return _asked(request, tx, call_id, number)


def consent(request: Request, tx: Tx) -> Reply:
    """B pressed a key, or did not (PFM-12).

    `args`: call id, result, digit, the platform's reference of a recording.
    """
    call_id, result, digit, recording = request.args
    call = tx.get(CALL, row_id(request, call_id))
    if call is None:
        return Reply(UNKNOWN)
    if call.state != CallState.ASKING:
        return _standing(tx, call)
    limits = tx.rules.limits.calls
    if tx.now_ms >= call.due_at:
        return _decline(tx, call, Refused.EXPIRED)
    keys = keys_offered(tx, call.payer)
    decision = decide_consent(result, digit, keys=keys, asks=call.asks, asks_max=limits.asks_max)
    match decision:
        case AskAgain():
            call = msgspec.structs.replace(call, asks=call.asks + 1, due_at=_ask_due(tx, limits))
            tx.put(CALL, call)
            return Reply(OK, data=_question(tx, call))
        case Refuse(reason, blacklist):
            if blacklist:
                put_on_list(tx, call.payer, call.caller, ListKind.BLACK)
            return _decline(
                tx, msgspec.structs.replace(call, consent_key=digit, recording=recording), reason
            )
        case Accept(whitelist):
            if whitelist:
                put_on_list(tx, call.payer, call.caller, ListKind.WHITE)
            evidence = msgspec.structs.replace(
                call, consent_key=digit, consent_at=tx.now_ms, recording=recording
            )
            return _grant_first(tx, evidence)


def answered(request: Request, tx: Tx) -> Reply:
    """The two are bridged: time counts from now (IVR-3).

    `args`: call id, the platform's moment (Unix ms) or 0.
    """
    call_id, at = request.args
    call = tx.get(CALL, row_id(request, call_id))
    if call is None:
        return Reply(UNKNOWN)
    if call.state == CallState.GRANTED:
        there = int(at) if 0 < int(at) <= MOMENT_MS_MAX else 0
        tx.put(CALL, msgspec.structs.replace(_talking(tx, call, tx.now_ms), answered_there=there))
        return Reply(OK, data={"max_seconds": call.granted_s, "final": bool(call.final)})
    if call.state == CallState.TALKING:
        return Reply(OK, data={"max_seconds": call.granted_s, "final": bool(call.final)})
    return _over_or_wrong(call)


def progress(request: Request, tx: Tx) -> Reply:
    """So much was talked, cumulatively.

    Extend the grant if money and limit allow (PFM-15).  `args`: call id, used seconds.
    """
    call_id, used = request.args
    call = tx.get(CALL, row_id(request, call_id))
    if call is None:
        return Reply(UNKNOWN)
    used_s = min(int(used), TALK_S_MAX)
    if call.state == CallState.GRANTED:  # `answered` was lost: they talk, so it was.
        call = _talking(tx, call, tx.now_ms - used_s * SECOND_MS)
    if call.state != CallState.TALKING:
        return _over_or_wrong(call)
    call = msgspec.structs.replace(call, used_s=max(call.used_s, used_s))
    call = _extend(tx, call)
    tx.put(CALL, call)
    return Reply(OK, data={"max_seconds": call.granted_s, "final": bool(call.final)})


def ended(request: Request, tx: Tx) -> Reply:
    """The call is over: charge what was used, let go of the rest (PFM-16).

    `args`: call id, used seconds (`-1` when the platform does not measure talk), the platform's
    moment (Unix ms) or 0.
    """
    call_id, used, at = request.args
    call = tx.get(CALL, row_id(request, call_id))
    if call is None:
        return Reply(UNKNOWN)
    if call.state == CallState.ASKING:
        _stop_asking(tx, call)
        gone = msgspec.structs.replace(
            _closed(call, tx.now_ms), state=CallState.REFUSED, reason=Refused.CALLER_GONE
        )
        tx.put(CALL, gone)
        _tell_others(tx, "refused", gone)
        return Reply(OK, data={**_final(call), "drop": "payer"})
    if call.reason == Refused.CALLER_GONE:
        return Reply(OK, data={**_final(call), "drop": "payer"})
    late = call.state == CallState.ENDED and call.suspect and not call.ended_at
    if call.state not in OPEN_STATES and not late:
        return Reply(OK, data=_final(call))
    used_s = _used_s(tx, call, int(used), int(at), late=bool(late))
    return _correct(tx, call, used_s) if late else _end(tx, call, used_s)


def show(request: Request, tx: Tx) -> Reply:
    """How a call stands (GET of IVR-3).  `args`: call id."""
    call = tx.get(CALL, row_id(request, request.args[0]))
    if call is None:
        return Reply(UNKNOWN)
    data = {
        "state": call.state,
        "reason": call.reason,
        "max_seconds": call.granted_s,
        "used_seconds": call.used_s,
    }
    return Reply(OK, data={**data, **_final(call)})


def supervise(request: Request, tx: Tx) -> Reply:
    """The clock's turn: an open call whose time is over is closed at the last reported use
    (PFM-17).  `args`: the row's id.
    """
    call = tx.get(CALL, request.args[0])
    if call is None or not 0 < call.due_at <= tx.now_ms:
        return Reply("clock.not_due")
    if call.state == CallState.ASKING:
        return _decline(tx, call, Refused.EXPIRED)
    charge = decide_end(call.used_s, call.granted_s, _tariff(tx, call).voice)
    _charge(tx, call, charge.charged_vnd, expired=True)
    _write_off(tx, call, charge.written_off_vnd)
    call = msgspec.structs.replace(
        call,
        state=CallState.ENDED,
        reason="no_end",
        billed_s=charge.billed_s,
        charged_vnd=charge.charged_vnd,
        written_off_vnd=charge.written_off_vnd,
        suspect=1,
        due_at=0,
    )
    tx.put(CALL, call)
    _tell_others(tx, "ended", call)
    _receipt(tx, call, charge.billed_s, charge.charged_vnd)
    return Reply("call.suspect")


def row_id(request: Request, call_id: str) -> str:
    """A call is its platform's: another platform's id of the same name is another call."""
    return f"{request.actor}:{call_id}"


# -- what will be asked for, so that it is read for many calls at once


def foresee_offer(request: Request, tx: Tx) -> Iterable[tuple[Table[Any], Any]]:
    """For `offer`: the call if it's known, and all that B's side of the decision needs."""
    call_id, dialled = request.args
    yield CALL, row_id(request, call_id)
    match read_dialled(dialled, tx.rules.old_prefixes):
        case Direct(int(payer)) | Asked(int(payer)):
            yield from _foresee_payer(payer)
            yield ASKING, payer
            yield LIST_ENTRY, payer
            for subject in request_subjects(request.sender, payer):
                yield RECENT, subject
        case _:
            pass


def foresee_call(request: Request, tx: Tx) -> Iterable[tuple[Table[Any], Any]]:
    """For what comes after: the call."""
    del tx
    yield CALL, row_id(request, request.args[0])


def foresee_rest(request: Request, tx: Tx) -> Iterable[tuple[Table[Any], Any]]:
    """And then: its payer and its hold."""
    call = tx.get(CALL, row_id(request, request.args[0]))
    if call is None:
        return
    yield from _foresee_payer(call.payer)
    yield HOLD, _hold_id(call)
    if call.state == CallState.ASKING:
        yield ASKING, call.payer


def _foresee_payer(payer: int) -> Iterable[tuple[Table[Any], Any]]:
    yield SUBSCRIBER, payer
    yield ACCOUNT, main_account(payer)
    yield SUBSCRIPTION, payer


# -- offer


def _asked(request: Request, tx: Tx, call_id: str, payer: int) -> Reply:
    limits = tx.rules.limits.calls
    caller = tx.get(SUBSCRIBER, request.sender) if request.sender else None
    listed = tx.group(LIST_ENTRY, payer).get((payer, request.sender))
    decision = decide_offer(
        caller,
        tx.get(SUBSCRIBER, payer),
        tx.get(ACCOUNT, main_account(payer)),
        price_vnd(1, tx.rules.tariffs.at(tx.now_ms).voice),
        limits,
        listed=listed.kind if listed else None,
        package_works=is_working(tx.get(SUBSCRIPTION, payer)),
        too_often=too_often(tx, request.sender, payer, limits),
    )
    if decision.refused is not None:
        return _refused(request, tx, call_id, payer, decision.refused)
    count_request(tx, request.sender, payer, limits)
    if decision.connect:
        return _grant_first(tx, _new_call(request, tx, call_id, payer, automatic=1))
    asking = tx.get(ASKING, payer)
    other = tx.get(CALL, asking.call) if asking is not None else None
    if other is not None and tx.now_ms < other.due_at:
        return _refused(request, tx, call_id, payer, Refused.BUSY)
    if other is not None:  # Its time was over, though nobody had come to say so.
        _decline(tx, other, Refused.EXPIRED)
    call = msgspec.structs.replace(
        _new_call(request, tx, call_id, payer), asks=1, due_at=_ask_due(tx, limits)
    )
    tx.put(CALL, call)
    tx.put(ASKING, Asking(payer, call.id))
    _tell_others(tx, "asked", call)
    return Reply(OK, data=_question(tx, call))


def _direct(request: Request, tx: Tx, call_id: str, payer: int | None) -> Reply:
    """B dialled without the prefix.

    Paid only when B's working whitelist says so, else it's A's own call (PFM-11).
    """
    own = Reply(OK, data=_said(tx, "not_applicable", "", Language.VI))
    if payer is None:
        return own
    listed = tx.group(LIST_ENTRY, payer).get((payer, request.sender))
    decision = decide_offer(
        tx.get(SUBSCRIBER, request.sender) if request.sender else None,
        tx.get(SUBSCRIBER, payer),
        tx.get(ACCOUNT, main_account(payer)),
        price_vnd(1, tx.rules.tariffs.at(tx.now_ms).voice),
        tx.rules.limits.calls,
        listed=listed.kind if listed else None,
        package_works=is_working(tx.get(SUBSCRIPTION, payer)),
        too_often=False,
    )
    if not decision.connect:
        return own
    return _grant_first(tx, _new_call(request, tx, call_id, payer, automatic=1))


def _new_call(request: Request, tx: Tx, call_id: str, payer: int, *, automatic: int = 0) -> Call:
    return Call(
        id=row_id(request, call_id),
        caller=request.sender,
        payer=payer,
        payer_life=_life(tx, payer),
        state=CallState.ASKING,
        reason="",
        language=_language(tx, request.sender),
        asks=0,
        automatic=automatic,
        consent_key="",
        consent_at=tx.now_ms if automatic else 0,
        wording="whitelist" if automatic else tx.rules.prompts.wording,
        recording="",
        tariff=tx.rules.tariffs.at(tx.now_ms).id,
        granted_s=0,
        final=0,
        offered_at=tx.now_ms,
        answered_at=0,
        answered_there=0,
        used_s=0,
        ended_at=0,
        billed_s=0,
        charged_vnd=0,
        written_off_vnd=0,
        suspect=0,
        due_at=0,
    )


def _refused(request: Request, tx: Tx, call_id: str, payer: int, reason: Refused) -> Reply:
    call = msgspec.structs.replace(
        _new_call(request, tx, call_id, payer),
        state=CallState.REFUSED,
        reason=reason,
        ended_at=tx.now_ms,
    )
    tx.put(CALL, call)
    _tell_others(tx, "refused", call)
    return Reply(OK, data=_refusal(tx, call))


# -- consent and grant


def _grant_first(tx: Tx, call: Call) -> Reply:
    """Reserve, before the two are connected (PFM-15); when the money went meanwhile, refuse."""
    _stop_asking(tx, call)
    limits = tx.rules.limits.calls
    payer = tx.get(SUBSCRIBER, call.payer)
    active = payer is not None and payer.state == State.ACTIVE
    grant = decide_grant(0, 0, 0, _spendable_vnd(tx, call.payer), _tariff(tx, call).voice, limits)
    if not active or not grant.seconds:
        return _decline(tx, call, Refused.NO_MONEY)
    due_at = tx.now_ms + (limits.ring_max_s + limits.grace_s) * SECOND_MS
    call = msgspec.structs.replace(
        call,
        state=CallState.GRANTED,
        granted_s=grant.seconds,
        final=int(grant.final),
        due_at=due_at,
    )
    _hold(tx, call, grant.hold_vnd)
    tx.put(CALL, call)
    _tell_others(tx, "granted", call)
    return Reply(OK, data=_connection(tx, call))


def _extend(tx: Tx, call: Call) -> Call:
    limits = tx.rules.limits.calls
    voice = _tariff(tx, call).voice
    held = tx.get(HOLD, _hold_id(call))
    held_vnd = held.amount if held is not None else 0
    if held_vnd < price_vnd(call.granted_s, voice):  # What costs nothing needs no hold.
        raise LedgerCorrupt(f"call {call.id} is open without its hold")
    grant = decide_grant(
        call.used_s, call.granted_s, held_vnd, _spendable_vnd(tx, call.payer), voice, limits
    )
    call = msgspec.structs.replace(
        call,
        granted_s=grant.seconds,
        final=int(grant.final),
        due_at=_talk_due(tx, call, grant.seconds, limits),
    )
    _hold(tx, call, grant.hold_vnd)
    return call


def _spendable_vnd(tx: Tx, payer: int) -> int:
    """What B can still promise.

    Nothing once he is no longer active (PFM-4): then what was granted is all there is.
    """
    account = tx.get(ACCOUNT, main_account(payer))
    subscriber = tx.get(SUBSCRIBER, payer)
    active = subscriber is not None and subscriber.state == State.ACTIVE
    return account.spendable_vnd if account is not None and active else 0


def _hold(tx: Tx, call: Call, amount_vnd: int) -> None:
    if amount_vnd:
        declined = hold(
            tx, _hold_id(call), main_account(call.payer), amount_vnd, expires_at=call.due_at
        )
        if declined is not None:
            raise LedgerCorrupt(f"a hold that was decided is declined: {declined}")


def _tell_others(tx: Tx, verb: str, call: Call) -> None:
    """What other systems hear of it (MQTT-2)."""
    tx.emit(
        "call",
        verb,
        call.payer,
        call=call.id,
        caller=str(call.caller or ""),
        reason=call.reason,
        granted_s=call.granted_s,
        billed_s=call.billed_s,
        charged_vnd=call.charged_vnd,
        written_off_vnd=call.written_off_vnd,
        suspect=bool(call.suspect),
    )


def _talking(tx: Tx, call: Call, answered_at: int) -> Call:
    limits = tx.rules.limits.calls
    call = msgspec.structs.replace(call, state=CallState.TALKING, answered_at=answered_at)
    return msgspec.structs.replace(call, due_at=_talk_due(tx, call, call.granted_s, limits))


def _talk_due(tx: Tx, call: Call, granted_s: int, limits: CallLimits) -> int:
    """When the end must have come: by our own clock, because the platform's may be wrong."""
    left_s = max(0, granted_s - call.used_s)
    return tx.now_ms + (left_s + limits.grace_s) * SECOND_MS


def _decline(tx: Tx, call: Call, reason: Refused) -> Reply:
    _stop_asking(tx, call)
    call = msgspec.structs.replace(_closed(call, tx.now_ms), state=CallState.REFUSED, reason=reason)
    tx.put(CALL, call)
    _tell_others(tx, "refused", call)
    return Reply(OK, data=_refusal(tx, call))


def _stop_asking(tx: Tx, call: Call) -> None:
    asking = tx.get(ASKING, call.payer)
    if asking is not None and asking.call == call.id:
        tx.delete(ASKING, asking)


def _ask_due(tx: Tx, limits: CallLimits) -> int:
    return (
        tx.now_ms
        + (limits.ring_max_s + limits.asks_max * limits.answer_within_s + limits.ask_slack_s)
        * SECOND_MS
    )


# -- the end


def _used_s(tx: Tx, call: Call, reported_s: int, at: int, *, late: bool) -> int:
    """Talk time: the platform's if it measures talk, else the two moments', else our clock's; never
    less than reported before.

    Without a known beginning there was no talk: A hung up while B's phone rang.  A late end that
    names neither seconds nor moment adds nothing: our clock knows when it came, not when the call
    ended.
    """
    if reported_s >= 0 and tx.rules.limits.calls.platform_measures_talk:
        return max(min(reported_s, TALK_S_MAX), call.used_s)
    if not call.answered_at:
        return call.used_s
    if at and call.answered_there:
        talked_ms = at - call.answered_there
    elif late:
        return call.used_s
    else:  # Two clocks are never mixed: one that is an hour off would be an hour of talk.
        talked_ms = tx.now_ms - call.answered_at
    talked_s = -(-talked_ms // SECOND_MS)
    return max(min(talked_s, TALK_S_MAX), call.used_s)


def _end(tx: Tx, call: Call, used_s: int) -> Reply:
    charge = decide_end(used_s, call.granted_s, _tariff(tx, call).voice)
    _charge(tx, call, charge.charged_vnd)
    _write_off(tx, call, charge.written_off_vnd)
    call = msgspec.structs.replace(
        _closed(call, tx.now_ms),
        used_s=used_s,
        billed_s=charge.billed_s,
        charged_vnd=charge.charged_vnd,
        written_off_vnd=charge.written_off_vnd,
    )
    tx.put(CALL, call)
    _tell_others(tx, "ended", call)
    _receipt(tx, call, charge.billed_s, charge.charged_vnd)
    return Reply(OK, data=_final(call))


def _correct(tx: Tx, call: Call, used_s: int) -> Reply:
    """The real end after supervision.

    The difference the balance can bear; the rest is the operator's loss (PFM-17).
    """
    account = tx.get(ACCOUNT, main_account(call.payer))
    same_owner = _life(tx, call.payer) == call.payer_life
    late = decide_late_end(
        used_s,
        call.granted_s,
        call.charged_vnd,
        account.spendable_vnd if account and same_owner else 0,
        _tariff(tx, call).voice,
    )
    if late.extra_vnd:
        _must(post(tx, _transfer(tx, call, late.extra_vnd, "call.late")))
    _write_off(tx, call, late.written_off_vnd - call.written_off_vnd)
    call = msgspec.structs.replace(
        _closed(call, tx.now_ms),
        used_s=used_s,
        billed_s=late.billed_s,
        charged_vnd=call.charged_vnd + late.extra_vnd,
        written_off_vnd=late.written_off_vnd,
    )
    tx.put(CALL, call)
    _tell_others(tx, "corrected", call)
    if late.extra_vnd:
        _receipt(tx, call, late.billed_s, call.charged_vnd)
    return Reply(OK, data=_final(call))


def _charge(tx: Tx, call: Call, charged_vnd: int, *, expired: bool = False) -> None:
    held = tx.get(HOLD, _hold_id(call))
    if held is None or held.status != HoldStatus.OPEN:
        return  # A free tariff holds nothing.
    transfer = _transfer(tx, call, charged_vnd, "call") if charged_vnd else None
    settle(tx, held.id, transfer, expired=expired)


def _transfer(tx: Tx, call: Call, amount_vnd: int, cause: str) -> Transfer:
    return Transfer(
        main_account(call.payer),
        REVENUE_VOICE,
        amount_vnd,
        "call",
        f"{cause}:{call.id}",
        tx.now_ms,
        tariff=call.tariff,
    )


def _write_off(tx: Tx, call: Call, amount_vnd: int) -> None:
    """Talk that nobody pays is booked as talk and as loss, so that it is seen."""
    if amount_vnd:
        transfer = Transfer(
            WRITE_OFF,
            REVENUE_VOICE,
            amount_vnd,
            "call.write_off",
            f"call:{call.id}",
            tx.now_ms,
            tariff=call.tariff,
        )
        _must(post(tx, transfer))


def _receipt(tx: Tx, call: Call, billed_s: int, charged_vnd: int) -> None:
    """PFM-18: number, time, length, charge."""
    payer = tx.get(SUBSCRIBER, call.payer)
    if payer is not None and charged_vnd and tx.rules.limits.calls.receipts:
        tell(
            tx,
            payer,
            "call.receipt",
            kind="receipt",
            caller=call.caller,
            start=call.answered_at or call.offered_at,
            seconds=billed_s,
            charge=charged_vnd,
        )


def _closed(call: Call, now_ms: int) -> Call:
    return msgspec.structs.replace(call, state=CallState.ENDED, ended_at=now_ms, due_at=0)


def _must(posted: object) -> None:
    if isinstance(posted, Declined):
        raise LedgerCorrupt(f"an entry that was decided is declined: {posted}")


# -- what the platform is told


def _standing(tx: Tx, call: Call) -> Reply:
    """The answer that stands, for an event that came again or too late."""
    if call.state == CallState.ASKING:
        return Reply(OK, data=_question(tx, call))
    if call.state in {CallState.GRANTED, CallState.TALKING}:
        return Reply(OK, data=_connection(tx, call))
    if call.state == CallState.REFUSED:
        return Reply(OK, data=_refusal(tx, call))
    return Reply(OVER, data=_final(call))


def _over_or_wrong(call: Call) -> Reply:
    if call.state == CallState.ASKING:
        return Reply(WRONG_ORDER, data={"state": call.state})
    return Reply(OVER, data=_final(call))


def _question(tx: Tx, call: Call) -> dict[str, object]:
    """PFM-12: who asks and what it costs, before the key."""
    limits = tx.rules.limits.calls
    payer = tx.get(SUBSCRIBER, call.payer)
    keys = keys_offered(tx, call.payer)
    voice = _tariff(tx, call).voice
    said = _said(
        tx,
        ASK,
        "ask_listed" if "3" in keys else "ask",
        payer.language if payer else Language.VI,
        caller=call.caller,
        minute_vnd=voice.minute_vnd,
        block_vnd=price_vnd(1, voice),
    )
    return {
        **said,
        "payer": str(call.payer),
        "keys": keys,
        "answer_within_s": limits.answer_within_s,
        "repeat": call.asks,
    }


def _connection(tx: Tx, call: Call) -> dict[str, object]:
    warn_s = min(tx.rules.limits.calls.warn_s, call.granted_s // 2)
    return {
        **_said(tx, CONNECT, "connecting", call.language),
        "payer": str(call.payer),
        "max_seconds": call.granted_s,
        "warn_seconds": warn_s,
    }


def _refusal(tx: Tx, call: Call) -> dict[str, object]:
    """A hears one neutral text, whatever the reason (PFM-13, LST-4).

    The platform's log may know which.
    """
    reason = Refused(call.reason)
    action = "busy" if reason is Refused.BUSY else REFUSE
    prompt = PROMPTS.get(reason, NEUTRAL_PROMPT)
    told = reason.value if prompt != NEUTRAL_PROMPT or action == "busy" else "not_accepted"
    return {
        **_said(tx, action, prompt, call.language),
        "payer": str(call.payer or ""),
        "reason": told,
    }


def _said(tx: Tx, action: str, prompt_id: str, language: str, **values: int) -> dict[str, object]:
    prompts = tx.rules.prompts
    text = prompts.render(prompt_id, language, **values) if prompt_id else ""
    files = prompts.files(prompt_id, language, **values) if prompt_id else ()
    return {
        "action": action,
        "payer": "",
        "max_seconds": 0,
        "warn_seconds": 0,
        "reason": "",
        "prompt_id": prompt_id,
        "prompt_text": text,
        "prompt_files": "&".join(files),
        "language": str(language),
        "keys": "",
        "answer_within_s": 0,
        "repeat": 0,
    }


def _final(call: Call) -> dict[str, object]:
    return {"charged_vnd": call.charged_vnd, "billed_seconds": call.billed_s}


def _tariff(tx: Tx, call: Call) -> Tariff:
    """A call is priced by the tariff it was offered under, even over a change of prices (F38)."""
    for tariff in tx.rules.tariffs.tariffs:
        if tariff.id == call.tariff:
            return tariff
    # Start and reload refuse books without it; a call must end all the same.
    return tx.rules.tariffs.at(call.offered_at)


def _language(tx: Tx, msisdn: int) -> str:
    subscriber: Subscriber | None = tx.get(SUBSCRIBER, msisdn) if msisdn else None
    return subscriber.language if subscriber else Language.VI.value


def _life(tx: Tx, msisdn: int) -> int:
    """Which owner of the number it is: a number that came back is somebody else (NUM-5)."""
    subscriber = tx.get(SUBSCRIBER, msisdn) if msisdn else None
    return subscriber.life if subscriber else 0


def _hold_id(call: Call) -> str:
    return f"call:{call.id}"
