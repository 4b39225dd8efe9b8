"""What all tests with a whole telcod need."""

import pytest

from telcod.simulator.smsc import SimulatedSmsc


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def simulated():
    """A well-behaved simulated SMSC."""
    async with SimulatedSmsc() as smsc:
        yield smsc
