"""What people see of a subscriber (CLI-4)."""

import io

import pytest
from rich.console import Console

from telcod.cli.show import money, subscriber_table, token_table, when

pytestmark = pytest.mark.rule("CLI-4")

AT_MS = 1_790_000_000_000  # 21:13 on 21 September 2026 in Viet Nam
DATA = {
    "msisdn": 84_903_000_001,
    "kind": "prepaid",
    "state": "active",
    "language": "vi",
    "centre": 1,
    "notices": True,
    "name": "An [bold]",
    "address": "",
    "email": "",
    "balance_vnd": 12_500,
    "held_vnd": 0,
    "debt_vnd": 0,
    "password_set": False,
    "trial_used": False,
    "package": None,
    "lists": {"white": 2, "black": 0},
}
PACKAGE = {
    "package": "week",
    "status": "active",
    "trial": False,
    "ends_at": AT_MS,
    "failed_since": 0,
}


def seen(table):
    stream = io.StringIO()
    Console(file=stream, width=100).print(table)
    return stream.getvalue()


def test_money_and_moments_are_as_people_write_them():
    assert (money(12_500), money(-500), when(0)) == ("12.500 đ", "-500 đ", "-")
    assert when(AT_MS) == "21:13 21/09/2026"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"package": None}, "none"),
        ({"package": PACKAGE}, "week, until 21:13 21/09/2026"),
        ({"package": {**PACKAGE, "trial": True}}, "week (free trial), until 21:13 21/09/2026"),
        (
            {"package": {**PACKAGE, "status": "suspended", "failed_since": AT_MS}},
            "week, without money since 21:13 21/09/2026",
        ),
        ({"package": {**PACKAGE, "status": "cancelled"}}, "week, cancelled"),
        ({"held_vnd": 500}, "12.500 đ, of which 500 đ set aside"),
        ({}, "An [bold]"),
        ({}, "whitelist 2, blacklist 0"),
    ],
)
def test_a_subscriber_is_told_in_words(changes, text):
    assert text in seen(subscriber_table({**DATA, **changes}))


@pytest.mark.rule("CLI-7")
def test_tokens_are_listed_the_oldest_first():
    rows = [
        {"name": name, "scope": "ivr", "created_at": at, "revoked_at": revoked}
        for name, at, revoked in (("late", AT_MS + 1, 0), ("early", AT_MS, AT_MS))
    ]
    text = seen(token_table(rows))
    assert text.index("early") < text.index("late")
