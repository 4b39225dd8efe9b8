"""The gateway's file of a day: CSV bytes to values, whole or not at all (PAY-12).  Pure.

Format and meaning: docs/payments.md.  Every line is checked, all mistakes are told in one go, and
nothing of a file with a mistake is taken: a file that was cut off shows by its trailer.
"""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.billing.reconciliation import Line
from telcod.days import business_date

HEADER: Final = ("payment_id", "amount_vnd", "result", "bank", "cashier", "masked_card", "at")
TRAILER: Final = "trailer"
LINES_MAX: Final = 100_000
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
PROBLEMS_MAX: Final = 20

_PAYMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD: Final = re.compile(r"[\w .&/-]{0,64}")
_MASKED: Final = re.compile(r"[0-9*Xx. -]{0,32}")
_DIGITS_SHOWN_MAX: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{1,13}", re.ASCII)
_CELL_SHOWN_MAX: Final = 40


class Said(StrEnum):
    """What a line of the file says happened."""

    AUTHORISED = "authorised"
    VOIDED = "voided"
    DECLINED = "declined"


class GatewayFile(NamedTuple):
    """A file that is whole.  `lines` are those with money; `hash` names the file and its day.

    `lines_count` counts all lines, `amount_vnd` is what came in less what went out, whole đồng.
    """

    day: int
    hash: str
    lines: tuple[Line, ...]
    lines_count: int
    amount_vnd: int


class FileProblem(NamedTuple):
    """What is wrong, and in which line of the file (the header is 1)."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class BadGatewayFile(ValueError):
    """The file can't be taken; `problems` are the first twenty mistakes.  Get another one."""

    def __init__(self, problems: list[FileProblem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems: Final = tuple(problems)


class _Mistake(Exception):
    """A line's complaint; `read_gateway_file` gives it its number."""


def read_gateway_file(content: bytes, day: int) -> GatewayFile:
    """Understand the file of a day.

    Args:
        content: The file as it came, with or without a byte-order mark.
        day: Whose file it is said to be, yyyymmdd; every line must be of it.

    Raises:
        BadGatewayFile: It is not whole, not of that day, or not such a file.
    """
    if len(content) > FILE_BYTES_MAX:
        raise BadGatewayFile([FileProblem(1, f"the file is larger than {FILE_BYTES_MAX} bytes")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadGatewayFile([FileProblem(1, "the file is not UTF-8")]) from None
    rows = text.splitlines()
    if not rows or tuple(rows[0].split(",")) != HEADER:
        raise BadGatewayFile([FileProblem(1, f"the header must be {','.join(HEADER)}")])
    reading = _Reading(day)
    for number, cells in _cells(rows[1:]):
        reading.take(number, cells)
    reading.end(len(rows))
    if reading.problems:
        raise BadGatewayFile(reading.problems[:PROBLEMS_MAX])
    digest = sha256(f"{day}\n".encode() + content).hexdigest()
    total_vnd = sum(line.amount_vnd for line in reading.lines)
    return GatewayFile(day, digest, tuple(reading.lines), reading.count, total_vnd)


class _Reading:
    """The lines of a file so far."""

    def __init__(self, day: int) -> None:
        self._day: Final = day
        self._trailer: tuple[int, list[str]] | None = None
        self._sum_vnd = 0
        self.count = 0
        self.lines: list[Line] = []
        self.problems: list[FileProblem] = []

    def take(self, number: int, cells: list[str]) -> None:
        """Understand one line."""
        if self._trailer is not None:
            self._complain(number, "there are lines after the trailer")
        elif cells and cells[0] == TRAILER:
            self._trailer = number, cells
        elif self.count >= LINES_MAX:
            if self.count == LINES_MAX:
                self._complain(number, f"there are more than {LINES_MAX} lines")
            self.count += 1
        else:
            self.count += 1
            try:
                amount_vnd, line = _line(self.count, cells, self._day)
            except _Mistake as mistake:
                self._complain(number, str(mistake))
                return
            self._sum_vnd += amount_vnd
            if line is not None:
                self.lines.append(line)

    def end(self, last: int) -> None:
        """See that the trailer is there and agrees."""
        if self.problems:
            return  # What can't be read can't be summed; the trailer would only repeat it.
        if self._trailer is None:
            self._complain(last, "the trailer is missing: the file was cut off")
            return
        number, cells = self._trailer
        said = [int(cell) if _DIGITS.fullmatch(cell) else -1 for cell in cells[1:]]
        if len(said) != 2 or min(said) < 0:
            self._complain(number, f"the trailer must be {TRAILER},<lines>,<sum>")
        elif said != [self.count, self._sum_vnd]:
            self._complain(
                number,
                f"the trailer says {said[0]} lines and {said[1]} dong, there are {self.count} and "
                f"{self._sum_vnd}: the file was cut off or changed",
            )

    def _complain(self, number: int, reason: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(FileProblem(number, reason))


def _cells(rows: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Each line by itself, so that a forgotten quotation mark spoils one and not the rest."""
    for number, row in enumerate(rows, start=2):
        try:
            (cells,) = csv.reader([row], strict=True) if row else ([""],)
        except (csv.Error, ValueError):
            yield number, []
        else:
            yield number, cells


def _line(count: int, cells: list[str], day: int) -> tuple[int, Line | None]:
    """The amount of a line, and the line if it carries money."""
    if len(cells) != len(HEADER):
        raise _Mistake(f"must have {len(HEADER)} columns")
    payment, amount, result, bank, cashier, masked, at = cells
    if not _PAYMENT.fullmatch(payment):
        raise _Mistake(f"payment_id {payment[:_CELL_SHOWN_MAX]!r} is none")
    if not _DIGITS.fullmatch(amount) or not 0 < int(amount) <= AMOUNT_VND_MAX:
        raise _Mistake(f"amount_vnd {amount[:_CELL_SHOWN_MAX]!r} is no amount in whole dong")
    if result not in frozenset(Said):
        raise _Mistake(f"result {result[:_CELL_SHOWN_MAX]!r} must be one of {', '.join(Said)}")
    if not _WORD.fullmatch(bank) or not _WORD.fullmatch(cashier):
        raise _Mistake("bank and cashier must be codes")
    # Not shown: a whole card number has no place in our logs.
    if not _MASKED.fullmatch(masked) or sum(map(str.isdigit, masked)) > _DIGITS_SHOWN_MAX:
        raise _Mistake("masked_card must hide the card's number")
    if _day_of(at) != day:
        raise _Mistake(f"{at[:_CELL_SHOWN_MAX]!r} is not of the day {day}")
    amount_vnd = int(amount)
    match Said(result):
        case Said.AUTHORISED:
            return amount_vnd, Line(count, payment, amount_vnd, cashier)
        case Said.VOIDED:
            return amount_vnd, Line(count, payment, -amount_vnd, cashier)
        case Said.DECLINED:
            return amount_vnd, None


def _day_of(at: str) -> int:
    """The business date of a moment with its zone, or in Unix milliseconds."""
    try:
        if _DIGITS.fullmatch(at):
            return business_date(int(at))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise _Mistake(f"at {at[:_CELL_SHOWN_MAX]!r} has no zone")
        return business_date(int(moment.timestamp() * 1_000))
    except (ValueError, OverflowError, OSError):
        raise _Mistake(f"at {at[:_CELL_SHOWN_MAX]!r} is no moment") from None
