"""What telcod does on a channel of Asterisk: the scripts that a dialplan calls (IVR-5).

Each is a conversation with one channel around the handlers of `call.*`; none decides anything.
`TELCOD_ACTION` is set last, and only when everything else went well: a dialplan that finds it empty
connects nobody.  docs/asterisk.md has the dialplan that calls them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import msgspec
import structlog

from ivr import calls
from ivr.agi_line import HungUp, Line, NotPlayed
from ivr.agi_protocol import Environment
from ivr.calls import CallAnswer, Charged, Consent, Ended, Granted, Offer, Result
from telcod.errors import TelcodError
from telcod.msisdn import Msisdn, NumberError
from telcod.prompts import Prompts
from telcod.types import Answer, Request

PLATFORM: Final = "agi"
"""Whose calls these are: all Asterisks together, so their ids must differ (`systemname`)."""

ANSWER_WAIT_S: Final = 2.5
ENDED_TRIES_MAX: Final = 5
JOINING_MS: Final = 100
"""What Asterisk takes to join two channels and to part them, in which nobody talks."""

NO_ARGUMENT: Final = ""
_OK: Final = "call.ok"
_SPOKEN: Final = frozenset({"refuse", "busy", "announce"})

# What a DIALSTATUS says of B (PFM-12); what is not here did not reach him.
_DIAL_RESULTS: Final[Mapping[str, Result]] = MappingProxyType(
    {
        "BUSY": Result.BUSY,
        "NOANSWER": Result.NO_ANSWER,
        "ANSWER": Result.HANGUP,
        NO_ARGUMENT: Result.HANGUP,
    }
)

A = TypeVar("A", bound=msgspec.Struct)
Script = Callable[["Service", Line, Environment], Awaitable[str]]

_log = structlog.stdlib.get_logger(__name__)


class Service(NamedTuple):
    """What the scripts need of the daemon."""

    submit: Callable[[Request], Awaitable[Answer]]
    parse_number: Callable[[str], Msisdn | NumberError]
    prompts: Callable[[], Prompts]
    answer_wait_s: float = ANSWER_WAIT_S
    retry_pause_s: float = 1.0


async def offer(service: Service, line: Line, environment: Environment) -> str:
    """A dialled: `offer,<call id>,<what was dialled>` on A's channel.

    Sets what the dialplan needs; says to A what he must hear when he is not to be connected.
    """
    call_id, dialled = _arguments(environment, 2)
    number = service.parse_number(environment.caller)
    caller = 0 if isinstance(number, NumberError) else number
    dialled = dialled or environment.variables.get("agi_extension", "")
    said = Offer(call_id, environment.caller, dialled)
    request = calls.offer(said, platform=PLATFORM, caller=caller)
    answer = await _decided(service, request, environment.language)
    await _set(line, answer)
    if answer.action in _SPOKEN:
        await _say(line, answer)
    return answer.action


async def consent(service: Service, line: Line, environment: Environment) -> str:
    """B picked up: `consent,<call id>,<A's channel>` on B's channel.

    Asks B if he must be asked, and says in `TELCOD_ACTION` whether to connect the two now.
    """
    call_id, caller_channel = _arguments(environment, 2)
    answer = await _standing(service, call_id, environment.language)
    try:
        while answer.action == "ask":
            said = await _asked(line, answer)
            request = calls.consent(call_id, said, platform=PLATFORM)
            answer = await _decided(service, request, answer.language)
        if answer.action == "connect" and not await _joined(service, line, call_id, caller_channel):
            answer = CallAnswer("refuse", reason="unavailable")
    except HungUp:
        hung_up = calls.consent(call_id, Consent(Result.HANGUP), platform=PLATFORM)
        await _decided(service, hung_up, answer.language)
        return "hung_up"
    await _set(line, answer)
    return answer.action


async def refused(service: Service, line: Line, environment: Environment) -> str:
    """It comes to nothing: `refused,<call id>,<DIALSTATUS>` on A's channel, which hears so.

    Without a DIALSTATUS B had picked up, and then refused or hung up.
    """
    call_id, status = _arguments(environment, 2)
    result = _DIAL_RESULTS.get(status, Result.NO_ANSWER)
    said = calls.consent(call_id, Consent(result), platform=PLATFORM)
    answer = await _decided(service, said, environment.language)
    if answer.action == "connect":
        # Nobody asked B, who is on A's side; or B agreed, and the two were not joined.
        await _told(service, calls.ended(call_id, Ended(), platform=PLATFORM), Charged)
        answer = _neutral(service, answer.language)
    await _say(line, answer)
    return answer.action


async def left(service: Service, line: Line, environment: Environment) -> str:
    """A hung up: `left,<call id>` in A's hangup handler.

    Before the two talk it is the end, and `TELCOD_DROP` says to hang up on B; once they talk, the
    end is B's channel to report, which knows how long they did.
    """
    (call_id,) = _arguments(environment, 1)
    view = await _told(service, calls.show(call_id, platform=PLATFORM), calls.CallView)
    if view is None or view.state == "talking":
        return "untold" if view is None else "talking"
    never = calls.ended(call_id, Ended(used_seconds=0), platform=PLATFORM)
    charged = await _told(service, never, Charged)
    if charged is None:
        return "untold"
    await line.set("TELCOD_DROP", charged.drop)
    return "ended"


async def ended(service: Service, line: Line, environment: Environment) -> str:
    """It is over: `ended,<call id>,<joined at>,<parted at>` in B's hangup handler, Unix ms.

    Without the first moment the two never talked.  Nobody waits on a line, so this one tries again.
    """
    call_id, joined_at, parted_at = _arguments(environment, 3)
    used_s = _talked_s(joined_at, parted_at)
    request = calls.ended(call_id, Ended(used_seconds=used_s), platform=PLATFORM)
    for _ in range(ENDED_TRIES_MAX):
        answer = await _answer(service, request)
        if answer is not None:
            break
        await asyncio.sleep(service.retry_pause_s)
    else:
        return "untold"
    if answer.outcome != _OK or answer.data is None:
        return answer.outcome
    charged = msgspec.convert(answer.data, Charged)
    await line.set("TELCOD_CHARGED", charged.charged_vnd)
    return "ended"


SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {"offer": offer, "consent": consent, "refused": refused, "left": left, "ended": ended}
)


# -- with the channel


async def _asked(line: Line, question: CallAnswer) -> Consent:
    """Put the question, and hear what B makes of it."""
    try:
        key = await line.play(question.prompt_files.split("&"))
    except NotPlayed as error:
        # Who did not hear the price can't agree to it.
        _log.error("agi.recording_missing", recording=error.name, what_to_do="run scripts/prompts")
        return Consent(Result.HANGUP)
    if not key:
        key = await line.wait_key(question.answer_within_s)
    result = Result.DIGIT if key else Result.SILENCE
    return Consent(result, digit=key, repeat=question.repeat)


async def _joined(service: Service, line: Line, call_id: str, caller_channel: str) -> bool:
    """Tell that the two talk from now on; not if A has gone meanwhile, or the books don't hear."""
    there = not caller_channel or await line.is_up(caller_channel)
    if there:
        request = calls.answered(call_id, calls.Answered(), platform=PLATFORM)
        if await _told(service, request, Granted) is not None:
            return True
    await _told(service, calls.ended(call_id, Ended(used_seconds=0), platform=PLATFORM), Charged)
    return False


