"""The operator of `tests.world` whose network tells of failed calls, top-ups and subscribers, and
who has a gateway for USSD pushes and somebody who listens to events.
"""

from itertools import count

import msgspec

import handlers
import handlers.network
from telcod import network
from telcod.dispatch import Route
from telcod.network import CallFailed, SubscriberPut, TopUp
from telcod.rows import OUTBOX_EVENT, OUTBOX_PUSH
from tests.world import World, shipped_rules

NETWORK = "token:network"
NO_MONEY = "insufficient_balance"
ROUTES = {
    **handlers.ROUTES,
    network.CALL_FAILED_ROUTE: Route(network.CALL_FAILED_ROUTE, handlers.network.call_failed),
    network.SUBSCRIBER_ROUTE: Route(network.SUBSCRIBER_ROUTE, handlers.network.put_subscriber),
}


def with_gateways(rules=None, *, pushes=True, events=True):
    """The rules of an operator who has a USSD gateway, and MQTT."""
    return msgspec.structs.replace(rules or shipped_rules(), pushes=pushes, events=events)


def failed_call(event_id, caller, called, *, reason=NO_MONEY, actor=NETWORK):
    """What the network says when a call of the caller's own did not come about."""
    said = CallFailed(event_id=event_id, caller=str(caller), called=called, reason=reason)
    return network.call_failed(said, caller=caller, actor=actor)


class NetworkWorld(World):
    """What the network says, and what the caller gets on the screen and as a text."""

    def __init__(self, path=None, *, rules=None, **options):
        super().__init__(path, rules=rules or with_gateways(), routes=ROUTES, **options)
        self._ids = count(1)

    def failed_request(self, caller, called, *, event_id="", **more):
        return failed_call(event_id or f"failed-{next(self._ids)}", caller, called, **more)

    def failed(self, caller, called="0903000002", **more):
        """A call of the caller's own did not come about; the outcome, or what it was refused by."""
        (result,) = self.run(self.failed_request(caller, called, **more))
        return getattr(result, "outcome", result)

    def topup_event(self, msisdn, amount_vnd, *, event_id="", actor=NETWORK):
        said = TopUp(
            event_id=event_id or f"topup-{next(self._ids)}",
            msisdn=str(msisdn),
            amount_vnd=amount_vnd,
        )
        (result,) = self.run(network.top_up(said, msisdn=msisdn, actor=actor))
        return result

    def put(self, msisdn, kind="prepaid", state="active", centre=1, **fields):
        """The network says how a subscriber is now; the outcome."""
        said = msgspec.convert(
            {"kind": kind, "state": state, "centre": centre, **fields}, SubscriberPut
        )
        (result,) = self.run(network.put_subscriber(said, msisdn=msisdn, actor=NETWORK))
        return result.outcome

    # -- looking

    def pushes(self):
        return list(self.store.scan(OUTBOX_PUSH))

    def hints(self):
        """The texts among what left that are hints, oldest first."""
        return [row for row in self.outbox() if row.kind == "hint"]

    def events(self, subject):
        """What other systems are told of a subject: verb, whose event, what there is to know."""
        return [
            (row.verb, row.msisdn, msgspec.json.decode(row.body))
            for row in self.store.scan(OUTBOX_EVENT)
            if row.subject == subject
        ]
