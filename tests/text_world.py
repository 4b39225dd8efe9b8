"""The operator of `tests.world` where people text 1566+number; the SMSC says how it went."""

import msgspec

from telcod.billing.accounts import main_account
from telcod.dispatch import RECEIPT_ROUTE
from telcod.msisdn import Msisdn, national
from telcod.ports import Settled
from telcod.rows import ACCOUNT, ASKED_TEXT, ENTRY, HELD_TEXT, OUTBOX_SMS, OutboxState
from telcod.types import Channel, Mo, Request
from tests.call_world import CallWorld
from tests.world import DUE_MAX

LINK = "a"


class TextWorld(CallWorld):
    """Texts for others, their codes, and their way through the SMSC."""

    def text_request(self, sender, text, *, code="1566", connection=1):
        request = super().text_request(sender, text, code=code, connection=connection)
        return msgspec.structs.replace(
            request,
            short_code=self.rules.dispatcher.short_code_or_none(code) or code,
            mo=msgspec.structs.replace(request.mo, destination=code),
        )

    def forward_request(self, sender, payer, text="Hello"):
        return self.text_request(sender, text, code=f"1566{national(Msisdn(payer))}")

    def forward(self, sender, payer, text="Hello"):
        """A texts 1566+B; what A is told."""
        (result,) = self.run(self.forward_request(sender, payer, text))
        return result

    def code_of(self, payer):
        """The one code by which B may answer now."""
        (asked,) = [row for row in self.store.scan(ASKED_TEXT) if row.payer == payer]
        return asked.code

    def accepted(self, sender, payer, text="Hello"):
        """A's text of which B has said Y; it's on its way."""
        assert self.forward(sender, payer, text).outcome == "forward.waiting"
        answer = self.text(payer, f"Y {self.code_of(payer)}")
        assert answer.outcome == "forward.accepted", answer
        return self.held_text()

    # -- the SMSC

    def pending(self):
        """What is still to be sent."""
        return self.store.pending_sms(after=0, most=DUE_MAX)

    def forwarded(self):
        """All texts for others that left or will leave, oldest first."""
        return [row for row in self.store.scan(OUTBOX_SMS) if row.kind == "forward"]

    def settled(self, state=OutboxState.ACCEPTED, *, row=None, message_id="1", link=LINK):
        """What the sender says of a text, by default of the last one for somebody else."""
        row = row or self.forwarded()[-1]
        known_id = message_id if state == OutboxState.ACCEPTED else ""
        return Settled(
            row.seq, int(state), 1, self.now_ms, link, known_id, kind=row.kind, mo=row.mo
        )

    def settle(self, state=OutboxState.ACCEPTED, **which):
        """The sender's word alone in a batch."""
        self.batcher.run((), (self.settled(state, **which),))

    def receipt_request(self, state="delivered", *, message_id="1", link=LINK):
        return Request(
            RECEIPT_ROUTE,
            args=(link, message_id, state),
            short_code="1566",
            mo=Mo(1, "84903000000", b"receipt", ""),
        )

    def receipt(self, state="delivered", *, message_id="1", link=LINK):
        """The SMSC says what became of what it knows under an id; the outcome."""
        (result,) = self.run(self.receipt_request(state, message_id=message_id, link=link))
        return result.outcome

    def deliver(self, *, message_id="1"):
        """The SMSC takes the last text for somebody else, and it arrives."""
        self.settle(message_id=message_id)
        return self.receipt(message_id=message_id)

    # -- time

    def clock_requests(self):
        due = self.store.due_texts(now_ms=self.now_ms, most=DUE_MAX)
        texts = [Request("clock.text", args=(str(mo),), channel=Channel.CLOCK) for mo in due]
        return [*texts, *super().clock_requests()]

    def next_due_ms(self):
        moments = [row.due_at for row in self.store.scan(HELD_TEXT) if row.due_at > 0]
        others = super().next_due_ms()
        return min([*moments, *([] if others is None else [others])], default=None)

    # -- looking

    def held_texts(self):
        return list(self.store.scan(HELD_TEXT))

    def held_text(self):
        """The last one."""
        return self.held_texts()[-1]

    def states(self):
        return [row.state for row in self.held_texts()]

    def charges(self, payer):
        """What a number paid for texts, oldest first."""
        account = main_account(payer)
        return [
            row.amount
            for row in self.store.scan(ENTRY)
            if (row.kind, row.debit) == ("sms", account)
        ]

    def money(self, msisdn):
        """What a number has, and how much of it is set aside."""
        account = self.row(ACCOUNT, main_account(msisdn))
        return (account.posted, account.held)
