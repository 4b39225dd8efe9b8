"""The operator of `tests.world` with a card gateway: accept, hear its word, review, clear.

`PaymentDoors` can be mixed into any world; `PaymentWorld` is the plain one.
"""

from typing import Any

import msgspec

from telcod.billing.payments import PaymentLimits
from telcod.billing.risk import RiskRule, RiskRules, Then, When
from telcod.days import business_date
from telcod.rows import (
    AUDIT,
    CLEARING,
    ENTRY,
    LIMIT_COUNTER,
    OUTBOX_EVENT,
    OUTBOX_MAIL,
    PAYMENT,
    PAYMENT_CASE,
)
from telcod.types import Channel, Request
from tests.text_world import TextWorld
from tests.world import DUE_MAX, shipped_rules

PLATFORM = "portal"
GATEWAY = "gateway"
CARD_TOKEN = "tok-1"
PAYER = "203.0.113.7"


def rules_of_payments(*risks, events=True, **limits):
    """The shipped rules with other limits of payments, these risk rules, and somebody listening."""
    rules = shipped_rules()
    changed = msgspec.structs.replace(rules.limits, payments=PaymentLimits(**limits))
    return msgspec.structs.replace(
        rules, limits=changed, risk=RiskRules(tuple(risks)), events=events
    )


def often(when, count, *, then="review", within_min=60, name=""):
    return RiskRule(name or f"{when}-often", When(when), Then(then), count, within_min)


def large(amount_vnd, *, then="review"):
    return RiskRule("large", When.AMOUNT, Then(then), amount_vnd=amount_vnd)


def stopped(what, *values, then="reject"):
    return RiskRule(f"stop-{what}", When(f"stop_{what}"), Then(then), values=values)


