"""Words that every part of telcod shares: channels, languages, requests, replies.  Pure.

A `Request` is what somebody wants, whatever door it came through; a `Reply` is what the rules
answered, as catalogue keys and values, not yet as text.  Both are values: the same request run
twice gives the same reply.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from telcod.tx import Tx


class Channel(StrEnum):
    """The door a request came through."""

    SMS = "sms"
    USSD = "ussd"
    IVR = "ivr"
    WEB = "web"
    APP = "app"
    NETWORK = "network"
    STAFF = "staff"
    CLOCK = "clock"


class Language(StrEnum):
    """A subscriber's language (KW-6)."""

    VI = "vi"
    EN = "en"


class Concat(NamedTuple):
    """Where a part stands in a long message (SMPP-3); `part` counts from 1."""

    ref: int
    total: int
    part: int


class Mo(msgspec.Struct, frozen=True, gc=False):
    """What SMPP says of a received message, kept beside its request.

    `source` is the sender's address as digits; `fingerprint` a keyed hash of the whole message
    (DESIGN 4); `stored_text` what may be kept of the text: never a password (PAY-1).  `sealed` is
    an encrypted part, with `concat` its place.  `taken_s` is when it was received, monotonic
    seconds.
    """

    connection: int
    source: str
    fingerprint: bytes
    stored_text: str
    concat: Concat | None = None
    sealed: bytes = b""
    data_coding: int = 0
    destination: str = ""
    taken_s: float = 0.0


class Request(msgspec.Struct, frozen=True):
    """One intent, from whatever channel.

    `key` names the intent (idempotency, DESIGN 4); empty where the intent has a natural identity in
    the books (a text by its redelivery evidence, a renewal by its period).  `sender` is the
    subscriber concerned, 0 when nobody. `event_ms` is when it happened by the network's clock, Unix
    milliseconds.  `secret_hash` replaces a password.
    `where` is the address that a person asked from, for the audit log (CARE-2).
    """

    route: str
    sender: int = 0
    args: tuple[str, ...] = ()
    channel: Channel = Channel.SMS
    short_code: str = ""
    key: str = ""
    event_ms: int = 0
    mo: Mo | None = None
    secret_hash: str = ""
    actor: str = ""
    body: Mapping[str, object] | None = None
    where: str = ""


class Line(NamedTuple):
    """One sentence of a reply: a key of the catalogue and its values."""

    key: str
    values: Mapping[str, object]


class Reply(msgspec.Struct, frozen=True):
    """What the rules answered.

    `outcome` is a short machine word (`package.started`, `number.malformed`), stored with the
    message.  `lines` is the answer to render in the subscriber's language; none means silence.
    `data` is for callers that are programs.
    """

    outcome: str
    lines: tuple[Line, ...] = ()
    data: Mapping[str, object] | None = None


class Answer(msgspec.Struct, frozen=True):
    """A reply after COMMIT: rendered, durable, ready to be told."""

    outcome: str
    text: str = ""
    data: Mapping[str, object] | None = None
    seq: int = 0


class Again(Answer, frozen=True):
    """The answer of a text that came before, by another daemon: no second effect, no second reply.

    `connection` is the number that it has in the journal from now on.
    """

    connection: int = 0


class SecretNeeded(msgspec.Struct, frozen=True):
    """Nothing was done yet.

    The password in `secret` must be hashed off the writer, then the request sent again (PAY-1).
    """

    secret: str

    def __repr__(self) -> str:
        return "SecretNeeded(***)"


Handler = Callable[["Request", "Tx"], Reply]

SILENCE: Final = Reply("silence")


def say(key: str, /, **values: object) -> Reply:
    """A reply of one sentence whose key is its outcome."""
    return Reply(key, (Line(key, values),))
