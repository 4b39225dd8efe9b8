"""Receiver-paid calls a second time, as a person would reckon them on paper.

Written from docs/rules.md.  Prices are counted second by second as fractions, and how long money
lasts is found by trying; nothing of telcod's reckoning is used.  Each method says what the platform
must be told, as (outcome, what the answer must say among other things), and changes the model.
"""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from tests.service_model import DAY_MS, Model

SECOND_MS = 1_000
TALK_S_MAX = 24 * 3_600
MOMENT_MS_MAX = 4_102_444_800_000
OPEN = ("asking", "granted", "talking")
ENDINGS = {
    "hangup": "hung_up",
    "no_answer": "no_answer",
    "busy": "payer_busy",
    "voicemail": "voicemail",
}
NOT_SERVED = {"caller_not_served", "payer_not_served", "own_number"}


@dataclass
class Terms:
    """A tariff of talk."""

    name: str
    from_ms: int
    minute_vnd: int
    block_s: int

    def price(self, seconds):
        if seconds <= 0:
            return 0
        return floor(Fraction(self.minute_vnd, 60) * max(self.block_s, seconds))


@dataclass
class Setting:
    """What an operator may set, and how long things take."""

    whole: bool = False
    slice_s: int = 600
    call_max_s: int = 3_600
    per_pair_max: int = 10
    per_caller_max: int = 30
    measured: bool = True
    grace_s: int = 30
    ring_s: int = 120
    asking_s: int = 120 + 3 * 8 + 60
    asks_max: int = 3

    def limits(self):
        return {
            "grant": "whole" if self.whole else "slice",
            "slice_s": self.slice_s,
            "call_max_s": self.call_max_s,
            "per_pair_max": self.per_pair_max,
            "per_caller_max": self.per_caller_max,
            "platform_measures_talk": self.measured,
        }


@dataclass
class Talk:
    """One call."""

    caller: int
    payer: int
    terms: Terms
    state: str = "refused"
    reason: str = ""
    asks: int = 0
    agreed: bool = False  # Somebody said yes: a whitelist, or a key.
    granted_s: int = 0
    final: bool = False
    answered_ms: int = 0
    said_ms: int = 0  # The platform's own moment of it.
    used_s: int = 0
    billed_s: int = 0
    charged_vnd: int = 0
    written_off_vnd: int = 0
    suspect: bool = False
    reported: bool = False  # Its end came.
    due_ms: int = 0

    @property
    def held_vnd(self):
        return self.terms.price(self.granted_s) if self.state in {"granted", "talking"} else 0


