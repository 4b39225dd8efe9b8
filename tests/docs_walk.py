"""Walks through a document of `docs/` as its reader would, in a folder instead of on a machine.

Every ```console block is typed, command by command, and what the document says is printed must be
printed, in that order (`…` stands for anything).  A command ends with exit code 0, unless a comment
before its block says `<!-- ends with 1 -->`.  Other comments in front of a block:

    <!-- not run: reason -->     the block is passed over; `Walk.passed_over` has the reasons
    <!-- file: name -->          what the block holds is put into this file, at its end
    <!-- telcod runs -->         from here on telcod runs, as after `systemctl start telcod`

`/etc/telcod` and `/var/lib/telcod` are folders of the walk, `systemctl start|stop|restart|reload
telcod` does to a `telcod run` of the walk's what systemd does, and the neighbours that documents
name, `smsc.example` and `gateway.example`, are the shipped simulators.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.smsc import SimulatedSmsc

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
WAIT_S = 120
SMSC_PASSWORD = "secret"  # of the simulator
SUBSCRIBERS = """\
msisdn,kind,state,balance_vnd,debt_vnd,name,address,centre,email,language
0903000001,prepaid,active,20000,0,,,1,,vi
0903000002,prepaid,active,100000,0,,,1,,vi
0903000003,postpaid,active,0,250000,,,2,,en
"""
LISTENS = "HTTP listens on "
LONG = re.compile(r"telcod run\b|scripts/run(?! --check)")
_FENCE = re.compile(r"```(\w*)\s*")
_COMMENT = re.compile(r"<!-- (.+?) -->")
_KEEPS = re.compile(r"([A-Z_]+)=\$\(")


class Block(NamedTuple):
    """A fenced block, with the comments right before it."""

    line: int
    kind: str
    comments: tuple[str, ...]
    lines: tuple[str, ...]

    def said(self, what):
        """What a comment says after these words; None if there is none."""
        found = [text.removeprefix(what) for text in self.comments if text.startswith(what)]
        return found[0].strip() if found else None

    def commands(self):
        """(command, what is printed after it, line by line) of a console."""
        commands: list[tuple[str, list[str]]] = []
        for line in self.lines:
            if line.startswith("$ "):
                commands.append((line[2:], []))
            elif line.startswith("> ") and not commands[-1][1]:
                command, printed = commands.pop()
                commands.append((f"{command}\n{line[2:]}", printed))
            elif line.strip():
                commands[-1][1].append(line)
        return commands


def blocks(text):
    """All fenced blocks of a document."""
    found: list[Block] = []
    comments: list[str] = []
    inside: Any = None
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if inside is None and fence:
            inside = (number, fence[1], tuple(comments), [])
        elif inside is not None and line.startswith("```"):
            at, kind, before, lines = inside
            found.append(Block(at, kind, before, tuple(lines)))
            inside, comments = None, []
        elif inside is not None:
            inside[3].append(line)
        elif line.strip():
            comments = [*comments, *_COMMENT.findall(line)] if _COMMENT.fullmatch(line) else []
    assert inside is None, f"line {inside[0]}: this block has no end"
    return found


def missing_line(expected, printed):
    """The first expected line that was not printed in its turn; None if all were."""
    waiting = [" ".join(line.split()) for line in printed.splitlines()]
    for line in expected:
        parts = " ".join(line.split()).split("…")
        like = re.compile(".*".join(re.escape(part.strip(" ")) for part in parts))
        if not like.pattern.replace(".*", ""):
            continue
        for index, candidate in enumerate(waiting):
            if like.fullmatch(candidate):
                del waiting[: index + 1]
                break
        else:
            return line
    return None


class Process:
    """A command that goes on until it is stopped; `wait_said` reads what it prints."""

    def __init__(self, command, **options):
        self.printed = ""
        self._said = threading.Condition()
        self._process: Any = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self):
        for line in self._process.stdout:
            with self._said:
                self.printed += line
                self._said.notify_all()
        with self._said:
            self.printed += "(ended)\n"
            self._said.notify_all()

    def wait_said(self, enough):
        """Wait until what was printed is enough, or it has ended, or the time is over."""
        with self._said:
            self._said.wait_for(
                lambda: enough(self.printed) or self.printed.endswith("(ended)\n"), WAIT_S
            )
            assert enough(self.printed), self.printed

    def send(self, number):
        self._process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """As a service is stopped, or as by Ctrl-C; it must end well."""
        self.send(number)
        code = self._end()
        assert code == 0, self.printed

    def kill(self):
        self._process.kill()
        self._end()

    def _end(self):
        code = self._process.wait(WAIT_S)
        self._reading.join(WAIT_S)
        self._process.stdin.close()
        self._process.stdout.close()
        return code


@contextmanager
def neighbours():
    """An SMSC and a card gateway on a loop of their own: (port, address of the gateway)."""
    ready = threading.Event()
    stop: list[Any] = []
    found: list[Any] = []

    async def serve():
        stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            smsc = await stack.enter_async_context(SimulatedSmsc(password=SMSC_PASSWORD))
            gateway = await stack.enter_async_context(SimulatedCardGateway())
            found.extend((smsc.port, gateway.url))
            loop = asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
            ready.set()
            await stopping.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="neighbours")
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield found
    finally:
        for each in stop:
            each()
        thread.join(WAIT_S)


class Walk:
    """One reading of one document; `with Walk(folder) as walk:`.

    `installed`: the reader has set telcod up already and taken over some subscribers.
    """

    def __init__(self, folder, *, installed):
        self.etc, self.lib, self.here = folder / "etc", folder / "lib", folder / "here"
        for each in (self.lib, self.here):
            each.mkdir()
        (self.here / "subscribers.csv").write_text(SUBSCRIBERS, encoding="utf-8")
        self.passed_over: list[tuple[int, str]] = []
        self.commands = 0
        self._environ = {
            "PATH": f"{ROOT}/.venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", str(folder)),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "COLUMNS": "120",
            "TELCOD_HTTP__PORT": "0",
        }
        self._installed = installed
        self._telcod: Any = None
        self._others: list[Process] = []
        self._url = ""
        self._neighbours = neighbours()

    def __enter__(self):
        self._smsc_port, self._gateway_url = self._neighbours.__enter__()
        return self

    def __exit__(self, *problem):
        try:
            if problem == (None, None, None):
                self._stop_all()
        finally:
            for process in (self._telcod, *self._others):
                if process is not None:
                    process.kill()
            self._neighbours.__exit__(None, None, None)

    def read(self, path):
        """Do all that a document says."""
        if self._installed:
            self._run("telcod init /etc/telcod --store sqlite:///var/lib/telcod/telcod.db")
            self._run("telcod subscribers import subscribers.csv --config /etc/telcod")
        for block in blocks(path.read_text(encoding="utf-8")):
            try:
                self._do(block)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"{path.name}, line {block.line}: {error}") from error

    def _do(self, block):
        if block.said("telcod runs") is not None and self._telcod is None:
            self._start()
        file = block.said("file:")
        if file is not None:
            with Path(self._here(file)).open("a", encoding="utf-8") as out:
                out.write("\n".join(("", *map(self._here, block.lines), "")).lstrip("\n"))
        if block.kind != "console":
            return
        reason = block.said("not run:")
        if reason is not None:
            self.passed_over.append((block.line, reason))
            return
        for command, printed in block.commands():
            self.commands += 1
            said = self._type(command, printed, int(block.said("ends with") or 0))
            lost = missing_line(map(self._here, printed), said)
            assert lost is None, f"$ {command}\nprinted\n{said}\nand not, in its turn,\n{lost}"

    def _type(self, command, printed, code):
        if command.startswith("systemctl "):
            return self._systemctl(command)
        if LONG.match(command):
            return self._go_on(command, printed)
        kept = _KEEPS.match(command)
        if kept:
            said = self._run(f'{command}\nprintf "%s" "${kept[1]}"', code)
            self._environ[kept[1]] = said.splitlines()[-1]
            return said
        return self._run(command, code)

    def _run(self, command, code=0):
        command = self._here(command).split("    # ")[0]
        # A test of README runs scripts of the checkout, as its reader does.
        folder = ROOT if command.startswith("scripts/") else self.here
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail\n{command}"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            env=self._environ,
            timeout=WAIT_S,
            stdin=subprocess.DEVNULL,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"$ {command}\nended with {done.returncode}:\n{said}"
        return done.stderr + done.stdout

    def _go_on(self, command, printed):
        """Start what does not end by itself, and wait for all that it is to print."""
        plain = self._here(command).split("    # ")[0].strip()
        if plain.startswith("scripts/"):
            process = Process(f"{plain} --port 0", cwd=ROOT, env=self._environ)
            self._others.append(process)
            process.wait_said(lambda said: "http://" in said)
        else:
            assert self._telcod is None, "telcod runs already"
            process = self._telcod = Process(plain, cwd=self.here, env=self._environ)
            process.wait_said(lambda said: LISTENS in said)
            [self._url] = re.findall(f"{LISTENS}(\\S+)", process.printed)
        expected = [self._here(line) for line in printed]
        process.wait_said(lambda said: missing_line(expected, said) is None)
        return process.printed

    def _start(self):
        self._go_on("telcod run --config /etc/telcod", [])

    def _stop_all(self):
        if self._telcod is not None:
            process, self._telcod = self._telcod, None
            process.stop()
        while self._others:
            self._others.pop().stop(signal.SIGINT)

    def _systemctl(self, command):
        what = command.removeprefix("systemctl ").removesuffix(" telcod")
        assert what in {"start", "stop", "restart", "reload"}, command
        if what in {"stop", "restart"} and self._telcod is not None:
            process, self._telcod = self._telcod, None
            process.stop()
        if what in {"start", "restart"}:
            self._start()
        if what == "reload":
            before = self._telcod.printed.count("are in force")
            self._telcod.send(signal.SIGHUP)
            self._telcod.wait_said(lambda said: said.count("are in force") > before)
        return ""

    def _here(self, text):
        """What a document names, by the names that it has in this walk."""
        for named, here in (
            ("/etc/telcod", str(self.etc)),
            ("/var/lib/telcod", str(self.lib)),
            ("http://127.0.0.1:8080", self._url or "http://127.0.0.1:8080"),
            ('host = "smsc.example"', f'host = "127.0.0.1"\nport = {self._smsc_port}'),
            ("https://gateway.example/api", self._gateway_url),
            ("SMSC-PASSWORD", SMSC_PASSWORD),
            ("GATEWAY-SECRET", SECRET),
            ("whsec_…", WEBHOOK_SECRET),
        ):
            text = text.replace(named, here)
        return text
