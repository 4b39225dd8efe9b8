"""Asterisk's gateway interface as bytes: what Asterisk says, and how it is told what to do.  Pure.

Asterisk opens a connection, sends its variables (`agi_channel: SIP/a-1`), an empty line, and then
waits for one command at a time.  Each gets one answer:

- `200 result=<number or text>[ (<text>)][ endpos=<samples>]`;
- `510 Invalid or unknown command`, `511 Command Not Permitted on a dead channel ...`;
- `520-Invalid command syntax.  Proper usage follows:`, lines of usage, `520 End of proper usage.`

`HANGUP` may stand on a line of its own at any moment, also before the answer of a command that
plays something; lines of `1xx` say that an answer will come.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

LINE_BYTES_MAX: Final = 4_096  # a variable may hold an address of a caller's liking
VARIABLES_MAX: Final = 128  # Asterisk 20 sends some 25, and 128 arguments at most
USAGE_LINES_MAX: Final = 200
OTHER_LINES_MAX: Final = 1_000  # HANGUP and 1xx: nothing that one connection has many of

OK: Final = 200
ANY_KEY: Final = "0123456789*#"

_VARIABLE: Final = re.compile(r"(agi_[a-z0-9_]+): ?(.*)")
_ANSWER: Final = re.compile(r"([1-9][0-9]{2})(?:([- ])(.*))?")
_RESULT: Final = re.compile(r"result=(\S*)(?: \((.*)\))?(?: endpos=(-?[0-9]{1,18}))?\s*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")
_ARGUMENT: Final = "agi_arg_"


class AgiLost(Exception):
    """What came is not this protocol, or is more than it may be; the connection must be closed."""


class Environment(NamedTuple):
    """What Asterisk says of the channel, once, at the beginning.

    `path` is what stands behind the host in `agi://host/path`, `args` the arguments of AGI().
    """

    path: str
    args: tuple[str, ...]
    variables: Mapping[str, str]

    @property
    def caller(self) -> str:
        """The number of the caller, as the channel has it; empty if it hides or has none."""
        number = self.variables.get("agi_callerid", "")
        return "" if number == "unknown" else number

    @property
    def language(self) -> str:
        """The channel's language, without its country."""
        return self.variables.get("agi_language", "").partition("_")[0]


class Answer(NamedTuple):
    """What became of a command; `result` is as it stands, `value` was in brackets."""

    code: int
    result: str = ""
    value: str = ""
    endpos: int = 0

    @property
    def number(self) -> int:
        """The result as a number; -1, which always means failure, if it is none."""
        return int(self.result) if _NUMBER.fullmatch(self.result) else -1

    @property
    def key(self) -> str:
        """The key that was pressed, if the result is the code of one."""
        number = self.number
        return chr(number) if 0 < number < 128 and chr(number) in ANY_KEY else ""


class Hangup(NamedTuple):
    """The channel is gone; who is still on the connection may only set things in order."""


class AgiReader:
    """Feed bytes in any chunks, take what they say; everything in it has a limit."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._variables: dict[str, str] | None = {}
        self._usage_lines = 0
        self._in_usage = False
        self._other_lines = 0
        self._events: deque[Environment | Answer | Hangup] = deque()

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer.

        Raises:
            AgiLost: They are not this protocol; nothing more can be read.
        """
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._take(_text(line))
        if len(self._buffer) > LINE_BYTES_MAX:
            raise AgiLost(f"a line is longer than {LINE_BYTES_MAX} bytes")

    def events(self) -> Iterator[Environment | Answer | Hangup]:
        """Everything that is complete and was not taken yet."""
        while self._events:
            yield self._events.popleft()

    def _take(self, line: str) -> None:
        if self._variables is not None:
            self._take_variable(line, self._variables)
        elif self._in_usage:
            self._take_usage(line)
        elif line == "HANGUP":
            self._count_other()
            self._events.append(Hangup())
        else:
            self._take_answer(line)

    def _take_variable(self, line: str, variables: dict[str, str]) -> None:
        if not line:
            self._variables = None
            self._events.append(_environment(variables))
            return
        match = _VARIABLE.fullmatch(line)
        if match is None:
            raise AgiLost("the environment has a line that is no variable")
        if len(variables) >= VARIABLES_MAX:
            raise AgiLost(f"the environment has more than {VARIABLES_MAX} variables")
        # The first one stands: what a caller can put into a later line must not change it.
        variables.setdefault(match[1], match[2].strip())

    def _take_usage(self, line: str) -> None:
        self._usage_lines += 1
        if line.startswith("520 "):
            self._in_usage = False
            self._events.append(Answer(520))
        elif self._usage_lines > USAGE_LINES_MAX:
            raise AgiLost("a usage has no end")

    def _take_answer(self, line: str) -> None:
        match = _ANSWER.fullmatch(line)
        if match is None:
            raise AgiLost("an answer has no code")
        code, more, rest = int(match[1]), match[2] == "-", match[3] or ""
        if code < OK:
            self._count_other()
        elif more:
            self._in_usage, self._usage_lines = True, 0
        elif code == OK:
            self._events.append(_answer(rest))
        else:
            self._events.append(Answer(code))

    def _count_other(self) -> None:
        self._other_lines += 1
        if self._other_lines > OTHER_LINES_MAX:
            raise AgiLost("the channel hangs up without end")


def stream_file(name: str, keys: str) -> bytes:
    """Play a recording; one of `keys` ends it and is the result.  No ending: Asterisk picks one."""
    return command("STREAM FILE", name, keys)


def wait_for_digit(wait_ms: int) -> bytes:
    """Wait so long for a key."""
    return command("WAIT FOR DIGIT", str(wait_ms))


def set_variable(name: str, value: str) -> bytes:
    """Set a variable of the channel's dialplan."""
    return command("SET VARIABLE", name, value)


def channel_status(channel: str) -> bytes:
    """Ask how a channel stands; -1 if there is none of that name."""
    return command("CHANNEL STATUS", channel)


def command(name: str, *words: str) -> bytes:
    """A command and its words, each in quotes, so that nothing in them ends a word or the line.

    Raises:
        ValueError: A word has characters that no line can carry.
    """
    return (" ".join((name, *(_quoted(word) for word in words))) + "\n").encode()


def _quoted(word: str) -> str:
    if not word.isprintable():
        raise ValueError("a word of a command must be printable")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(line: bytes) -> str:
    # Names of callers come in whatever their networks write; none of them is read here.
    if len(line) > LINE_BYTES_MAX:
        raise AgiLost(f"a line is longer than {LINE_BYTES_MAX} bytes")
    return line.decode(errors="replace").removesuffix("\r")


def _environment(variables: Mapping[str, str]) -> Environment:
    if "agi_network_script" not in variables:
        raise AgiLost("the environment names no script")
    path = variables["agi_network_script"].partition("?")[0].strip("/")
    numbers = [
        int(name.removeprefix(_ARGUMENT))
        for name in variables
        if re.fullmatch(rf"{_ARGUMENT}[0-9]{{1,3}}", name)
    ]
    last = max(numbers, default=0)
    args = tuple(variables.get(f"{_ARGUMENT}{number}", "") for number in range(1, last + 1))
    return Environment(path, args, variables)


def _answer(rest: str) -> Answer:
    match = _RESULT.fullmatch(rest)
    if match is None:
        raise AgiLost("an answer has no result")
    return Answer(OK, match[1], match[2] or "", int(match[3] or 0))
