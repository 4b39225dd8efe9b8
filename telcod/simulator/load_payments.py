"""Payments that a portal asks for, as the bytes it sends (`load_open_http.py`)."""

from typing import Final

from telcod.simulator.load import whose_turn
from telcod.simulator.load_calls import Step

AMOUNT_VND: Final = 50_000


class Payments:
    """Top-ups, each of another number: only five a day are taken of one (PAY-3).

    Args:
        host: What telcod is called.
        token: Of scope `portal`.
        subscribers: How many there are, from the first number on.
        name: Goes before the keys.
        begin: How many were there before: who pays begins that far on.
        payers: How many pay, again and again.
    """

    def __init__(
        self, host: str, token: str, subscribers: int, *, name: str, begin: int, payers: int
    ) -> None:
        self._head: Final = (
            f"POST /epay/v1/payments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._subscribers: Final = subscribers
        self._name: Final = name
        self._begin: Final = begin
        self._payers: Final = payers
        self._made = begin

    def whole(self) -> list[Step]:
        """The next payment: one request, answered with the page of the gateway."""
        at = self._made
        self._made += 1
        key = f"{self._name}{at}"
        payer = whose_turn(
            at, begin=self._begin, people=self._payers, subscribers=self._subscribers
        )
        body = (
            f'{{"msisdn":"{payer}","amount_vnd":{AMOUNT_VND},'
            '"purpose":"topup","card":"domestic","return_url":"https://portal.example/back"}'
        )
        request = (
            f"{self._head}Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        return [Step("payment", request, b'"payment_id":', key)]
