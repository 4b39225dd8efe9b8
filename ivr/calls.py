"""A call as voice platforms tell it: what they may say, checked, and the requests it makes.  Pure.

The same for every way a platform may speak (IVR-1…3): bodies are flat, answers are flat, ids are
the platform's own.  A body that is wrong is refused here, before any book is opened.
"""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from telcod.prompts import Prompts
from telcod.types import Channel, Language, Request

CALL_ID_CHARS_MAX: Final = 128
# What a path can carry as it is: visible ASCII without a slash, and something to know it by.
_CALL_ID: Final = re.compile(rf"(?=.*[A-Za-z0-9])[!-.0-~]{{1,{CALL_ID_CHARS_MAX}}}")
TALK_S_MAX: Final = 24 * 3_600  # no call lasts longer; what says so counts something else

_KEYS: Final = frozenset("0123456789*#")
_MOMENT_MS_MIN: Final = 946_684_800_000  # 2000
_MOMENT_MS_MAX: Final = 4_102_444_800_000  # 2100
_MOMENT_DIGITS_MAX: Final = 15
_SECONDS_MAX: Final = 10**11  # from here on a number of seconds would be one of milliseconds
_UNSAID: Final = "-1"

_Text = Annotated[str, Meta(max_length=128)]
_Address = Annotated[str, Meta(min_length=1, max_length=64)]
_Moment = Annotated[
    str | float,
    Meta(description="ISO 8601 with its zone, or Unix seconds (a fraction is fine) or ms."),
]
_Seconds = Annotated[float, Meta(ge=0, le=TALK_S_MAX)]


