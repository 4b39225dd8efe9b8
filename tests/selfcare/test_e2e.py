"""Self-care through a whole telcod and an SMSC: the code travels as a text and is forgotten."""

import re

import httpx
import pytest

from telcod.rows import OUTBOX_SMS, OutboxState
from telcod.simulator.smsc import SimulatedSmsc
from tests.e2e.harness import Telcod, link

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SELF-1")]

A, B = 84_903_000_001, 84_903_000_002


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def smsc():
    async with SimulatedSmsc() as simulated:
        yield simulated


def written(folder):
    """All that lies in a folder, as octets."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_the_code_comes_as_a_text_opens_a_session_and_is_forgotten(smsc, tmp_path):
    async with Telcod(tmp_path, link(smsc)) as telcod:
        await smsc.wait_bound()
        await telcod.subscribers({"msisdn": A}, {"msisdn": B})
        home = f"http://127.0.0.1:{telcod.daemon.web.port}"
        async with httpx.AsyncClient(base_url=home, trust_env=False) as app:
            said = {"msisdn": "0903000001"}
            assert (await app.post("/self/v1/login", json=said)).status_code == 202
            [text] = await smsc.wait_text(str(A))
            [code] = re.findall(r"^[0-9]{6}", text)
            got = await app.post("/self/v1/login/confirm", json=said | {"code": code})
            token = got.json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            body = {"package": "day"}
            done = await app.post("/self/v1/package", json=body, headers=headers)
            assert done.json()["outcome"] == "package.trial_started"
            page = await app.get("/me/login")
            assert page.status_code == 200
            [style] = re.findall(r'href="(/static/telcod[^"]*)"', page.text)
            assert (await app.get(style)).status_code == 200

        async def forgotten():
            rows = await telcod.rows(OUTBOX_SMS)
            return [(row.kind, row.state, row.text) for row in rows] == [
                ("login", OutboxState.ACCEPTED, "")
            ]

        await telcod.wait_batches(forgotten)
        assert code not in telcod.log.text
        assert token not in telcod.log.text
    left = written(tmp_path)  # The log of the database is in the database after a clean stop.
    assert f"{code} la ma".encode() not in left
    assert token.encode() not in left
