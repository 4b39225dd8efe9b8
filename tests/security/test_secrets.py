"""Planted secrets: none is in anything that a telcod says, logs or keeps, at its most talkative.

Payment passwords have a proof of their own (`tests/e2e/test_password_proof.py`), login codes in the
books as well (`tests/selfcare/test_logins.py`), traces too (`tests/smpp/test_trace.py`).
"""

import asyncio
import base64
import re
from typing import Any

import pytest
from click.testing import CliRunner

from telcod.cli.root import telcod as command_line
from telcod.rows import OUTBOX_SMS
from telcod.simulator.smsc import SimulatedSmsc
from telcod.storage.snapshot import back_up
from telcod.web.scopes import Scope
from tests.e2e.harness import DATABASE, link, write_settings
from tests.e2e.test_password_proof import forms
from tests.security.whole import make_tokens, whole

A, B = 84_903_000_001, 84_903_000_002
CARD = "4111111111111111"
SPACED = "5500 0000 0000 0004"
KEY = "c0ffee" * 10 + "abcd"
WEBHOOK = "whsec_" + base64.b64encode(b"Zw7-planted-webhook-secret").decode()
# Every secret that a configuration can hold, each its own.
PLANTED: dict[str, dict[str, Any]] = {
    "epay": {
        "gateway_url": "http://127.0.0.1:9",
        "gateway_secret": "Zw7gatewaysecret",
        "webhook_secrets": [WEBHOOK],
    },
    "mqtt": {
        "url": "mqtt://127.0.0.1:9",
        "user": "telcod",
        "password": "Zw7brokerpassword",
        "reconnect_min_s": 0.05,
        "reconnect_max_s": 0.1,
    },
    "mail": {
        "host": "127.0.0.1",
        "port": 9,
        "tls": "none",
        "sender": "pay@operator.example",
        "user": "telcod",
        "password": "Zw7mailpassword",
    },
    "fastagi": {"port": 0, "secret": "Zw7-fastagi-secret"},
    "ussd": {"push": "http", "push_url": "http://127.0.0.1:9", "push_token": "Zw7pushtoken"},
    "security": {"secret": KEY},
    "log": {"level": "debug"},
}
LINK_PASSWORD, OUTBIND_PASSWORD = "Zw7lnkpw", "Zw7outpw"

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-8", "PAY-1", "PAY-4", "CFG-1")]


def values(tables):
    """All texts that stand under a name of secrets."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from values(value)
        elif name.endswith(("password", "secret", "token")):
            yield value
        elif name == "webhook_secrets":
            yield from value


CONFIGURED = {*values(PLANTED), LINK_PASSWORD, OUTBIND_PASSWORD}


def given_away(secrets, *places):
    """Which secrets stand somewhere, in any form that bytes of a text come in."""
    small = [
        place.lower() if isinstance(place, bytes) else place.lower().encode() for place in places
    ]
    return {
        secret
        for secret in secrets
        for form in forms(secret)
        if len(form) >= 6 and any(form.lower() in place for place in small)
    }


def said_alone(code, place):
    """Six digits are in many a number; alone they are a code."""
    return re.search(rf"(?<![0-9a-f]){code}(?![0-9a-f])", place) is not None


def test_the_search_finds_what_is_planted():
    assert len(CONFIGURED) == 9
    for secret in CONFIGURED:
        assert given_away(CONFIGURED, f"x{secret}y") >= {secret}
        assert given_away({secret}, secret.encode().hex(), b"") == {secret}
    assert not given_away(CONFIGURED, "nothing", b"\0\xff")
    assert said_alone("123456", '"code":"123456"')
    assert not said_alone("123456", "1123456")


async def ask_wrongly(client, tokens):
    """Secrets in every place that people mistake for the right one."""
    for token in tokens.values():
        bearer = {"Authorization": f"Bearer {token}"}
        basic = base64.b64encode(f"{token}:{token}".encode()).decode()
        await client.get("/staff/v1/subscribers/0903000001", headers=bearer)
        await client.get(f"/staff/v1/subscribers/{token}", headers=bearer)
        await client.get(f"/{token}", params={"token": token})
        await client.get("/ivr/vxml/offer", params={"token": token, "call_id": "c1"})
        await client.post(
            "/ussd/gateway/africastalking", headers={"Authorization": f"Basic {basic}"}
        )
        await client.post("/network/v1/topups", headers=bearer, content=f'{{"event_id":"{token}"')
        await client.get("/console", headers={"Cookie": f"telcod_staff={token}; telcod_me={token}"})
    bearer = {"Authorization": f"Bearer {tokens[Scope.ADMIN]}", "Idempotency-Key": "k1"}
    for card in (CARD, SPACED):
        typed = {"number": card, "amount": card, "email": f"{card}@a.example", "card": card}
        for path in ("/pay/confirm", "/pay/start", "/pay/lookup", "/me/login", "/console/login"):
            await client.post(path, data=typed | {"password": card, "msisdn": card, "token": card})
        for path in (
            f"/pay/result/{card}",
            f"/staff/v1/payments/{card}",
            f"/console/find?q={card}",
        ):
            await client.get(path, headers=bearer)
        lookup = {"msisdn": card, "password": card}
        await client.post("/epay/v1/lookups", headers=bearer, json=lookup)
        step = {"msisdn": "0903000001", "service_code": "*1566#", "input": card, "step": 1}
        await client.post(f"/ussd/v1/sessions/{card}", headers=bearer, json=step)
        body = {"amount_vnd": 1_000, "reason": f"card {card}", "nothing": card}
        await client.post("/staff/v1/subscribers/0903000001/topups", headers=bearer, json=body)
        await client.post(
            "/epay/v1/gateway/notifications",
            headers={"webhook-id": card, "webhook-timestamp": "1", "webhook-signature": card},
            content=card,
        )


async def ask_agi(telcod, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", telcod.daemon.agi.port)
    writer.write(f"agi_request: agi://127.0.0.1/{path}\nagi_network_script: {path}\n\n".encode())
    said = await reader.read(1_000)
    writer.close()
    return said.decode(errors="replace")


async def log_in(telcod, client, smsc):
    """Log in as A by the code of a text; the codes and the session's token."""
    codes: list[str] = []
    body = {"msisdn": "0903000001"}
    for _ in range(2):
        assert (await client.post("/self/v1/login", json=body)).status_code == 202
        await telcod.wait_settled(len(codes) + 1)
        text = smsc.texts_to(str(A))[-1]
        codes += re.findall(r"(?<![0-9])[0-9]{6}(?![0-9])", text)
    confirm = "/self/v1/login/confirm"
    assert (await client.post(confirm, json=body | {"code": codes[0]})).status_code == 401
    assert (await client.post(confirm, json=body | {"code": codes[1], "x": 1})).status_code == 400
    opened = await client.post(confirm, json=body | {"code": codes[1]})
    token = opened.json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/self/v1/account", headers=bearer)).status_code == 200
    await client.get(f"/self/v1/{token}", headers=bearer)
    return codes, token


