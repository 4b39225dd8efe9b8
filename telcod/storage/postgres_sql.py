"""The statements of PostgreSQL's store: set-based, a column of values for each field.  No I/O."""

from typing import Any, Final

from telcod.rows import AUDIT, ENTRY, LOGS, Table
from telcod.storage.postgres_arrays import INT8, TEXT, column_types


class TableSql:
    """The statements of one table, written once; `types` are those of its columns."""

    def __init__(self, table: Table[Any]) -> None:
        self.types: Final = column_types(table)
        self.key_types: Final = tuple(self.types[at] for at in table.key_at)
        name, columns, key = table.name, table.columns, table.key
        names = ", ".join(columns)
        rest = [each for each in columns if each not in key]
        on_conflict = (
            f"DO UPDATE SET {', '.join(f'{each} = excluded.{each}' for each in rest)}"
            if rest
            else "DO NOTHING"
        )
        own = ", ".join(f"t.{each}" for each in columns)
        asked = f"{unnest(self.key_types)} AS k ({', '.join(f'k{at}' for at in range(len(key)))})"
        same = " AND ".join(f"t.{each} = k.k{at}" for at, each in enumerate(key))
        self.select: Final = (
            f"SELECT {names} FROM {name} WHERE {key[0]} = ANY($1::{self.key_types[0]}[])"
            if len(key) == 1
            else f"SELECT {own} FROM {asked} JOIN {name} t ON {same}"
        )
        group_type = self.types[table.group_at]
        self.select_group: Final = (
            f"SELECT {names} FROM {name} WHERE {table.group} = ANY($1::{group_type}[])"
        )
        self.insert: Final = f"INSERT INTO {name} ({names}) SELECT * FROM {unnest(self.types)}"
        self.copy: Final = f"COPY {name} ({names}) FROM STDIN (FORMAT BINARY)"
        self.put: Final = f"{self.insert} ON CONFLICT ({', '.join(key)}) {on_conflict}"
        self.delete: Final = f"DELETE FROM {name} t USING {asked} WHERE {same}"
        after = "WHERE seq > $1 " if table.log else ""
        self.scan: Final = f"SELECT {names} FROM {name} {after}ORDER BY {', '.join(key)}"


def unnest(types: tuple[str, ...]) -> str:
    """The arrays `$1`, `$2`, … as the columns of a table."""
    return f"unnest({', '.join(f'${at}::{each}[]' for at, each in enumerate(types, 1))})"


SETTLE_TYPES: Final = (INT8, INT8, INT8, INT8, TEXT, TEXT)
SETTLE: Final = f"""
    UPDATE outbox_sms o SET state = s.state, attempts = s.attempts, done_at = s.done_at,
        link = s.link, message_id = s.message_id
    FROM {unnest(SETTLE_TYPES)} AS s (seq, state, attempts, done_at, link, message_id)
    WHERE o.seq = s.seq
"""
GENERATION: Final = "SELECT generation, owner FROM writer WHERE id = 1"
COMMITTED: Final = """
    WITH mine AS (
        INSERT INTO writer_commit (owner, generation, at)
        VALUES ($1, $2, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS INT8))
        ON CONFLICT (owner) DO UPDATE SET generation = excluded.generation, at = excluded.at
    )
    UPDATE writer SET owner = $1, generation = $2 WHERE id = 1
"""
LOG_STATE: Final = " UNION ALL ".join(
    (
        # Not MAX: of a table that was empty when this was planned it would read all, ever after.
        *(
            f"SELECT {table.index}, (SELECT seq FROM {table.name} ORDER BY seq DESC LIMIT 1)"
            for table in LOGS
        ),
        "SELECT -1, (SELECT CAST(value AS INT8) FROM meta WHERE name = 'commit_ms')",
    )
)
"""The last number of each log, by table index; the time of the last commit as that of -1."""
HEADS: Final = " UNION ALL ".join(
    f"SELECT {table.index}, (SELECT hash FROM {table.name} ORDER BY seq DESC LIMIT 1)"
    for table in (ENTRY, AUDIT)
)
"""The hash of the last row of each chained log, by table index."""
