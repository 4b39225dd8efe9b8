"""A PostgreSQL to be measured on: Debian's package, started here, with every promise kept.

It refuses to run as root, so under root it runs as the user that the package made.  Books are
copied into it once and are the template of the database of each run.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from telcod.simulator.bench_books import cpu_s, free_port

USER: Final = "postgres"
TEMPLATE: Final = "books"
# What a person sets on a machine of this size; what a COMMIT promises is as the server has it.
SETTINGS: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}


class BenchServer:
    """A running server."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data: Final = folder / "data"
        self._port: Final = port
        self._runs = 0

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{database}"

    def fill(self, books: Path) -> None:
        """Copy books into the template of all runs.

        Raises:
            click.ClickException: They could not be copied.
        """
        self._do(f"CREATE DATABASE {TEMPLATE}")
        words = ("db", "copy", f"sqlite:///{books}", self.url(TEMPLATE))
        done = subprocess.run(
            [sys.executable, "-m", "telcod", *words], check=False, capture_output=True
        )
        if done.returncode:
            raise click.ClickException(done.stderr.decode()[-2_000:])
        # As the server's own upkeep does sooner or later.
        self._do("VACUUM ANALYZE", TEMPLATE)

    def books(self) -> str:
        """Books of a run's own; their address."""
        self._runs += 1
        name = f"run_{self._runs}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        self._do("CHECKPOINT")
        return self.url(name)

    def bytes_of(self, url: str) -> int:
        """The size of a database."""
        name = url.rpartition("/")[2]
        return int(self._do(f"SELECT pg_database_size('{name}')")[0][0])

    def commit_ms(self) -> float:
        """The median time of one text's durable commit, in milliseconds; by the driver alone."""
        import time

        import psycopg

        times = []
        with psycopg.connect(self.url(USER), autocommit=True) as db:
            db.execute("CREATE TABLE IF NOT EXISTS probe (id INT8 PRIMARY KEY, text TEXT)")
            for at in range(200):
                begun = time.perf_counter()
                db.execute("INSERT INTO probe VALUES (%s, %s)", (at, "x" * 130), prepare=True)
                times.append(time.perf_counter() - begun)
            db.execute("DROP TABLE probe")
        return round(1_000 * sorted(times)[len(times) // 2], 3)

    def cpu_s(self) -> float:
        """Processor time that the server and all its processes have taken, in seconds."""
        leader = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        return sum(cpu_s(pid) for pid in (leader, *map(int, children)))

    def _do(self, sql: str, database: str = USER) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as db:
            # Our own words and names only.
            found = db.execute(sql.encode())
            return found.fetchall() if found.description else []


@contextmanager
def bench_server(folder: Path | None) -> Iterator[BenchServer]:
    """A server with empty books, for as long as it is needed.

    Args:
        folder: Where it keeps its data; None: where temporary files are.

    Raises:
        click.ClickException: None is installed, or it does not start.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    if not programs:
        raise click.ClickException("no PostgreSQL here: apt-get install postgresql")
    here = Path(tempfile.mkdtemp(prefix="telcod-bench-pg-", dir=folder))
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam(USER)
        os.chown(here, user.pw_uid, user.pw_gid)
        as_whom = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    port = free_port()

    def run(program: str, *words: str) -> None:
        command = [str(programs[-1] / program), "-D", str(here / "data"), *words]
        with (here / "said").open("ab") as said:
            done = subprocess.run(
                command, cwd=here, check=False, stdout=said, stderr=said, **as_whom
            )
        if done.returncode:
            raise click.ClickException((here / "said").read_text()[-2_000:])

    options = {**SETTINGS, "port": str(port), "unix_socket_directories": str(here)}
    set_by = " ".join(f"-c {name}={value}" for name, value in options.items())
    try:
        run("initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8")
        run("pg_ctl", "start", "-w", "-l", str(here / "log"), "-o", set_by)
        try:
            yield BenchServer(here, port)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast")
    finally:
        shutil.rmtree(here, ignore_errors=True)
