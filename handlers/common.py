"""What every keyword family needs: who is asking, how often, and how to say it.

`for_subscribers` is the one place that knows KW-4; `limited` the one that knows KW-3's hour.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from telcod.billing.ledger import audit_hash
from telcod.billing.lists import on_net
from telcod.billing.recent import decide_again
from telcod.days import MINUTE_MS
from telcod.rows import AUDIT, MO, RECENT, SUBSCRIBER, Audit, Recent, Subscriber, Table
from telcod.tx import Tx
from telcod.types import SILENCE, Handler, Reply, Request, say

SHORT_CODE_PAYFORME: Final = "1566"
SHORT_CODE_EPAYMENT: Final = "9223"

SubscriberRule = Callable[[Request, Tx, Subscriber], Reply]


def for_subscribers(rule: SubscriberRule) -> Handler:
    """Make a handler of a rule for subscribers.

    Anybody else gets the one answer of KW-4, within KW-3's limit.
    """

    def handler(request: Request, tx: Tx) -> Reply:
        subscriber = tx.get(SUBSCRIBER, request.sender) if request.sender else None
        if subscriber is None or not on_net(subscriber):
            return not_a_subscriber(request, tx)
        return rule(request, tx, subscriber)

    handler.__name__ = rule.__name__
    handler.__doc__ = rule.__doc__
    return handler


def not_a_subscriber(request: Request, tx: Tx) -> Reply:
    """The one answer to a number that is no subscriber (KW-4).

    After five in an hour, silence (KW-3).
    """
    return limited(request, tx, say("text.not_subscriber"))


def limited(request: Request, tx: Tx, reply: Reply) -> Reply:
    """Answer a text that leads nowhere, but not for ever.

    Two robots must not talk for ever (KW-3).
    """
    limits = tx.rules.limits.texts
    subject = _wrong_of(request)
    recent = tx.get(RECENT, subject)
    times = decide_again(
        recent.times if recent else "",
        now_ms=tx.now_ms,
        most=limits.unknown_answers_max,
        within_ms=limits.unknown_answers_within_min * MINUTE_MS,
    )
    if times is None:
        return Reply(SILENCE.outcome)
    tx.put(RECENT, Recent(subject, times))
    return reply


def foresee_limit(request: Request, _: Tx) -> Iterable[tuple[Table[Any], Any]]:
    """What `limited` will read."""
    yield RECENT, _wrong_of(request)


def _wrong_of(request: Request) -> str:
    source = request.mo.source if request.mo else str(request.sender)
    return f"wrong:{source}"


def named(tx: Tx, subscriber: Subscriber, key: str) -> str:
    """A word of the catalogue in the subscriber's language, to stand inside a sentence."""
    return tx.rules.catalogue.render(key, {}, subscriber.language)


def package_terms(
    tx: Tx, subscriber: Subscriber, package: str, price_vnd: int, ends_at: int
) -> dict[str, Any]:
    """What each reply that starts or renews a package names (PKG-5)."""
    return {"package": named(tx, subscriber, f"name.{package}"), "price": price_vnd, "end": ends_at}


def tell(
    tx: Tx,
    subscriber: Subscriber,
    key: str,
    *,
    kind: str,
    short_code: str = SHORT_CODE_PAYFORME,
    expires_at: int = 0,
    **values: object,
) -> None:
    """Send a subscriber a text that answers no text of his, in his language."""
    tx.send_sms(
        subscriber.msisdn,
        short_code,
        tx.rules.catalogue.render(key, values, subscriber.language),
        kind=kind,
        expires_at=expires_at,
    )


def write_audit(tx: Tx, request: Request, action: str, subject: str, detail: str = "") -> None:
    """Say in the log that nobody can change who did what, and from where (CARE-2)."""
    if request.where:
        detail = f"{detail} from {request.where}".lstrip()
    line = Audit(
        seq=tx.next_seq(AUDIT),
        at=tx.now_ms,
        actor=request.actor or "telcod",
        channel=request.channel,
        action=action,
        subject=subject,
        detail=detail,
        prev_hash=tx.head(AUDIT),
        hash=b"",
    )
    tx.append_chained(AUDIT, line, audit_hash(line))


def command_name(request: Request, tx: Tx) -> str:
    """What entries of this request name as their cause.

    The key, or the text's number in the journal.
    """
    if request.key:
        return request.key
    if request.mo is not None:
        return f"mo:{tx.next_seq(MO)}"
    return f"{request.route}:{request.sender}:{tx.now_ms}"
