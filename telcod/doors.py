"""The doors of USSD and MQTT, put together from the configuration (USSD-1…4, MQTT-1…3).

Part of the composition root: `telcod.app` makes one `Doors` and runs what it holds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from litestar.handlers import HTTPRouteHandler

import ivr.mqtt
import ussd.gateway_file
import ussd.gateways
import ussd.http
import ussd.mqtt
import ussd.smpp_files
from telcod import network_ops
from telcod.clock import Clock
from telcod.engine import Engine
from telcod.errors import NotStarted
from telcod.mqtt.broker import Broker
from telcod.mqtt.client import Mqtt, tls_context
from telcod.settings import Problem, Settings, SettingsError, shipped_config_dir
from telcod.smpp.gateway import Gateway
from telcod.storage.readers import BooksReader
from telcod.web.ports import Backend
from ussd.push import Pusher, PushGateway
from ussd.push_http import HttpPushGateway
from ussd.smpp import SmppDoor
from ussd.smpp_profile import ProfileError as SmppProfileError
from ussd.smpp_push import SmppPush

if TYPE_CHECKING:
    from ussd.gateway_profile import Profile as GatewayProfile
    from ussd.smpp_profile import Profile as SmppProfile

GATEWAYS: Final = "gateways"
SMPP: Final = "smpp"


class Profiles:
    """How gateways speak, as data: those over HTTP, and those over SMPP links.

    Raises:
        SettingsError: With everything that is wrong with any of them.
    """

    def __init__(self, settings: Settings) -> None:
        folder = settings.file("ussd")
        problems: list[Problem] = []
        self.gateways: Mapping[str, GatewayProfile] = {}
        self.smpp: Mapping[str, SmppProfile] = {}
        try:
            self.gateways = ussd.gateway_file.load_profiles(_own_or_shipped(settings, GATEWAYS))
        except ussd.gateway_file.ProfileError as error:
            problems += [Problem(str(folder / GATEWAYS), "", reason) for reason in error.problems]
        try:
            self.smpp = ussd.smpp_files.load_profiles(
                shipped_config_dir() / "ussd" / SMPP, folder / SMPP
            )
        except SmppProfileError as error:
            problems += [Problem(str(folder / SMPP), "", reason) for reason in error.problems]
        if not problems:
            problems += [
                Problem("smpp.links", link.name, f"ussd names no profile: {link.ussd}")
                for link in settings.smpp.links
                if link.ussd and link.ussd not in self.smpp
            ]
        if problems:
            raise SettingsError(problems)


class Doors:
    """What comes and goes by USSD and MQTT.

    Args:
        settings: What is configured.
        backend: The daemon, for what comes in.
        clock: For what expires.
        told: Gets a line when the broker is reached.
        try_later: What a phone shows when the books can't say anything.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        clock: Clock,
        told: Callable[[str], None],
        try_later: Callable[[], str],
    ) -> None:
        self._settings: Final = settings
        self._backend: Final = backend
        self._clock: Final = clock
        self._told: Final = told
        self._try_later: Final = try_later
        self._profiles: Final = Profiles(settings)
        self._smpp: SmppDoor | None = None
        self.mqtt: Broker | None = None

    def http_routes(self) -> Sequence[HTTPRouteHandler]:
        """The routes of USSD over HTTP."""
        return (
            *ussd.http.ROUTES,
            *ussd.gateways.routes(self._profiles.gateways, self._try_later),
        )

    def join(self, engine: Engine, gateway: Gateway) -> None:
        """Let links that have a profile hand over their USSD."""
        if any(link.settings.ussd for link in gateway.links):
            self._smpp = SmppDoor(engine, self._profiles.smpp, clock=self._clock.monotonic_s)
            gateway.ussd = self._smpp

    def connect(self, reader: BooksReader) -> None:
        """Make what speaks with the broker, if there is one.

        Raises:
            NotStarted: Its certificates can't be read.
        """
        mqtt = self._settings.mqtt
        if mqtt is None:
            return
        backend = self._backend

        tls = tls_context(mqtt, self._settings.folder)

        def connection(gateway: str) -> Mqtt:
            actor = network_ops.mqtt_actor(gateway)
            ops = {
                "ussd": ussd.mqtt.ops(backend, platform=actor),
                "ivr": ivr.mqtt.ops(backend, platform=actor),
                "network": network_ops.ops(backend.submit, backend.parse_number, actor=actor),
            }
            return Mqtt(
                mqtt,
                ops,
                None if gateway else reader,
                backend.submit,
                self._clock,
                SystemRandom(),
                tls=tls,
                told=self._told,
                gateway=gateway,
            )

        self.mqtt = Broker(mqtt.gateways, connection)

    async def run(self, engine: Engine, gateway: Gateway, reader: BooksReader) -> None:
        """Bring pushes and keep the broker, until `stop`, or until cancelled."""
        async with AsyncExitStack() as stack:
            pushes = await self._push_gateway(gateway, stack)
            async with asyncio.TaskGroup() as group:
                pusher: asyncio.Task[None] | None = None
                if pushes is not None:
                    bringing = Pusher(pushes, reader, engine, self._clock)
                    engine.on_pushes = bringing.wake
                    pusher = group.create_task(bringing.run(), name="pushes")
                if self.mqtt is not None:
                    engine.on_events = self.mqtt.wake_events
                    await self.mqtt.run()
                else:
                    await asyncio.Event().wait()
                if pusher is not None:
                    pusher.cancel()

    async def _push_gateway(self, gateway: Gateway, stack: AsyncExitStack) -> PushGateway | None:
        settings = self._settings.ussd
        match settings.push:
            case "":
                return None
            case "smpp":
                link = next(each for each in gateway.links if each.name == settings.push_link)
                if self._smpp is None:
                    raise NotStarted(
                        f"link {link.name} has no USSD profile",
                        what_to_do="Name one in its settings: ussd.",
                    )
                return SmppPush(self._smpp, link)
            case "http":
                token = settings.push_token.reveal() if settings.push_token else ""
                pushes = HttpPushGateway(settings.push_url, token=token)
                return await stack.enter_async_context(pushes)
            case "mqtt":
                if self.mqtt is None:
                    raise NotStarted(
                        "pushes go over MQTT, and no broker is configured",
                        what_to_do="Add the table [mqtt], or set ussd.push to something else.",
                    )
                return ussd.mqtt.MqttPushes(self.mqtt)


def _own_or_shipped(settings: Settings, name: str) -> Path:
    own = settings.file("ussd") / name
    return own if own.is_dir() else shipped_config_dir() / "ussd" / name
