"""A card gateway in memory, held to the port by the same tests as the real one."""

from telcod.epay.gateway import Created, GatewayRefused, GatewaySilent, Result, Said


class FakeGateway:
    """`silent` says nothing; `refuses` is a code for every order; `asked` is what it heard."""

    def __init__(self):
        self.silent = False
        self.refuses = ""
        self.asked = []
        self._orders = {}
        self._said = {}

    async def create(self, order):
        self._hear("create", order.payment_id)
        if self.refuses:
            raise GatewayRefused(self.refuses)
        known = self._orders.setdefault(order.payment_id, order)
        if known._replace(language="") != order._replace(language=""):
            raise GatewayRefused("payment_differs")
        return Created(f"ref-{order.payment_id}", f"https://gateway.example/{order.payment_id}")

    async def inquire(self, payment_id, gateway_ref):
        self._hear("inquire", payment_id)
        if payment_id not in self._orders:
            return Said(Result.NONE)
        open_page = Said(Result.OPEN, amount_vnd=self._orders[payment_id].amount_vnd)
        return self._said.get(payment_id, open_page)

    async def void(self, payment_id, gateway_ref, amount_vnd):
        self._hear("void", payment_id)
        if payment_id not in self._orders:
            return False
        amount = self._orders[payment_id].amount_vnd
        self._said[payment_id] = Said(Result.DECLINED, "voided", amount)
        return True

    # -- for tests

    async def pay(self, payment_id):
        order = self._orders[payment_id]
        bank = "VISA" if order.card == "international" else "BIDV"
        self._said[payment_id] = Said(
            Result.AUTHORISED, "00", order.amount_vnd, "411111******1111", "tok", bank, "C1"
        )

    async def decline(self, payment_id):
        amount = self._orders[payment_id].amount_vnd
        self._said[payment_id] = Said(Result.DECLINED, "card_declined", amount)

    def go_silent(self):
        self.silent = True

    def _hear(self, what, payment_id):
        self.asked.append((what, payment_id))
        if self.silent:
            raise GatewaySilent("the fake says nothing")
