"""Which accounts there are, and how they are numbered.  Pure.

An account id is an integer so that the database finds it by its row key: a subscriber's accounts
are the MSISDN with one more digit, the operator's own are below a hundred.  People see names:
`main:84903123456`, `revenue:package`.
"""

from typing import Final

MAIN_DIGIT: Final = 1
DEBT_DIGIT: Final = 2

REVENUE_PACKAGE: Final = 1
REVENUE_VOICE: Final = 2
REVENUE_SMS: Final = 3
GATEWAY_RECEIVABLE: Final = 4
SUSPENSE: Final = 5
WRITE_OFF: Final = 6
FRAUD_LOSS: Final = 7
OPENING: Final = 8
TOPUP: Final = 9
BANK: Final = 10
TRANSIT: Final = {centre: 20 + centre for centre in range(1, 7)}
"""By centre: what the gateway has collected and nobody has cleared yet (PAY-7)."""

REVENUES: Final = frozenset({REVENUE_PACKAGE, REVENUE_VOICE, REVENUE_SMS})

OWN_NAMES: Final[dict[int, str]] = {
    REVENUE_PACKAGE: "revenue:package",
    REVENUE_VOICE: "revenue:voice",
    REVENUE_SMS: "revenue:sms",
    GATEWAY_RECEIVABLE: "gateway:receivable",
    SUSPENSE: "suspense",
    WRITE_OFF: "write_off",
    FRAUD_LOSS: "fraud_loss",
    OPENING: "opening",
    TOPUP: "topup",
    BANK: "bank",
    **{account: f"transit:{centre}" for centre, account in TRANSIT.items()},
}
OWN_ID_MAX: Final = 99


def main_account(msisdn: int) -> int:
    """The prepaid balance of a subscriber; never below zero."""
    return msisdn * 10 + MAIN_DIGIT


def debt_account(msisdn: int) -> int:
    """What a postpaid subscriber owes: posted is minus the debt, more than zero is credit."""
    return msisdn * 10 + DEBT_DIGIT


def owner_or_none(account_id: int) -> int | None:
    """The subscriber whose account this is; None for the operator's own."""
    return None if account_id <= OWN_ID_MAX else account_id // 10


def floor_of(account_id: int) -> int | None:
    """How low an account may go: a main balance to 0, others without limit."""
    return 0 if account_id > OWN_ID_MAX and account_id % 10 == MAIN_DIGIT else None


def account_name(account_id: int) -> str:
    """The name that people see."""
    if account_id <= OWN_ID_MAX:
        return OWN_NAMES.get(account_id, f"account:{account_id}")
    kind = {MAIN_DIGIT: "main", DEBT_DIGIT: "debt"}.get(account_id % 10, "account")
    return f"{kind}:{account_id // 10}"
