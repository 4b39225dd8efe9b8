"""Connections to PostgreSQL: how they are set up, for who writes and for who reads.

A `postgresql://` address may say more (`sslmode`, several hosts, `options`); what it says stands,
what it leaves out is set here.
"""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from telcod.errors import NotStarted
from telcod.storage.postgres_arrays import register
from telcod.storage.postgres_errors import sentence

Db = psycopg.Connection[tuple[Any, ...]]

# A server that vanished is noticed within some ten seconds, whoever waits for whom.
_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "telcod",
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
WRITES: Final = "read-write"  # Of several hosts the one that writes; a standby is passed over.
READS: Final = "any"
READS_NOW: Final = "primary"  # A standby may not have what was committed a moment ago.
STATEMENTS_MAX: Final = 500
"""Statements that are kept prepared: some ten for each table."""

# Of the books only what these connections see: a schema further down the path is not theirs.
OWN_SCHEMA: Final = "SELECT set_config('search_path', quote_ident(current_schema()), false)"
# A daemon that hangs with the turn loses it; one that waits for the turn does not wait for ever.
# Every statement of the writer names its rows by key.  Until statistics are made of a table that
# fills, the planner would read the whole of it: it is told not to, and not to compile queries.
_TURN_ENDS: Final = "SELECT set_config('idle_in_transaction_session_timeout', $1, false)"
_WRITER: Final = """
    SET lock_timeout = '30s';
    SET default_transaction_isolation = 'read committed';
    SET jit = off;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
"""


def address(url: str, session: str) -> str:
    """The connection string for an address, with what it leaves out.

    Args:
        url: `postgresql://…`.
        session: `WRITES`, `READS` or `READS_NOW`.

    Raises:
        NotStarted: It is no such address.
    """
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise NotStarted(
            f"store.url is no address of a database: {sentence(error)}",
            what_to_do="Write postgresql://user@host/database.",
        ) from error
    return make_conninfo("", **{**_DEFAULTS, "target_session_attrs": session, **said})


def connect(conninfo: str) -> Db:
    """Open a connection that commits every statement by itself, unless told otherwise.

    Raises:
        psycopg.Error: It can't be reached, or has no schema.
    """
    db = psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
    try:
        db.server_cursor_factory = psycopg.RawServerCursor
        db.prepare_threshold = 0
        db.prepared_max = STATEMENTS_MAX
        register(db)
        db.execute(OWN_SCHEMA, prepare=False)
    except BaseException:
        db.close()
        raise
    return db


def connect_writer(conninfo: str, turn_s: int) -> Db:
    """`connect`, for who writes; it waits for its turn, and loses it when it hangs.

    Args:
        conninfo: See `address`.
        turn_s: How long it may hang; 0: for ever.
    """
    db = connect(conninfo)
    try:
        db.execute(_WRITER, prepare=False)
        db.execute(_TURN_ENDS, (f"{turn_s}s",), prepare=False)
    except BaseException:
        db.close()
        raise
    return db


def name_of(url: str) -> str:
    """The address as people are told it: host and database, no password."""
    said = conninfo_to_dict(url)
    return f"{said.get('host', 'localhost')}/{said.get('dbname', '')}"
