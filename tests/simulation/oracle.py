"""What every commit should have done, by models that share no line with telcod.

The models are those of the state machines (`tests/service_model.py`, `call_model.py`,
`payment_model.py`, `session_model.py`).  Each is told what was committed, in the order of the
commits, and says what must have been answered; at the end the books must be what the models are.
So a thing done twice, lost, or done in two halves shows, whatever way it went wrong.
"""

from telcod.billing.accounts import debt_account, main_account
from telcod.errors import TelcodError
from telcod.rows import (
    ACCOUNT,
    HELD_TEXT,
    LIST_ENTRY,
    PAYMENT,
    SUBSCRIBER,
    SUBSCRIPTION,
    PackageStatus,
)
from telcod.types import SecretNeeded
from tests.call_model import OPEN, CallModel, Terms
from tests.call_model import Setting as CallSetting
from tests.payment_model import PaymentModel
from tests.payment_model import Setting as PaymentSetting
from tests.service_model import Person
from tests.session_model import FIRST_WORDS, SessionModel
from tests.session_model import Person as Talker
from ussd.steps import PUSHED, shown

TERMS = (Terms("2018-09-15", 0, 1_500, 6),)
OFTEN = 100_000
CALLS = CallSetting(per_pair_max=OFTEN, per_caller_max=OFTEN)
PAYMENTS = PaymentSetting()
WAITING = "part.waiting"
SCREENS = {
    "stranger": "Dich vu chi danh cho",
    "expired": "Phien giao dich da het han",
    "nothing": "Yeu cau nay da het han hoac da duoc tra loi",
}


