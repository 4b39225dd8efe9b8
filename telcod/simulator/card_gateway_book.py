"""What the simulated card gateway keeps: payments, from the order to the day's file.  Time is an
argument, chance is handed in.

A card's number is looked at and forgotten: what is kept is masked, and a token that is the same for
the same card.
"""

import hmac
import itertools
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from telcod.days import business_date
from telcod.simulator import card_gateway_cards as cards

if TYPE_CHECKING:
    from random import Random

OTP_OPEN_MS: Final = 120_000
OTP_TRIES: Final = 3
AMOUNT_VND_MAX: Final = 1_000_000_000
FILE_HEADER: Final = "payment_id,amount_vnd,result,bank,cashier,masked_card,at"


class Stage(StrEnum):
    """How far a payment is; after `OTP` it is what the issuer said."""

    OPEN = "open"
    OTP = "otp"
    AUTHORISED = cards.AUTHORISED
    DECLINED = cards.DECLINED
    UNKNOWN = cards.UNKNOWN


ON_PAGE: Final = frozenset({Stage.OPEN, Stage.OTP})


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A payment.  Times are Unix milliseconds, 0: not yet; `open_until` is when its page closes."""

    payment_id: str
    ref: str
    amount_vnd: int
    card: str
    return_url: str
    open_s: int
    open_until: int
    stage: Stage = Stage.OPEN
    code: str = ""
    masked_card: str = ""
    card_token: str = ""
    bank: str = ""
    cashier: str = ""
    issued: cards.Issued = cards.Issued(cards.AUTHORISED, "")
    otp_until: int = 0
    otp_wrong: int = 0
    ended_at: int = 0
    voided_at: int = 0


class Refused(Exception):
    """The gateway's no; `code` is its word for why, `status` how HTTP says it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code: Final = code
        self.status: Final = status


