"""The operator of `tests.payment_world` with a console: staff with tokens, every sort of case, and
somebody who reads the pages and sends their forms.
"""

import asyncio
from contextlib import asynccontextmanager

from litestar.testing import TestClient
from lxml import html

import handlers
from handlers import care
from telcod.console.house import Console
from telcod.dispatch import Args, Route
from telcod.rows import AUDIT, OutboxState
from telcod.storage.readers import SqliteReader
from telcod.types import Channel, Request
from telcod.web.app import make_app
from telcod.web.scopes import Scope
from telcod.web.server import WebServer
from tests.payment_world import PaymentWorld, large, rules_of_payments
from tests.web.fake_backend import FakeBackend

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003  # prepaid, prepaid, postpaid
NOBODY = 84_903_000_009
NAME = "Thuê bao <b>& Co</b>"
HOST = "http://testserver.local"
LARGE_VND = 5_000_000


def _break(_request, _tx):
    raise ZeroDivisionError("a request that breaks")


ROUTES = {**handlers.ROUTES, "test.break": Route("test.break", _break, Args.NONE)}
CARE_ROUTES = {**ROUTES, **care.routes(ROUTES)}


class CareWorld(PaymentWorld):
    """Three subscribers; large payments are reviewed."""

    def __init__(self, path, routes=CARE_ROUTES):
        rules = rules_of_payments(large(LARGE_VND), events=False)
        super().__init__(path, rules=rules, routes=routes)
        self.subscriber(A, balance_vnd=50_000, name=NAME, address="Huế")
        self.subscriber(B, balance_vnd=20_000)
        self.subscriber(C, kind="postpaid", debt_vnd=300_000, centre=2, name="Nợ cước")

    # -- cases, each as it comes about

    def contradictory(self, payment_id="P1"):
        self.pay(payment_id, C, 100_000)
        self.notify(payment_id, "declined", "51", key="again")
        return payment_id

    def unknown(self, payment_id="P2"):
        self.begin(payment_id, B, 60_000)
        self.notify(payment_id, "unknown")
        return payment_id

    def in_review(self, payment_id="P3"):
        self.pay(payment_id, A, LARGE_VND)
        return payment_id

    def clearing_failed(self, payment_id="P4", *, hours=25):
        """The centre is away for so long; the clock looks at it in between."""
        self.centre(2, "closed")
        self.pay(payment_id, C, 70_000)
        for _ in range(hours):
            self.clock.advance(3_600_000)
            for due in self.due_payments():
                self.due(due)
        return payment_id

    def suspect_call(self, call_id="lost"):
        """B pays for a call of A of which no end is ever reported."""
        self.connect(call_id, A, B)
        self.progress(call_id, 30)
        self.pass_time(2 * 3_600_000)
        return f"pbx:{call_id}"

    def set_aside(self, sender=A):
        self.run(Request("test.break", sender=sender, channel=Channel.SMS))

    def settle_all(self):
        """The SMSC has taken every text that waited."""
        rows = [self.settled(OutboxState.ACCEPTED, row=row) for row in self.pending()]
        self.batcher.run((), rows)

    # -- looking

    def last_audit(self):
        return list(self.store.scan(AUDIT))[-1]

    def care_texts(self, msisdn):
        """What a subscriber was told of acts on his behalf."""
        return [
            row.text
            for row in self.outbox()
            if row.kind == "care" and row.destination == str(msisdn)
        ]


class Reader:
    """Reads the books of a world, a connection for each question."""

    def __init__(self, path):
        self.path = path

    async def rows(self, sql, values):
        async with SqliteReader(self.path) as reader:
            return await reader.rows(sql, values)


class CareBackend(FakeBackend):
    """The daemon that the console stands on."""

    def __init__(self, world):
        super().__init__()
        self.world = world
        self.clock, self.store, self.batcher = world.clock, world.store, world.batcher
        self.reader = Reader(world.path)

    def routes(self):
        return Console(self, self.world.vault, lambda: self.reader).http_routes()

    def client(self):
        app = make_app(self, control=False, dialects=self.routes())
        return TestClient(app, base_url=HOST, raise_server_exceptions=False)

    def staff(self, name="an", scope=Scope.STAFF):
        """The headers of a new token."""
        return self.token(scope, name)


class Desk:
    """Somebody at the pages, who follows redirects."""

    def __init__(self, backend, name="an", scope=Scope.STAFF, *, language="en"):
        self.token = backend.token(scope, name)["Authorization"].removeprefix("Bearer ")
        self.client = backend.client()
        self.client.headers["Accept-Language"] = language

    def get(self, path):
        return Page(self.client.get(path))

    def log_in(self, token=None):
        page = self.get("/console/login")
        return self.send(page.form("/console/login"), token=self.token if token is None else token)

    def send(self, form, **typed):
        path, fields = form
        return Page(self.client.post(path, data={**fields, **typed}))


class Page:
    """A page as somebody sees it."""

    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.path = response.url.path
        self.html = response.text
        self.tree = html.fromstring(self.html) if self.html.strip() else html.fromstring("<p/>")
        self.text = " ".join(self.tree.text_content().split())

    def forms(self, action):
        """All forms that lead there: where, and what they hold."""
        return [
            (form.action, dict(form.form_values()))
            for form in self.tree.forms
            if form.action == action
        ]

    def form(self, action, **holding):
        """The first one that holds this."""
        return next(form for form in self.forms(action) if holding.items() <= form[1].items())

    def note(self):
        """What is said of the last act."""
        return " ".join(" ".join(n.text_content() for n in self.tree.find_class("note")).split())


@asynccontextmanager
async def serving(backend):
    """The address of a server with this console."""
    server = WebServer(
        backend, host="127.0.0.1", port=0, control_socket=None, dialects=tuple(backend.routes())
    )
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()
