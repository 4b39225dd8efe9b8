"""A USSD gateway to play against, with phones: they dial, read, type, hang up, and are pushed to.

It speaks telcod's own JSON or, by `dialect`, as any of the shipped profiles expects (USSD-1,
USSD-2); it takes pushes on an HTTP port of its own and answers them (USSD-4).  No waiting: what a
person would do is said by who holds the phone.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, Self

import httpx
import msgspec

from telcod.simulator.ussd_dialects import DIALECTS, Dialect, Json, NoScreen, Seen, Sent, Talk
from telcod.simulator.watch import Watch

__all__ = ["Dialogue", "NoScreen", "Push", "PushDesk", "Seen", "SimulatedUssd"]

WAIT_S: Final = 10.0
HEAD_BYTES_MAX: Final = 16 * 1024
CODE: Final = "*1566#"


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What telcod has pushed: whom it asks or tells what, and for how long."""

    session_id: str
    msisdn: str
    action: str
    text: str
    expires_in_s: int


class Dialogue:
    """A phone in a dialogue; `screen` is what it shows, `screens` all that it has shown."""

    def __init__(self, gateway: "SimulatedUssd", talk: Talk) -> None:
        self._gateway: Final = gateway
        self.talk = talk
        self.screens: list[Seen] = []
        self._sent: Sent | None = None

    @property
    def screen(self) -> Seen:
        """What the phone shows now."""
        return self.screens[-1]

    @property
    def text(self) -> str:
        """The words of it."""
        return self.screen.text

    @property
    def ended(self) -> bool:
        """Whether the dialogue is over."""
        return self.screen.ends

    async def begin(self) -> Self:
        """Say to telcod what was dialled.

        Raises:
            NoScreen: telcod's answer can't be shown.
        """
        await self._say()
        return self

    async def type(self, *inputs: str) -> Seen:
        """Type one thing after another; what the phone shows then.

        Raises:
            NoScreen: telcod's answer can't be shown.
        """
        for typed in inputs:
            self.talk = self.talk._replace(typed=(*self.talk.typed, typed))
            await self._say()
        return self.screen

    async def again(self) -> Seen:
        """The gateway has heard nothing, and sends the same once more."""
        assert self._sent is not None  # noqa: S101  # it has begun
        return self._gateway.dialect.seen(await self._gateway.send(self._sent))

    async def hang_up(self) -> int:
        """Break the dialogue off; the status of telcod's answer, 0 if this gateway says nothing."""
        over = self._gateway.dialect.close(self.talk)
        return (await self._gateway.send(over)).status_code if over else 0

    async def _say(self) -> None:
        self._sent = self._gateway.dialect.step(self.talk)
        seen = self._gateway.dialect.seen(await self._gateway.send(self._sent))
        self.talk = self.talk._replace(step=seen.step, given=seen.given or self.talk.given)
        self.screens.append(seen)


class SimulatedUssd:
    """A gateway; `async with SimulatedUssd(url, token) as gateway:`.

    Args:
        url: Where telcod's HTTP listens.
        token: One of scope `ussd`.
        dialect: `json`, or the name of a shipped profile.
        first: The number of its first session.
        transport: How it reaches telcod, instead of by TCP.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        dialect: str = "json",
        first: int = 1,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.dialect: Final[Dialect] = DIALECTS[dialect]
        self._client: Final = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=WAIT_S,
            transport=transport,
            trust_env=False,
        )
        self._numbers: Final = itertools.count(first)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def dial(self, msisdn: int | str, code: str = CODE, *, session_id: str = "") -> Dialogue:
        """Somebody dials a code.

        Args:
            msisdn: Who, with the country's code.
            code: As dialled, `*1566#` or `*1566*1#`.
            session_id: The dialogue's; the next number if empty.

        Raises:
            NoScreen: telcod's answer can't be shown.
        """
        session_id = session_id or str(next(self._numbers))
        return await Dialogue(self, Talk(session_id, str(msisdn), code)).begin()

    async def send(self, sent: Sent) -> httpx.Response:
        """Send a request as it is."""
        return await self._client.request(sent.method, sent.path, **sent.more)

    async def answer_push(self, push: Push, typed: str) -> Seen:
        """Type an answer to a push.

        Raises:
            NoScreen: telcod's answer can't be shown.
        """
        talk = Talk(push.session_id, push.msisdn, "", (typed,), step=1)
        return Json().seen(await self.send(Json().step(talk)))


class PushDesk:
    """The gateway's port for pushes; `async with PushDesk() as desk:`, then `desk.url`.

    `gateway` says to telcod what was typed; it may be set when telcod's address is known.

    Args:
        answer: What the person types to a question; None leaves it unanswered.
        status: What each push is answered with, before anybody sees it; only a 2xx is shown.
        token: What telcod must bring.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Push], str | None] = lambda _: None,
        status: Callable[[Push], int] = lambda _: 202,
        token: str = "",
    ) -> None:
        self.gateway: SimulatedUssd | None = None
        self._answer: Final = answer
        self._status: Final = status
        self._token: Final = token
        self._group: Final = asyncio.TaskGroup()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.watch: Final = Watch()
        self.pushes: list[Push] = []
        self.refused: list[Push] = []
        self.answered: list[tuple[Push, Seen]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
        await self._group.__aexit__(*error)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Where telcod posts pushes."""
        if self._server is None:
            raise RuntimeError("the desk is not open")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/push"

    async def wait_pushes(self, count: int) -> list[Push]:
        """Wait until so many have come, and give them."""
        await self.watch.until(lambda: len(self.pushes) >= count, what=f"{count} pushes")
        return self.pushes

    async def wait_answered(self, count: int) -> list[tuple[Push, Seen]]:
        """Wait until so many were answered, and give them with what the phone showed last."""
        await self.watch.until(lambda: len(self.answered) >= count, what=f"{count} answers")
        return self.answered

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r")[0])
                status = self._take(head, await reader.readexactly(length))
                writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # telcod has hung up
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take(self, head: str, body: bytes) -> int:
        push = msgspec.json.decode(body, type=Push)
        brought = f"authorization: bearer {self._token}".lower() in head
        status = self._status(push) if brought or not self._token else 401
        if status // 100 != 2:
            self.refused.append(push)
        else:
            self.pushes.append(push)
            typed = self._answer(push) if push.action == "ask" else None
            if typed is not None:
                self._group.create_task(self._type(push, typed))
        self.watch.changed()
        return status

    async def _type(self, push: Push, typed: str) -> None:
        if self.gateway is None:
            raise RuntimeError("nobody says to telcod what was typed")
        self.answered.append((push, await self.gateway.answer_push(push, typed)))
        self.watch.changed()