class Book:
    """All payments of the gateway."""

    def __init__(self, rng: "Random") -> None:
        self._rng: Final = rng
        self._token_key: Final = rng.randbytes(32)
        self._by_id: Final[dict[str, Held]] = {}
        self._id_by_ref: Final[dict[str, str]] = {}
        self._on_page: Final[dict[str, None]] = {}  # a dictionary, for its order
        self._numbers: Final = itertools.count(1)

    def all(self) -> Iterable[Held]:
        """Every payment, the oldest first."""
        return tuple(self._by_id.values())

    def create(
        self,
        payment_id: str,
        *,
        amount_vnd: int,
        card: str,
        return_url: str,
        open_s: int,
        now_ms: int,
    ) -> Held:
        """Take an order; the same again finds it as it is.

        Raises:
            Refused: It makes no sense, or is another one of the same id.
        """
        known = self._by_id.get(payment_id)
        order = (amount_vnd, card, return_url, open_s)
        if known is not None:
            if order != (known.amount_vnd, known.card, known.return_url, known.open_s):
                raise Refused("payment_differs", 409)
            return known
        if not 0 < amount_vnd <= AMOUNT_VND_MAX or not 0 < open_s <= 86_400:
            raise Refused("amount_or_time", 422)
        if card not in {"international", "domestic"}:
            raise Refused("card_kind", 422)
        if not return_url.startswith(("http://", "https://")):
            raise Refused("return_url", 422)
        held = Held(
            payment_id=payment_id,
            ref=f"cg{next(self._numbers)}-{self._rng.getrandbits(96):024x}",
            amount_vnd=amount_vnd,
            card=card,
            return_url=return_url,
            open_s=open_s,
            open_until=now_ms + open_s * 1_000,
        )
        self._id_by_ref[held.ref] = payment_id
        return self._keep(held)

    def find(self, payment_id: str) -> Held:
        """A payment as it is.

        Raises:
            Refused: There is none.
        """
        held = self._by_id.get(payment_id)
        if held is None:
            raise Refused("payment_unknown", 404)
        return held

    def by_ref(self, ref: str) -> Held:
        """The same by the gateway's own reference.

        Raises:
            Refused: There is none.
        """
        return self.find(self._id_by_ref.get(ref, ""))

    def lapse(self, *, now_ms: int) -> list[Held]:
        """End the payments whose payer has taken too long; those that ended so just now."""
        ended = []
        for held in [self._by_id[each] for each in self._on_page]:
            if held.stage is Stage.OTP and now_ms >= held.otp_until:
                ended.append(self._end(held, Stage.DECLINED, "otp_timeout", now_ms))
            elif held.stage is Stage.OPEN and now_ms >= held.open_until:
                ended.append(self._end(held, Stage.DECLINED, "page_expired", now_ms))
        return ended

    def type_card(self, held: Held, digits: str, bank: str, *, now_ms: int) -> Held:
        """The payer has typed what can be a card's number: the issuer answers, or asks for OTP."""
        if held.stage is not Stage.OPEN:
            return held
        domestic = held.card == "domestic"
        collects = (cards.bank_of(bank) if domestic else None) or cards.scheme_of(digits)
        token = hmac.digest(self._token_key, digits.encode(), "sha256").hex()[:24]
        issued = cards.issuer_says(digits)
        held = msgspec.structs.replace(
            held,
            masked_card=cards.masked(digits),
            card_token=f"tok_{token}",
            bank=collects.code,
            cashier=collects.cashier,
            issued=issued,
        )
        if domestic:
            return self._keep(
                msgspec.structs.replace(
                    held, stage=Stage.OTP, otp_until=min(now_ms + OTP_OPEN_MS, held.open_until)
                )
            )
        return self._end(held, Stage(issued.result), issued.code, now_ms)

    def type_otp(self, held: Held, typed: str, *, now_ms: int) -> Held:
        """The payer has typed a one-time password; the third wrong one ends it."""
        if held.stage is not Stage.OTP:
            return held
        if hmac.compare_digest(typed.strip().encode(), cards.OTP.encode()):
            return self._end(held, Stage(held.issued.result), held.issued.code, now_ms)
        wrong = held.otp_wrong + 1
        held = self._keep(msgspec.structs.replace(held, otp_wrong=wrong))
        if wrong >= OTP_TRIES:
            return self._end(held, Stage.DECLINED, "otp_wrong", now_ms)
        return held

    def give_up(self, held: Held, *, now_ms: int) -> Held:
        """The payer goes back without paying."""
        if held.stage in ON_PAGE:
            return self._end(held, Stage.DECLINED, "cancelled", now_ms)
        return held

    def settle(self, held: Held, result: Stage, code: str, *, now_ms: int) -> Held:
        """The issuer answers in the end what it left open."""
        return self._end(held, result, code, now_ms)

    def void(self, held: Held, *, now_ms: int) -> Held:
        """Give back what was authorised, or see to it that nothing can be any more.

        Raises:
            Refused: Nobody knows yet whether there is anything to give back.
        """
        if held.stage is Stage.UNKNOWN:
            raise Refused("in_doubt", 409)
        if held.stage in ON_PAGE:
            return self._end(held, Stage.DECLINED, "voided", now_ms)
        if held.stage is Stage.AUTHORISED and not held.voided_at:
            return self._keep(msgspec.structs.replace(held, voided_at=now_ms))
        return held

    def day_file(self, day: int) -> str:
        """What moved money on a day of Viet Nam, as CSV; the trailer counts and sums all lines."""
        lines = [
            (at, result, held)
            for held in self._by_id.values()
            for at, result in ((held.ended_at, "authorised"), (held.voided_at, "voided"))
            if held.stage is Stage.AUTHORISED and at and business_date(at) == day
        ]
        rows = [
            f"{held.payment_id},{held.amount_vnd},{result},{held.bank},{held.cashier},"
            f"{held.masked_card},{at}"
            for at, result, held in sorted(lines, key=lambda line: (line[0], line[2].payment_id))
        ]
        total_vnd = sum(held.amount_vnd for _, _, held in lines)
        return "\n".join([FILE_HEADER, *rows, f"trailer,{len(rows)},{total_vnd}"]) + "\n"

    def _end(self, held: Held, stage: Stage, code: str, now_ms: int) -> Held:
        return self._keep(msgspec.structs.replace(held, stage=stage, code=code, ended_at=now_ms))

    def _keep(self, held: Held) -> Held:
        self._by_id[held.payment_id] = held
        if held.stage in ON_PAGE:
            self._on_page[held.payment_id] = None
        else:
            self._on_page.pop(held.payment_id, None)
        return held


def told(held: Held) -> dict[str, object]:
    """A payment as the API tells it: nobody has paid and nobody can any more is `none`."""
    result: str = held.stage
    if held.stage in ON_PAGE:
        result = "open"
    elif held.code == "page_expired":
        result = "none"
    elif held.voided_at:
        result = cards.DECLINED
    return {
        "payment_id": held.payment_id,
        "gateway_ref": held.ref,
        "result": result,
        "code": "voided" if held.voided_at else held.code,
        "amount_vnd": held.amount_vnd,
        "masked_card": held.masked_card,
        "card_token": held.card_token,
        "bank": held.bank,
        "cashier": held.cashier,
    }
