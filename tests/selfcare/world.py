"""The operator of `tests.text_world` with web and app: a phone that codes come to, and a backend
for the HTTP doors on the same books.
"""

from litestar.testing import TestClient

from handlers import selfcare
from telcod.rows import OutboxState
from telcod.selfcare.house import SelfCare
from telcod.types import Channel, Request
from telcod.web import app, static_files
from tests.network_world import ROUTES
from tests.text_world import TextWorld
from tests.web.fake_backend import FakeBackend

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003
SELF_ROUTES = {**ROUTES, **selfcare.routes(ROUTES)}
HOST = "http://testserver.local"


class SelfWorld(TextWorld):
    """What apps and browsers make of a code that came by SMS."""

    def __init__(self, path=None, **options):
        super().__init__(path, **{"routes": SELF_ROUTES, **options})

    # -- as the edge asks

    def ask(self, op, *args, sender=0, channel=Channel.APP, body=None):
        request = Request(f"self.{op}", sender=sender, args=args, channel=channel, body=body)
        (result,) = self.run(request)
        return result

    def ask_code(self, number, code="123456"):
        """Here the hash of a code is `#` and the code."""
        return self.ask("login", f"#{code}", sender=number, body={"code": code})

    def confirm(self, number, code="123456", token="token"):
        return self.ask("confirm", f"#{code}", token, sender=number).outcome

    def log_in(self, number, token="token"):
        self.ask_code(number)
        assert self.confirm(number, token=token) == "self.confirmed"
        return token

    def do(self, token, route, *words):
        return self.ask("do", token, route, *words)

    def look(self, token, part="home", start=0):
        return self.ask("show", token, part, str(start))

    # -- the phone

    def codes_sent_to(self, number):
        """The codes in all texts that came to a number, oldest first."""
        return [
            row.text[:6]
            for row in self.outbox()
            if row.kind == "login" and row.destination == str(number)
        ]

    def ask_outcome(self, row, state=OutboxState.ACCEPTED):
        """What the engine tells of a text that is settled."""
        args = (str(row.mo), str(int(state)), str(row.seq))
        (result,) = self.run(Request("login.outcome", args=args, channel=Channel.CLOCK))
        return result


class SelfBackend(FakeBackend):
    """The daemon that the HTTP doors see, on a world's books."""

    def __init__(self, world):
        super().__init__()
        self.world = world
        self.clock = world.clock
        self.store = world.store
        self.batcher = world.batcher


def dialects(backend, **options):
    """The routes of self-care, and the files that its pages name."""
    house = SelfCare(backend, backend.world.vault, answer_s=0, **options)
    shared = () if hasattr(app, "static_files") else static_files.ROUTES
    return (*house.http_routes(), *shared)


def client_of(backend, **options):
    made = app.make_app(backend, control=False, dialects=dialects(backend, **options))
    return TestClient(made, base_url=HOST, raise_server_exceptions=False)
