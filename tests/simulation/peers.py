"""Who telcod itself asks and tells: the card gateway, the gateway of screens, the broker.

Each is slow, silent or away as the seed has it, and remembers what truly happened.  What is said
to one arrives though the daemon dies before it hears the answer.
"""

import asyncio
import json
from dataclasses import dataclass

from telcod.epay.gateway import Created, GatewayRefused, GatewaySilent, Result, Said
from telcod.mqtt.errors import BrokerAway
from telcod.types import Channel, Request
from tests.payment_world import GATEWAY
from ussd.push import PushFailed


class Manners:
    """How a peer is at the moment.  Chances are from 0 to 1."""

    def __init__(self):
        self.answer_s = 0.1
        self.silent_chance = 0.0
        self.refuse_chance = 0.0
        self.away = False


class Peer:
    """What the three have in common."""

    def __init__(self, world, rng):
        self.world = world
        self.rng = rng
        self.manners = Manners()

    async def _hears(self, act):
        """`act` is done there, in a while; give what it gives, in another while.

        Raises:
            TimeoutError: No answer comes; it was done, or not.
        """
        manners, rng, loop = self.manners, self.rng, self.world.loop
        done = loop.create_future()
        deaf = manners.away or rng.random() < manners.silent_chance / 2
        mute = rng.random() < manners.silent_chance / 2

        def arrive():
            if deaf:
                return
            said = act()
            if not mute:
                loop.at(rng.random() * manners.answer_s, _give, done, said)

        loop.at(rng.random() * manners.answer_s, arrive)
        async with asyncio.timeout(10.0):
            return await done


@dataclass
class Order:
    """A payment as the gateway knows it."""

    amount_vnd: int
    open_until_s: float
    result: Result = Result.OPEN
    token: str = ""
    voided: bool = False


class Cards(Peer):
    """The card gateway: the truth about each payment, by id."""

    def __init__(self, world, rng):
        super().__init__(world, rng)
        self.orders = {}
        self.notified = 0

    def of(self, life):
        """Its port, as one daemon sees it: all daemons are the same to it."""
        return self

    async def create(self, order):
        def act():
            if order.payment_id not in self.orders:
                if self.rng.random() < self.manners.refuse_chance:
                    return None
                self.orders[order.payment_id] = Order(
                    order.amount_vnd, self.world.loop.time() + order.open_s
                )
                self._payer_comes(order.payment_id)
            return Created(f"gw-{order.payment_id}", f"https://cards.example/{order.payment_id}")

        created = await self._asked(act)
        if created is None:
            raise GatewayRefused("closed")
        return created

    async def inquire(self, payment_id, gateway_ref):
        return await self._asked(lambda: self._said(payment_id))

    async def void(self, payment_id, gateway_ref, amount_vnd):
        def act():
            order = self.orders.setdefault(payment_id, Order(amount_vnd, 0.0, Result.NONE))
            order.voided = True
            return True

        return await self._asked(act)

    async def _asked(self, act):
        try:
            return await self._hears(act)
        except TimeoutError as error:
            raise GatewaySilent("no answer") from error

    def _said(self, payment_id):
        order = self.orders.get(payment_id)
        if order is None:
            return Said(Result.NONE)
        if order.result is Result.OPEN and self.world.loop.time() >= order.open_until_s:
            order.result = Result.NONE
        paid = order.result is Result.AUTHORISED
        return Said(
            order.result,
            "05" if order.result is Result.DECLINED else "",
            order.amount_vnd if paid else 0,
            "411111******1111" if paid else "",
            order.token,
            "VCB" if paid else "",
            "C07" if paid else "",
        )

    def _payer_comes(self, payment_id):
        """He pays, is declined, or goes away; the gateway notifies, once, twice or never."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.15:
            return
        result = Result.AUTHORISED if draw < 0.8 else Result.DECLINED
        self.world.loop.at(rng.random() * 20.0, self._pays, payment_id, result)

    def _pays(self, payment_id, result):
        order = self.orders[payment_id]
        if order.result is not Result.OPEN or order.voided:
            return
        order.result = result
        if result is Result.AUTHORISED:
            order.token = f"tok-{self.rng.randrange(4)}"
        said = self._said(payment_id)
        args = (
            payment_id,
            said.result.value,
            said.code,
            str(said.amount_vnd or ""),
            said.masked_card,
            said.card_token,
            said.bank,
            said.cashier,
        )
        self.notified += 1
        request = Request(
            "payment.notified",
            args=args,
            channel=Channel.WEB,
            actor=GATEWAY,
            key=f"gateway:n{self.notified}",
        )
        for _ in range(self.rng.choice((0, 1, 1, 1, 2))):
            self.world.loop.at(self.rng.random() * 30.0, self.world.ask_soon, request)


class Screens(Peer):
    """The USSD gateway's other side: what telcod shows unasked."""

    def __init__(self, world, rng):
        super().__init__(world, rng)
        self.shown = []

    def of(self, life):
        return self

    async def push(self, push):
        def act():
            if self.rng.random() < self.manners.refuse_chance:
                return False
            self.shown.append((push.session_id, push.msisdn))
            self.world.phone_rings(push)
            return True

        try:
            took = await self._hears(act)
        except TimeoutError as error:
            raise PushFailed("no answer", retry=True) from error
        if not took:
            raise PushFailed("no such phone", retry=self.rng.random() < 0.5)


class Broker(Peer):
    """Takes events; a connection is lost now and then, with what was not acknowledged."""

    def __init__(self, world, rng):
        super().__init__(world, rng)
        self.heard = []
        self.drop_chance = 0.0

    def connect(self, life):
        """A connection, as `telcod.mqtt.wire` has them.

        Raises:
            BrokerAway: It does not answer.
        """
        if self.manners.away:
            raise BrokerAway("nobody listens")
        return BrokerWire(self, life)


class BrokerWire:
    """One connection."""

    in_flight_max = 20

    def __init__(self, broker, life):
        self._broker = broker
        self._life = life
        self._lost = False
        self._last_at = 0.0

    def send(self, topic, payload):
        broker, loop = self._broker, self._broker.world.loop
        done = loop.create_future()
        if broker.manners.away or broker.rng.random() < broker.drop_chance:
            self._lost = True
        # In order, as everything over one connection.
        at_s = max(self._last_at + 1e-6, loop.time() + broker.rng.random() * 0.05)
        self._last_at = at_s
        loop.at(at_s - loop.time(), self._arrive, payload, done)
        return done

    def _arrive(self, payload, done):
        if not self._life.alive:
            return
        if self._lost:
            if not done.done():
                done.set_exception(BrokerAway("the connection is lost"))
                done.exception()
            return
        self._broker.heard.append(json.loads(payload)["seq"])
        if not done.done():
            done.set_result(None)


def _give(done, said):
    if not done.done():
        done.set_result(said)
