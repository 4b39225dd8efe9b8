"""What a disk holds after power loss, at any moment of a life that strace recorded.  Pure.

strace stops each thread at each call, so its log is one order of all that a process did to its
files and said on its sockets.  `read_trace` makes `Act`s of it; `Disk` carries them out up to a
moment, and `image` draws what may be found there when the power came back:

- all that was synced before, and of each write since any of its sectors, by lot;
- a size that the file had since, and in sectors that never came zeros, or anything at all;
- names (made, linked, removed) only as far as their folder was synced, else by lot, each name for
  itself: that is as little as POSIX promises, and less than any file system of today gives.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SECTOR_BYTES = 512
SYNCS = ("sync", "sync failed")
ALL_OF_IT = 1 << 62  # The result of a write that nobody saw the end of.
APPENDED = -1  # Where a `write` goes: these files are written from their beginning.
TRACED = (
    "openat",
    *("pwrite64", "pwritev", "write", "writev", "sendto", "sendmsg", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "unlink", "unlinkat", "rename", "renameat", "renameat2"),
    *("link", "linkat"),
)
KEPT_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How many of the unsynced sectors came to the disk; one is drawn for each image."""

_LINE = re.compile(r"(\d+) +(.*)\Z", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)\Z", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)\Z", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})+|[^<>\[]+\[[^\]]*\])")
_IOV = re.compile(r'iov_base="((?:\\x[0-9a-f]{2})*)"')
_NUMBER = re.compile(r", (\d+)")


class Act(NamedTuple):
    """One thing that a process did.

    `began` and `ended` are places in the log; `what` is write, truncate, sync, sync failed, create,
    link, unlink or send; `path` the file, or the two ends of a connection; `at` an offset, a size,
    or nothing; `data` the octets; `to` the other name of a link; `thread` who did it.
    """

    began: int
    ended: int
    what: str
    path: str
    at: int = 0
    data: bytes = b""
    to: str = ""
    thread: int = 0


def trace_command(log, inject=""):
    """The strace command that records a life into `log`, without the command that it runs."""
    return (
        *("strace", "-f", "-qq", "-yy", "-xx", "-s", "70000", "--seccomp-bpf"),
        *("-e", f"trace={','.join(TRACED)}", "-o", str(log)),
        *(("-e", f"inject={inject}", "--") if inject else ("--",)),
    )


def read_trace(lines: Iterable[str]) -> list[Act]:
    """The acts of a log that succeeded, in the order in which they began; syncs as they ended."""
    acts: list[Act] = []
    open_calls: dict[int, tuple[int, str]] = {}
    for place, line in enumerate(lines):
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        thread, rest = int(found[1]), found[2]
        began = place
        if rest.endswith(_UNFINISHED):
            open_calls[thread] = (place, rest.removesuffix(_UNFINISHED))
            continue
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            began, head = open_calls.pop(thread)
            rest = head + resumed[2]
        call = _CALL.match(rest)
        if call is not None and call[3] != "?":
            acts += _acts_of(call[1], call[2], int(call[3]), began, place, thread)
    # What was begun and never seen to end may have been done: it counts as begun, to be lost.
    for thread, (began, head) in open_calls.items():
        name, _, arguments = head.partition("(")
        if name in {"pwrite64", "write"} and _FD.match(arguments):
            acts += _acts_of(name, arguments, ALL_OF_IT, began, 1 << 62, thread)
    return sorted(acts, key=lambda act: act.ended if act.what in SYNCS else act.began)


def _acts_of(name, arguments, result, began, ended, thread) -> Iterator[Act]:
    def act(what, path, at=0, data=b"", to=""):
        return Act(began, ended, what, path, at, data, to, thread)

    path = _path_of(arguments)
    if name in {"fsync", "fdatasync"}:
        yield act("sync" if result == 0 else "sync failed", path)
    elif result < 0:
        return
    elif name == "openat":
        wanted = str(Path(path) / _strings(arguments)[0].decode())
        if "O_CREAT" in arguments:
            yield act("create", wanted)
        if "O_TRUNC" in arguments:
            yield act("truncate", wanted)
    elif name in {"write", "sendto", "writev", "sendmsg", "pwrite64", "pwritev"}:
        parts = _IOV.findall(arguments) or _STRING.findall(arguments)[:1]
        data = b"".join(map(_octets, parts))
        data = data[:result]
        if not path.startswith("/"):
            yield act("send", path, data=data)
        else:
            at = int(_NUMBER.findall(arguments)[-1]) if name.startswith("pwrite") else APPENDED
            yield act("write", path, at, data)
    elif name in {"ftruncate", "fallocate"}:
        yield act("truncate", path, sum(map(int, _NUMBER.findall(arguments))))
    else:
        names = [str(Path(path) / name.decode()) for name in _strings(arguments)]
        if name.startswith("unlink"):
            yield act("unlink", names[0])
        else:
            yield act("link", names[0], to=names[1])
            if name.startswith("rename"):
                yield act("unlink", names[0])


