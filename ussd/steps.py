"""A step of a USSD dialogue as dialects say it, checked, and the request it makes.  Pure.

The same for every convention (USSD-1, USSD-2, SMPP-7, MQTT-1): a session's id, who, what was
dialled, what was typed.  What is wrong is refused here, before any book is opened.
"""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from telcod.types import Answer, Channel, Request

STEP_ROUTE: Final = "ussd.step"
END_ROUTE: Final = "ussd.end"
SESSION_ID_CHARS_MAX: Final = 128
INPUT_CHARS_MAX: Final = 500
PUSHED: Final = "push-"
"""How ids of sessions begin that telcod itself began (USSD-4); the rest is the push's number."""

# What a path can carry as it is: visible ASCII without a slash, and something to know it by.
_SESSION_ID: Final = re.compile(rf"(?=.*[A-Za-z0-9])[!-.0-~]{{1,{SESSION_ID_CHARS_MAX}}}")
_SERVICE_CODE: Final = re.compile(r"\*?[0-9]{1,6}(\*[^#]{0,400})?#?")
_PUSHED: Final = re.compile(rf"{PUSHED}[1-9][0-9]{{0,17}}")
_ANY_STEP: Final = -1


class BadStep(ValueError):
    """A field that makes no sense; nothing was done."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field: Final = field


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was typed at a step.

    `msisdn` in any form; `service_code` as dialled, `*1566#` or `*1566*1#` (looked at in the first
    step only); `step` 0 begins, then what the last answer said; left out, it is the next one.
    """

    msisdn: Annotated[str, Meta(min_length=1, max_length=32)]
    service_code: Annotated[str, Meta(max_length=420)] = ""
    input: Annotated[str, Meta(max_length=INPUT_CHARS_MAX)] = ""
    step: Annotated[int, Meta(ge=0, le=1_000)] | None = None


class Shown(msgspec.Struct, frozen=True):
    """What the phone shows.  `action` is `continue` or `end`; `step` is what the next input must
    carry.
    """

    action: str
    text: str
    step: int

    @property
    def ends(self) -> bool:
        """Whether the dialogue is over."""
        return self.action == "end"


def step_request(
    session_id: str,
    said: Step,
    *,
    platform: str,
    sender: int,
    all_inputs: bool = False,
    fresh: bool = False,
) -> Request:
    """The request of one step.

    Args:
        session_id: The gateway's own, or `push-…` for a session that telcod began.
        said: What the gateway said.
        platform: Whose session it is; ids of two platforms are two sessions.
        sender: The subscriber as a canonical number; 0 when it is no number of this country.
        all_inputs: Whether `input` is all inputs of the session, joined by `*`, and not the last.
        fresh: Whether the gateway, which counts no steps, says that somebody dialled: whatever
            stood under this id is over.

    Raises:
        BadStep: A field is wrong.
    """
    if said.service_code and not _SERVICE_CODE.fullmatch(said.service_code):
        raise BadStep("service_code", "must be as dialled: *1566# or *1566*1#")
    # A line break on a phone is a slip; what is no text at all is a gateway's mistake.
    if any(ord(char) < ord(" ") and char not in "\r\n\t" for char in said.input):
        raise BadStep("input", "holds control characters")
    step = _ANY_STEP if said.step is None else said.step
    args = (
        full_id(session_id, platform),
        said.service_code,
        said.input.strip(),
        str(step),
        "new" if fresh else "all" if all_inputs else "last",
    )
    return Request(STEP_ROUTE, sender=sender, args=args, channel=Channel.USSD, actor=platform)


def end_request(session_id: str, *, platform: str) -> Request:
    """The gateway says that a session is over: hung up, timed out, answered (USSD-1).

    Raises:
        BadStep: The id is wrong.
    """
    args = (full_id(session_id, platform),)
    return Request(END_ROUTE, args=args, channel=Channel.USSD, actor=platform)


def shown(answer: Answer) -> Shown:
    """What an answer of the step route shows.

    A request that broke was set aside, and its polite sentence ends the dialogue.
    """
    if answer.data is None or "text" not in answer.data:
        return Shown("end", answer.text, 0)
    return msgspec.convert(answer.data, Shown)


def full_id(session_id: str, platform: str) -> str:
    """The id that the books know a session by.

    Raises:
        BadStep: It is empty, too long, or can't stand in a path.
    """
    if not _SESSION_ID.fullmatch(session_id):
        reason = f"must be 1 to {SESSION_ID_CHARS_MAX} visible ASCII characters without a slash"
        raise BadStep("session_id", reason)
    if session_id.startswith(PUSHED):
        if not _PUSHED.fullmatch(session_id):
            raise BadStep("session_id", f"{PUSHED} must be followed by the number of a push")
        return session_id
    return f"{platform}:{session_id}"


def dialled(service_code: str) -> tuple[str, tuple[str, ...]]:
    """The short code and the inputs of what was dialled: `*1566*1#` is 1566 and one input, 1."""
    code, *inputs = service_code.strip("*#").split("*")
    return code, tuple(inputs)
