"""A disk that really is full: a small tmpfs that only telcod and the test see.

It lives in a mount namespace of its own, and is gone with the process that keeps it.
"""

import asyncio
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o "size=$2" telcod-test "$1" && echo mounted && exec cat'
BLOCK = bytes(4096)


@cache
def why_no_small_disk():
    """Why no disk can be mounted here; "" if one can."""
    probe = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "probe", "/tmp"],  # noqa: S108  (of its own namespace)
        check=False,
        capture_output=True,
        text=True,
    )
    return "" if probe.returncode == 0 else f"no tmpfs can be mounted: {probe.stderr}"


class SmallDisk:
    """A tmpfs of so many bytes on an empty folder.  `async with SmallDisk(folder, ...) as disk:`.

    `inside` is the command before a command that sees it; `path` is how the test sees it.
    """

    def __init__(self, folder, *, size_bytes):
        self._folder = folder
        self._size_bytes = size_bytes
        self._keeper: Any = None

    async def __aenter__(self):
        assert not why_no_small_disk(), why_no_small_disk()
        self._folder.mkdir()
        self._keeper = await asyncio.create_subprocess_exec(
            *(*NAMESPACE, "sh", "-c", MOUNT, "sh", str(self._folder), str(self._size_bytes)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert await self._keeper.stdout.readline() == b"mounted\n"
        return self

    async def __aexit__(self, *_):
        self._keeper.stdin.close()
        await self._keeper.wait()

    @property
    def inside(self):
        """The command before a command that is to see the disk."""
        keeper = str(self._keeper.pid)
        return ("nsenter", "--preserve-credentials", "--user", "--mount", "--target", keeper, "--")

    @property
    def path(self):
        """The disk, as processes see it that are not inside."""
        return Path(f"/proc/{self._keeper.pid}/root{self._folder}")

    def fill(self):
        """Write until nothing more fits."""
        with (self.path / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(BLOCK):
                    pass
            except OSError:
                return

    def make_room(self):
        """Remove what `fill` wrote."""
        (self.path / "ballast").unlink()

    def copy_books(self, name, to):
        """Copy the database and its log out, as they lie there."""
        for ending in ("", "-wal"):
            if (self.path / f"{name}{ending}").exists():
                shutil.copy(self.path / f"{name}{ending}", to / f"{name}{ending}")
