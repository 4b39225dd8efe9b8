"""A whole telcod with every door that HTTP has, its routes, and a token of each scope."""

import re
from contextlib import asynccontextmanager

import httpx

from telcod.rows import SUBSCRIBER
from telcod.types import Channel, Request
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from tests.e2e.harness import Telcod

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EPAY = {
    "gateway_url": "http://127.0.0.1:9",
    "gateway_secret": "nobody-listens",
    "webhook_secrets": [WEBHOOK_SECRET],
}


class Whole(Telcod):
    """Without links: nobody texts it."""

    async def rows_of_subscribers(self):
        return await self.rows(SUBSCRIBER)


@asynccontextmanager
async def whole(folder, *links, **sections):
    """A telcod, and a client for it."""
    async with Whole(folder, *links, **({"epay": EPAY} | sections)) as telcod:
        url = f"http://127.0.0.1:{telcod.daemon.web.port}"
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield telcod, client


def routes(telcod):
    """`METHOD /path` to the handler, of all that the TCP port serves."""
    gate = telcod.daemon.web._servers[0][0].config.app
    app = gate._app
    found = {}
    for route in app.routes:
        handlers = getattr(route, "route_handlers", [getattr(route, "route_handler", None)])
        for handler in handlers:
            for method in getattr(handler, "http_methods", ()):
                if method not in {"OPTIONS", "HEAD"}:
                    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format)
                    found[f"{method} {path}"] = handler
    return found


async def make_tokens(telcod):
    """A token of each scope."""
    tokens = {scope: f"telcod_test_{scope}_{'x' * 30}" for scope in Scope}
    for scope, token in tokens.items():
        args = (f"test-{scope}", str(scope), token_hash(token))
        asked = Request("staff.token_create", args=args, channel=Channel.STAFF, actor="test")
        await telcod.daemon.submit(asked)
    return tokens
