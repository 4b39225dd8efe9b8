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
_SIZE_AT: Final = 4  # In there.
_LITTLE_ENDIAN_MAGIC: Final = 0x377F0682
_BIG_ENDIAN_MAGIC: Final = 0x377F0683
_HEADER_HASHED_BYTES: Final = 24
_WORD: Final = 0xFFFF_FFFF


class _Frame(NamedTuple):
    size: int  # Of the database in pages after this frame, if it ends a commit; else 0.
    salts: tuple[int, int]
    checksums: tuple[int, int]
    hashed: bytes


def frames_committed(log: memoryview, page_bytes: int) -> int:
    """The number of the last frame that was certainly committed and synced; 0 if none was.

    A bit that flipped in any one place of the log doesn't hide it, be it in a checksum itself.

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
    later: _Frame | None = None
    for number in range((len(log) - _HEADER.size) // (_FRAME.size + page_bytes), 0, -1):
        frame = _frame(log, number, page_bytes)
        if later is not None and (whole or frame.salts == later.salts):
            # What the frame's checksums were made from: those before it.
            before = head[6:8] if number == 1 else _frame(log, number - 1, page_bytes).checksums
            for order in orders:
                if _commits(frame, before, little=order) and any(
                    _checksum(seed, later.hashed, little=order) == later.checksums
                    for seed in (frame.checksums, _checksum(before, frame.hashed, little=order))
                ):
                    return number
        # A good header says which frames are of now.  If it is broken, any row of them tells: a
        # header is synced before its first frame.
        later = frame if not whole or frame.salts == head[4:6] else None
    return 0


def _frame(log: memoryview, number: int, page_bytes: int) -> _Frame:
    """A frame by its number, from 1."""
    at = _HEADER.size + (number - 1) * (_FRAME.size + page_bytes)
    _, size, *rest = _FRAME.unpack_from(log, at)
    page = bytes(log[at + _FRAME.size : at + _FRAME.size + page_bytes])
    hashed = bytes(log[at : at + _HASHED_HEAD_BYTES]) + page
    return _Frame(size, (rest[0], rest[1]), (rest[2], rest[3]), hashed)


def _commits(frame: _Frame, before: tuple[int, ...], *, little: bool) -> bool:
    """Whether a frame ends a commit, also if the one bit flipped that says so."""
    if frame.size > 0:
        return True
    if _checksum(before, frame.hashed, little=little) == frame.checksums:
        return False
    number, page = frame.hashed[:_SIZE_AT], frame.hashed[_HASHED_HEAD_BYTES:]
    return any(
        _checksum(before, number + (1 << bit).to_bytes(4) + page, little=little) == frame.checksums
        for bit in range(32)
    )


def _checksum(seed: tuple[int, ...], data: bytes, *, little: bool) -> tuple[int, int]:
    one, two = seed
    words = array("I", data)
    if little != (sys.byteorder == "little"):
        words.byteswap()
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _WORD
        two = (two + odd + one) & _WORD
    return one, two
