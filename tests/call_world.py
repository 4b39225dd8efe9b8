"""The operator of `tests.world` with voice platforms: dial, answer the question, talk, hang up."""

import msgspec

from telcod.billing.accounts import main_account
from telcod.billing.tariffs import TariffBook, VoiceTariff
from telcod.rows import ACCOUNT, CALL, ENTRY, HOLD, CallState, HoldStatus
from telcod.types import Channel, Request
from tests.world import DUE_MAX, World, rules_with

PLATFORM = "pbx"
OPEN_STATES = {CallState.ASKING, CallState.GRANTED, CallState.TALKING}


def dialled(number):
    """1566 and the number, as people dial it."""
    return f"15660{number % 10**9}"


def call_request(op, call_id, *args, sender=0, platform=PLATFORM):
    return Request(
        route=f"call.{op}",
        sender=sender,
        args=(call_id, *map(str, args)),
        channel=Channel.IVR,
        actor=platform,
    )


def rules_of_calls(*tariffs, **limits):
    """The shipped rules with other limits of calls, and prices from moments on.

    A tariff is (name, from when in ms, đồng a minute, first block in seconds).
    """
    rules = rules_with(calls=limits)
    shipped = rules.tariffs.tariffs[-1]
    more = [
        msgspec.structs.replace(
            shipped, id=name, valid_from_ms=from_ms, voice=VoiceTariff(minute_vnd, block_s)
        )
        for name, from_ms, minute_vnd, block_s in tariffs
    ]
    return msgspec.structs.replace(rules, tariffs=TariffBook([shipped, *more]))


OUTCOMES = {"call.ok", "call.over", "call.unknown", "call.wrong_order"}
"""What the edges know how to tell a platform."""


class CallWorld(World):
    """Supervision is part of what the clock does here; it comes before renewals."""

    # -- what a platform says; each answer as it is

    def offer(self, call_id, caller, payer, *, platform=PLATFORM):
        request = call_request("offer", call_id, dialled(payer), sender=caller, platform=platform)
        return self._one(request)

    def dial(self, call_id, caller, digits, *, platform=PLATFORM):
        return self._one(call_request("offer", call_id, digits, sender=caller, platform=platform))

    def key(self, call_id, digit, *, recording="", platform=PLATFORM):
        return self._one(
            call_request("consent", call_id, "digit", digit, recording, platform=platform)
        )

    def reaction(self, call_id, result, *, platform=PLATFORM):
        return self._one(call_request("consent", call_id, result, "", "", platform=platform))

    def answered(self, call_id, at=0, *, platform=PLATFORM):
        return self._one(call_request("answered", call_id, at, platform=platform))

    def progress(self, call_id, used_s, *, platform=PLATFORM):
        return self._one(call_request("progress", call_id, used_s, platform=platform))

    def ended(self, call_id, used_s=-1, at=0, *, platform=PLATFORM):
        return self._one(call_request("ended", call_id, used_s, at, platform=platform))

    def show(self, call_id, *, platform=PLATFORM):
        return self._one(call_request("show", call_id, platform=platform))

    def connect(self, call_id, caller, payer):
        """Ask B, who accepts; the two are bridged."""
        self.offer(call_id, caller, payer)
        reply = self.key(call_id, "1")
        assert reply.data["action"] == "connect", reply
        self.answered(call_id, self.now_ms)
        return reply

    def _one(self, request):
        (result,) = self.run(request)
        assert result.outcome in OUTCOMES, result
        return result

    # -- time

    def clock_requests(self):
        due = self.store.due_calls(now_ms=self.now_ms, most=DUE_MAX)
        calls = [Request("clock.call", args=(call,), channel=Channel.CLOCK) for call in due]
        return [*calls, *super().clock_requests()]

    def next_due_ms(self):
        moments = [row.due_at for row in self.store.scan(CALL) if row.due_at > 0]
        packages = super().next_due_ms()
        return min([*moments, *([] if packages is None else [packages])], default=None)

    # -- looking

    def call(self, call_id, *, platform=PLATFORM):
        return self.row(CALL, f"{platform}:{call_id}")

    def hold(self, call_id, *, platform=PLATFORM):
        return self.row(HOLD, f"call:{platform}:{call_id}")

    def held(self, msisdn):
        account = self.row(ACCOUNT, main_account(msisdn))
        return account.held if account else 0

    def open_holds(self):
        return [row for row in self.store.scan(HOLD) if row.status == HoldStatus.OPEN]

    def open_calls(self):
        return [row for row in self.store.scan(CALL) if row.state in OPEN_STATES]

    def entries(self, call_id, *, kind="call", platform=PLATFORM):
        """What a call moved: the amounts, oldest first."""
        names = {f"call:{platform}:{call_id}", f"call.late:{platform}:{call_id}"}
        return [
            row.amount
            for row in self.store.scan(ENTRY)
            if row.kind == kind and row.command in names
        ]
