"""What went wrong, in the words in which every door tells it to a program.  Pure.

Code, one sentence, what to do, and the field if it is one; HTTP puts them into problem+json, MQTT
into `{"error": …}`.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from telcod.errors import (
    KeyReused,
    LedgerCorrupt,
    Overloaded,
    Refusal,
    TelcodError,
    Unavailable,
    fate_of,
)

_CODES: Final[Mapping[type[Exception], str]] = {
    Overloaded: "overloaded",
    Unavailable: "unavailable",
    KeyReused: "key_reused",
}
_MEND: Final = "Mend it and send it again; nothing was done."
_IN_LOG: Final = "It is in the log; tell whoever runs telcod."


class Told(NamedTuple):
    """A problem in words.  `field` is the one that is wrong; empty where none is."""

    code: str
    detail: str
    what_to_do: str
    field: str = ""


class Malformed(TelcodError):
    """What was sent makes no sense, or is too large.  Nothing was done."""

    next_step = _MEND
    refusal: ClassVar[Refusal] = Refusal.MALFORMED

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field: Final = field


class TooLarge(Malformed):
    """What was sent is too large to be read."""

    next_step = "Send less at a time."
    refusal: ClassVar[Refusal] = Refusal.TOO_LARGE


def told(error: Exception) -> Told:
    """How an exception is told to who asked; what nobody foresaw is not told in detail."""
    if not isinstance(error, TelcodError):
        code = "unavailable" if isinstance(error, LedgerCorrupt) else "failed"
        return Told(code, "telcod failed", _IN_LOG)
    refusal = getattr(error, "refusal", None)
    if isinstance(refusal, Refusal):
        field = getattr(error, "field", "")
        return Told(refusal.value, str(error), error.what_to_do, field)
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), "failed")
    # What the disk or the database said is for the log, not for a caller.
    detail = str(error) if code != "failed" or fate_of(error).http_status < 500 else "telcod failed"
    return Told(code, detail, error.what_to_do)
