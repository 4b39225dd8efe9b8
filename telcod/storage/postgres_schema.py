"""A PostgreSQL database made fit for the books: what the server must promise, and the migrations.

The migrations are those of SQLite, read with `BLOB` as `BYTEA` and texts compared byte by byte, as
SQLite and Python compare them; where a file has `.postgres.` in its name it takes the place of the
`.sqlite.` one.  Two locks of the database are used, both derived from the schema's name, so that
several books may share a server: `TURN` is held for one batch, `USE` as long as a daemon runs.
"""

import re
from hashlib import blake2b
from importlib import resources
from typing import Any, Final

import psycopg

from telcod.errors import StoreFailed, StoreLocked

VERSION_MIN: Final = 130_000
# What has to be set for a COMMIT to be believed, and to what.
PROMISES: Final = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "remote_write", "remote_apply"}),
    "server_encoding": frozenset({"UTF8"}),
}
_PROMISED: Final = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)"
_VERSIONS: Final = """
    CREATE TABLE IF NOT EXISTS schema_version (name TEXT COLLATE "C" NOT NULL PRIMARY KEY)
"""
_DIALECT: Final = (
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),
    (re.compile(r" WITHOUT ROWID\b"), ""),
)
TURN: Final = "turn"
USE: Final = "use"


class Locks:
    """The numbers of the locks of these books."""

    def __init__(self, schema: str) -> None:
        self.schema: Final = schema
        self.turn: Final = _lock_number(TURN, schema)
        self.use: Final = _lock_number(USE, schema)


def locks_of(db: psycopg.Connection[Any]) -> Locks:
    """The locks of the books that this connection sees.

    Raises:
        StoreFailed: Its search path names no schema that exists.
    """
    row = db.execute("SELECT current_schema()").fetchone()
    if row is None or row[0] is None:
        raise StoreFailed("the connection's search_path names no schema that exists")
    return Locks(row[0])


def check_promises(db: psycopg.Connection[Any]) -> None:
    """See that what this server says is committed stays so.

    Raises:
        StoreFailed: It is too old, or one of `PROMISES` is not kept; the setting is named.
    """
    if db.info.server_version < VERSION_MIN:
        raise StoreFailed(
            f"the server is PostgreSQL {db.info.server_version // 10_000}, "
            f"telcod needs {VERSION_MIN // 10_000} or newer"
        )
    for name, value in db.execute(_PROMISED, (list(PROMISES),)):
        if value not in PROMISES[name]:
            allowed = ", ".join(sorted(PROMISES[name]))
            raise StoreFailed(
                f"the server has {name} = {value}: what it says is committed might be lost",
                what_to_do=f"Set {name} to one of: {allowed}; then start telcod again.",
            )


def migrate(db: psycopg.Connection[Any], locks: Locks) -> list[str]:
    """Bring the schema to the present one; the names of the migrations that were applied.

    Each runs in a transaction of its own, and none while another telcod uses the books.

    Raises:
        StoreLocked: There is something to do, and another telcod uses the books.
        StoreFailed: They are of a newer telcod, or of somebody else.
    """
    if not _pending(db):
        return []
    if not _one(db, "SELECT pg_try_advisory_lock($1)", locks.use):
        raise StoreLocked(
            "another telcod uses these books, and their schema is an older one",
            what_to_do="Stop all telcods on them, then start this one first.",
        )
    try:
        pending = _pending(db)  # Again: another one may have been at it until now.
        for name, sql in pending:
            with db.transaction():
                db.execute(_VERSIONS)
                # Unprepared and without values it may be many statements.
                db.execute(sql, prepare=False)
                db.execute("INSERT INTO schema_version (name) VALUES ($1)", (name,))
    finally:
        db.execute("SELECT pg_advisory_unlock($1)", (locks.use,))
    return [name for name, _ in pending]


def schema_number(db: psycopg.Connection[Any]) -> int:
    """The number of the last migration that the books have had; 0 if there are none."""
    return max((int(name[:4]) for name in _applied(db)), default=0)


def present_number() -> int:
    """The number of the last migration there is."""
    return int(_migrations()[-1][0][:4])


def _pending(db: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    files = _migrations()
    applied = _applied(db)
    unknown = applied - {name for name, _ in files}
    if unknown:
        raise StoreFailed(
            f"the database has had {min(unknown)}, which this telcod does not know: "
            "use the newer telcod"
        )
    if not applied and _one(db, _TABLES_THERE):
        raise StoreFailed("the schema has tables, but they are not telcod's")
    return [(name, sql) for name, sql in files if name not in applied]


_TABLES_THERE: Final = """
    SELECT COUNT(*) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
      AND relname <> 'schema_version'
"""


def _applied(db: psycopg.Connection[Any]) -> set[str]:
    if not _one(db, "SELECT COUNT(to_regclass('schema_version'))"):
        return set()
    return {row[0] for row in db.execute("SELECT name FROM schema_version")}


def _migrations() -> list[tuple[str, str]]:
    folder = resources.files("telcod.storage") / "migrations"
    names = sorted(
        item.name
        for item in folder.iterdir()
        if item.name.endswith(".sql") and ".sqlite." not in item.name
    )
    return [(name, _translated((folder / name).read_text())) for name in names]


def _translated(sql: str) -> str:
    for pattern, replacement in _DIALECT:
        sql = pattern.sub(replacement, sql)
    return sql


def _one(db: psycopg.Connection[Any], sql: str, *values: Any) -> Any:
    row = db.execute(sql, values or None).fetchone()
    return row[0] if row else None


def _lock_number(what: str, schema: str) -> int:
    digest = blake2b(f"telcod {what} {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
