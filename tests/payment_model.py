"""Card payments a second time, as a person would reckon them on paper.

Written from docs/rules.md and docs/payments.md.  What a day has seen is counted from the payments
themselves, and what an account must hold is reckoned from what people did; nothing of telcod's
reckoning is used.  Each method says what must be answered, and changes the model as it should.
"""

from dataclasses import dataclass

from tests.service_model import DAY_MS, HOUR_MS, Model

MINUTE_MS = 60_000
OPEN = ("created", "redirected", "unknown")
ENDED_WITHOUT = ("declined", "expired")
IN_TRANSIT = ("in_review", "clearing", "clearing_failed")
ASKED_AFTER_MIN = (1, 5, 15, 60)
SLOTS = 5
BILLS_VND = 10_000_000
TOPUPS_VND = 5_000_000
LARGE_VND = 1_000_000
STOLEN = "stolen"
STOPPED_ADDRESS = "198.51.100.66"
CARD_TIMES = 2
VIETNAM_MS = 7 * HOUR_MS


@dataclass
class Setting:
    """What the machine sets, so that long waits are few steps."""

    create_retry_s: int = 300
    clearing_retry_min: int = 60
    void_retry_min: int = 60

    def limits(self):
        return {
            "create_retry_s": self.create_retry_s,
            "clearing_retry_min": self.clearing_retry_min,
            "void_retry_min": self.void_retry_min,
        }


@dataclass
class Pay:
    """One payment."""

    number: int
    life: int
    purpose: str
    amount_vnd: int
    centre: int
    created_ms: int
    next_ms: int
    state: str = "created"
    asked: int = 0
    yes_ms: int = 0  # When the bank's yes was noted.
    token: str = ""  # Of a card whose yes counted.
    why: str = ""
    collected: bool = False
    voiding: int = 0
    called: int = 0  # 1: the alarm was given, 2: the deadline too.
    void_called: bool = False
    proposed_by: str = ""
    left: bool = False  # Cleared to suspense, for the number had another owner.

    @property
    def slot(self):
        return self.state not in ENDED_WITHOUT

    @property
    def day(self):
        return (self.created_ms + VIETNAM_MS) // DAY_MS

    @property
    def over_ms(self):
        return self.created_ms + 15 * MINUTE_MS


