"""How the simulated card gateway behaves, as data: well, or at its worst (PAY-5).  Pure."""

from enum import StrEnum

import msgspec

FOREVER: int = -1


class Crash(StrEnum):
    """The moment at which the gateway dies: the thing is done, and nobody was told."""

    NEVER = ""
    ORDER_TAKEN = "order_taken"
    CARD_DECIDED = "card_decided"
    VOIDED = "voided"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Habits and faults; each field is one.

    `notifications` is how often each result is told, with one id (0: never, 2: twice);
    `notify_after_s` how late, in seconds.  `replays` sends the very bytes once more, head and all.
    With `contradict` a second notification says the opposite; with `bad_signature` nobody can have
    signed it; `amount_off_vnd` is added to the amount that it names.  With `paid_at_once` the
    payment is authorised, and told, before the order is answered.  `refuse_code` refuses orders,
    `void_fails` refuses to give money back.  `silent_s` is how long nothing is answered or told
    from now on (-1: for ever); `crash` is the next death.
    """

    notifications: int = 1
    notify_after_s: int = 0
    replays: int = 0
    contradict: bool = False
    bad_signature: bool = False
    amount_off_vnd: int = 0
    paid_at_once: bool = False
    refuse_code: str = ""
    void_fails: bool = False
    silent_s: int = 0
    crash: Crash = Crash.NEVER
