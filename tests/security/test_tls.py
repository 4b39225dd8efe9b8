"""Whom we call by TLS must be who he says he is, and speak a version that is not broken.

With real peers: `tests/smpp/test_link.py`, `tests/e2e/test_simulated_smsc.py`,
`tests/mqtt/test_client.py`, `tests/test_mail.py`.
"""

import asyncio
import contextlib
import ssl
from typing import Any

import pytest

from telcod import pages
from telcod.epay.gateway import GatewaySilent
from telcod.epay.hosted import HostedGateway
from telcod.mqtt.client import tls_context as mqtt_context
from telcod.settings import MailSettings, MqttSettings, Secret, Settings
from telcod.smpp.link import LinkSettings
from telcod.smpp.link import tls_context as link_context
from tests.mqtt.broker import Certificates
from ussd.push import Push, PushFailed
from ussd.push_http import HttpPushGateway

LINK: dict[str, Any] = {
    "name": "a",
    "host": "smsc.example",
    "system_id": "t",
    "password": "p",
    "tls": True,
}


def context_of_mail():
    mail = MailSettings(host="mail.example", sender="a@b.example")
    server = pages._mail(Settings(mail=mail))
    assert server is not None
    # None leaves it to the library; then that one's own is looked at.
    return server.context or ssl.create_default_context()


@pytest.mark.rule("SMPP-8", "MQTT-3", "PAY-10")
@pytest.mark.parametrize(
    "context",
    [
        lambda: link_context(LinkSettings(**LINK)),
        lambda: mqtt_context(MqttSettings(url="mqtts://broker.example")),
        context_of_mail,
    ],
    ids=["smpp", "mqtt", "mail"],
)
def test_certificates_names_and_versions_are_checked(context):
    made = context()
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.rule("SMPP-8")
def test_a_link_trusts_whoever_answers_only_when_it_is_told_to_in_so_many_words():
    trusting = link_context(LinkSettings(**LINK, tls_insecure=True))
    assert trusting.verify_mode is ssl.CERT_NONE
    assert trusting.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(ValueError, match="tls_insecure"):
        LinkSettings(**{**LINK, "tls": False}, tls_insecure=True)


@contextlib.asynccontextmanager
async def stranger(folder):
    """Somebody with a certificate that nobody has signed; what he gets to read of us."""
    heard = []

    async def answer(reader, writer):
        heard.append(await reader.read(1_000))
        writer.close()

    made = Certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with asyncio.timeout(20), server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@pytest.mark.anyio
@pytest.mark.rule("PAYAPI-2", "USSD-4")
async def test_a_gateway_that_nobody_vouches_for_gets_no_secret_of_ours(tmp_path):
    async with stranger(tmp_path) as (url, heard):
        async with HostedGateway(url, Secret("Zw7secret")) as there:
            with pytest.raises(GatewaySilent, match="ConnectError"):
                await there.inquire("p1", "r1")
        async with HttpPushGateway(url, token="Zw7token") as pushes:
            push = Push("push-1", 84_903_000_001, "x", asks=False, expires_in_s=60)
            with pytest.raises(PushFailed, match="ConnectError"):
                await pushes.push(push)
    assert not any(heard)
