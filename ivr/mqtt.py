"""Voice over MQTT: what `/ivr/v1/calls` takes, with `op` and `call_id` among the fields (MQTT-1).

The same requests and the same answers as over HTTP (`ivr.http`), late or in time.  A platform has
no token here: the broker's access list says who may ask, and all that have no topics of their own
are one platform to the books, so that an id is a call's wherever it is reported from.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ivr import calls
from ivr.calls import Answered, CallView, Charged, Consent, Ended, Granted, Offer, Progress
from ivr.http import caller_of, decide, request_of, tell
from telcod.errors import Refusal
from telcod.network_ops import MQTT_ACTOR, read
from telcod.web.limits import WebLimits
from telcod.web.ports import Backend
from telcod.web.staff_requests import Refused

Op = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields but the call's id."""


def ops(
    backend: Backend, *, platform: str = MQTT_ACTOR, wait_s: float = WebLimits().answer_wait_s
) -> Mapping[str, Op]:
    """What a message on `…/ivr/request` may ask for, by its `op`.

    Args:
        backend: The daemon.
        platform: Whose calls they are.
        wait_s: How long the books may take, in seconds; then an offer or a consent is refused
            safely.

    Each takes the fields without `op`, and raises `Refused` or another `TelcodError`.
    """

    async def offer(fields: dict[str, Any]) -> dict[str, Any]:
        said = read(fields, Offer)
        caller = caller_of(backend, said)
        request = request_of(lambda: calls.offer(said, platform=platform, caller=caller))
        return _flat(await decide(backend, request, {}, wait_s=wait_s))

    async def consent(fields: dict[str, Any]) -> dict[str, Any]:
        call_id, rest = _call(fields)
        said = read(rest, Consent)
        request = request_of(lambda: calls.consent(call_id, said, platform=platform))
        return _flat(await decide(backend, request, {}, wait_s=wait_s))

    async def answered(fields: dict[str, Any]) -> dict[str, Any]:
        call_id, rest = _call(fields)
        said = read(rest, Answered)
        request = request_of(lambda: calls.answered(call_id, said, platform=platform))
        return _flat(await tell(backend, request, {}, Granted, wait_s=wait_s))

    async def progress(fields: dict[str, Any]) -> dict[str, Any]:
        call_id, rest = _call(fields)
        said = read(rest, Progress)
        request = request_of(lambda: calls.progress(call_id, said, platform=platform))
        return _flat(await tell(backend, request, {}, Granted, wait_s=wait_s))

    async def ended(fields: dict[str, Any]) -> dict[str, Any]:
        call_id, rest = _call(fields)
        said = read(rest, Ended)
        request = request_of(lambda: calls.ended(call_id, said, platform=platform))
        return _flat(await tell(backend, request, {}, Charged, wait_s=wait_s))

    async def show(fields: dict[str, Any]) -> dict[str, Any]:
        call_id, rest = _call(fields)
        read(rest, _Nothing)
        request = request_of(lambda: calls.show(call_id, platform=platform))
        return _flat(await tell(backend, request, {}, CallView, wait_s=wait_s))

    return {
        "offer": offer,
        "consent": consent,
        "answered": answered,
        "progress": progress,
        "ended": ended,
        "show": show,
    }


def _call(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which call a message is of, and its other fields.

    Raises:
        Refused: It names none.
    """
    rest = dict(fields)
    call_id = rest.pop("call_id", None)
    if not isinstance(call_id, str):
        raise Refused(Refusal.MALFORMED, "call_id: must be the call's id", field="call_id")
    return call_id, rest


def _flat(answer: msgspec.Struct) -> dict[str, Any]:
    # As JSON has it: what HTTP leaves out is left out here.
    flat: dict[str, Any] = msgspec.to_builtins(answer)
    return flat