class Oracle:
    """All models, and the texts that were sent, by fingerprint.

    Args:
        start_ms: When it begins.
        complain: Is told what does not fit.
        numbers: Which subscriber is meant by what is typed on a screen.
        tables: The rows of the books.
    """

    def __init__(self, start_ms, complain, numbers, tables):
        self.complain = complain
        self.tables = tables
        self.calls = CallModel(start_ms, 50, CALLS, TERMS)
        self.payments = PaymentModel(start_ms, PAYMENTS)
        self.talks = SessionModel(numbers)
        self.texts = {}  # By fingerprint: what came of a text is said by its last part.
        self.answers = {}  # Of keyed requests.
        self.carried_out = 0

    # -- people

    def texter(self, number, kind, balance_vnd):
        self.calls.people[number] = Person(kind=kind, balance_vnd=balance_vnd)

    def payer(self, number, kind, centre, balance_vnd):
        self.payments.people[number] = Person(kind=kind, balance_vnd=balance_vnd)
        self.payments.lives[number], self.payments.centres[number] = 1, centre
        self.payments.owed[number] = 0

    def talker(self, number):
        self.talks.people[number] = Talker()

    # -- commits

    def committed(self, now_ms, done):
        """A transaction counts: what it did, in order."""
        self.calls.now_ms = self.payments.now_ms = now_ms
        for request, result in done:
            if isinstance(result, TelcodError | SecretNeeded):
                continue
            self.carried_out += 1
            if request.key:
                before = self.answers.get(request.key)
                if before is not None:
                    if before != result:
                        self.complain("key", f"{request.key}: {result}, before {before}")
                    continue
                self.answers[request.key] = result
            if request.mo is not None:
                self._text(now_ms, request, result)
            elif (
                take := getattr(self, "_on_" + request.route.replace(".", "_"), None)
            ) is not None:
                take(now_ms, request, result)

    def _expect(self, what, found, wanted):
        if found != wanted:
            self.complain("verdict", f"{what}: {found}, it should be {wanted}")

    def _text(self, now_ms, request, result):
        text = self.texts.get(request.mo.fingerprint)
        if text is None:
            return  # A receipt.
        text.committed.append(request.mo.fingerprint)
        if result.outcome == WAITING:
            text.waiting += 1
            if text.waiting >= len(text.bodies):
                self.complain("verdict", f"{text}: all parts are there")
            return
        text.verdicts.append(result.outcome)
        self._expect(text, result.outcome, text.expected(self, now_ms, result))

    def _on_clock_package(self, now_ms, request, result):
        for model in (self.calls, self.payments):
            person = model.people.get(request.sender)
            if person is not None and person.package and person.package.due_ms <= now_ms:
                model.renew(person)

    def _on_staff_topup(self, now_ms, request, result):
        wanted = self.calls.topup(request.sender, int(request.args[0]))
        self._expect("top-up", result.outcome, wanted)

    # -- calls

    def _call(self, request, result, wanted):
        outcome, said = wanted
        data = result.data or {}
        found = {name: data.get(name) for name in said}
        self._expect(
            f"{request.route} {request.args}", (result.outcome, found), (outcome, dict(said))
        )

    def _key(self, request):
        return request.actor, request.args[0]

    def _on_call_offer(self, now_ms, request, result):
        digits = request.args[1]
        payer = 84_000_000_000 + int(digits.removeprefix("1566"))
        model = self.calls.offer if digits.startswith("1566") else self.calls.dial
        self._call(request, result, model(self._key(request), request.sender, payer))

    def _on_call_consent(self, now_ms, request, result):
        reaction, digit = request.args[1:3]
        self._call(request, result, self.calls.consent(self._key(request), reaction, digit))

    def _on_call_answered(self, now_ms, request, result):
        wanted = self.calls.answered(self._key(request), int(request.args[1]))
        self._call(request, result, wanted)

    def _on_call_progress(self, now_ms, request, result):
        wanted = self.calls.progress(self._key(request), int(request.args[1]))
        self._call(request, result, wanted)

    def _on_call_ended(self, now_ms, request, result):
        used_s, at_ms = map(int, request.args[1:3])
        self._call(request, result, self.calls.ended(self._key(request), used_s, at_ms))

    def _on_clock_call(self, now_ms, request, result):
        platform, _, call_id = request.args[0].partition(":")
        call = self.calls.calls.get((platform, call_id))
        if call is not None and call.state in OPEN and call.due_ms <= now_ms:
            self.calls.supervise(call)

    # -- payments

    def _on_payment_create(self, now_ms, request, result):
        payment_id, amount, purpose = request.args[:3]
        wanted = self.payments.create(payment_id, request.sender, purpose, int(amount))
        self._expect(f"create {payment_id}", result.outcome, wanted)

    def _on_payment_redirected(self, now_ms, request, result):
        self._expect("redirected", result.outcome, self.payments.redirect(request.args[0]))

    def _on_payment_refused(self, now_ms, request, result):
        self._expect("refused", result.outcome, self.payments.refuse(request.args[0]))

    def _on_payment_notified(self, now_ms, request, result):
        self._hears(request, result, asked=False)

    def _on_payment_inquired(self, now_ms, request, result):
        self._hears(request, result, asked=True)

    def _hears(self, request, result, *, asked):
        payment_id, word, code, amount, _, token, *_ = request.args
        wanted = self.payments.hear(payment_id, word, int(amount or 0), code, token, asked=asked)
        self._expect(f"{payment_id} hears {word}", result.outcome, wanted)

    def _on_payment_voided(self, now_ms, request, result):
        self._expect("voided", result.outcome, self.payments.void(*request.args))

    def _on_payment_due(self, now_ms, request, result):
        found = (result.outcome, result.data["job"])
        self._expect(f"due {request.args[0]}", found, self.payments.due(request.args[0]))

    # -- dialogues and texts for others

    def _on_ussd_step(self, now_ms, request, result):
        full_id, _, typed, step, _ = request.args
        model, step = self.talks, int(step)
        if full_id.startswith(PUSHED):
            push = int(full_id.removeprefix(PUSHED))
            kind, detail = model.pressed(push, request.sender, typed, step, now_ms)
            if kind == "did" or detail == "kept":
                model.answered(full_id, result)
        else:
            session = full_id.partition(":")[2]
            kind, detail = model.step(session, request.sender, typed, step, now_ms)
            if kind in {"shows", "did"}:
                model.answered(session, result)
        if not self._is_shown(kind, detail, result):
            self.complain("screen", f"{request.args}: {result}, it should be {kind} {detail}")

    def _is_shown(self, kind, detail, result):
        if kind == "wrong":
            return (result.outcome, result.data) == ("ussd.wrong_step", {"step": detail})
        if kind == "unknown":
            return result.outcome == "ussd.unknown"
        if kind == "same":
            return result == detail
        screen = shown(result)
        if kind in SCREENS:
            return screen.ends and screen.text.startswith(SCREENS[kind])
        if kind == "shows":
            name, hinted = detail
            text = screen.text.partition("\n")[2] if hinted else screen.text
            return text.startswith(FIRST_WORDS[name]) and not screen.ends
        return screen.ends is (detail != "again")

    def _on_ussd_end(self, now_ms, request, result):
        known = self.talks.ends(request.args[0].partition(":")[2], now_ms)
        self._expect("end", result.outcome, "ussd.ended" if known else "ussd.unknown")

    def _on_push_outcome(self, now_ms, request, result):
        self.talks.noted(int(request.args[0]), request.args[1])

    def _on_clock_text(self, now_ms, request, result):
        """One text that is due; the model's own clock would look at all."""
        mos = sorted(self.rows(HELD_TEXT))
        text = self.talks.texts[mos.index(int(request.args[0]))]
        if text.state == "asking" and now_ms >= text.due:
            others, self.talks.texts = self.talks.texts, [text]
            self.talks.clock(now_ms)
            self.talks.texts = others

    # -- the end

    def held_texts(self):
        return self.tables[HELD_TEXT.index]

    def rows(self, table):
        return self.tables[table.index]

    def balance(self, number, kind):
        """What somebody has, or, below zero, owes."""
        account = main_account(number) if kind == "prepaid" else debt_account(number)
        row = self.rows(ACCOUNT).get(account)
        return row.posted if row is not None else 0

    def compare(self):
        """The books are what the models are."""
        self._compare_people()
        for row in self.rows(PAYMENT).values():
            pay = self.payments.payments.get(row.id)
            said = (pay.state, pay.centre, pay.voiding, pay.next_ms) if pay else None
            self._expect(row.id, (row.state, row.centre, row.voiding, row.next_at), said)
        self._expect("payments", len(self.rows(PAYMENT)), len(self.payments.payments))
        states = [row.state for _, row in sorted(self.rows(HELD_TEXT).items())]
        wanted = [text.state for text in self.talks.texts]
        same = len(states) == len(wanted) and all(
            found in {"delivered", "undelivered", "sending", "expired"}
            if said == "delivered"
            else found == said
            for found, said in zip(states, wanted, strict=True)
        )
        if not same:
            self.complain("texts for others", f"{states}, they should be {wanted}")

    def _compare_people(self):
        for model in (self.calls, self.payments):
            for number, person in model.people.items():
                self._compare_person(number, person)
        for number, person in self.talks.people.items():
            self._expect(f"lists of {number}", self._listed(number, "black"), sorted(person.black))
            found = bool(self.rows(SUBSCRIBER)[number].notices)
            self._expect(f"notices of {number}", found, person.notices)

    def _compare_person(self, number, person):
        row = self.rows(SUBSCRIBER)[number]
        self._expect(
            f"settings of {number}",
            (row.language, bool(row.notices), bool(row.trial_used)),
            (person.language, person.notices, person.trial_used),
        )
        self._expect(f"balance of {number}", self.balance(number, person.kind), person.balance_vnd)
        for kind in ("black", "white"):
            listed = sorted(n for n, on in person.lists.items() if on == kind)
            self._expect(f"{kind} list of {number}", self._listed(number, kind), listed)
        current = self.rows(SUBSCRIPTION).get(number)
        package = person.package
        if package is None:
            cancelled = current is None or current.status == PackageStatus.CANCELLED
            self._expect(f"no package of {number}", cancelled, wanted=True)
        else:
            found = (current.package, current.ends_at, current.failed_since)
            self._expect(
                f"package of {number}", found, (package.name, package.ends_ms, package.failed_ms)
            )

    def _listed(self, number, kind):
        rows = self.rows(LIST_ENTRY).values()
        return sorted(row.number for row in rows if (row.owner, row.kind) == (number, kind))
