"""telcod and all its neighbours on one machine: SMSC, USSD gateway, voice platform, card gateway
(CLI-2).

Everything listens on loopback, at free ports, and speaks over sockets as the real ones do; the
books are in a folder of their own.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telcod.app import Daemon
from telcod.demo.people import EMAIL, PEOPLE
from telcod.settings import Settings, load
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.ivr import SimulatedIvr
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.ussd import PushDesk, SimulatedUssd
from telcod.types import Channel, Request
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from telcod.web.tokens import new_token

ACTOR: Final = "demo"
STAFF: Final = ("demo-staff", "demo-second")
"""Two, because a cancellation for fraud takes two (PAY-9)."""
NOTIFICATIONS: Final = "/epay/v1/gateway/notifications"

CONFIG: Final = """
[store]
url = {url}
[http]
port = {http_port}
[log]
level = "warning"
[ussd]
push = "http"
push_url = {push_url}
push_token = {push_token}
[epay]
gateway_url = {gateway_url}
gateway_secret = {gateway_secret}
webhook_secrets = [{webhook_secret}]
[[smpp.links]]
name = "smsc-demo"
host = "127.0.0.1"
port = {smpp_port}
system_id = "telcod"
password = "secret"
short_codes = ["1566", "9223"]
"""


@dataclass(frozen=True)
class Stage:
    """What is there; `tokens` are bearer tokens by the name of who has them."""

    daemon: Daemon
    smsc: SimulatedSmsc
    desk: PushDesk
    ussd: SimulatedUssd
    ivr: SimulatedIvr
    cards: SimulatedCardGateway
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        """Where telcod's HTTP is."""
        return f"http://127.0.0.1:{self.daemon.web.port}"


@asynccontextmanager
async def set_up(folder: Path, told: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Start everything; it stops, in order, at the end of the block.

    Args:
        folder: Where configuration and books go.
        told: Gets telcod's own lines.
    """
    async with AsyncExitStack() as stack:
        smsc = await stack.enter_async_context(SimulatedSmsc())
        push_token = secrets.token_urlsafe(24)
        desk = await stack.enter_async_context(PushDesk(token=push_token))
        cards = await stack.enter_async_context(SimulatedCardGateway(live=True))
        settings = _settings(folder, smsc.port, desk.url, push_token, cards.url)
        daemon = Daemon(settings, told=told)
        stop = asyncio.Event()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)  # the group then waits for telcod's own end
        group.create_task(daemon.run(stop), name="telcod")
        await smsc.wait_bound()
        cards.notifier.url = f"http://127.0.0.1:{daemon.web.port}{NOTIFICATIONS}"
        await _import_people(daemon)
        tokens = await _make_tokens(daemon)
        url = f"http://127.0.0.1:{daemon.web.port}"
        ussd = await stack.enter_async_context(SimulatedUssd(url, tokens["demo-ussd"]))
        desk.gateway = ussd
        ivr = await stack.enter_async_context(
            SimulatedIvr(url, tokens["demo-ivr"], name="demo-call")
        )
        yield Stage(daemon, smsc, desk, ussd, ivr, cards, tokens)


def _settings(
    folder: Path, smpp_port: int, push_url: str, push_token: str, gateway_url: str
) -> Settings:
    path = folder / "telcod.toml"
    path.write_text(
        CONFIG.format(
            url=json.dumps(f"sqlite:{folder / 'telcod.db'}"),
            http_port=0,
            smpp_port=smpp_port,
            push_url=json.dumps(push_url),
            push_token=json.dumps(push_token),
            gateway_url=json.dumps(gateway_url),
            gateway_secret=json.dumps(SECRET),
            webhook_secret=json.dumps(WEBHOOK_SECRET),
        )
    )
    return load(path, {})


async def _import_people(daemon: Daemon) -> None:
    lines = [
        {
            "msisdn": person.msisdn,
            "kind": person.kind,
            "state": "active",
            "balance_vnd": person.balance_vnd,
            "debt_vnd": person.debt_vnd,
            "name": f"Demo {person.phone}" if person.phone else "Demo",
            "address": "Hà Nội",
            "email": EMAIL,
            "centre": 1,
        }
        for person in PEOPLE
    ]
    request = Request("staff.import", key="demo", body={"lines": lines}, channel=Channel.STAFF)
    await daemon.submit(request)


async def _make_tokens(daemon: Daemon) -> dict[str, str]:
    scopes = {
        "demo-ussd": Scope.USSD,
        "demo-ivr": Scope.IVR,
        "demo-network": Scope.NETWORK,
        "demo-portal": Scope.PORTAL,
        **dict.fromkeys(STAFF, Scope.STAFF),
    }
    tokens = {name: new_token() for name in scopes}
    for name, scope in scopes.items():
        await daemon.submit(create_token(name, scope.value, token_hash(tokens[name]), actor=ACTOR))
    return tokens


def international(number: str) -> str:
    """A number as SMPP has it."""
    return f"84{number[1:]}" if number.startswith("0") else number
