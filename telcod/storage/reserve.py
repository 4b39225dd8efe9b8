"""Room on the disk that is set aside, to end what holds money when there is no other (F5).

A file beside the database, of real blocks.  When the disk is full it is emptied, and what ends
calls and payments is committed on what it held; all else waits until it could be filled again.
"""

import os
from pathlib import Path
from typing import Final


class Reserve:
    """The file.

    Args:
        path: Where.
        size_bytes: How much; 0: nothing is set aside.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path: Final = path
        self._size_bytes: Final = size_bytes

    def hold(self) -> bool:
        """Set the room aside, if it isn't; whether it is now."""
        if not self._size_bytes:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, self._size_bytes)
            except OSError:
                os.ftruncate(file, 0)  # It would keep what little there is from others.
                raise
            finally:
                os.close(file)
        except OSError:
            return False
        return True

    def let_go(self) -> bool:
        """Give the room back to the disk; whether there was any."""
        if not self._size_bytes:
            return False
        try:
            held = self._path.stat().st_blocks > 0
            os.truncate(self._path, 0)
        except OSError:
            return False
        return held
