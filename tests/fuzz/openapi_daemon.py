"""A whole telcod in a thread, for callers that wait for their answers: its address, and tokens.

The card gateway beside it is the shipped one, its clock is set by hand, and the books have some
people, calls and payments, so that not every look-up finds nothing.
"""

import asyncio
import threading
from itertools import count

import httpx
import structlog

from telcod.clock import ManualClock
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.types import Channel, Request
from telcod.vault import token_hash
from telcod.web.staff_requests import create_token
from tests.e2e.harness import Telcod

START_MS = 1_790_000_000_000
TOKEN = "telcod_everything"
PORTAL_TOKEN = "telcod_portal"
A, B = 84_903_000_001, 84_903_000_002
FIRST_APP = 84_903_100_000
WAIT_S = 30
STEP_S = 60


class OpenapiDaemon:
    """`with OpenapiDaemon(folder) as daemon:`; `url`, `document`, `headers(path)`."""

    def __init__(self, folder):
        self.folder = folder
        self._apps = count(FIRST_APP)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failed = None
        self._known: dict[str, tuple[str, ...]] = {}
        self.clock = ManualClock(START_MS)

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(WAIT_S), "telcod does not start"
        if self._failed is not None:
            self._thread.join()
            raise self._failed
        self.url = f"http://127.0.0.1:{self._telcod.daemon.web.port}"
        self.client = httpx.Client(base_url=self.url, timeout=WAIT_S)
        self.document = self.client.get("/schema/openapi.json").json()
        self._furnish()
        return self

    def __exit__(self, *_):
        self.client.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def headers(self, path):
        """Who may use a path; an app of its own for each call, so that none is too frequent."""
        if path.startswith("/self/v1/login"):
            # Its limit is one of addresses.
            self.clock.advance(STEP_S * 1_000)
            return {}
        token = self._log_in() if path.startswith("/self/v1") else TOKEN
        return {"Authorization": f"Bearer {token}"}

    def known(self, name):
        """Values of a field that lead to something."""
        return self._known.get(name, ())

    def failures(self):
        """What broke, as the log has it."""
        log = self._telcod.log
        return [*log.events("http.failed"), *log.events("request.quarantined")]

    # -- in the thread of the daemon

    def _run(self):
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._started.set()

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with SimulatedCardGateway(live=True) as gateway:
            settings = {
                "gateway_url": gateway.url,
                "gateway_secret": SECRET,
                "webhook_secrets": [WEBHOOK_SECRET],
            }
            async with Telcod(self.folder, clock=self.clock, epay=settings) as self._telcod:
                self._started.set()
                await self._stop.wait()
        structlog.reset_defaults()

    def _submit(self, request):
        asked = self._telcod.daemon.submit(request)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(WAIT_S)

    # -- what is there

    def _furnish(self):
        """Two people with a call, a package and a payment between them."""
        for name, token, scope in (("all", TOKEN, "admin"), ("portal", PORTAL_TOKEN, "portal")):
            self._submit(create_token(name, scope, token_hash(token), actor="test"))
        self._import(A, B)
        for path, body in (
            ("/ivr/v1/calls", {"call_id": "1", "caller": str(A), "dialled": f"1566{B}"}),
            ("/ussd/v1/sessions/1", {"msisdn": str(A), "service_code": "*1566*1*1#"}),
            ("/network/v1/topups", {"event_id": "1", "msisdn": str(A), "amount_vnd": 10_000}),
        ):
            told = self.client.post(path, json=body, headers=self.headers(path))
            assert told.status_code == 200, told.text
        body = {
            "msisdn": str(A),
            "amount_vnd": 50_000,
            "purpose": "topup",
            "card": "domestic",
            "return_url": "https://portal.example/",
        }
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "1"}
        told = self.client.post("/epay/v1/payments", json=body, headers=headers)
        assert told.status_code == 201, told.text
        self._known = {"payment_id": (told.json()["payment_id"],)}

    def _import(self, *numbers):
        usual = {"kind": "prepaid", "state": "active", "balance_vnd": 20_000}
        body = {"lines": [{"msisdn": number} | usual for number in numbers]}
        self._submit(Request("staff.import", channel=Channel.STAFF, body=body))

    def _log_in(self):
        """A new subscriber with an app."""
        number = next(self._apps)
        token = f"app-{number}"
        self._import(number)
        for route, args in (("self.login", ("#",)), ("self.confirm", ("#", token_hash(token)))):
            asked = Request(
                route, sender=number, args=args, channel=Channel.APP, body={"code": "123456"}
            )
            self._submit(asked)
        return token
