"""The service a second time, as a person would keep it on paper: a few dictionaries per subscriber.

Written from docs/rules.md and nothing else of telcod's, so that a mistake in the code is not
repeated here.  Each method says what a request must come to, and changes the model as it should.
"""

from dataclasses import dataclass, field

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PRICE_VND = {"day": 1_000, "week": 5_000}
LENGTH_MS = {"day": DAY_MS, "week": 7 * DAY_MS}
RETRY_MS = 6 * HOUR_MS
GIVE_UP_MS = 30 * DAY_MS
WRONG_MAX = 5
LETTER = {"black": "b", "white": "w"}


@dataclass
class Package:
    name: str
    ends_ms: int
    trial: bool = False
    failed_ms: int = 0  # 0: it works.
    retry_ms: int = 0

    @property
    def due_ms(self):
        return self.retry_ms if self.failed_ms else self.ends_ms


@dataclass
class Person:
    kind: str = "prepaid"
    state: str = "active"
    language: str = "vi"
    balance_vnd: int = 0  # Of a postpaid one: minus what is owed.
    notices: bool = True
    trial_used: bool = False
    password: bool = False
    package: Package | None = None
    lists: dict[int, str] = field(default_factory=dict)


class Model:
    """All people by number, and the time."""

    def __init__(self, now_ms, entries_max):
        self.now_ms = now_ms
        self.entries_max = entries_max
        self.people = {}
        self.wrong = {}

    def on_net(self, number):
        return number in self.people and self.people[number].state != "closed"

    # -- time

    def pass_time(self, ms):
        """What comes due is done at its moment."""
        target_ms = self.now_ms + ms
        while True:
            due = [p.package.due_ms for p in self.people.values() if p.package]
            if not due or min(due) > target_ms:
                break
            self.now_ms = max(self.now_ms, min(due))
            for person in self.people.values():
                if person.package and person.package.due_ms <= self.now_ms:
                    self.renew(person)
        self.now_ms = target_ms

    def renew(self, person):
        package = person.package
        length_ms, price_vnd = LENGTH_MS[package.name], PRICE_VND[package.name]
        served = person.kind == "prepaid" and person.state in {"active", "out_of_money"}
        if served and person.balance_vnd >= price_vnd:
            person.balance_vnd -= price_vnd
            if package.failed_ms:
                package.ends_ms = self.now_ms + length_ms
            else:
                while package.ends_ms <= self.now_ms:  # Only the period that runs now is paid.
                    package.ends_ms += length_ms
            package.failed_ms = package.retry_ms = 0
            package.trial = False
            return
        package.failed_ms = package.failed_ms or self.now_ms
        give_up_ms = package.failed_ms + GIVE_UP_MS
        if self.now_ms >= give_up_ms:
            person.package = None
        else:
            package.retry_ms = min(self.now_ms + RETRY_MS, give_up_ms)

    # -- staff

    def topup(self, number, amount_vnd):
        if not self.on_net(number):
            return "subscriber.unknown"
        if amount_vnd <= 0:
            return "amount_out_of_range"
        person = self.people[number]
        person.balance_vnd += amount_vnd
        if person.state == "out_of_money":
            person.state = "active"
        if person.package and person.package.failed_ms:
            self.renew(person)
        return "topup.done"

    def set_state(self, number, state):
        if number not in self.people:
            return "subscriber.unknown"
        person = self.people[number]
        if person.state == state:
            return "state.unchanged"
        if state == "closed":
            person.package = None
            person.lists.clear()
            person.password, person.notices, person.language = False, True, "vi"
            for other in self.people.values():
                other.lists.pop(number, None)
        elif person.state == "closed":
            person.trial_used = False
            person.balance_vnd = 0
        person.state = state
        return "state.set"

    # -- texts

    def nobody(self, number):
        """The verdict on who is no subscriber; None if he is one."""
        return None if self.on_net(number) else self.limited(number, "text.not_subscriber")

    def limited(self, number, outcome):
        lately = [ms for ms in self.wrong.get(number, []) if ms > self.now_ms - HOUR_MS]
        if len(lately) >= WRONG_MAX:
            return "silence"
        self.wrong[number] = [*lately, self.now_ms]
        return outcome

    def register(self, number, name):
        person = self.people[number]
        package = person.package
        if person.kind != "prepaid":
            return "package.kind_not_eligible"
        if person.state != "active":
            return "package.not_active"
        if package and package.name == name:
            return "package.already_suspended" if package.failed_ms else "package.already"
        if package:
            return "package.other_suspended" if package.failed_ms else "package.other"
        if not person.trial_used:
            person.trial_used = True
            person.package = Package(name, self.now_ms + DAY_MS, trial=True)
            return "package.trial_started"
        if person.balance_vnd < PRICE_VND[name]:
            return "package.no_money"
        person.balance_vnd -= PRICE_VND[name]
        person.package = Package(name, self.now_ms + LENGTH_MS[name])
        return "package.started"

    def cancel(self, number):
        person = self.people[number]
        if person.package is None:
            return "package.none_to_cancel"
        person.package = None
        return "package.cancelled"

    def show(self, number):
        package = self.people[number].package
        if package is None:
            return "package.none"
        if package.failed_ms:
            return "package.in_trouble"
        return "package.in_trial" if package.trial else "package.running"

    def numbers(self, number, kind):
        return {listed for listed, on in self.people[number].lists.items() if on == kind}

    def show_list(self, number, kind):
        person = self.people[number]
        if not self.numbers(number, kind):
            return f"list.{LETTER[kind]}.empty"
        if kind == "white" and person.package is None:
            return "list.w.show_resting"
        if kind == "white" and person.package.failed_ms:
            return "list.w.show_suspended"
        return f"list.{LETTER[kind]}.show"

    def add(self, number, kind, others):
        person = self.people[number]
        if kind == "white" and person.package is None:
            return "list.w.needs_package"
        verdicts = []
        for other in others:
            if other is None:
                verdicts.append("malformed")
            elif other == number:
                verdicts.append("own")
            elif not self.on_net(other):
                verdicts.append("off_net")
            elif person.lists.get(other) == kind:
                verdicts.append("duplicate")
            elif len(self.numbers(number, kind)) >= self.entries_max:
                verdicts.append("full")
            else:
                verdicts.append("moved" if other in person.lists else "added")
                person.lists[other] = kind
        return self.told(kind, verdicts)

    def remove(self, number, kind, others):
        """`others` is a list of numbers, or "all", or nothing."""
        person = self.people[number]
        listed = self.numbers(number, kind)
        letter = LETTER[kind]
        if not listed:
            return f"list.{letter}.empty"
        if others != "all" and not others and len(listed) > 1:
            return f"list.{letter}.which"
        if others == "all" or not others:
            for other in listed:
                del person.lists[other]
            return f"list.{letter}.all_removed" if others == "all" else f"list.{letter}.removed"
        verdicts = []
        for other in others:
            if other is None:
                verdicts.append("malformed")
            elif person.lists.get(other) == kind:
                del person.lists[other]
                verdicts.append("removed")
            else:
                verdicts.append("not_listed")
        return self.told(kind, verdicts)

    def told(self, kind, verdicts):
        one = len(set(verdicts)) == 1
        return f"list.{LETTER[kind]}.{verdicts[0] if one else 'mixed'}"

    def set_notices(self, number, wanted):
        person = self.people[number]
        if person.kind != "prepaid":
            return "notices.prepaid_only"
        word = "on" if wanted else "off"
        if person.notices == wanted:
            return f"notices.{word}_already"
        person.notices = wanted
        return f"notices.{word}"

    def set_language(self, number, language):
        self.people[number].language = language
        return "language.set"

    def set_password(self, number):
        person = self.people[number]
        if person.kind != "postpaid":
            return "password.postpaid_only"
        before, person.password = person.password, True
        return "password.changed" if before else "password.set"
