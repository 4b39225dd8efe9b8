"""Logs: structlog to one stream, as JSON or for people, with numbers masked and texts dropped.

Redaction is a processor of the one pipe that every line takes, ours and those of the libraries
that use `logging` (uvicorn, Litestar), so that no caller has to think of it.  What it does:

- a value under a key of `SECRET_KEYS`, or one that ends as `SECRET_ENDINGS`, becomes `***`,
  whatever it is, at any depth;
- a subscriber's number is masked wherever it stands: under any key, inside any string;
- so are our bearer tokens and signing secrets, which are known by how they begin;
- so is the number of a payment card, which nobody should type here, but somebody will;
- bytes are told by their length only, because a PDU holds texts and passwords;
- tracebacks are rendered without the values of local variables;
- what no screen should obey (line ends, escape sequences, marks that turn the writing direction) is
  shown as its code, so that nobody writes a line of his own into the log.

Event names are `subject.past_participle`; values go into keys, never into the event's name.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from telcod.clock import Clock, SystemClock

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

HIDDEN: Final = "***"
DEPTH_MAX: Final = 6

SECRET_KEYS: Final = frozenset(
    {
        "api_key",
        "authorization",
        "card_token",
        "login_code",
        "otp",
        "cookie",
        "message_payload",
        "password",
        "password_hash",
        "secret",
        "secret_hash",
        "sealed",
        "short_message",
        "signature",
        "text",
        "texts",
        "token",
    }
)

SECRET_ENDINGS: Final = ("password", "secret", "secrets", "_token", "_tokens")
"""`outbind_password`, `gateway_secret`: settings of tomorrow have such names, too."""

# A number in any form that stands alone: 84 and nine digits (with + or 00 before), or 0 and nine.
_NUMBER: Final = re.compile(r"(?<![0-9])((?:00)?84[0-9]{2}|0[0-9]{2,3})[0-9]{3}([0-9]{4})(?![0-9])")
_NUMBER_DIGITS_MIN: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{10}")  # cheaper to look for; most texts have no such thing
# Somebody will paste one into the wrong field, or into the path of an address.
_TOKEN: Final = re.compile(r"(telcod_)[A-Za-z0-9_-]{24,}|(whsec_)[A-Za-z0-9+/=]{24,}")
# A card's number: 13 to 19 digits, as a rule in groups.  What is one is told by its check digit.
_CARD: Final = re.compile(r"(?<![0-9])(?:9704|[3-6][0-9])(?:[ -]?[0-9]){11,17}(?![0-9])")
_CARD_BEGINS: Final = re.compile(r"[3-69][0-9]{3}")  # cheaper to look for, as above
_CARD_CHARS_MIN: Final = 13
_CARD_LEAST: Final = 10**13
_NUMBER_LEAST: Final = 84_000_000_000
_NUMBER_MOST: Final = 84_999_999_999

# Libraries that say at `info` what they do for each request; our own line says it already.
_QUIETER: Final = ("aiosqlite", "uvicorn.access", "httpx", "httpcore")


def configure(
    *,
    level: Level = "info",
    form: Format = "json",
    stream: TextIO | None = None,
    clock: Clock | None = None,
    cached: bool = True,
) -> None:
    """Send all logs of this process through the pipe.  The composition root calls it once.

    Uvicorn must be given `log_config=None`, or it sets up loggers of its own.

    Args:
        level: The least that is said.  What is below costs a method call that does nothing.
        form: `json`, one object a line, or `console` for people.
        stream: Where to; standard error if None.
        clock: Where `timestamp` comes from; the system's clock if None.
        cached: Loggers remember the pipe of their first use, which is faster; False lets a later
            `configure` reach loggers that were used already.
    """
    stream = sys.stderr if stream is None else stream
    colours = stream.isatty()
    structlog.configure(
        processors=pipe(form=form, clock=clock or SystemClock(), colours=colours),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=cached,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLogging()]
    root.setLevel(LEVELS[level])
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))


def pipe(*, form: Format, clock: Clock, colours: bool = False) -> list[Processor]:
    """The processors that every line passes, in order."""
    plain_traceback = structlog.dev.plain_traceback
    render: list[Processor] = (
        [_json]
        if form == "json"
        else [
            _tamed,
            structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain_traceback),
        ]
    )
    return [
        structlog.contextvars.merge_contextvars,
        # Rendered here, before redaction, because an exception's message may hold a number.
        structlog.processors.format_exc_info,
        redact,
        structlog.stdlib.add_log_level,
        _Stamp(clock),
        *render,
    ]


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask numbers, hide secrets and texts; see the top of this file."""
    return {key: HIDDEN if _is_secret(key) else _redacted(value) for key, value in event.items()}


