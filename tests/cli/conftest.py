"""An installation in a temporary folder, the command line on it, and a daemon that serves it."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from telcod.app import Daemon
from telcod.cli.root import telcod
from telcod.settings import load

WAIT_S = 20


class Installation:
    """`tell` runs a command on it, as a person types it."""

    def __init__(self, folder):
        self.folder = folder
        self.tell("init", str(folder))
        config = folder / "telcod.toml"
        config.write_text(config.read_text().replace("port = 8080", "port = 0"))

    def tell(self, *words):
        args = [str(word) for word in words]
        if args[0] != "init":
            args = ["--config", str(self.folder), *args]
        return CliRunner().invoke(telcod, args, catch_exceptions=False)

    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    @contextlib.contextmanager
    def served(self):
        """A daemon in a thread of its own, until the block ends."""
        ready, stop, failed = threading.Event(), [], []

        async def serve():
            daemon, stopping = Daemon(load(self.folder, {})), asyncio.Event()
            loop = asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(stopping.set))

            async def say_when_ready():
                await daemon.ready.wait()
                ready.set()

            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(say_when_ready())
                await daemon.run(stopping)
                waiting.cancel()

        def run():
            try:
                asyncio.run(serve())
            except BaseException as error:  # noqa: BLE001  (the test tells it)
                failed.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="daemon")
        thread.start()
        try:
            assert ready.wait(WAIT_S)
            assert not failed, failed
            yield self
        finally:
            if stop:
                stop[0]()
            thread.join(WAIT_S)
        assert not thread.is_alive()
        assert not failed, failed


@pytest.fixture(autouse=True)
def _quiet_logs():
    with Path(os.devnull).open("w") as nowhere:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=nowhere))
        yield
        structlog.reset_defaults()


@pytest.fixture
def place(tmp_path):
    return Installation(tmp_path / "it")


@pytest.fixture(params=["on the file", "with a daemon"])
def both_ways(request, place):
    """The same scenes on the file alone and through a running daemon."""
    if request.param == "on the file":
        yield place
        return
    with place.served():
        yield place
