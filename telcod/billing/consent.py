"""Consent to pay: what a key, silence or a hang-up means (PFM-12).

Pure.  Silence is never consent.
"""

from typing import Final, NamedTuple

from telcod.billing.calls import Refused

ACCEPT_KEY: Final = "1"
REFUSE_KEY: Final = "2"
WHITELIST_KEY: Final = "3"
BLACKLIST_KEY: Final = "4"

# What ends the question without a key: whatever the platform heard instead of B.
ENDINGS: Final[dict[str, Refused]] = {
    "hangup": Refused.HUNG_UP,
    "no_answer": Refused.NO_ANSWER,
    "busy": Refused.PAYER_BUSY,
    "voicemail": Refused.VOICEMAIL,
}
RESULTS: Final = frozenset({"digit", "silence", *ENDINGS})


class Accept(NamedTuple):
    """B pays; and wants A on the whitelist, or not."""

    whitelist: bool


class Refuse(NamedTuple):
    """B does not pay; and wants A on the blacklist, or not."""

    reason: Refused
    blacklist: bool


class AskAgain(NamedTuple):
    """No key, or one that was not offered: the question is put again."""


def decide_consent(
    result: str, digit: str, *, keys: str, asks: int, asks_max: int
) -> Accept | Refuse | AskAgain:
    """Say what B's reaction means.

    Args:
        result: One of `RESULTS`; anything else counts as silence.
        digit: The key, when the result is `digit`.
        keys: Which keys were offered.
        asks: How often the question was put so far, this time included.
        asks_max: How often it may be put.
    """
    if result in ENDINGS:
        return Refuse(ENDINGS[result], blacklist=False)
    if result == "digit" and digit in keys and len(digit) == 1:
        if digit in {ACCEPT_KEY, WHITELIST_KEY}:
            return Accept(whitelist=digit == WHITELIST_KEY)
        return Refuse(Refused.DECLINED, blacklist=digit == BLACKLIST_KEY)
    if asks < asks_max:
        return AskAgain()
    return Refuse(Refused.WRONG_KEYS if result == "digit" else Refused.SILENT, blacklist=False)