class CallModel(Model):
    """People and their calls, by (platform, call id)."""

    def __init__(self, now_ms, entries_max, setting, terms):
        super().__init__(now_ms, entries_max)
        self.setting = setting
        self.terms = sorted(terms, key=lambda each: each.from_ms)
        self.calls = {}
        self.strangers = set()  # Calls whose payer's number is somebody else's by now.
        self.asked = []  # (when, who, whom)
        self.receipts = []  # To whom.

    # -- money

    def held(self, number):
        return sum(call.held_vnd for call in self.calls.values() if call.payer == number)

    def spendable(self, number):
        return self.people[number].balance_vnd - self.held(number)

    def promised(self, number):
        """What can be promised for a call: nothing by who is not active."""
        return self.spendable(number) if self.people[number].state == "active" else 0

    def longest_s(self, money_vnd, wanted_s, terms):
        return bisect_right(range(1, wanted_s + 1), money_vnd, key=terms.price)

    def renew(self, person):
        number = next(number for number, each in self.people.items() if each is person)
        held_vnd = self.held(number)
        person.balance_vnd -= held_vnd
        super().renew(person)
        person.balance_vnd += held_vnd

    def register(self, number, name):
        held_vnd = self.held(number)
        self.people[number].balance_vnd -= held_vnd
        outcome = super().register(number, name)
        self.people[number].balance_vnd += held_vnd
        return outcome

    def set_state(self, number, state):
        came_back = self.people[number].state == "closed" and state != "closed"
        outcome = super().set_state(number, state)
        if came_back:
            # Somebody else, who owes nothing for calls before him.  What a call under way holds
            # stays until it ends.
            self.people[number].balance_vnd = self.held(number)
            self.strangers |= {key for key, call in self.calls.items() if call.payer == number}
        return outcome

    # -- time

    def pass_time(self, ms):
        """Calls are supervised at their moment, then packages renewed."""
        target_ms = self.now_ms + ms
        while True:
            moments = [call.due_ms for call in self.calls.values() if call.state in OPEN]
            moments += [each.package.due_ms for each in self.people.values() if each.package]
            if not moments or min(moments) > target_ms:
                break
            self.now_ms = max(self.now_ms, min(moments))
            for call in self.calls.values():
                if call.state in OPEN and call.due_ms <= self.now_ms:
                    self.supervise(call)
            for person in self.people.values():
                if person.package and person.package.due_ms <= self.now_ms:
                    self.renew(person)
        self.now_ms = target_ms

    def supervise(self, call):
        if call.state == "asking":
            self.refuse(call, "expired")
            return
        call.suspect = True
        call.reason = "no_end"
        self.charge(call)

    # -- what happens to a call

    def offer(self, key, caller, payer):
        if key in self.calls:
            return self.standing_for(caller, self.calls[key])
        call = self.calls[key] = Talk(caller, payer, self.terms_now())
        reason = self.unserved(caller, payer)
        if reason:
            return self.refuse(call, reason)
        listed = self.people[payer].lists.get(caller)
        if listed == "black":
            return self.refuse(call, "blacklisted")
        if self.asks_too_often(caller, payer):
            return self.refuse(call, "too_often")
        if self.spendable(payer) < call.terms.price(1):
            return self.refuse(call, "no_money")
        self.asked.append((self.now_ms, caller, payer))
        if listed == "white" and self.works(payer):
            call.agreed = True
            return self.grant(call)
        for other in self.calls.values():
            if other is not call and (other.state, other.payer) == ("asking", payer):
                if self.now_ms < other.due_ms:
                    return self.refuse(call, "busy")
                self.refuse(other, "expired")  # The clock's work is behind, but its time is over.
        call.state = "asking"
        return self.ask(call)

    def standing_for(self, caller, call):
        """Another caller under a used id gets nothing."""
        return self.standing(call) if caller == call.caller else ("call.wrong_order", {})

    def dial(self, key, caller, payer):
        """Without the prefix."""
        if key in self.calls:
            return self.standing_for(caller, self.calls[key])
        terms = self.terms_now()
        if (
            self.unserved(caller, payer)
            or self.people[payer].lists.get(caller) != "white"
            or not self.works(payer)
            or self.spendable(payer) < terms.price(1)
        ):
            return "call.ok", {"action": "not_applicable"}
        call = self.calls[key] = Talk(caller, payer, terms, agreed=True)
        return self.grant(call)

    def consent(self, key, result, digit):
        call = self.calls.get(key)
        if call is None:
            return "call.unknown", {}
        if call.state != "asking":
            return self.standing(call)
        if self.now_ms >= call.due_ms:
            return self.refuse(call, "expired")
        if result in ENDINGS:
            return self.refuse(call, ENDINGS[result])
        if result == "digit" and digit in set(self.keys(call)):
            if digit in "34" and self.on_net(call.payer):
                self.add(call.payer, "white" if digit == "3" else "black", [call.caller])
            if digit in "24":
                return self.refuse(call, "declined")
            call.agreed = True
            return self.grant(call)
        if call.asks < self.setting.asks_max:
            return self.ask(call)
        return self.refuse(call, "wrong_keys" if result == "digit" else "silent")

    def answered(self, key, at_ms):
        call = self.calls.get(key)
        if call is None:
            return "call.unknown", {}
        if call.state == "granted":
            self.begin(call, self.now_ms)
            call.said_ms = at_ms if 0 < at_ms <= MOMENT_MS_MAX else 0
        return self.talks(call)

    def progress(self, key, used_s):
        call = self.calls.get(key)
        if call is None:
            return "call.unknown", {}
        used_s = min(used_s, TALK_S_MAX)
        if call.state == "granted":
            self.begin(call, self.now_ms - used_s * SECOND_MS)
        if call.state == "talking":
            call.used_s = max(call.used_s, used_s)
            self.extend(call, call.held_vnd + self.promised(call.payer))
            self.set_talk_due(call)
        return self.talks(call)

    def ended(self, key, used_s, at_ms):
        call = self.calls.get(key)
        if call is None:
            return "call.unknown", {}
        if call.state == "asking":
            self.refuse(call, "caller_gone")
        if call.state == "refused":
            return self.final("call.ok", call, drops=call.reason == "caller_gone")
        if call.state == "ended" and (call.reported or not call.suspect):
            return self.final("call.ok", call)
        call.used_s = self.talked_s(call, used_s, at_ms)
        call.reported = True
        if call.state == "ended":
            self.correct(call)
        else:
            self.charge(call)
        return self.final("call.ok", call)

    def show(self, key):
        call = self.calls.get(key)
        if call is None:
            return "call.unknown", {}
        said = {"max_seconds": call.granted_s, "used_seconds": call.used_s, "state": call.state}
        return "call.ok", {**said, **self.final("", call)[1]}

    # -- the rules

    def terms_now(self):
        return [each for each in self.terms if each.from_ms <= self.now_ms][-1]

    def works(self, number):
        package = self.people[number].package
        return package is not None and not package.failed_ms

    def keys(self, call):
        return "1234" if self.works(call.payer) else "124"

    def unserved(self, caller, payer):
        a, b = self.people.get(caller), self.people.get(payer)
        if a is None or a.kind != "prepaid" or a.state not in {"active", "out_of_money"}:
            return "caller_not_served"
        if b is None or b.kind != "prepaid" or b.state != "active":
            return "payer_not_served"
        return "own_number" if caller == payer else ""

    def asks_too_often(self, caller, payer):
        lately = [row for row in self.asked if row[0] > self.now_ms - DAY_MS and row[1] == caller]
        of_pair = [row for row in lately if row[2] == payer]
        most, of_pair_most = self.setting.per_caller_max, self.setting.per_pair_max
        return len(lately) >= most or len(of_pair) >= of_pair_most

    def ask(self, call):
        call.asks += 1
        call.due_ms = self.now_ms + self.setting.asking_s * SECOND_MS
        return self.standing(call)

    def grant(self, call):
        call.state = "granted"
        self.extend(call, self.promised(call.payer))
        if self.people[call.payer].state != "active" or not call.granted_s:
            call.granted_s = 0
            return self.refuse(call, "no_money")
        call.due_ms = self.now_ms + (self.setting.ring_s + self.setting.grace_s) * SECOND_MS
        return self.standing(call)

    def extend(self, call, money_vnd):
        most_s = self.setting.call_max_s
        wanted_s = most_s if self.setting.whole else min(call.used_s + self.setting.slice_s, most_s)
        possible_s = self.longest_s(money_vnd, wanted_s, call.terms)
        call.granted_s = max(call.granted_s, possible_s)
        call.final = call.granted_s >= most_s or possible_s < wanted_s

    def begin(self, call, at_ms):
        call.state = "talking"
        call.answered_ms = at_ms
        self.set_talk_due(call)

    def set_talk_due(self, call):
        left_s = max(0, call.granted_s - call.used_s)
        call.due_ms = self.now_ms + (left_s + self.setting.grace_s) * SECOND_MS

    def talked_s(self, call, used_s, at_ms):
        if used_s >= 0 and self.setting.measured:
            return max(min(used_s, TALK_S_MAX), call.used_s)
        both_said = at_ms and call.said_ms
        if not call.answered_ms or (call.state == "ended" and not both_said):
            return call.used_s
        talked_ms = at_ms - call.said_ms if both_said else self.now_ms - call.answered_ms
        whole_s = talked_ms // SECOND_MS + (talked_ms % SECOND_MS > 0)
        return max(min(whole_s, TALK_S_MAX), call.used_s)

    def charge(self, call):
        call.billed_s = min(call.used_s, call.granted_s)
        call.charged_vnd = call.terms.price(call.billed_s)
        call.written_off_vnd = call.terms.price(call.used_s) - call.charged_vnd
        call.state = "ended"
        call.due_ms = 0
        self.people[call.payer].balance_vnd -= call.charged_vnd
        if call.charged_vnd:
            self.receipts.append(call.payer)

    def correct(self, call):
        call.billed_s = min(call.used_s, call.granted_s)
        missing_vnd = call.terms.price(call.billed_s) - call.charged_vnd
        strange = any(self.calls[key] is call for key in self.strangers)
        extra_vnd = 0 if strange else min(missing_vnd, self.spendable(call.payer))
        call.charged_vnd += extra_vnd
        call.written_off_vnd = call.terms.price(call.used_s) - call.charged_vnd
        self.people[call.payer].balance_vnd -= extra_vnd
        if extra_vnd:
            self.receipts.append(call.payer)

    def refuse(self, call, reason):
        call.state, call.reason, call.due_ms = "refused", reason, 0
        return self.standing(call)

    # -- what the platform is told

    def standing(self, call):
        if call.state == "asking":
            keys = self.keys(call)
            prompt = "ask_listed" if "3" in keys else "ask"
            said = {"action": "ask", "keys": keys, "repeat": call.asks, "prompt_id": prompt}
            return "call.ok", {**said, "max_seconds": 0, "payer": str(call.payer)}
        if call.state in {"granted", "talking"}:
            said = {"action": "connect", "max_seconds": call.granted_s}
            return "call.ok", {**said, "payer": str(call.payer), "prompt_id": "connecting"}
        if call.state == "ended":
            return self.final("call.over", call)
        if call.reason in NOT_SERVED:
            told = call.reason, "refused_not_served", "refuse"
        elif call.reason == "too_often":
            told = call.reason, "refused_too_often", "refuse"
        elif call.reason == "busy":
            told = "busy", "refused", "busy"
        else:
            told = "not_accepted", "refused", "refuse"
        said = dict(zip(("reason", "prompt_id", "action"), told, strict=True))
        return "call.ok", {**said, "max_seconds": 0, "keys": ""}

    def talks(self, call):
        if call.state == "talking":
            return "call.ok", {"max_seconds": call.granted_s, "final": call.final}
        if call.state == "asking":
            return "call.wrong_order", {"state": "asking"}
        return self.final("call.over", call)

    def final(self, outcome, call, *, drops=False):
        said = {"charged_vnd": call.charged_vnd, "billed_seconds": call.billed_s}
        return outcome, {**said, **({"drop": "payer"} if drops else {})}
