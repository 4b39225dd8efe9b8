"""When a hint comes, said once more and otherwise: from the whole history, without the books.

It keeps every moment at which somebody was told, and looks back from now; it knows nothing of how
telcod stores or decides it.
"""

from dataclasses import dataclass, field

HOUR_MS = 60 * 60 * 1_000
DAY_MS = 24 * HOUR_MS


@dataclass
class Person:
    """A number and its owner of the moment."""

    kind: str = "prepaid"
    state: str = "active"
    wants: bool = True
    told_at: list[int] = field(default_factory=list)


@dataclass
class NetworkModel:
    """`dialled` says of each way to dial whether it is a number, and whose."""

    dialled: dict[str, tuple[bool, int]]
    per_hour: int
    per_day: int
    people: dict[int, Person] = field(default_factory=dict)
    heard: dict[str, tuple] = field(default_factory=dict)

    def failed(self, event_id, caller, called, reason, now_ms):
        """What is answered, and the number that the hint names: 0 for none, None: no hint."""
        said = (caller, called, reason)
        if event_id in self.heard:
            before, outcome = self.heard[event_id]
            return (outcome if before == said else "reused"), None
        outcome, named = self._decide(caller, called, reason, now_ms)
        self.heard[event_id] = (said, outcome)
        return outcome, named

    def _decide(self, caller, called, reason, now_ms):
        is_number, whose = self.dialled[called]
        person = self.people.get(caller)
        if reason != "insufficient_balance":
            return "hint.other_reason", None
        if not is_number:
            return "hint.not_a_number", None
        if person is None or person.kind == "postpaid":
            return "hint.not_served", None
        if person.state not in ("active", "out_of_money"):
            return "hint.not_served", None
        if not person.wants:
            return "hint.unwanted", None
        ages_ms = [now_ms - at for at in person.told_at]
        if sum(age < HOUR_MS for age in ages_ms) >= self.per_hour:
            return "hint.too_often", None
        if sum(age < DAY_MS for age in ages_ms) >= self.per_day:
            return "hint.too_often", None
        person.told_at.append(now_ms)
        other = self.people.get(whose)
        can_pay = other is not None and other.kind == "prepaid" and other.state == "active"
        return "hint.sent", whose if can_pay and whose != caller else 0

    def texts(self, number, *, wants):
        """TC or ON; only prepaid subscribers have the choice."""
        person = self.people.get(number)
        if person is not None and person.state != "closed" and person.kind == "prepaid":
            person.wants = wants

    def put(self, number, kind, state):
        """The network says how he is; who leaves takes what he chose with him."""
        person = self.people.setdefault(number, Person(state=state))
        if state == "closed" != person.state:
            person.wants = True
        person.kind, person.state = kind, state
