"""How a payment stands, for who paid: what happened, and what happens next."""

from typing import Final, NamedTuple

from telcod.epay.cashier import PaymentView
from telcod.rows import PaymentState

GOOD: Final = "good"
WAIT: Final = "wait"
BAD: Final = "bad"
SOON_S: Final = 3
"""A page asks again after so long while somebody waits before it."""
LATER_S: Final = 15

# What a gateway says of a card that is worth telling its holder; others are "other".
REASONS: Final = frozenset(
    {
        "cancelled",
        "card_declined",
        "expired_card",
        "incorrect_cvc",
        "insufficient_funds",
        "otp_timeout",
        "otp_wrong",
    }
)


class Standing(NamedTuple):
    """What a page says of a payment.

    `tone` is `good`, `wait` or `bad`; `title`, `text` and `next` are words; `again_s` after how
    long to ask again (0: it is over).  `goes_on` offers the gateway's page, `retry` another
    payment, `invoice` the invoice.
    """

    tone: str
    title: str
    text: str
    next: str
    again_s: int = 0
    goes_on: bool = False
    retry: bool = False
    invoice: bool = False


def standing_of(view: PaymentView, *, now_ms: int) -> Standing:
    """What to say of a payment now."""
    state = PaymentState(view.state)
    name = f"state.{state.value}"
    match state:
        case PaymentState.CREATED:
            return Standing(WAIT, f"{name}.title", f"{name}.text", f"{name}.next", SOON_S)
        case PaymentState.REDIRECTED:
            is_open = bool(view.redirect_url) and now_ms < view.expires_at
            return Standing(
                WAIT,
                f"{name}.title",
                f"{name}.text",
                f"{name}.next" if is_open else f"{name}.closed",
                SOON_S,
                goes_on=is_open,
            )
        case PaymentState.UNKNOWN | PaymentState.CLEARING_FAILED:
            return Standing(WAIT, f"{name}.title", f"{name}.text", f"{name}.next", LATER_S)
        case PaymentState.IN_REVIEW | PaymentState.CLEARING:
            return Standing(WAIT, f"{name}.title", f"{name}.text", f"{name}.next", LATER_S)
        case PaymentState.CLEARED:
            text = f"{name}.{view.purpose}"
            return Standing(GOOD, f"{name}.title", text, f"{name}.next", invoice=True)
        case PaymentState.DECLINED:
            reason = view.reason if view.reason in REASONS else "other"
            return Standing(BAD, f"{name}.title", f"reason.{reason}", f"{name}.next", retry=True)
        case PaymentState.EXPIRED:
            return Standing(BAD, f"{name}.title", f"{name}.text", f"{name}.next", retry=True)
        case PaymentState.REJECTED_FRAUD | PaymentState.CANCELLED:
            return Standing(BAD, f"{name}.title", f"{name}.text", f"{name}.next")
