"""How many frames of a write-ahead log must be readable, for who is about to recover it.  Pure.

After a crash SQLite reads the log up to the first frame whose checksum is wrong, and takes that for
the end: the last transaction may have been torn.  But each commit is synced before the next one
begins.  So where a frame follows in unbroken order upon a commit, that commit was on the disk once,
and if it can't be read now the disk has changed what it kept (F7): transactions that were
acknowledged would be left out in silence.

The format is SQLite's, https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import sys
from array import array
from struct import Struct
from typing import Final, NamedTuple

_HEADER: Final = Struct(">8I")  # magic, version, page size, sequence, salts, checksums
_FRAME: Final = Struct(">6I")  # page number, size after commit or 0, salts, checksums
_HASHED_HEAD_BYTES: Final = 8  # Of a frame's header.
_LITTLE_ENDIAN_MAGIC: Final = 0x377F0682
_BIG_ENDIAN_MAGIC: Final = 0x377F0683
_HEADER_HASHED_BYTES: Final = 24
_WORD: Final = 0xFFFF_FFFF


class _Frame(NamedTuple):
    number: int  # From 1.
    commits: bool
    salts: tuple[int, int]
    checksums: tuple[int, int]


def frames_committed(log: memoryview, page_bytes: int) -> int:
    """The number of the last frame that was certainly committed and synced; 0 if none was.

    Args:
        log: The whole file.
        page_bytes: The database's page size.
    """
    head = _HEADER.unpack_from(log) if len(log) >= _HEADER.size else None
    if head is None:
        return 0
    little = head[0] == _LITTLE_ENDIAN_MAGIC
    whole = head[0] in {_LITTLE_ENDIAN_MAGIC, _BIG_ENDIAN_MAGIC} and (
        _checksum((0, 0), bytes(log[:_HEADER_HASHED_BYTES]), little=little) == head[6:]
    )
    orders = (little,) if whole else (True, False)
    frame_bytes = _FRAME.size + page_bytes
    later: _Frame | None = None
    for number in range((len(log) - _HEADER.size) // frame_bytes, 0, -1):
        at = _HEADER.size + (number - 1) * frame_bytes
        _, size, *rest = _FRAME.unpack_from(log, at)
        frame = _Frame(number, size > 0, (rest[0], rest[1]), (rest[2], rest[3]))
        # A good header says which frames are of now.  If it is broken, any row of them tells: a
        # header is synced before its first frame.
        if whole and frame.salts != head[4:6]:
            later = None
            continue
        if later is not None and frame.commits and frame.salts == later.salts:
            start = at + frame_bytes
            head_bytes = bytes(log[start : start + _HASHED_HEAD_BYTES])
            hashed = head_bytes + bytes(log[start + _FRAME.size : start + frame_bytes])
            if any(
                _checksum(frame.checksums, hashed, little=order) == later.checksums
                for order in orders
            ):
                return number
        later = frame
    return 0


def _checksum(seed: tuple[int, int], data: bytes, *, little: bool) -> tuple[int, int]:
    one, two = seed
    words = array("I", data)
    if little != (sys.byteorder == "little"):
        words.byteswap()
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _WORD
        two = (two + odd + one) & _WORD
    return one, two
