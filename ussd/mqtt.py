"""USSD over MQTT: steps of a dialogue as requests (MQTT-1), and pushes as messages (USSD-4).

A step is what HTTP takes, with `op` and `session_id` among the fields; screens and refusals are the
same (`ussd.http`).  A gateway has no token here: the broker's access list says who may ask, and all
that have no topics of their own are one gateway to the books.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from telcod.errors import Refusal
from telcod.mqtt.errors import BrokerAway, BrokerRefused
from telcod.network_ops import MQTT_ACTOR, read
from telcod.web.limits import WebLimits
from telcod.web.ports import Backend
from telcod.web.staff_requests import Refused
from ussd.http import asked_of, checked, request_of, show, tell
from ussd.push import Push, PushFailed
from ussd.steps import Step, end_request

PUSH_NAME: Final = "ussd/push"
"""The topic of pushes, behind the prefix of telcod's own."""

Op = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields but the session's id."""


class Broker(Protocol):
    """Who takes messages (`telcod.mqtt.broker.Broker`)."""

    async def publish(self, name: str, payload: bytes, *, expires_in_s: int = 0) -> None:
        """Hand one over; returns when the broker has it.

        Raises:
            BrokerAway: It may not have come.
            BrokerRefused: It will not come.
        """


def ops(
    backend: Backend, *, platform: str = MQTT_ACTOR, wait_s: float = WebLimits().answer_wait_s
) -> Mapping[str, Op]:
    """What a message on `…/ussd/request` may ask for, by its `op`.

    Args:
        backend: The daemon.
        platform: Whose sessions they are.
        wait_s: How long the books may take, in seconds.

    Each takes the fields without `op`, and raises `Refused` or another `TelcodError`.
    """

    async def step(fields: dict[str, Any]) -> dict[str, Any]:
        session_id, rest = _session(fields)
        said = read(rest, Step)
        request = asked_of(backend, session_id, said, platform=platform)
        screen = await show(backend, request, {}, wait_s=wait_s)
        return msgspec.structs.asdict(screen)

    async def end(fields: dict[str, Any]) -> dict[str, Any]:
        session_id, rest = _session(fields)
        read(rest, _Nothing)
        request = request_of(lambda: end_request(session_id, platform=platform))
        checked(await tell(backend, request, {}, wait_s=wait_s))
        return {"action": "end"}

    return {"step": step, "end": end}


class MqttPushes:
    """Brings pushes to whoever listens to `…/ussd/push` at the broker.

    What the broker has is accepted; that a gateway listens is for who runs the broker.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker

    async def push(self, push: Push) -> None:
        """See `ussd.push.PushGateway.push`."""
        said = {
            "session_id": push.session_id,
            "msisdn": str(push.msisdn),
            "action": "ask" if push.asks else "notify",
            "text": push.text,
            "expires_in_s": push.expires_in_s,
        }
        payload = msgspec.json.encode(said)
        try:
            await self._broker.publish(PUSH_NAME, payload, expires_in_s=push.expires_in_s)
        except BrokerAway as error:
            raise PushFailed(str(error), retry=True) from error
        except BrokerRefused as error:
            raise PushFailed(str(error), retry=False) from error


def _session(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which session a message is of, and its other fields.

    Raises:
        Refused: It names none.
    """
    rest = dict(fields)
    session_id = rest.pop("session_id", None)
    if not isinstance(session_id, str):
        raise Refused(Refusal.MALFORMED, "session_id: must be the session's id", field="session_id")
    return session_id, rest
