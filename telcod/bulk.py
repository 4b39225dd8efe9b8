"""Subscriber data in bulk: lines of a CSV file to values, each bad line with its reason (CLI-4).

Pure: bytes in, values out; who opens the file and who takes the lines is the caller's business.
Rules:

- the header is `HEADER`, in this order; a byte-order mark before it, as spreadsheets write it, is
  skipped;
- each line stands for itself, so a forgotten quotation mark spoils one line and not the rest;
- a number may be in any accepted form (NUM-1); the second line of one number is refused, because a
  file that says two things of one subscriber would change the books each time it is imported.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.msisdn import OLD_PREFIXES, Msisdn, NumberError, national, parse
from telcod.rows import Kind, State
from telcod.types import Language

HEADER: Final = (
    "msisdn",
    "kind",
    "state",
    "balance_vnd",
    "debt_vnd",
    "name",
    "address",
    "centre",
    "email",
    "language",
)
CHUNK_LINES_MAX: Final = (
    500  # one request: a commit of its own, short enough for others to come between
)
LINE_BYTES_MAX: Final = 16 * 1024
NAME_CHARS_MAX: Final = 200
ADDRESS_CHARS_MAX: Final = 500
EMAIL_CHARS_MAX: Final = 254
CENTRES: Final = ("1", "2", "3", "4", "5", "6")

_PAGE_BITS: Final = 19  # 2**19 numbers are a page of 64 KiB

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_VND_MAX)]


class SubscriberLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One subscriber as the customer system knows it.

    Amounts are whole đồng; `msisdn` is `84` and nine digits.
    """

    msisdn: Annotated[int, Meta(ge=84_100_000_000, le=84_999_999_999)]
    kind: Kind
    state: State
    balance_vnd: Amount = 0
    debt_vnd: Amount = 0
    name: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] = ""
    address: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX)] = ""
    centre: Annotated[int, Meta(ge=1, le=6)] = 1
    email: Annotated[str, Meta(max_length=EMAIL_CHARS_MAX)] = ""
    language: Language = Language.VI


class BadLine(NamedTuple):
    """A line that is not imported: its number in the file (the header is 1), the field, and why."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return (
            f"line {self.line}: {self.field}: {self.reason}"
            if self.field
            else f"line {self.line}: {self.reason}"
        )


class NotSubscribers(Exception):
    """The file is none of subscriber data; nothing of it can be imported.  The message says why."""


class _FieldError(Exception):
    """A field's complaint; `read_lines` turns it into a `BadLine`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field: Final = field


