"""What a crowd of subscribers texts, and what must come of it: an independent model of the service.

`Crowd` writes texts for ever, the same ones for the same seed.  Beside each text stands what the
journal must say of it, and what its sender must have afterwards, by the rules of the service and
without a line of telcod.  No two texts of a sender are the same octets, so none is a redelivery of
another one; every one of them, done twice or not at all, shows in what comes after it.
"""

import random
from dataclasses import dataclass, field, replace

PAYFORME, EPAYMENT = "1566", "9223"
PREPAID = 60
POSTPAID = 6
FIRST_PREPAID = 84903000001
FIRST_POSTPAID = 84903900001
OFF_NET = "0903888888"
PRICES_VND = {"day": 1_000, "week": 5_000}
LIST_MAX = 50
WRONG_ANSWERED_MAX = 5
LONG_NUMBERS = 18  # Of 11 characters each: two parts.
SILENCE = "silence"
WAITING = "part.waiting"


@dataclass(frozen=True)
class State:
    """What a subscriber has."""

    balance_vnd: int = 0
    language: str = "vi"
    notices: int = 1
    package: str = ""  # Running; "" when there is none.
    periods: tuple[str, ...] = ()
    lists: dict[str, frozenset[int]] = field(
        default_factory=lambda: {"b": frozenset(), "w": frozenset()}
    )
    passwords: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Text:
    """A text, what the journal says of it, and what its sender has when it is done."""

    sender: int
    short_code: str
    text: str
    verdict: str
    after: State
    kept: bool = True  # Whether the journal may hold its words (PAY-1).

    @property
    def answered(self):
        return self.verdict != SILENCE


def national(msisdn):
    return "0" + str(msisdn)[2:]


