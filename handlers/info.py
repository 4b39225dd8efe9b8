"""HD, NN, TC, ON, KT CUOC, and texts that match nothing (KW-3, KW-6)."""

from itertools import takewhile
from typing import Final

import msgspec

from handlers.common import SHORT_CODE_EPAYMENT, SHORT_CODE_PAYFORME, for_subscribers, limited
from telcod.billing.accounts import main_account
from telcod.billing.ledger import latest_entries
from telcod.msisdn import Msisdn, national
from telcod.rows import CALL, HELD_TEXT, SUBSCRIBER, Entry, Kind, Subscriber
from telcod.text import gsm_safe, local_time, money
from telcod.tx import Tx
from telcod.types import SILENCE, Language, Reply, Request, say

CHARGES_SHOWN: Final = 5
LEFT_BEHIND: Final = "left_behind"
WORD_CHARS_MAX: Final = 12
HELP: Final = {SHORT_CODE_PAYFORME: "help.payforme", SHORT_CODE_EPAYMENT: "help.epayment"}
UNKNOWN: Final = {
    SHORT_CODE_PAYFORME: "text.unknown_payforme",
    SHORT_CODE_EPAYMENT: "text.unknown_epayment",
}


@for_subscribers
def help_text(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """HD: instructions of the short code that was asked."""
    if request.short_code != SHORT_CODE_PAYFORME:
        return say(HELP[request.short_code])
    prices = tx.rules.tariffs.at(tx.now_ms).packages
    return say(
        HELP[request.short_code], day_vnd=prices["day"].price_vnd, week_vnd=prices["week"].price_vnd
    )


@for_subscribers
def set_language(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """NN VI, NN EN: the language of replies; the confirmation is in the new one (KW-6)."""
    language = Language(request.args[0].lower())
    tx.put(SUBSCRIBER, msgspec.structs.replace(subscriber, language=language.value))
    return say("language.set")


@for_subscribers
def stop_notices(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """TC: no more notices after a call that failed for lack of money."""
    return _notices(tx, subscriber, wanted=0)


@for_subscribers
def resume_notices(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """ON: notices again."""
    return _notices(tx, subscriber, wanted=1)


@for_subscribers
def charges(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """KT CUOC: the last five charges: when, for what, how much."""
    account = main_account(subscriber.msisdn)
    newest = latest_entries(tx, account, most=10 * CHARGES_SHOWN)
    # The story that is this owner's to read ends where the last one's does.
    own = takewhile(
        lambda entry: entry.kind != LEFT_BEHIND and entry.committed_at >= subscriber.since, newest
    )
    entries = [entry for entry in own if entry.debit == account]
    if not entries:
        return say("charges.none")
    return say(
        "charges.show",
        charges=[_charge(tx, subscriber, entry) for entry in entries[:CHARGES_SHOWN]],
    )


@for_subscribers
def dial_guide(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """How to call somebody who pays: what to dial (PFM-10).  `args`: the number."""
    number = request.args[0]
    if not number.isdigit():
        return say("forward.malformed")
    return say("dial.guide", number=int(number), command=f"1566{national(Msisdn(int(number)))}")


def unknown(request: Request, tx: Tx) -> Reply:
    """A text that matches nothing.

    An apology, what was wrong, the commands that exist, the help line (KW-3).
    """
    return _wrong(request, tx)


def ignored(request: Request, tx: Tx) -> Reply:
    """A text whose sender is a short code or a name: kept in the journal, never answered (KW-3)."""
    return SILENCE


def malformed(request: Request, tx: Tx) -> Reply:
    """A known command with wrong arguments: how it is written (KW-3)."""
    return _usage(request, tx)


@for_subscribers
def _wrong(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    if not request.args and request.short_code == SHORT_CODE_PAYFORME:
        return limited(request, tx, say("text.empty"))
    if not request.args:  # On 9223 any word may be a password: none is repeated (PAY-1).
        return limited(request, tx, say(UNKNOWN[request.short_code]))
    return limited(
        request,
        tx,
        say(UNKNOWN[request.short_code], typed=gsm_safe(request.args[0], WORD_CHARS_MAX)),
    )


@for_subscribers
def _usage(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    return limited(request, tx, say(request.args[0]))


def _notices(tx: Tx, subscriber: Subscriber, *, wanted: int) -> Reply:
    if subscriber.kind != Kind.PREPAID:
        return say("notices.prepaid_only")
    key = "notices.on" if wanted else "notices.off"
    if subscriber.notices == wanted:
        return say(f"{key}_already")
    tx.put(SUBSCRIBER, msgspec.structs.replace(subscriber, notices=wanted))
    tx.emit("subscriber", "notices_changed", subscriber.msisdn, wanted=bool(wanted))
    return say(key)


def _charge(tx: Tx, subscriber: Subscriber, entry: Entry) -> str:
    what = tx.rules.catalogue.render(f"charge.{entry.kind}", {}, subscriber.language)
    other = whom_it_was_for(tx, entry)
    whom = f" {national(Msisdn(other))}" if other else ""
    return f"{local_time(entry.committed_at)} {what}{whom} {money(entry.amount)}"


def whom_it_was_for(tx: Tx, entry: Entry) -> int:
    """Whom a charge was for: the caller of a call, the sender of a text; 0 for a package."""
    cause, _, name = entry.command.partition(":")
    if cause in {"call", "call.late"}:
        call = tx.get(CALL, name)
        return call.caller if call else 0
    if cause == "text":
        held = tx.get(HELD_TEXT, int(name))
        return held.sender if held else 0
    return 0