class SeenNumbers:
    """A set of numbers, of a bit each where they stand close together: files have millions."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def seen_before(self, number: int) -> bool:
        """Whether the number was asked for before; from now on it was."""
        page_no, bit = divmod(number, 1 << _PAGE_BITS)
        page = self._pages.get(page_no)
        if page is None:
            page = self._pages[page_no] = bytearray(1 << (_PAGE_BITS - 3))
        at, mask = bit >> 3, 1 << (bit & 7)
        before = bool(page[at] & mask)
        page[at] |= mask
        return before


def check_header(first_line: bytes) -> None:
    """See that the first line of a file is the header.

    Raises:
        NotSubscribers: It isn't; the message says what is different.
    """
    if first_line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NotSubscribers("the file is UTF-16; save it as CSV in UTF-8")
    try:
        text = first_line.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise NotSubscribers("the file is not UTF-8; save it as CSV in UTF-8") from None
    if not text:
        raise NotSubscribers(f"the file is empty; its first line must be {','.join(HEADER)}")
    found = [name.strip().strip('"') for name in text.split(",")]
    if found == list(HEADER):
        return
    if ";" in text or "\t" in text:
        raise NotSubscribers(
            "the columns are separated by semicolons or tabs; separate them by commas"
        )
    missing = [name for name in HEADER if name not in found]
    surplus = [name for name in found if name not in HEADER]
    what = (
        f"lacks {', '.join(missing)}"
        if missing
        else f"has {', '.join(surplus)} too many"
        if surplus
        else "has another order"
    )
    raise NotSubscribers(f"the header {what}; it must be {','.join(HEADER)}")


def read_lines(
    lines: Iterable[bytes], old_prefixes: Mapping[str, str] = OLD_PREFIXES, *, first: int = 2
) -> Iterator[SubscriberLine | BadLine]:
    """Understand the lines after the header, one by one; empty ones are passed over.

    Args:
        lines: As they are in the file, with their line ends or without.
        old_prefixes: As for `msisdn.parse`.
        first: The number of the first of them in the file.
    """
    seen = SeenNumbers()
    for number, raw in enumerate(lines, start=first):
        try:
            line = _understood(raw, old_prefixes, seen)
        except _FieldError as error:
            yield BadLine(number, error.field, str(error))
        else:
            if line is not None:
                yield line


def _understood(
    raw: bytes, old_prefixes: Mapping[str, str], seen: SeenNumbers
) -> SubscriberLine | None:
    fields = _fields(raw)
    if not fields:
        return None
    line = _line(fields, old_prefixes)
    if seen.seen_before(line.msisdn):
        reason = f"{national(Msisdn(line.msisdn))} is on an earlier line already"
        raise _FieldError("msisdn", reason)
    return line


def _fields(raw: bytes) -> list[str]:
    if len(raw) > LINE_BYTES_MAX:
        raise _FieldError("", f"is longer than {LINE_BYTES_MAX} bytes")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _FieldError("", "is not UTF-8 text") from None
    if not text.strip():
        return []
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except (csv.Error, StopIteration):
        raise _FieldError(
            "", "has a quotation mark that is not closed, or that stands inside a field"
        ) from None


def _line(fields: list[str], old_prefixes: Mapping[str, str]) -> SubscriberLine:
    if len(fields) != len(HEADER):
        what_to_do = "put a field that has a comma into quotation marks"
        raise _FieldError("", f"has {len(fields)} fields, not {len(HEADER)}; {what_to_do}")
    msisdn, kind, state, balance, debt, name, address, centre, email, language = map(
        str.strip, fields
    )
    return SubscriberLine(
        msisdn=_number(msisdn, old_prefixes),
        kind=_KIND_OF(kind),
        state=_STATE_OF(state),
        balance_vnd=_amount("balance_vnd", balance),
        debt_vnd=_amount("debt_vnd", debt),
        name=_text("name", name, NAME_CHARS_MAX),
        address=_text("address", address, ADDRESS_CHARS_MAX),
        centre=_centre(centre),
        email=_email(email),
        language=_LANGUAGE_OF(language or Language.VI.value),
    )


NUMBER_REASONS: Final[Mapping[NumberError, str]] = {
    NumberError.EMPTY: "no number is given",
    NumberError.NAME: "is a name, not a number",
    NumberError.NOT_A_NUMBER: "is not a number",
    NumberError.SHORT_CODE: "is a short code, not a subscriber's number",
    NumberError.FOREIGN: "is a number of another country",
    NumberError.TOO_SHORT: "has too few digits",
    NumberError.TOO_LONG: "has too many digits",
}


def number_reason(text: str, error: NumberError) -> str:
    """Why a text is no number, as a person is told."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return (
        NUMBER_REASONS[error]
        if error is NumberError.EMPTY
        else f"{shown!r} {NUMBER_REASONS[error]}"
    )


def _number(text: str, old_prefixes: Mapping[str, str]) -> Msisdn:
    number = parse(text, old_prefixes)
    if isinstance(number, NumberError):
        raise _FieldError("msisdn", number_reason(text, number))
    return number


def _one_of(field: str, choices: Iterable[Kind | State | Language]) -> Callable[[str], Any]:
    known = {choice.value: choice for choice in choices}

    def choose(text: str) -> object:
        found = known.get(text) or known.get(text.lower())
        if found is None:
            raise _FieldError(field, f"must be one of {', '.join(known)}, is {text!r}")
        return found

    return choose


def _amount(field: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _FieldError(field, f"must be whole đồng in digits only, as 12000, is {text!r}")
    amount_vnd = int(text) if len(text) <= 18 else AMOUNT_VND_MAX + 1
    if amount_vnd > AMOUNT_VND_MAX:
        raise _FieldError(field, f"must be at most {AMOUNT_VND_MAX}, is {text[:40]}")
    return amount_vnd


def _centre(text: str) -> int:
    if text not in CENTRES:
        raise _FieldError("centre", f"must be 1 to 6, is {text!r}")
    return int(text)


def _text(field: str, text: str, chars_max: int) -> str:
    if len(text) > chars_max:
        raise _FieldError(field, f"has {len(text)} characters, at most {chars_max} are kept")
    if not text.isprintable():
        raise _FieldError(field, "has control characters")
    return text


def _email(text: str) -> str:
    name, at, domain = text.partition("@")
    if text and not (name and at and "." in domain and " " not in text):
        raise _FieldError("email", f"{text!r} is no e-mail address")
    return _text("email", text, EMAIL_CHARS_MAX)


_KIND_OF: Final = _one_of("kind", Kind)
_STATE_OF: Final = _one_of("state", State)
_LANGUAGE_OF: Final = _one_of("language", Language)