def masked(text: str) -> str:
    """A text with every number of a subscriber or a card in it masked: `8490***4567`."""
    if len(text) < _NUMBER_DIGITS_MIN:
        return text
    if "telcod_" in text or "whsec_" in text:
        text = _TOKEN.sub(r"\1\2***", text)
    if len(text) >= _CARD_CHARS_MIN and _CARD_BEGINS.search(text):
        text = _CARD.sub(_masked_card, text)
    return _NUMBER.sub(r"\1***\2", text) if _DIGITS.search(text) else text


@lru_cache(maxsize=1_024)
def _is_secret(key: object) -> bool:
    return key in SECRET_KEYS or (isinstance(key, str) and key.endswith(SECRET_ENDINGS))


def _masked_card(found: re.Match[str]) -> str:
    digits = [int(char) for char in found[0] if char.isdigit()]
    odd, even = digits[-1::-2], digits[-2::-2]
    check = sum(odd) + sum(sum(divmod(2 * digit, 10)) for digit in even)
    return found[0] if check % 10 else f"***{''.join(map(str, digits[-4:]))}"


def _redacted(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return masked(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if _NUMBER_LEAST <= value <= _NUMBER_MOST:
            return masked(str(value))
        if value < _CARD_LEAST:
            return value
        shown = masked(str(value))
        return shown if "*" in shown else value
    if isinstance(value, float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= DEPTH_MAX:
        return "..."
    if isinstance(value, Mapping):
        return {
            masked(str(key)): HIDDEN if _is_secret(key) else _redacted(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item, depth + 1) for item in value]
    if isinstance(value, msgspec.Struct):
        return _redacted(msgspec.structs.asdict(value), depth + 1)
    return masked(str(value))


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Stamp:
    """Adds `timestamp`, UTC in ISO 8601 with milliseconds, and the logger's name."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    def __call__(self, logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        seconds, ms = divmod(self._clock.wall_ms(), 1_000)
        event["timestamp"] = f"{_second(seconds)}.{ms:03d}Z"
        # A name is given by whoever asks for a logger; lines from `logging` bring their own.
        event.setdefault("logger", getattr(logger, "name", ""))
        return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # What matters to a reader's eye first.
    first = {key: event.pop(key, "") for key in ("timestamp", "level", "event")}
    line = {**first, **event}
    try:
        text = msgspec.json.encode(line, enc_hook=str).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which a peer may well send
        return json.dumps(line, default=str)
    # What JSON lets stand though it is no letter: a screen may obey it.
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _tamed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Before people see it: each text in one line, of characters that can be seen."""
    return {
        key: _visible(value, kept="\n") if key == "exception" else _visible(value)
        for key, value in event.items()
    }


def _visible(value: object, kept: str = "") -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    shown = (
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode()
        for char in value
    )
    # A traceback's lines are set in, so that none of them looks like a line of the log.
    return "".join(f"{char}  " if char == "\n" else char for char in shown)


class _Line:
    """A logger in structlog's sense: takes a rendered line, whatever the level, and writes it."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream: Final = stream
        self.name: Final = name

    def msg(self, line: str) -> None:
        # One write per line, so that lines of two threads do not mix.
        # A log that cannot be written (its reader is gone, the disk full) stops nothing else.
        with suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    log = debug = info = warning = error = critical = exception = msg


@dataclass(frozen=True, slots=True)
class _Lines:
    """Makes `_Line`s; structlog calls it with what `get_logger` was called with."""

    stream: TextIO

    def __call__(self, *args: Any) -> _Line:
        return _Line(self.stream, str(args[0]) if args else "")


class _FromLogging(logging.Handler):
    """Hands on what libraries say through `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's slip in its own log line is not our trouble
            message = str(record.msg)
        # The nearest of our levels at or below: libraries invent levels.
        level = max((known for known in LEVELS.values() if known <= record.levelno), default=10)
        logger.log(level, message, exc_info=record.exc_info or None)
