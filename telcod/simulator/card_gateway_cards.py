"""Cards that the simulated gateway knows, and what their issuers say.  Pure.

The numbers are those that card networks publish for testing; no real card has one of them.  Any
other number whose check digit is right is authorised too.
"""

from typing import Final, NamedTuple

AUTHORISED: Final = "authorised"
DECLINED: Final = "declined"
UNKNOWN: Final = "unknown"

GOOD_CARD: Final = "4111111111111111"
GOOD_DOMESTIC_CARD: Final = "9704000000000018"
OTP: Final = "123456"
DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19
DOMESTIC_PREFIX: Final = "9704"


class Issued(NamedTuple):
    """What an issuer says: the result, and its word for why."""

    result: str
    code: str


class Bank(NamedTuple):
    """A bank of domestic cards, and the code of the counter under which it collects."""

    code: str
    name: str
    cashier: str


BANKS: Final = (
    Bank("AGRIBANK", "Agribank", "AGR01"),
    Bank("BIDV", "BIDV", "BID01"),
    Bank("TECHCOMBANK", "Techcombank", "TCB01"),
    Bank("VIETCOMBANK", "Vietcombank", "VCB01"),
    Bank("VIETINBANK", "VietinBank", "CTG01"),
)
SCHEMES: Final = {
    "3": Bank("JCB", "JCB", "INT03"),
    "4": Bank("VISA", "Visa", "INT01"),
    "5": Bank("MASTERCARD", "Mastercard", "INT02"),
}
_OTHER_SCHEME: Final = Bank("OTHER", "", "INT09")

# What is not here is authorised.
ISSUERS: Final = {
    "4000000000000002": Issued(DECLINED, "card_declined"),
    "4000000000009995": Issued(DECLINED, "insufficient_funds"),
    "4000000000000069": Issued(DECLINED, "expired_card"),
    "4000000000000127": Issued(DECLINED, "incorrect_cvc"),
    "4000000000000119": Issued(UNKNOWN, "issuer_silent"),
    "9704000000000026": Issued(DECLINED, "insufficient_funds"),
    "9704000000000034": Issued(UNKNOWN, "issuer_silent"),
}


def digits_of(typed: str) -> str:
    """A number as people type it, without what stands between its groups."""
    return "".join(char for char in typed if char not in " -.")


def is_number(digits: str) -> bool:
    """Whether it can be a card's number: long enough, and its check digit is right (Luhn)."""
    if not (digits.isascii() and digits.isdigit() and DIGITS_MIN <= len(digits) <= DIGITS_MAX):
        return False
    total = 0
    for place, char in enumerate(reversed(digits)):
        digit = int(char) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def masked(digits: str) -> str:
    """The first six and the last four digits: as much as may be told."""
    return f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}"


def issuer_says(digits: str) -> Issued:
    """What becomes of a payment with this card."""
    return ISSUERS.get(digits, Issued(AUTHORISED, "00"))


def scheme_of(digits: str) -> Bank:
    """Who collects for an international card."""
    return SCHEMES.get(digits[:1], _OTHER_SCHEME)


def bank_of(code: str) -> Bank | None:
    """A bank of domestic cards by its code; None for any other word."""
    return next((bank for bank in BANKS if bank.code == code), None)
