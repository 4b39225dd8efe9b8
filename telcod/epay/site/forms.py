"""What a payer typed: the form of a payment, amounts in any usual form, what is wrong.

Whether a payment is accepted is the books' to say; here is only what cannot be asked of them.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from unicodedata import normalize
from urllib.parse import parse_qsl

FIELDS_MAX: Final = 20
FIELD_CHARS_MAX: Final = 120
KEY_CHARS: Final = 24
AMOUNT_VND_MAX: Final = 10**12

_EMAIL: Final = re.compile(
    r"[^@\s,;:<>()\[\]\"\\]{1,64}@(?=.{1,253}\Z)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)
_AMOUNT: Final = re.compile(
    r"(?P<whole>[0-9]{1,12}|[0-9]{1,3}(?:(?P<mark>[., ])[0-9]{3})(?:(?P=mark)[0-9]{3}){0,2})"
    r" ?(?P<unit>k|nghìn|nghin|ngàn|ngan|tr|triệu|trieu)? ?(?:vnđ|vnd|đồng|dong|đ|₫|d)?",
    re.ASCII,
)
_THOUSANDS: Final = {"k": 10**3, "nghìn": 10**3, "nghin": 10**3, "ngàn": 10**3, "ngan": 10**3}
_UNITS: Final = _THOUSANDS | {"tr": 10**6, "triệu": 10**6, "trieu": 10**6}

PURPOSES: Final = ("bill", "topup")
CARDS: Final = ("domestic", "international")


class PayForm(NamedTuple):
    """The form of a payment as it was typed; `key` names this one intent to pay."""

    number: str = ""
    purpose: str = "bill"
    amount: str = ""
    card: str = "domestic"
    email: str = ""
    invoice: bool = False
    key: str = ""


def read_fields(body: bytes) -> dict[str, str]:
    """The fields of a form that a browser sent, without blanks around; the last of a name counts.

    Nothing in it, if it is none.
    """
    try:
        pairs = parse_qsl(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError:
        return {}
    return {name: value.strip() for name, value in pairs}


def read_pay_form(fields: Mapping[str, str]) -> PayForm:
    """The form of a payment; what is no choice of ours is as if nothing had been chosen."""

    def text(name: str) -> str:
        return fields.get(name, "")[:FIELD_CHARS_MAX]

    def choice(name: str, choices: tuple[str, ...]) -> str:
        return fields[name] if fields.get(name) in choices else ""

    return PayForm(
        number=text("number"),
        purpose=choice("purpose", PURPOSES),
        amount=text("amount"),
        card=choice("card", CARDS),
        email=text("email"),
        invoice=fields.get("invoice") == "1",
        key=fields.get("key", "") if _KEY.fullmatch(fields.get("key", "")) else "",
    )


def read_amount(text: str) -> int | None:
    """Whole đồng, as people write them; None when it can't be told what is meant.

    `1000000`, `1.000.000`, `1,000,000`, `1 000 000`, with `đ` or `VND` behind, and `500k`, `1tr`.
    What could be read in two ways (`1.5`, `1.000,00`) is not read at all: it is money.
    """
    plain = " ".join(normalize("NFKC", text).lower().split())
    found = _AMOUNT.fullmatch(plain)
    if found is None:
        return None
    whole = int(re.sub(r"[., ]", "", found["whole"]))
    amount_vnd = whole * _UNITS.get(found["unit"] or "", 1)
    return amount_vnd if amount_vnd <= AMOUNT_VND_MAX else None


def form_problems(form: PayForm, *, number_is_good: bool) -> dict[str, str]:
    """What is wrong with a form before anybody is asked: the word to say, by field."""
    problems = {}
    if not number_is_good:
        problems["number"] = "problem.number" if form.number else "problem.number_missing"
    if not form.purpose:
        problems["purpose"] = "problem.choice"
    if read_amount(form.amount) is None:
        problems["amount"] = "problem.amount_unread" if form.amount else "problem.amount_missing"
    if not form.card:
        problems["card"] = "problem.choice"
    if form.email and not _EMAIL.fullmatch(form.email):
        problems["email"] = "problem.email"
    return problems


# How a refusal of `payment.create` is told: the field that it is about (none: the whole), the word.
REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "payment.not_served": ("number", "refused.not_served"),
    "payment.wrong_purpose": ("purpose", "refused.wrong_purpose"),
    "payment.amount": ("amount", "refused.amount"),
    "payment.unknown_pending": ("", "refused.unknown_pending"),
    "payment.too_many": ("", "refused.too_many"),
    "payment.too_much": ("amount", "refused.too_much"),
    "payment.stopped": ("", "refused.stopped"),
}
REFUSED_OTHERWISE: Final = ("", "refused.other")
