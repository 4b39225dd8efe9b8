"""The simulated USSD gateway against a whole telcod: the same dialogue on every convention."""

import httpx
import pytest

from telcod.clock import ManualClock
from telcod.rows import SUBSCRIPTION, USSD_SESSION
from telcod.service import SERVICE
from telcod.simulator.ussd import NoScreen, PushDesk, SimulatedUssd
from telcod.simulator.ussd_dialects import DIALECTS
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from telcod.web.tokens import new_token
from tests.e2e.harness import Telcod
from tests.world import START_MS

pytestmark = pytest.mark.anyio

AN, BINH = 84903000001, 84903000002


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Operator:
    """A telcod with two subscribers, and gateways before it."""

    def __init__(self, folder, **sections):
        self.clock = ManualClock(START_MS)
        self.telcod = Telcod(folder, clock=self.clock, routes=SERVICE, **sections)
        self._token = ""

    async def __aenter__(self):
        await self.telcod.start()
        await self.telcod.subscribers({"msisdn": AN}, {"msisdn": BINH})
        self._token = new_token()
        made = create_token("gw", Scope.USSD, token_hash(self._token), actor="test")
        await self.telcod.daemon.submit(made)
        self.clock.advance(2_000)  # tokens are read again after a second
        return self

    async def __aexit__(self, *error):
        await self.telcod.__aexit__(*error)

    def gateway(self, dialect="json"):
        url = f"http://127.0.0.1:{self.telcod.daemon.web.port}"
        return SimulatedUssd(url, self._token, dialect=dialect)


@pytest.fixture
async def operator(tmp_path):
    async with Operator(tmp_path) as running:
        yield running


@pytest.mark.rule("USSD-1", "USSD-2", "USSD-3")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_shows_the_same_menu_and_reaches_the_same_leaf(operator, dialect):
    async with operator.gateway(dialect) as gateway:
        phone = await gateway.dial(AN)
        first = phone.text
        assert first.startswith("Payforme")
        assert not phone.ended
        await phone.type("1", "2", "1")
        [row] = await operator.telcod.rows(SUBSCRIPTION)
        assert row.msisdn == AN
        while not phone.ended:
            await phone.type("9")
            assert len(phone.screens) < 10
    shown = {screen.text for screen in phone.screens}
    assert len(shown) > 2


@pytest.mark.rule("USSD-1", "USSD-3")
@pytest.mark.parametrize("dialect", ["json", "africastalking"])
async def test_the_same_step_again_gets_the_same_screen_and_one_effect(operator, dialect):
    async with operator.gateway(dialect) as gateway:
        phone = await gateway.dial(AN, "*1566*3*2#")
        assert await phone.again() == phone.screen
        await phone.type("0903000002")
        assert await phone.again() == phone.screen
    assert await operator.telcod.listed(AN) == [BINH]


@pytest.mark.rule("USSD-1", "USSD-2", "USSD-3")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_dialogue_that_is_broken_off_is_over(operator, dialect):
    async with operator.gateway(dialect) as gateway:
        phone = await gateway.dial(AN)
        await phone.type("1")
        assert await phone.hang_up() in {200, 204}
    [row] = await operator.telcod.rows(USSD_SESSION)
    assert row.ended


@pytest.mark.rule("USSD-2", "KW-4")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_who_is_no_subscriber_is_told_so_at_once(operator, dialect):
    async with operator.gateway(dialect) as gateway:
        phone = await gateway.dial(84903999999)
    assert phone.ended
    assert "MobiFone" in phone.text


@pytest.mark.rule("USSD-2")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_gateway_without_a_token_has_nothing_to_show(operator, dialect):
    url = f"http://127.0.0.1:{operator.telcod.daemon.web.port}"
    async with SimulatedUssd(url, "nobody", dialect=dialect) as gateway:
        with pytest.raises(NoScreen) as none:
            await gateway.dial(AN)
    assert none.value.status == httpx.codes.UNAUTHORIZED


@pytest.mark.rule("USSD-4", "PFM-30")
async def test_a_push_asks_and_its_answer_is_a_step(tmp_path):
    async with PushDesk(answer=lambda _: "1", token="secret") as desk:
        ussd = {"push": "http", "push_url": desk.url, "push_token": "secret"}
        async with Operator(tmp_path, ussd=ussd) as operator, operator.gateway() as gateway:
            desk.gateway = gateway
            phone = await gateway.dial(AN)
            await phone.type("5", "2", "0903000002", "Goi lai nhe")
            ((push, seen),) = await desk.wait_answered(1)
    assert (push.action, push.msisdn) == ("ask", str(BINH))
    assert push.expires_in_s > 0
    assert seen.ends


@pytest.mark.rule("USSD-4")
async def test_a_desk_that_refuses_or_is_not_told_the_token_shows_nothing(tmp_path):
    async with PushDesk(token="secret") as desk, httpx.AsyncClient() as client:
        push = {
            "session_id": "push-1",
            "msisdn": "84903000001",
            "action": "ask",
            "text": "?",
            "expires_in_s": 9,
        }
        assert (await client.post(desk.url, json=push)).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert (await client.post(desk.url, json=push, headers=headers)).status_code == 202
        assert [shown.session_id for shown in desk.pushes] == ["push-1"]
        assert len(desk.refused) == 1