class BadField(ValueError):
    """A field that makes no sense; nothing was done.  `missing`: there is nothing in it."""

    def __init__(self, field: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.field: Final = field
        self.missing: Final = missing


class Result(StrEnum):
    """What came of the question to B (PFM-12)."""

    DIGIT = "digit"
    SILENCE = "silence"
    HANGUP = "hangup"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a platform says; a field that it misspells is told, not dropped."""


class Offer(_Said, frozen=True):
    """Somebody dials.

    `call_id` is the platform's own, of visible ASCII without a slash; `caller` in any form of a
    number, `dialled` as it was dialled: 1566 with a number, 1566 alone, or a number.
    """

    call_id: str
    caller: _Address
    dialled: _Address
    at: _Moment = ""


class Consent(_Said, frozen=True):
    """B was asked.

    `digit` is the key if the result is one; `recording` the platform's reference of what was said,
    kept as evidence.  `repeat` may say which question this answers, as told with it: then the same
    answer sent again does not count twice.
    """

    result: Result
    digit: Annotated[str, Meta(max_length=1)] = ""
    recording: _Text = ""
    repeat: Annotated[int, Meta(ge=0, le=100)] = 0


class Answered(_Said, frozen=True):
    """The two are bridged: talk begins (not when B picked up to be asked)."""

    at: _Moment = ""


class Progress(_Said, frozen=True):
    """So many seconds were talked, altogether, counted from `answered`."""

    used_seconds: _Seconds


class Ended(_Said, frozen=True):
    """The call is over.

    `used_seconds` only from a platform that measures talk, not from one that counts the
    announcement; without it the moments of `answered` and `ended` count, else telcod's clock.
    `cause` is for the log.
    """

    used_seconds: _Seconds | None = None
    at: _Moment = ""
    cause: _Text = ""


class CallAnswer(msgspec.Struct, frozen=True):
    """What to do with a call: always all of these, of one level.

    `action`: `connect` the two for `max_seconds`, beeping `warn_seconds` before the end; `ask`
    `payer` by `prompt_*`, waiting `answer_within_s` for one of `keys`; `refuse`, `announce` or
    `busy`: say `prompt_*` to the caller and end; `not_applicable`: the call is none of telcod's.
    `prompt_files` are the prompt's recordings, joined by `&`, below the folder of prompts.
    """

    action: str
    payer: str = ""
    max_seconds: int = 0
    warn_seconds: int = 0
    reason: str = ""
    prompt_id: str = ""
    prompt_text: str = ""
    prompt_files: str = ""
    language: str = ""
    keys: str = ""
    answer_within_s: int = 0
    repeat: int = 0


class Granted(msgspec.Struct, frozen=True):
    """How long the two may talk, altogether; `final`: it will not become more."""

    max_seconds: int
    final: bool


class Charged(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the call came to.  `drop` is `payer` if B is still being asked: hang up on B."""

    charged_vnd: int
    billed_seconds: int
    drop: str = ""


class CallView(msgspec.Struct, frozen=True):
    """How a call stands."""

    state: str
    reason: str
    max_seconds: int
    used_seconds: int
    charged_vnd: int
    billed_seconds: int


def checked_id(call_id: str) -> str:
    """A call's id.

    Raises:
        BadField: It is empty, too long, or can't stand in a path.
    """
    if not call_id:
        raise BadField("call_id", "is empty", missing=True)
    if len(call_id) > CALL_ID_CHARS_MAX:
        raise BadField("call_id", f"is longer than {CALL_ID_CHARS_MAX} characters")
    if not _CALL_ID.fullmatch(call_id):
        raise BadField("call_id", "must be visible ASCII without a slash, with a letter or digit")
    return call_id


def offer(said: Offer, *, platform: str, caller: int) -> Request:
    """A dials.

    Args:
        said: What the platform said.
        platform: Whose call it is; ids of two platforms are two calls.
        caller: A as a canonical number; 0 when the address is no number of this country.
    """
    args = (checked_id(said.call_id), said.dialled)
    return _request("offer", args, platform, sender=caller, event_ms=_moment_ms(said.at))


def consent(call_id: str, said: Consent, *, platform: str) -> Request:
    """B pressed a key, or did not."""
    if said.result is Result.DIGIT and said.digit not in _KEYS:
        raise BadField("digit", "must be one of 0 to 9, * and #")
    if said.result is not Result.DIGIT and said.digit:
        raise BadField("digit", f"has no place beside the result {said.result}")
    if not said.recording.isprintable():
        raise BadField("recording", "must be printable")
    call_id = checked_id(call_id)
    key = f"call:{platform}:{call_id}:consent:{said.repeat}" if said.repeat else ""
    args = (call_id, said.result.value, said.digit, said.recording)
    return _request("consent", args, platform, key=key)


def answered(call_id: str, said: Answered, *, platform: str) -> Request:
    """The two are bridged."""
    at_ms = _moment_ms(said.at)
    return _request("answered", (checked_id(call_id), str(at_ms)), platform, event_ms=at_ms)


def progress(call_id: str, said: Progress, *, platform: str) -> Request:
    """So much was talked."""
    return _request("progress", (checked_id(call_id), _whole(said.used_seconds)), platform)


def ended(call_id: str, said: Ended, *, platform: str) -> Request:
    """The call is over."""
    if not said.cause.isprintable():
        raise BadField("cause", "must be printable")
    at_ms = _moment_ms(said.at)
    used = _UNSAID if said.used_seconds is None else _whole(said.used_seconds)
    args = (checked_id(call_id), used, str(at_ms))
    return _request("ended", args, platform, event_ms=at_ms)


def show(call_id: str, *, platform: str) -> Request:
    """How the call stands."""
    return _request("show", (checked_id(call_id),), platform)


def safe_refusal(prompts: Prompts, language: str = Language.VI) -> CallAnswer:
    """What A is told when the books give no answer in time: nobody pays, nobody is connected."""
    text = prompts.render("unavailable", language)
    return CallAnswer(
        "refuse",
        reason="unavailable",
        prompt_id="unavailable",
        prompt_text=text,
        prompt_files="&".join(prompts.files("unavailable", language)),
        language=str(language),
    )


def _request(
    op: str,
    args: tuple[str, ...],
    platform: str,
    *,
    sender: int = 0,
    event_ms: int = 0,
    key: str = "",
) -> Request:
    return Request(
        f"call.{op}",
        sender=sender,
        args=args,
        channel=Channel.IVR,
        key=key,
        event_ms=event_ms,
        actor=platform,
    )


def _whole(seconds: float) -> str:
    """Whole seconds: a second that was begun counts (PFM-1)."""
    return str(math.ceil(seconds))


def _moment_ms(said: str | float) -> int:
    """A moment in Unix milliseconds; 0 when none was said.

    Raises:
        BadField: It is no moment, has no zone, or lies outside this century.
    """
    text = str(said).strip()
    if not text:
        return 0
    number = _number_or_none(text)
    if number is None:
        at_ms = _iso_ms(text)
    elif number.adjusted() > _MOMENT_DIGITS_MAX:
        # Not made a whole number: `1e999999999` would have a thousand million digits.
        at_ms = _MOMENT_MS_MAX
    else:
        at_ms = math.floor(number if number >= _SECONDS_MAX else number * 1_000)
    if not _MOMENT_MS_MIN <= at_ms < _MOMENT_MS_MAX:
        raise BadField("at", "is not a moment of this century")
    return at_ms


def _number_or_none(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadField("at", "must be ISO 8601 with its zone, or Unix seconds or ms") from None
    if moment.tzinfo is None:
        raise BadField("at", "must name its zone, as 2026-03-02T10:00:00+07:00")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
