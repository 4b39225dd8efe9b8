"""The payment site in one process, and somebody who reads its pages and sends their forms."""

from typing import Any

import httpx
import msgspec
from argon2 import PasswordHasher
from lxml import html

from telcod.bulk import SubscriberLine
from telcod.epay import notifications
from telcod.epay.lookup import LookUps
from telcod.epay.signatures import secret_bytes
from telcod.epay.site.routes import Site, SiteSettings
from telcod.rows import PAYMENT, PAYMENT_OF, PAYMENT_PASSWORD, Kind, State
from telcod.simulator.card_gateway import WEBHOOK_SECRET
from telcod.tx import Changes
from telcod.types import Request
from telcod.vault import Vault
from telcod.web.app import make_app
from tests.epay.world import DEBT_VND, LAN, TELCOD, PayWorld

KIB = 8  # of argon2id: enough for a test
PASSWORD = "Hoa1234"
NAME = "Thuê bao <b>& Co</b>"
ADDRESS = "1 Lê Lợi, Quận 1"
NUMBER = "0903 000 001"
PAYER = "203.0.113.7"


class SiteWorld(PayWorld):
    """`PayWorld` with the site; LAN is postpaid with a debt, a name and a payment password."""

    def __init__(self, settings=None):
        super().__init__()
        self.settings = settings or SiteSettings()

    async def __aenter__(self):
        await super().__aenter__()
        self.backend.add(
            SubscriberLine(
                LAN,
                Kind.POSTPAID,
                State.ACTIVE,
                centre=2,
                name=NAME,
                address=ADDRESS,
                debt_vnd=DEBT_VND,
            )
        )
        hashed = PasswordHasher(time_cost=3, memory_cost=KIB, parallelism=1).hash(PASSWORD.upper())
        self.backend.take(Request("password.set", sender=LAN, secret_hash=hashed))
        look_ups = LookUps(self._read_hash, memory_kib=KIB)
        self._stack.callback(look_ups.close)
        settings = self.settings._replace(gateway_url=self.settings.gateway_url or self.gateway.url)
        self.site = Site(
            settings, self.cashier, look_ups.look_up, Vault(bytes(32)), self.backend.clock
        )
        keys = [secret_bytes(WEBHOOK_SECRET)]
        routes = (*self.site.routes(), *notifications.routes(keys))
        self.app = make_app(self.backend, control=False, dialects=routes)
        return self

    async def _read_hash(self, msisdn):
        return "".join(row.hash for row in self.backend.store.load(PAYMENT_PASSWORD, (msisdn,)))

    def payments(self):
        return list(self.backend.store.scan(PAYMENT))

    def newest_row(self):
        """The payment that was begun last."""
        of = {row.payment: row.at for row in self.backend.store.scan(PAYMENT_OF)}
        rows = self.payments()
        asked = [each.args[0] for each in self.submitted("payment.create")]
        return max(rows, key=lambda row: (of[row.id], asked.index(row.id)))

    def newest(self):
        return self.newest_row().id

    def submitted(self, route):
        return [each for each in self.backend.submitted if each.route == route]

    def set_payment(self, payment, **values):
        """Put a payment into any state; `cleared` and `cancelled` keep their entry."""
        ended = values["state"] in {"cleared", "cancelled"}
        values |= {} if ended else {"cleared": 0, "cleared_at": 0}
        row = msgspec.structs.replace(payment, **values)
        self.backend.store.apply([Changes(PAYMENT, [row], [], [])], [])
        self.backend.store.commit()

    def reader(self, address=PAYER, **headers):
        """Somebody with a browser of his own."""
        app: Any = self.app
        transport = httpx.ASGITransport(app, client=(address, 40_000))
        client = httpx.AsyncClient(transport=transport, base_url=TELCOD, headers=headers)
        return Reader(self, client)


class Page:
    """A page as somebody sees it."""

    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.location = response.headers.get("location", "")
        self.html = response.text
        tree: Any = html.fromstring(self.html) if self.html.strip() else None
        self.tree = tree
        self.text = " ".join(tree.text_content().split()) if tree is not None else ""

    def form(self, index=0):
        """Where a form goes, and what it holds."""
        form = self.tree.forms[index]
        return form.action, dict(form.form_values())

    def has(self, key, site, language="vi", **values):
        """Whether it says a word of the site."""
        said = str(site.pages.speaker(language)(key, **values))
        return " ".join(html.fromstring(f"<p>{said}</p>").text_content().split()) in self.text

    def problems(self):
        return [each.get("id").removesuffix("-problem") for each in self.tree.find_class("problem")]


class Reader:
    """Keeps cookies, fills in forms.  `typed` is what he types into the form of a payment."""

    def __init__(self, world, client):
        self.world = world
        self.client = client
        self.typed = {"number": NUMBER, "purpose": "bill", "amount": "100.000", "card": "domestic"}

    async def get(self, path="/pay", **headers):
        return Page(await self.client.get(path, headers=headers))

    async def send(self, path, fields, **headers):
        return Page(await self.client.post(path, data=fields, headers=headers))

    async def confirm(self, **typed):
        """Fill in the form; the page with all that will be done, or what is wrong."""
        action, fields = (await self.get()).form()
        return await self.send(action, fields | self.typed | typed)

    async def pay(self, page=None, **typed):
        """Confirm and pay; where he is sent to, or what is wrong."""
        page = page or await self.confirm(**typed)
        action, fields = page.form()
        return await self.send(action, fields)

    async def paid(self, **typed):
        """Pay to the end; the payment's id."""
        page = await self.pay(**typed)
        assert page.status == 303, page.text
        payment_id = self.world.newest()
        await self.world.gateway.pay(payment_id)
        await self.world.notified()
        return payment_id

    async def result(self, payment_id):
        return await self.get(f"/pay/result/{payment_id}")

    async def look_up(self, number=NUMBER, password=PASSWORD, **headers):
        action, fields = (await self.get("/pay/lookup")).form()
        return await self.send(action, fields | {"number": number, "password": password}, **headers)