class PaymentModel(Model):
    """People and their payments, by id."""

    def __init__(self, now_ms, setting):
        super().__init__(now_ms, entries_max=50)
        self.setting = setting
        self.payments = {}
        self.lives = {}
        self.centres = {}
        self.closed = set()
        self.owed = {}  # What a prepaid one owes for fraud, by number.
        self.cases = []
        self.texts = []
        self.unblocks = 0
        self.lost_vnd = 0  # What nobody but the operator can bear.

    # -- what a day has seen

    def today(self, number, day=None):
        """(payments, bills, top-ups) that count on a day."""
        at = (self.now_ms + VIETNAM_MS) // DAY_MS if day is None else day
        his = [p for p in self.payments.values() if (p.number, p.day) == (number, at) and p.slot]
        sums = [
            sum(p.amount_vnd for p in his if p.purpose == purpose) for purpose in ("bill", "topup")
        ]
        return (len(his), *sums)

    def owner(self, pay):
        """Who pays, while the number is his."""
        person = self.people.get(pay.number)
        if person is None or person.state == "closed" or self.lives[pay.number] != pay.life:
            return None
        return person

    # -- a payer

    def create(self, payment_id, number, purpose, amount_vnd, address=""):
        if payment_id in self.payments:
            before = self.payments[payment_id]
            same = (before.number, before.purpose, before.amount_vnd)
            used = same != (number, purpose, amount_vnd)
            return "payment.id_used" if used else "payment.created"
        refused = self.refused(number, purpose, amount_vnd, address)
        if refused:
            return refused
        self.payments[payment_id] = Pay(
            number,
            self.lives[number],
            purpose,
            amount_vnd,
            self.centres[number],
            self.now_ms,
            self.now_ms + self.setting.create_retry_s * 1_000,
        )
        return "payment.created"

    def refused(self, number, purpose, amount_vnd, address):
        if not self.on_net(number):
            return "payment.not_served"
        if (purpose == "bill") != (self.people[number].kind == "postpaid"):
            return "payment.wrong_purpose"
        if not 50_000 <= amount_vnd <= 10_000_000:
            return "payment.amount"
        if any(
            (p.number, p.life, p.purpose, p.state)
            == (number, self.lives[number], purpose, "unknown")
            for p in self.payments.values()
        ):
            return "payment.unknown_pending"
        payments, bills_vnd, topups_vnd = self.today(number)
        if payments >= SLOTS:
            return "payment.too_many"
        if purpose == "bill" and bills_vnd + amount_vnd > BILLS_VND:
            return "payment.too_much"
        if purpose == "topup" and topups_vnd + amount_vnd > TOPUPS_VND:
            return "payment.too_much"
        return "payment.stopped" if address == STOPPED_ADDRESS else ""

    # -- the gateway

    def redirect(self, payment_id):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state == "created":
            pay.state, pay.next_ms = "redirected", pay.over_ms
        return "payment.redirected"

    def refuse(self, payment_id):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state == "created":
            pay.state, pay.next_ms = "declined", 0
        return f"payment.{pay.state}"

    def hear(self, payment_id, result, amount_vnd, code, token, *, asked):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if self.contradicts(pay, result, amount_vnd):
            self.contradict(pay, f"{result} {amount_vnd} {code}".rstrip(), asked=asked)
            return "payment.contradictory"
        if pay.yes_ms:
            return f"payment.{pay.state}"
        if pay.state in ENDED_WITHOUT:
            if result == "authorised":
                pay.yes_ms = pay.next_ms = self.now_ms
                pay.voiding = 1
                self.cases.append((payment_id, "late"))
                self.tell(pay, "rejected")
        elif result == "authorised":
            self.authorise(payment_id, pay, token)
        elif result == "declined":
            pay.state, pay.next_ms, pay.why = "declined", 0, code
        elif result != "none":
            self.wait(pay, asked=asked)
        elif self.now_ms >= pay.over_ms:
            pay.state, pay.next_ms = "expired", 0
        return f"payment.{pay.state}"

    def contradicts(self, pay, result, amount_vnd):
        if amount_vnd and amount_vnd != pay.amount_vnd:
            return True
        if result == "authorised" and not amount_vnd:
            return True
        return bool(pay.yes_ms) and result in {"declined", "none"}

    def contradict(self, pay, said, *, asked):
        again = asked and pay.state in OPEN and pay.why == said
        if not again:
            self.cases.append((self.id_of(pay), "contradictory"))
        if asked and pay.state in OPEN:
            self.wait(pay, asked=True)
            pay.why = said

    def wait(self, pay, *, asked):
        if pay.state == "unknown" and not asked:
            return
        pay.asked = pay.asked + 1 if pay.state == "unknown" else 0
        pay.state = "unknown"
        pay.next_ms = self.now_ms + self.patience_ms(pay)

    def patience_ms(self, pay):
        return ASKED_AFTER_MIN[min(pay.asked, 3)] * MINUTE_MS

    def authorise(self, payment_id, pay, token):
        pay.yes_ms, pay.why = self.now_ms, ""
        if self.owner(pay):
            pay.centre = self.centres[pay.number]
        hour_ago = self.now_ms - HOUR_MS
        same_card = [p for p in self.payments.values() if p.token == token and hour_ago < p.yes_ms]
        pay.token = token
        if token == STOLEN:
            self.reject(pay)
            return
        pay.collected = True
        if pay.amount_vnd >= LARGE_VND or len(same_card) + 1 > CARD_TIMES:
            pay.state, pay.next_ms = "in_review", self.now_ms + 10 * MINUTE_MS
        else:
            self.clear(payment_id, pay)

    def reject(self, pay):
        pay.state, pay.voiding, pay.next_ms = "rejected_fraud", 1, self.now_ms
        pay.void_called = False
        self.tell(pay, "rejected")

    def void(self, payment_id, fate):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.voiding != 1:
            return "payment.voided" if pay.voiding else "payment.wrong_state"
        if fate == "done":
            pay.voiding, pay.next_ms = 2, 0
            return "payment.voided"
        pay.next_ms = self.now_ms + self.setting.void_retry_min * MINUTE_MS
        if self.now_ms >= pay.yes_ms + DAY_MS and not pay.void_called:
            pay.void_called = True
            self.cases.append((payment_id, "void"))
        return "payment.void_failed"

    # -- the clock

    def due(self, payment_id):
        """(the outcome, the job for the gateway)."""
        pay = self.payments[payment_id]
        now_ms = self.now_ms
        if not 0 < pay.next_ms <= now_ms:
            return "payment.not_due", "none"
        if pay.voiding == 1:
            pay.next_ms = now_ms + self.setting.void_retry_min * MINUTE_MS
            return "payment.due", "void"
        if pay.state == "created" and now_ms < pay.over_ms:
            pay.next_ms = min(now_ms + self.setting.create_retry_s * 1_000, pay.over_ms)
            return "payment.due", "create"
        if pay.state in OPEN:
            pay.next_ms = now_ms + self.patience_ms(pay)
            return "payment.due", "inquire"
        self.clear(payment_id, pay)
        return f"payment.{pay.state}", "none"

    def due_ids(self):
        return {name for name, pay in self.payments.items() if 0 < pay.next_ms <= self.now_ms}

    # -- clearing

    def clear(self, payment_id, pay):
        if self.owner(pay) is None:
            self.postpone(payment_id, pay, "gone")
        elif pay.centre in self.closed:
            self.postpone(payment_id, pay, "closed")
        else:
            self.clear_now(pay)

    def postpone(self, payment_id, pay, why):
        if why == "gone" and pay.why != "gone":
            self.cases.append((payment_id, "subscriber_gone"))
        pay.why = why
        moments = [pay.yes_ms + DAY_MS, pay.yes_ms + 2 * DAY_MS]
        for number, kind in ((1, "alarm"), (2, "deadline")):
            if pay.called < number and self.now_ms >= moments[number - 1]:
                pay.called = number
                self.cases.append((payment_id, kind))
                if number == 1:
                    self.tell(pay, "delayed")
        pay.state = "clearing_failed" if why == "gone" or pay.called else "clearing"
        tries = [self.now_ms + self.setting.clearing_retry_min * MINUTE_MS, *moments]
        pay.next_ms = min(at for at in tries if at > self.now_ms)

    def clear_now(self, pay):
        pay.state, pay.next_ms, pay.why = "cleared", 0, ""
        if self.lives[pay.number] != pay.life:
            pay.left = True
            return
        person = self.people[pay.number]
        person.balance_vnd += pay.amount_vnd
        if person.state == "closed":
            return
        if pay.purpose == "bill":
            self.unblocks += person.state == "debt_blocked" and person.balance_vnd >= 0
            self.tell(pay, "paid")
            return
        self.tell(pay, "topped_up")
        if person.state == "out_of_money":
            person.state = "active"
        if person.package and person.package.failed_ms:
            self.renew(person)

    # -- people

    def review(self, payment_id, verdict):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state != "in_review":
            return "payment.wrong_state"
        if verdict == "pass":
            self.clear(payment_id, pay)
        else:
            self.reject(pay)
        return f"payment.{pay.state}"

    def by_hand(self, payment_id):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state not in {"clearing", "clearing_failed"}:
            return "payment.wrong_state"
        self.clear_now(pay)
        return "payment.cleared"

    def propose(self, payment_id, actor):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state != "cleared":
            return "payment.wrong_state"
        pay.proposed_by = pay.proposed_by or actor
        return "payment.cancel_proposed"

    def confirm(self, payment_id, actor):
        pay = self.payments.get(payment_id)
        if pay is None:
            return "payment.not_found"
        if pay.state != "cleared":
            return "payment.wrong_state"
        if not pay.proposed_by:
            return "payment.not_proposed"
        if pay.proposed_by == actor:
            return "payment.same_person"
        self.take_back(pay)
        return "payment.cancelled"

    def take_back(self, pay):
        pay.state, pay.voiding, pay.next_ms = "cancelled", 1, self.now_ms
        pay.void_called = False
        if pay.left:
            return
        if self.lives[pay.number] != pay.life:
            self.lost_vnd += pay.amount_vnd
            return
        person = self.people[pay.number]
        if pay.purpose == "bill":
            person.balance_vnd -= pay.amount_vnd
        else:
            taken_vnd = min(pay.amount_vnd, person.balance_vnd)
            person.balance_vnd -= taken_vnd
            self.owed[pay.number] += pay.amount_vnd - taken_vnd
        self.tell(pay, "cancelled")

    # -- what is to be seen

    def set_state(self, number, state):
        comes_back = self.people[number].state == "closed" and state != "closed"
        said = super().set_state(number, state)
        if comes_back:
            self.lives[number] += 1
            self.owed[number] = 0
        return said

    def tell(self, pay, what):
        if self.owner(pay) is not None:
            self.texts.append((pay.number, what))

    def transit_vnd(self, centre):
        return sum(
            pay.amount_vnd
            for pay in self.payments.values()
            if pay.centre == centre and pay.state in IN_TRANSIT
        )

    def receivable_vnd(self):
        """What the gateway owes, with the sign of the account."""
        kept = ("cleared", *IN_TRANSIT)
        return -sum(p.amount_vnd for p in self.payments.values() if p.state in kept)

    def id_of(self, pay):
        return next(name for name, each in self.payments.items() if each is pay)