class Crowd:
    """Subscribers who text; `write` gives the next text."""

    def __init__(self, seed):
        self._dice = random.Random(seed)
        self.prepaid = [FIRST_PREPAID + at for at in range(PREPAID)]
        self.postpaid = [FIRST_POSTPAID + at for at in range(POSTPAID)]
        self.opening = {
            number: State(balance_vnd=self._dice.randrange(500, 20_000)) for number in self.prepaid
        } | {number: State() for number in self.postpaid}
        self._now = dict(self.opening)
        self._spellings = {}
        self._serial = 0

    def subscriber_lines(self):
        """The crowd as lines of subscriber data."""
        return [
            {
                "msisdn": number,
                "kind": "prepaid" if number in self.prepaid else "postpaid",
                "state": "active",
                "balance_vnd": state.balance_vnd,
            }
            for number, state in self.opening.items()
        ]

    def write(self):
        """The next text."""
        if self._dice.random() < 0.03:
            return self._password()
        sender = self._dice.choice(self.prepaid)
        draw = self._dice.choices(
            (self._package, self._list, self._long, self._setting, self._look, self._wrong),
            weights=(30, 40, 5, 15, 6, 4),
        )[0]
        text, verdict, after, *code = draw(sender, self._now[sender])
        self._now[sender] = after
        spelled = self._spelled(sender, text)
        return Text(sender, code[0] if code else PAYFORME, spelled, verdict, after)

    def _spelled(self, sender, text):
        """The same words in octets that this sender has not used: other case, more blanks."""
        count = self._spellings[sender, text] = self._spellings.get((sender, text), -1) + 1
        return (text.lower() if count % 2 else text) + " " * (count // 2)

    # -- what each text comes to

    def _password(self):
        sender = self._dice.choice(self.postpaid)
        self._serial += 1
        before = self._now[sender]
        after = self._now[sender] = replace(before, passwords=before.passwords + 1)
        verdict = "password.changed" if before.passwords else "password.set"
        return Text(sender, EPAYMENT, f"MK pw{self._serial:06d}", verdict, after, kept=False)

    def _package(self, sender, state):
        wanted = self._dice.choice(("day", "day", "week"))
        if self._dice.random() < (0.8 if state.package else 0.1):
            verdict = "package.cancelled" if state.package else "package.none_to_cancel"
            return "HUY", verdict, replace(state, package="")
        text = {"day": "DK", "week": "DK7"}[wanted]
        if state.package:
            verdict = "package.already" if state.package == wanted else "package.other"
            return text, verdict, state
        price_vnd = PRICES_VND[wanted] if state.periods else 0
        if state.balance_vnd < price_vnd:
            return text, "package.no_money", state
        kind = "paid" if state.periods else "trial"
        after = replace(
            state,
            package=wanted,
            periods=(*state.periods, kind),
            balance_vnd=state.balance_vnd - price_vnd,
        )
        return text, "package.started" if price_vnd else "package.trial_started", after

    def _list(self, sender, state):
        letter = self._dice.choice("bbw")
        listed = state.lists[letter]
        draw = self._dice.random()
        if draw < 0.05 and letter == "b":
            wrong, verdict = self._dice.choice(
                ((national(sender), "list.b.own"), (OFF_NET, "list.b.off_net"))
            )
            return f"B {wrong}", verdict, state
        number = self._dice.choice([other for other in self.prepaid if other != sender])
        if draw < 0.65:
            verdict, after = self._add(state, letter, number)
            if letter == "w" and not state.package:
                verdict, after = "needs_package", state
            return f"{letter.upper()} {national(number)}", f"list.{letter}.{verdict}", after
        if draw < 0.68:
            verdict = "all_removed" if listed else "empty"
            after = _with_list(state, letter, frozenset())
            return f"XOA{letter.upper()} ALL", f"list.{letter}.{verdict}", after
        if listed and draw < 0.95:
            number = self._dice.choice(sorted(listed))
        verdict = "removed" if number in listed else "not_listed" if listed else "empty"
        after = _with_list(state, letter, listed - {number})
        return f"XOA{letter.upper()} {national(number)}", f"list.{letter}.{verdict}", after

    def _long(self, sender, state):
        """Many numbers in one text, which comes in two parts."""
        numbers = self._dice.sample([n for n in self.prepaid if n != sender], LONG_NUMBERS)
        verdicts = set()
        for number in numbers:
            verdict, state = self._add(state, "b", number)
            verdicts.add(verdict)
        verdict = verdicts.pop() if len(verdicts) == 1 else "mixed"
        return "B " + " ".join(map(national, numbers)), f"list.b.{verdict}", state

    def _add(self, state, letter, number):
        other = {"b": "w", "w": "b"}[letter]
        listed = state.lists[letter]
        if number in listed:
            return "duplicate", state
        if len(listed) >= LIST_MAX:
            return "full", state
        moved = number in state.lists[other]
        after = _with_list(state, letter, listed | {number})
        if moved:
            after = _with_list(after, other, state.lists[other] - {number})
        return "moved" if moved else "added", after

    def _setting(self, sender, state):
        choice = self._dice.choice(("NN VI", "NN EN", "TC", "ON"))
        if choice.startswith("NN"):
            code = self._dice.choice((PAYFORME, EPAYMENT))
            return choice, "language.set", replace(state, language=choice[3:].lower()), code
        wanted = int(choice == "ON")
        verdict = ("notices.off", "notices.on")[wanted]
        if state.notices == wanted:
            return choice, f"{verdict}_already", state
        return choice, verdict, replace(state, notices=wanted)

    def _look(self, sender, state):
        running = "package.in_trial" if state.periods == ("trial",) else "package.running"
        listed = {letter: "show" if state.lists[letter] else "empty" for letter in "bw"}
        if listed["w"] == "show" and not state.package:
            listed["w"] = "show_resting"
        text, verdict = self._dice.choice(
            (
                ("KT", running if state.package else "package.none"),
                ("KT CUOC", "charges.show" if "paid" in state.periods else "charges.none"),
                ("KT B", f"list.b.{listed['b']}"),
                ("KT W", f"list.w.{listed['w']}"),
                ("HD", "help.payforme"),
            )
        )
        return text, verdict, state

    def _wrong(self, sender, state):
        """Wrong syntax; the sixth in an hour is not answered any more (KW-3)."""
        self._serial += 1
        text, verdict = self._dice.choice(
            (
                (f"SAI CU PHAP {self._serial}", "text.unknown_payforme"),
                (f"HUY X{self._serial}", "usage.huy"),
                (f"NN X{self._serial}", "usage.nn"),
            )
        )
        if state.wrong >= WRONG_ANSWERED_MAX:
            verdict = SILENCE
        return text, verdict, replace(state, wrong=state.wrong + 1)


def _with_list(state, letter, numbers):
    return replace(state, lists=state.lists | {letter: numbers})
