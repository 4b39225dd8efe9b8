"""What tests of the demo need: asyncio."""

import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"