def _path_of(arguments) -> str:
    """The file or the connection of a call's first argument."""
    found = _FD.match(arguments)
    if found is None:
        return ""
    return _octets(found[1]).decode() if found[1].startswith("\\x") else found[1]


def _strings(arguments) -> list[bytes]:
    return [_octets(each) for each in _STRING.findall(arguments)]


def _octets(escaped) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


@dataclass(eq=False)
class File:
    """A file: what is on the platters for certain, and what was done to it since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Act] = field(default_factory=list)
    size: int = 0  # As the process sees it.

    def do(self, act):
        """Carry out a write or a truncation, in memory only."""
        if act.what == "write":
            at = self.size if act.at == APPENDED else act.at
            self.pending.append(act._replace(at=at))
            self.size = max(self.size, at + len(act.data))
        else:
            self.pending.append(act)
            self.size = act.at

    def sync(self, began):
        """Make certain what had ended when the sync began."""
        self.synced = _done(self.synced, [each for each in self.pending if each.ended < began])
        self.pending = [each for each in self.pending if each.ended >= began]

    def forget(self, began):
        """A sync failed: the system takes what it could not write for written, and never tries."""
        self.pending = [each for each in self.pending if each.ended >= began]

    def image(self, dice, share):
        """What may be found of it after power loss."""
        sizes = [len(self.synced)]
        for act in self.pending:
            end = act.at + len(act.data)
            sizes.append(max(sizes[-1], end) if act.what == "write" else act.at)
        known = len(self.pending) if share == 1.0 else 0  # How far the size is known.
        if 0.0 < share < 1.0:
            known = dice.randrange(len(sizes))
        content = bytearray(self.synced)
        fill = dice.choice((bytes, dice.randbytes))
        for number, act in enumerate(self.pending):
            if act.what == "truncate":
                if number < known:
                    del content[act.at :]
                continue
            for at, data in _sectors(act):
                if len(content) < at + len(data):
                    content += fill(at + len(data) - len(content))
                if dice.random() < share:
                    content[at : at + len(data)] = data
        size = sizes[known]
        return bytes(content[:size]) + bytes(max(0, size - len(content)))


def _done(content, acts):
    content = bytearray(content)
    for act in acts:
        if act.what == "truncate":
            del content[act.at :]
        end = act.at + len(act.data)
        if len(content) < end:
            content += bytes(end - len(content))
        content[act.at : end] = act.data
    return content


def _sectors(act):
    """A write in pieces that a disk writes whole or not at all."""
    at, end = act.at, act.at + len(act.data)
    while at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield at, act.data[at - act.at : stop - act.at]
        at = stop


class Disk:
    """A folder's files through a life; `names` says which of them count."""

    def __init__(self, folder: Path, names: Iterable[str], before: dict[str, bytes]) -> None:
        self._folder = str(folder)
        self._counted = {str(folder / name): name for name in names}
        self._files: dict[str, File] = {
            str(folder / name): File(bytearray(data), size=len(data))
            for name, data in before.items()
        }
        self._certain: dict[str, File] = dict(self._files)  # Names that the folder has for certain.
        self._renamed: list[tuple[int, str, Any]] = []  # When a name came to mean which file.

    def do(self, act: Act) -> None:
        """Carry out one act; those on other files change nothing."""
        if act.what == "sync" and act.path == self._folder:
            kept = [each for each in self._renamed if each[0] < act.began]
            self._renamed = [each for each in self._renamed if each[0] >= act.began]
            for _, path, file in kept:
                _name(self._certain, path, file)
            return
        if self._counted.keys().isdisjoint((act.path, act.to)):
            return
        if act.what == "create":
            if act.path not in self._files:
                self._rename(act, act.path, File())
        elif act.what == "link":
            self._rename(act, act.to, self._files[act.path])
        elif act.what == "unlink":
            self._rename(act, act.path, None)
        elif (file := self._files.get(act.path)) is not None:
            if act.what == "sync":
                file.sync(act.began)
            elif act.what == "sync failed":
                file.forget(act.began)
            elif act.what in {"write", "truncate"}:
                file.do(act)

    def _rename(self, act, path, file):
        self._renamed.append((act.ended, path, file))
        _name(self._files, path, file)

    def image(self, dice) -> dict[str, bytes]:
        """What may be found in the folder after power loss, by name."""
        share = dice.choice(KEPT_SHARES)
        names = dict(self._certain)
        lost = set()
        for _, path, file in self._renamed:
            if path in lost or dice.random() >= share:
                lost.add(path)  # Of one name nothing later is known either.
            else:
                _name(names, path, file)
        return {
            self._counted[path]: file.image(dice, share)
            for path, file in names.items()
            if path in self._counted
        }


def _name(names, path, file):
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file