class PaymentDoors:
    """What portals, the gateway, the cashier and staff say; each answer as it is."""

    run: Any  # The world's own.
    row: Any
    subscriber_row: Any
    store: Any
    now_ms: Any

    # -- a payer

    def create_request(
        self,
        payment_id,
        msisdn,
        amount_vnd,
        *,
        purpose="",
        card="international",
        email="",
        invoice="0",
        address="",
        platform=PLATFORM,
        key="",
    ):
        row = self.subscriber_row(msisdn)
        usual = "bill" if row is not None and row.kind == "postpaid" else "topup"
        return Request(
            "payment.create",
            sender=msisdn,
            args=(
                payment_id,
                str(amount_vnd),
                purpose or usual,
                card,
                email,
                invoice,
                "https://shop.example/done",
                address,
            ),
            channel=Channel.WEB,
            actor=platform,
            key=key,
        )

    def create(self, payment_id, msisdn, amount_vnd=50_000, **more):
        (result,) = self.run(self.create_request(payment_id, msisdn, amount_vnd, **more))
        return result

    def redirect(self, payment_id, *, ref=""):
        ref = ref or f"gw-{payment_id}"
        return self._ask("redirected", payment_id, ref, f"https://cards.example/{payment_id}")

    def begin(self, payment_id, msisdn, amount_vnd=50_000, **more):
        """Accepted, and the payer is on the gateway's page."""
        created = self.create(payment_id, msisdn, amount_vnd, **more)
        assert created.outcome == "payment.created", created
        return self.redirect(payment_id)

    # -- the gateway

    def word(self, payment_id, result, code="", *, amount_vnd=None, token=CARD_TOKEN, bank="VCB"):
        """The arguments of what the gateway says."""
        row = self.payment(payment_id)
        if amount_vnd is None:
            amount_vnd = row.amount_vnd if row is not None and result == "authorised" else 0
        return (
            payment_id,
            result,
            code,
            str(amount_vnd or ""),
            "411111******1111",
            token,
            bank,
            "C07",
        )

    def notify_request(self, payment_id, result, *rest, key="", **more):
        return Request(
            "payment.notified",
            args=self.word(payment_id, result, *rest, **more),
            channel=Channel.WEB,
            actor=GATEWAY,
            key=key,
        )

    def notify(self, payment_id, result="authorised", *rest, **more):
        (answer,) = self.run(self.notify_request(payment_id, result, *rest, **more))
        return answer

    def inquire(self, payment_id, result, *rest, **more):
        return self._ask("inquired", *self.word(payment_id, result, *rest, **more))

    def pay(self, payment_id, msisdn, amount_vnd=50_000, *, token=CARD_TOKEN, **more):
        """From look-up to the bank's yes."""
        self.begin(payment_id, msisdn, amount_vnd, **more)
        return self.notify(payment_id, token=token)

    def void(self, payment_id, fate="done"):
        return self._ask("voided", payment_id, fate)

    def due_request(self, payment_id):
        return Request("payment.due", args=(payment_id,), channel=Channel.CLOCK)

    def due(self, payment_id):
        (result,) = self.run(self.due_request(payment_id))
        return result

    def refuse(self, payment_id, code="closed"):
        return self._ask("refused", payment_id, code)

    def show(self, payment_id, *, platform=PLATFORM, channel=Channel.WEB):
        request = Request("payment.show", args=(payment_id,), channel=channel, actor=platform)
        (result,) = self.run(request)
        return result

    # -- people

    def staff(self, op, *args, actor="token:an"):
        request = Request(f"payment.{op}", args=args, channel=Channel.STAFF, actor=actor)
        (result,) = self.run(request)
        return result

    def centre(self, number, word):
        return self.staff("set_centre", str(number), word)

    def cancel(self, payment_id, first="token:an", second="token:binh"):
        """Two people say that it was fraud; what the second is told."""
        self.staff("propose_cancel", payment_id, "bank's letter", actor=first)
        return self.staff("confirm_cancel", payment_id, "agreed", actor=second)

    def _ask(self, op, *args):
        (result,) = self.run(Request(f"payment.{op}", args=args, channel=Channel.CLOCK))
        return result

    # -- time

    def due_payments(self):
        """Ids of payments whose moment has come."""
        return self.store.due_payments(now_ms=self.now_ms, most=DUE_MAX)

    def jobs(self):
        """What the cashier has to ask the gateway now, by payment; the rest is done."""
        answers = {payment_id: self.due(payment_id) for payment_id in self.due_payments()}
        return {name: job for name, a in answers.items() if (job := a.data["job"]) != "none"}

    # -- looking

    def payment(self, payment_id):
        return self.row(PAYMENT, payment_id)

    def state(self, payment_id):
        return self.payment(payment_id).state

    def counter(self, msisdn, day=0):
        """(payments, bills, top-ups) of a day."""
        row = self.row(LIMIT_COUNTER, (msisdn, day or business_date(self.now_ms)))
        return (row.payments, row.bills_vnd, row.topups_vnd) if row else (0, 0, 0)

    def account(self, account_id):
        """What the entries make of any account."""
        return sum(
            (entry.credit == account_id) * entry.amount - (entry.debit == account_id) * entry.amount
            for entry in self.store.scan(ENTRY)
        )

    def entries_of(self, payment_id):
        """(kind, amount) of what a payment moved, oldest first."""
        return [
            (entry.kind.removeprefix("payment."), entry.amount)
            for entry in self.store.scan(ENTRY)
            if entry.command == f"payment:{payment_id}"
        ]

    def clearings(self):
        return list(self.store.scan(CLEARING))

    def cases(self, payment_id=""):
        """The kinds of the cases, oldest first."""
        rows = self.store.scan(PAYMENT_CASE)
        return [row.kind for row in rows if not payment_id or row.payment == payment_id]

    def case_rows(self):
        return list(self.store.scan(PAYMENT_CASE))

    def mails(self):
        return list(self.store.scan(OUTBOX_MAIL))

    def events(self):
        """`subject/verb` of what others were told, oldest first."""
        return [f"{row.subject}/{row.verb}" for row in self.store.scan(OUTBOX_EVENT)]

    def audited(self):
        """(who, what, of what), oldest first."""
        return [(row.actor, row.action, row.subject) for row in self.store.scan(AUDIT)]


class PaymentWorld(PaymentDoors, TextWorld):
    """A world with payments, and all else that money is spent on."""
