"""Who is there to play with: the subscribers of the demo, three of whom have a phone on its page.

Pure.
"""

from typing import Final, NamedTuple


class Person(NamedTuple):
    """A subscriber of the demo; `phone` is the name of his phone on the page (empty: none)."""

    msisdn: int
    kind: str
    balance_vnd: int
    debt_vnd: int
    who: str
    phone: str = ""


POOR: Final = Person(84903000001, "prepaid", 500, 0, "prepaid, 500d", "A")
RICH: Final = Person(84903000002, "prepaid", 200_000, 0, "prepaid, 200.000d", "B")
OWES: Final = Person(84903000004, "postpaid", 0, 150_000, "postpaid, owes 150.000d", "C")
PEOPLE: Final = (
    POOR,
    RICH,
    Person(84903000003, "prepaid", 20_000, 0, "prepaid, 20.000d"),
    OWES,
)
PHONES: Final = tuple(person for person in PEOPLE if person.phone)
PASSWORD: Final = "abc123"  # noqa: S105  # what the demo's own text to 9223 sets
EMAIL: Final = "payer@example.com"