async def test_no_secret_is_in_what_a_telcod_says_or_keeps(tmp_path):
    async with SimulatedSmsc(password=LINK_PASSWORD) as smsc:
        links = (
            link(smsc, password=LINK_PASSWORD),
            link(smsc, "b", password=OUTBIND_PASSWORD, outbind_password=OUTBIND_PASSWORD),
        )
        async with whole(tmp_path, *links, **PLANTED) as (telcod, client):
            await telcod.wait_bound()
            await telcod.subscribers({"msisdn": A}, {"msisdn": B, "kind": "postpaid"})
            tokens = await make_tokens(telcod)
            codes, session = await log_in(telcod, client, smsc)
            await ask_wrongly(client, tokens)
            for path in (
                "Zw7-fastagi-secret/offer",
                "Zw7-fastagi-secre/offer",
                "Zw7-fastagi-secret",
            ):
                await ask_agi(telcod, path)
            shown = [
                (
                    await client.get(
                        path, headers={"Authorization": f"Bearer {tokens[Scope.ADMIN]}"}
                    )
                ).text
                for path in ("/admin/v1/status", "/admin/v1/tokens", "/admin/v1/pulse", "/metrics")
            ]
            shown += [repr(telcod.daemon.settings), repr(vars(telcod.daemon)), *telcod.told]
            await asyncio.to_thread(back_up, tmp_path / DATABASE, tmp_path / "backup.db")
            texts = [row.text for row in await telcod.rows(OUTBOX_SMS) if row.kind == "login"]
            await telcod.wait_logged("broker.lost", 2)  # From the second time on at level debug.
        logged = telcod.log.text
    kept = [path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith(DATABASE)]
    kept.append((tmp_path / "backup.db").read_bytes())
    everything = (logged, *shown, *kept)
    assert '"level":"debug"' in logged
    assert logged.count("http.answered") > 70
    assert not given_away(CONFIGURED, *everything)
    assert not given_away({*tokens.values(), session}, *everything)
    assert not given_away({CARD, CARD[:12], SPACED, SPACED.replace(" ", "")}, logged, *shown)
    assert len(set(codes)) == 2
    assert not [code for code in codes if said_alone(code, logged)]
    assert texts == ["", ""]


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a link's password that is too long": ("smpp", {"password": "Zw7muchtoolong"}),
    "a broker's address with a password": ("mqtt", {"url": "mqtt://u:Zw7inaddress@127.0.0.1:1"}),
    "an address that is none": ("mqtt", {"url": "mqtt://u:Zw7in/address@127.0.0.1:x"}),
    "a webhook secret that is none": ("epay", {"webhook_secrets": ["Zw7nobase64!"]}),
    "a gateway's address with a password": (
        "epay",
        {"gateway_url": "https://u:Zw7inaddress@a.example"},
    ),
    "a fastagi secret that is too short": ("fastagi", {"secret": "Zw7short"}),
    "a key that is none": ("security", {"secret": "Zw7nothexadecimal"}),
    "a secret that is a number": ("mail", {"password": 77_777_777}),
    "a name that is none": ("mail", {"pasword": "Zw7misspelt"}),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_configuration_is_told_without_its_secrets(tmp_path, what):
    section, wrong = WRONG[what]
    tables = {name: dict(table) for name, table in PLANTED.items()}
    links: dict[str, Any] = {
        "name": "a",
        "host": "a",
        "system_id": "a",
        "password": "x",
        "short_codes": ["1566"],
    }
    if section == "smpp":
        links |= wrong
    else:
        tables[section] |= wrong
    path = write_settings(tmp_path, links, **tables)
    answer = CliRunner().invoke(command_line, ["--config", str(path), "check"])
    assert answer.exit_code == 1
    assert section in answer.output
    assert "Zw7" not in answer.output
    assert "77777777" not in answer.output
