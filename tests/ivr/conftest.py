"""What all tests with a voice platform need."""

import pytest

from tests.ivr.operator import Operator


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def operator(tmp_path):
    async with Operator(tmp_path) as running:
        yield running
