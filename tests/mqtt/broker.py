"""A Mosquitto of the test's own, and a client that speaks to it as others do.

The broker runs on a free port of this machine, is waited for by what it says, and may be killed and
started again on the same one.  The client is paho, driven by hand on the test's event loop: not
our code, so that no mistake agrees with itself.
"""

import asyncio
import signal
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from shutil import which
from typing import Any

import msgspec
import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from telcod.simulator.watch import WAIT_S, Watch

MOSQUITTO = which("mosquitto") or "/usr/sbin/mosquitto"
USER, PASSWORD = "telcod", "open sesame"


class Broker:
    """`async with Broker(folder) as broker:`; `config` are more lines of its file."""

    def __init__(self, folder, *, config=(), password=False, tls=None):
        self.folder = folder
        self.port = free_port()
        self.tls = tls
        self._config = [f"listener {self.port} 127.0.0.1", "persistence false"]
        # Little enough is said that nobody need read it.
        self._config += [
            "connection_messages false",
            "log_type information",
            "log_type error",
            *config,
        ]
        if password:
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", str(folder / "users"), USER, PASSWORD],
                check=True,
                capture_output=True,
            )
            self._config += ["allow_anonymous false", f"password_file {folder / 'users'}"]
        else:
            self._config += ["allow_anonymous true"]
        if tls is not None:
            self._config += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        # As root it would become somebody who can't read the test's folder.
        self._config.insert(0, "user root")
        self._process: Any = None

    async def __aenter__(self):
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(self, *_):
        await self.kill()

    @property
    def url(self):
        scheme = "mqtt" if self.tls is None else "mqtts"
        return f"{scheme}://127.0.0.1:{self.port}"

    async def start(self):
        """Start it, or start it again on the same port."""
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(self._config) + "\n", encoding="utf-8")
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(path), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(WAIT_S):
            said = line = b""
            while b"running" not in line:
                line = await self._process.stderr.readline()
                said += line
                assert line, said.decode()

    async def kill(self):
        """As a power cut does: no good-bye to anybody."""
        await self._end(signal.SIGKILL)

    async def stop(self):
        """As whoever runs it does: it keeps on its disk what it is to keep."""
        await self._end(signal.SIGTERM)

    async def _end(self, by):
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(by)
            await process.wait()


class Proxy:
    """Between telcod and a broker, to be cut; `async with Proxy(broker) as proxy:`."""

    def __init__(self, broker):
        self.port = 0
        self.tls = broker.tls
        self._broker = broker
        self.open = True
        self._ends = set()
        self._group: Any = None
        self._server: Any = None

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self):
        self._group = await asyncio.TaskGroup().__aenter__()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await self._group.__aexit__(None, None, None)

    def cut(self):
        """Both sides lose the connection, and what was on its way."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _serve(self, reader, writer):
        if not self.open:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._broker.port)
        self._ends |= {writer, back}
        self._group.create_task(self._carry(reader, back))
        self._group.create_task(self._carry(there, writer))

    async def _carry(self, source, target):
        try:
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Certificates:
    """A certificate for this machine that signs itself, in two files."""

    def __init__(self, folder, name="broker"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime(2026, 1, 1, tzinfo=UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3_650))
            .not_valid_after(now + timedelta(days=36_500))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


class Peer:
    """Another client of the broker: asks, listens, keeps what it hears.

    Args:
        broker: Which.
        name: Its client id.
        newest: MQTT 5, or 3.1.1.
        keeps: Whether the broker keeps its session, with what came meanwhile.
        listens: Topics that it subscribes to, with QoS 1, each time it connects.
        gateway: Which it is, if it has topics of its own; then it listens to its answers as well.
    """

    def __init__(self, broker, name="peer", *, newest=True, keeps=False, listens=(), gateway=""):
        self.heard = []
        self.watch = Watch()
        self._broker = broker
        self._newest = newest
        self._keeps = keeps
        self._own = f"/{gateway}" if gateway else ""
        self.answers = f"telcod/reply{self._own}/answers" if gateway else "telcod/reply/peer"
        self._listens = [*listens, self.answers] if gateway else list(listens)
        self._granted = 0
        self._acknowledged = set()
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=paho.MQTTv5 if newest else paho.MQTTv311,
            clean_session=None if newest else not keeps,
        )
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(20)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.username_pw_set(USER, PASSWORD)
        if broker.tls is not None:
            context = ssl.create_default_context(cafile=broker.tls.certificate)
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    async def __aenter__(self):
        said = None
        if self._newest and self._keeps:
            said = Properties(PacketTypes.CONNECT)
            said.SessionExpiryInterval = 3_600
        more: dict[str, Any] = (
            {"clean_start": not self._keeps, "properties": said} if self._newest else {}
        )
        await asyncio.to_thread(
            lambda: self._client.connect("127.0.0.1", self._broker.port, 60, **more)
        )
        self._client.loop_start()
        await self.wait_listening()
        return self

    async def __aexit__(self, *_):
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def wait_listening(self, times=1):
        """Wait until it has subscribed so often to all its topics."""
        wanted = max(1, len(self._listens)) * times
        await self.watch.until(lambda: self._granted >= wanted, what="subscribed")

    async def publish(self, topic, payload, *, qos=1, retain=False, **properties):
        """Publish; returns when the broker has it."""
        mid = self.post(topic, payload, qos=qos, retain=retain, **properties)
        if qos:
            await self.watch.until(lambda: mid in self._acknowledged, what=f"PUBACK of {topic}")

    def post(self, topic, payload, *, qos=1, retain=False, **properties):
        """Publish and go on."""
        said = None
        if properties:
            said = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(said, name, value)
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        return self._client.publish(topic, body, qos, retain, said).mid

    async def ask(self, door, fields, **properties):
        """Send a request as MQTT 5 has it, and wait for its answer."""
        self._numbers += 1
        number = str(self._numbers).encode()
        await self.publish(
            f"telcod/{door}/request{self._own}",
            fields,
            ResponseTopic=self.answers,
            CorrelationData=number,
            **properties,
        )
        message = await self.hear(
            lambda m: getattr(m.properties, "CorrelationData", b"") == number, what=f"{fields}"
        )
        return msgspec.json.decode(message.payload)

    async def hear(self, wanted, *, what):
        """Wait for a message, and give it."""
        await self.watch.until(lambda: any(map(wanted, self.heard)), what=what)
        return next(filter(wanted, self.heard))

    async def hear_on(self, topic, times=1):
        """Wait for so many messages of a topic, and give their payloads."""
        await self.watch.until(lambda: len(self.on(topic)) >= times, what=topic)
        return self.on(topic)

    def on(self, topic):
        """Payloads of a topic so far."""
        return [message.payload for message in self.heard if message.topic == topic]

    # -- on paho's thread

    def _on_connect(self, client, userdata, flags, reason, properties):
        if self._listens:
            client.subscribe([(topic, 1) for topic in self._listens])
        else:
            self._tell(self._grant, 1)

    def _on_subscribe(self, client, userdata, mid, reasons, properties):
        self._tell(self._grant, len(reasons))

    def _on_message(self, client, userdata, message):
        self._tell(self.heard.append, message)

    def _on_publish(self, client, userdata, mid, reason, properties):
        self._tell(self._acknowledged.add, mid)

    def _grant(self, count):
        self._granted += count

    def _tell(self, what, *args):
        def told():
            what(*args)
            self.watch.changed()

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(told)
