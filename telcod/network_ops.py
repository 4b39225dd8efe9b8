"""The network's events carried out, whichever door they came through (NET-1, NET-2, MQTT-1).

`call_failed`, `top_up` and `put_subscriber` take a checked body; the HTTP routes call them.  `ops`
is the same for doors that have an object with fields and no types.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from telcod import network
from telcod.bulk import number_reason
from telcod.errors import Refusal
from telcod.msisdn import Msisdn, NumberError
from telcod.network import (
    Accepted,
    BadField,
    CallFailed,
    NamedSubscriber,
    SubscriberPut,
    SubscriberTaken,
    ToppedUp,
    TopUp,
)
from telcod.types import Answer, Request
from telcod.web.staff_requests import Refused, checked

MQTT_ACTOR: Final = "mqtt"
"""All who have no topics of their own at the broker."""

Submit = Callable[[Request], Awaitable[Answer]]
ParseNumber = Callable[[str], Msisdn | NumberError]
Op = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

S = TypeVar("S", bound=msgspec.Struct)

_NAMED: Final = re.compile(r"Object (contains unknown|missing required) field `([^`]*)`")
_AT: Final = re.compile(r"(?P<reason>.*) - at `\$\.?(?P<field>[^`]*)`", re.DOTALL)


def mqtt_actor(gateway: str) -> str:
    """Who asks over MQTT: a gateway by its name, or all that have none; no token is named alike."""
    return f"{gateway}@{MQTT_ACTOR}" if gateway else MQTT_ACTOR


class Door(NamedTuple):
    """Where events come in: the books behind it, numbers by the rules in force, who speaks."""

    submit: Submit
    parse_number: ParseNumber
    actor: str


async def call_failed(said: CallFailed, door: Door) -> Accepted:
    """A's own call failed (NET-1, PFM-20).

    Raises:
        Refused: A field is wrong; nothing was done.
        KeyReused: The id was used for another event.
    """
    caller = _number(said.caller, "caller", door)
    try:
        request = network.call_failed(said, caller=caller, actor=door.actor)
    except BadField as error:
        raise _refused(error) from error
    checked(await door.submit(request))
    return Accepted()


async def top_up(said: TopUp, door: Door) -> ToppedUp:
    """Money came in; a package that waits for money is tried again at once (NET-2, PKG-6).

    Raises:
        Refused: A field is wrong, or nobody has this number; nothing was done.
        KeyReused: The id was used for another event.
    """
    msisdn = _number(said.msisdn, "msisdn", door)
    answer = await door.submit(network.top_up(said, msisdn=msisdn, actor=door.actor))
    return msgspec.convert(checked(answer), ToppedUp)


async def put_subscriber(number: str, said: SubscriberPut, door: Door) -> SubscriberTaken:
    """A subscriber came, changed, or went (NET-2).

    Raises:
        Refused: A field is wrong; nothing was done.
    """
    msisdn = _number(number, "msisdn", door)
    try:
        request = network.put_subscriber(said, msisdn=msisdn, actor=door.actor)
    except BadField as error:
        raise _refused(error) from error
    return msgspec.convert(checked(await door.submit(request)), SubscriberTaken)


def ops(submit: Submit, parse_number: ParseNumber, *, actor: str = MQTT_ACTOR) -> Mapping[str, Op]:
    """What a message may ask for, by its `op`; its other fields are those of the HTTP bodies.

    Each takes the fields without `op`, and raises as the function behind it.
    """
    door = Door(submit, parse_number, actor)

    async def call_failed_op(fields: dict[str, Any]) -> dict[str, Any]:
        return _told(await call_failed(read(fields, CallFailed), door))

    async def topup_op(fields: dict[str, Any]) -> dict[str, Any]:
        return _told(await top_up(read(fields, TopUp), door))

    async def subscriber_op(fields: dict[str, Any]) -> dict[str, Any]:
        said = read(fields, NamedSubscriber)
        return _told(await put_subscriber(said.msisdn, said, door))

    return {"call_failed": call_failed_op, "topup": topup_op, "subscriber": subscriber_op}


def read(fields: Mapping[str, Any], shape: type[S]) -> S:
    """The fields of a message as a body.

    Raises:
        Refused: One is wrong, missing or unknown; it is named.
    """
    try:
        # As lenient as the HTTP routes are: digits in quotation marks are a number.
        return msgspec.convert(fields, shape, strict=False)
    except msgspec.ValidationError as error:
        field, reason = _field(str(error))
        raise Refused(Refusal.MALFORMED, f"{field}: {reason}", field=field) from error


def _field(message: str) -> tuple[str, str]:
    """The name of a wrong field and what is wrong with it, from the decoder's words."""
    at = _AT.fullmatch(message)
    field, reason = (at["field"], at["reason"]) if at else ("", message)
    if named := _NAMED.fullmatch(reason):
        where = f"{field}." if field else ""
        unknown = named[1] == "contains unknown"
        return f"{where}{named[2]}", "is not known here" if unknown else "is missing"
    if "matching regex" in reason:
        reason = "has characters that are not allowed here, or is too long"
    return field or "body", reason.replace("`", "")


def _number(text: str, field: str, door: Door) -> Msisdn:
    number = door.parse_number(text)
    if isinstance(number, NumberError):
        raise Refused(Refusal.MALFORMED, number_reason(text, number), field=field)
    return number


def _refused(error: BadField) -> Refused:
    return Refused(Refusal.MALFORMED, f"{error.field} {error}", field=error.field)


def _told(answer: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(answer)
