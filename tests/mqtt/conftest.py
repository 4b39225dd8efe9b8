"""What all tests with a broker need."""

import pytest

from tests.mqtt.broker import Broker, Peer
from tests.mqtt.station import Station


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def broker(tmp_path):
    async with Broker(tmp_path) as running:
        yield running


@pytest.fixture
async def station(tmp_path, broker):
    async with Station(tmp_path, broker) as there:
        yield there


@pytest.fixture
async def peer(broker, station):
    async with Peer(broker, listens=["telcod/reply/peer"]) as client:
        yield client
