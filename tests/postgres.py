"""A PostgreSQL server of the tests' own: Debian's package, in a folder that goes away, on a free
port.

Started once per process, when it is first asked for, and stopped at its end.  Its promises are the
real ones (`fsync` and all), because the store asks for them.  It refuses to run as root, so under
root it runs as the user that the package made.
"""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from telcod.rows import TABLES
from telcod.storage.postgres import PostgresStore

USER = "postgres"
TEMPLATE = "books"
TRIES = 5
STOP_S = 60
WITH_ICU = 15
MEMORY_BYTES_MIN = 2 << 30
SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
# A server outlives the process that started it, and so would that of tests that were killed.
_WATCH = 'read _; "$0" -D "$1" stop -w -m immediate; rm -rf "$1" "$2"'
_numbers = count(1)


def binaries():
    """The folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major)
    if not found:
        raise FileNotFoundError("no PostgreSQL: apt-get install postgresql")
    return found[-1].parent


def _major(path):
    return int(path.parent.parent.name)


def _version():
    return int(binaries().parent.name)


class Server:
    """A server that runs until `stop`.

    `settings` are those of postgresql.conf that differ from the ones above.
    """

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=_fast_folder()))
        self.data = self.folder / "data"
        self.settings = SETTINGS | settings
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
        # However the tests end, the input of this one ends with them.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, binaries() / "pg_ctl", self.data, self.folder],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._as,
        )
        # Words sorted as people sort them: where bytes must be compared, the schema has to say so.
        order = ("--locale-provider=icu", "--icu-locale=vi") if _version() >= WITH_ICU else ()
        self._run(
            "initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "-N", *order
        )
        self.start()

    def start(self):
        """Start it, and wait until it answers; on another port if somebody was faster."""
        for _ in range(TRIES):
            port = self.settings.get("port") or _free_port()
            here = {
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": self.folder,
                "port": port,
            }
            options = " ".join(
                f"-c {name}={value}" for name, value in (self.settings | here).items()
            )
            try:
                self._run("pg_ctl", "start", "-w", "-l", self.folder / "log", "-o", options)
            except subprocess.CalledProcessError:
                continue
            self.settings["port"] = self.port = port  # After a restart it is found where it was.
            return
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self, how="fast"):
        """Stop it: `fast` as a person does, `immediate` as a power cut does."""
        self._run("pg_ctl", "stop", "-w", "-m", how)

    def remove(self):
        """Stop it and remove its folder."""
        self._watch.communicate(timeout=STOP_S)  # It reads the end of its input.
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def admin(self, database=USER):
        """A connection that may do anything."""
        return psycopg.connect(self.url(database), autocommit=True)

    def database(self, *, template="template0"):
        """A new database; its address."""
        name = f"books_{next(_numbers)}"
        with self.admin() as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def books(self):
        """New books without a row; their address."""
        if TEMPLATE not in self.databases():
            with self.admin() as db:
                db.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
            PostgresStore.open(self.url(TEMPLATE)).close()
        return self.database(template=TEMPLATE)

    def databases(self):
        with self.admin() as db:
            return {row[0] for row in db.execute("SELECT datname FROM pg_database")}

    def _run(self, program, *words):
        command = [binaries() / program, "-D", self.data, *words]
        with (self.folder / "said").open("ab") as said:
            subprocess.run(
                command, cwd=self.folder, check=True, stdout=said, stderr=said, **self._as
            )


def empty(url):
    """Remove every row of some books, also those that are written for ever."""
    names = [Identifier(table.name) for table in TABLES]
    with psycopg.connect(url) as db:
        db.execute("SET LOCAL session_replication_role = replica")
        db.execute(SQL(";").join(SQL("DELETE FROM {}").format(name) for name in names))
        db.execute("DELETE FROM writer_commit; UPDATE writer SET owner = '', generation = 0")


@cache
def _shared_books():
    return server().books()


def emptied_books():
    """The same books again and again, emptied; a tenth of the work of new ones."""
    empty(_shared_books())
    return _shared_books()


@cache
def server():
    """The server of this process."""
    started = Server()
    atexit.register(started.remove)
    return started


def _fast_folder():
    """Memory, if there is plenty: every promise is kept there as well, and a sync costs nothing."""
    memory = Path("/dev/shm")  # noqa: S108  # A folder of our own is made in it.
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES_MIN:
        return memory
    return None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
