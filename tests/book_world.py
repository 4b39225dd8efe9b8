"""The operator of `tests.payment_world` at the end of the day, and the gateway's own record of it.

`GatewayRecord` is the other side: what the bank did, kept apart from our books, and written as the
file of docs/payments.md.  Plant a difference by changing the record, never our books.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from telcod.billing.accounts import GATEWAY_RECEIVABLE, SUSPENSE, TRANSIT
from telcod.billing.risk import RiskRules
from telcod.days import DAY_MS, HOUR_MS, business_date, day_start_ms
from telcod.epay.files import HEADER
from telcod.rows import ACCOUNT, DAY_CLOSE, GATEWAY_FILE, GATEWAY_LINE, PAYMENT_CASE
from telcod.types import Channel, Request
from telcod.web.report_routes import close_request, reconcile_request, settlement_request
from tests.payment_world import GATEWAY, PaymentDoors
from tests.world import World, shipped_rules

DAY = 20260302
NEXT_DAY = 20260303
BANKS = ("VCB", "ACB", "BIDV")
ACTOR = "token:books"


def rules_without_risk(*, events=False):
    """The shipped rules, and nothing suspected: what is authorised is cleared at once."""
    return msgspec.structs.replace(shipped_rules(), risk=RiskRules(()), events=events)


class BankLine(NamedTuple):
    """What the bank did once."""

    payment: str
    amount_vnd: int
    result: str
    bank: str
    cashier: str
    at_ms: int


class GatewayRecord:
    """All that the bank did, in order."""

    def __init__(self):
        self.lines = []

    def note(self, payment, amount_vnd, at_ms, *, result="authorised", bank="VCB", cashier="VCB01"):
        self.lines.append(BankLine(payment, amount_vnd, result, bank, cashier, at_ms))

    def of_day(self, day):
        return [line for line in self.lines if business_date(line.at_ms) == day]

    def file(self, day):
        return as_file(self.of_day(day))


def as_file(lines):
    """The file of these lines, as the gateway writes it."""
    rows = [",".join(HEADER)]
    for line in lines:
        at = datetime.fromtimestamp(line.at_ms // 1000, tz=UTC).isoformat()
        cells = (line.payment, line.amount_vnd, line.result, line.bank, line.cashier)
        rows.append(",".join(str(cell) for cell in (*cells, "411111******1111", at)))
    rows.append(f"trailer,{len(lines)},{sum(line.amount_vnd for line in lines)}")
    return ("\n".join(rows) + "\n").encode()


class BookWorld(PaymentDoors, World):
    """Payments of a day, the bank's record of them, and what staff do in the evening."""

    def __init__(self, path=None, **more):
        more.setdefault("rules", rules_without_risk())
        super().__init__(path, **more)
        self.bank = GatewayRecord()

    # -- during the day

    def paid_requests(self, payment_id, msisdn, amount_vnd, *, cashier="VCB01", recorded=True):
        """Accepted, authorised, and so cleared; the bank notes it too unless it forgets."""
        bank = cashier[:3]
        if recorded:
            self.bank.note(payment_id, amount_vnd, self.now_ms, bank=bank, cashier=cashier)
        args = (payment_id, "authorised", "", str(amount_vnd), "411111******1111")
        notified = Request(
            "payment.notified",
            args=(*args, f"tok-{payment_id}", bank, cashier),
            channel=Channel.WEB,
            actor=GATEWAY,
        )
        return self.create_request(payment_id, msisdn, amount_vnd), notified

    def paid(self, payment_id, msisdn, amount_vnd=50_000, **more):
        """One payment from acceptance to its end; the last answer's outcome."""
        results = self.run(*self.paid_requests(payment_id, msisdn, amount_vnd, **more))
        assert results[0].outcome == "payment.created", results
        return results[-1].outcome

    def given_back(self, payment_id, amount_vnd):
        """The gateway has voided it, and says so."""
        self.bank.note(payment_id, amount_vnd, self.now_ms, result="voided")
        return self.void(payment_id)

    # -- after midnight

    def morning_after(self, day=DAY):
        """Two o'clock of the next day."""
        self.clock.advance(day_start_ms(day) + DAY_MS + 2 * HOUR_MS - self.now_ms)

    def reconcile(self, content=None, day=DAY):
        """Match a file, the bank's own by default."""
        content = self.bank.file(day) if content is None else content
        (result,) = self.run(reconcile_request(day, content, ACTOR))
        return result

    def close(self, day=DAY):
        (result,) = self.run(close_request(day, ACTOR))
        return result

    def settle(self, kind, amount_vnd, day=DAY):
        (result,) = self.run(settlement_request(day, kind, amount_vnd, ACTOR))
        return result

    # -- looking

    def posted(self, account):
        row = self.row(ACCOUNT, account)
        return row.posted if row else 0

    @property
    def receivable(self):
        """What the gateway owes us, whole đồng."""
        return -self.posted(GATEWAY_RECEIVABLE)

    @property
    def suspense(self):
        return self.posted(SUSPENSE)

    @property
    def in_transit(self):
        return sum(self.posted(account) for account in TRANSIT.values())

    def lines_of(self, day=DAY):
        return sorted(self.store.load_groups(GATEWAY_LINE, (day,)), key=lambda row: row.line)

    def odd(self, day=DAY):
        """(payment, verdict) of what did not match, sorted."""
        rows = self.lines_of(day)
        return sorted((row.payment, row.verdict) for row in rows if row.verdict != "matched")

    def open_differences(self):
        """The cases that reconciliation has opened, whole."""
        return [row for row in self.store.scan(PAYMENT_CASE) if row.kind.startswith("recon.")]

    def file_row(self, day=DAY):
        return self.row(GATEWAY_FILE, day)

    def day_row(self, day=DAY):
        return self.row(DAY_CLOSE, day)
