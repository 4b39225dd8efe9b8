"""What all tests of security need."""

import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"
