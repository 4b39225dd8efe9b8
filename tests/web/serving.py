"""A web server on a free port, as long as a block lasts."""

import asyncio
import contextlib

from telcod.web.limits import WebLimits
from telcod.web.server import WebServer

WAIT_S = 20


@contextlib.asynccontextmanager
async def serving(backend, socket_path=None, *, dialects=(), shortcut=None, look_s=1.0, **limits):
    """The server; `limits` are those of `WebLimits`."""
    web = WebServer(
        backend,
        host="127.0.0.1",
        port=0,
        control_socket=socket_path,
        limits=WebLimits(**limits),
        dialects=dialects,
        shortcut=shortcut,
        look_s=look_s,
    )
    web.bind()
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        group.create_task(web.run())
        try:
            yield web
        finally:
            web.stop()


async def looked(web, times=2):
    """The server has looked at its connections so often since now."""
    for _ in range(times):
        look = asyncio.Event()
        web.on_looked = look.set
        await look.wait()