async def _say(line: Line, answer: CallAnswer) -> None:
    """Say something to A that he may interrupt by hanging up only."""
    try:
        await line.play(answer.prompt_files.split("&"), keys="")
    except HungUp:
        return  # He knows what he wants to know.
    except NotPlayed as error:
        _log.error("agi.recording_missing", recording=error.name, what_to_do="run scripts/prompts")


async def _set(line: Line, answer: CallAnswer) -> None:
    await line.set("TELCOD_PAYER", answer.payer)
    await line.set("TELCOD_REASON", answer.reason)
    await line.set("TELCOD_LANGUAGE", answer.language)
    await line.set("TELCOD_LIMIT_MS", answer.max_seconds * 1_000)
    await line.set("TELCOD_WARN_MS", answer.warn_seconds * 1_000)
    await line.set("TELCOD_ACTION", answer.action)


# -- with the books


async def _answer(service: Service, request: Request) -> Answer | None:
    """What the books say, within the time that somebody can wait on a line; None if nothing."""
    try:
        async with asyncio.timeout(service.answer_wait_s):
            return await service.submit(request)
    except (TimeoutError, TelcodError) as error:
        _log.warning("agi.undecided", route=request.route, reason=str(error) or "too slow")
        return None


async def _decided(service: Service, request: Request, language: str) -> CallAnswer:
    """What to do; a safe refusal when the books say nothing, the neutral one when it is over."""
    answer = await _answer(service, request)
    if answer is None:
        return calls.safe_refusal(service.prompts(), language)
    if answer.data is None or "action" not in answer.data:
        return _neutral(service, language)
    return msgspec.convert(answer.data, CallAnswer)


async def _standing(service: Service, call_id: str, language: str) -> CallAnswer:
    """What was answered to A's offer: the same call offered again gets what stands."""
    again = calls.offer(Offer(call_id, "", ""), platform=PLATFORM, caller=0)
    return await _decided(service, again, language)


async def _told(service: Service, request: Request, kind: type[A]) -> A | None:
    """Tell the books something; None if they did not hear, or the call is not so."""
    answer = await _answer(service, request)
    if answer is None or answer.outcome != _OK or answer.data is None:
        return None
    return msgspec.convert(answer.data, kind)


def _neutral(service: Service, language: str) -> CallAnswer:
    """What A hears whatever the reason (PFM-13)."""
    prompts = service.prompts()
    return CallAnswer(
        "refuse",
        reason="not_accepted",
        prompt_id="refused",
        prompt_text=prompts.render("refused", language),
        prompt_files="&".join(prompts.files("refused", language)),
        language=language,
    )


def _arguments(environment: Environment, count: int) -> list[str]:
    """The script's arguments; what was not given is empty."""
    return [*environment.args, *[NO_ARGUMENT] * count][:count]


def _talked_s(joined_at: str, parted_at: str) -> int:
    """Seconds of talk between two moments in Unix ms, each begun second counting (PFM-1).

    What is no moment is no talk: who can't say when it began can't ask for money for it.
    """
    if not (joined_at.isascii() and joined_at.isdigit() and parted_at.isascii()):
        return 0
    if not parted_at.isdigit() or len(joined_at) > 15 or len(parted_at) > 15:
        return 0
    talked_ms = int(parted_at) - int(joined_at) - JOINING_MS
    return min(max(0, -(-talked_ms // 1_000)), calls.TALK_S_MAX)
