"""The queries that both databases run, and how their placeholders are written.  No I/O.

Everything here is SQL that SQLite and PostgreSQL share; values stand as `?` or `:name`.  SQLite
takes both as they are, PostgreSQL takes `$1`, which `numbered` makes of them.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from telcod.rows import OUTBOX_EVENT, OUTBOX_MAIL, OUTBOX_PUSH, OUTBOX_SMS

SETTLE: Final = """
    UPDATE outbox_sms SET state = ?, attempts = ?, done_at = ?, link = ?, message_id = ?
    WHERE seq = ?
"""
# Numbers grow with time, so the oldest rows come first: only a slice of them is looked at, never
# the whole table.  The newest row stays, because the next number is found by it.  It is not asked
# for by MAX: PostgreSQL would read all of a table that was empty when this was planned.
_PRUNE_PARTS: Final = "DELETE FROM mo_part WHERE at < :before"
_PRUNE_CONNECTIONS: Final = "DELETE FROM smsc_connection WHERE down_at > 0 AND down_at < :before"
_PRUNE_MO: Final = """
    DELETE FROM mo WHERE seq IN (
        SELECT seq FROM (SELECT seq, at FROM mo ORDER BY seq LIMIT :most) AS oldest
        WHERE at < :before
    ) AND seq < (SELECT seq FROM mo ORDER BY seq DESC LIMIT 1)
"""
# Of what has been sent, or given up.
_PRUNE_OUTBOXES: Final = tuple(
    f"""
    DELETE FROM {outbox.name} WHERE seq IN (
        SELECT seq FROM (SELECT seq, at, state FROM {outbox.name} ORDER BY seq LIMIT :most)
            AS oldest
        WHERE at < :before AND state <> 0
    ) AND seq < (SELECT seq FROM {outbox.name} ORDER BY seq DESC LIMIT 1)
    """
    for outbox in (OUTBOX_SMS, OUTBOX_PUSH, OUTBOX_MAIL)
)
_PRUNE_SESSIONS: Final = """
    DELETE FROM ussd_session WHERE id IN (
        SELECT id FROM ussd_session WHERE started_at < :before ORDER BY started_at LIMIT :most
    )
"""
# What was told to the broker is kept for a while as well: a person may look for it.
_PRUNE_EVENTS: Final = """
    DELETE FROM outbox_event WHERE seq IN (
        SELECT seq FROM (SELECT seq, at FROM outbox_event ORDER BY seq LIMIT :most) AS oldest
        WHERE at < :before
          AND seq <= (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'events_published')
    ) AND seq < (SELECT seq FROM outbox_event ORDER BY seq DESC LIMIT 1)
"""
PENDING_SMS: Final = f"""
    SELECT {", ".join(OUTBOX_SMS.columns)} FROM outbox_sms
    WHERE state = 0 AND seq > ? ORDER BY seq LIMIT ?
"""
PENDING_SMS_OF: Final = f"""
    SELECT {", ".join(OUTBOX_SMS.columns)} FROM outbox_sms
    WHERE state = 0 AND seq > ? AND owner = ? ORDER BY seq LIMIT ?
"""
PENDING_PUSHES: Final = f"""
    SELECT {", ".join(OUTBOX_PUSH.columns)} FROM outbox_push
    WHERE state = 0 AND seq > ? ORDER BY seq LIMIT ?
"""
PENDING_MAILS: Final = f"""
    SELECT {", ".join(OUTBOX_MAIL.columns)} FROM outbox_mail
    WHERE state = 0 AND next_at <= ? ORDER BY next_at, seq LIMIT ?
"""
EVENTS: Final = f"""
    SELECT {", ".join(OUTBOX_EVENT.columns)} FROM outbox_event WHERE seq > ? ORDER BY seq LIMIT ?
"""
BY_MESSAGE_ID: Final = """
    SELECT seq, state, attempts, kind, mo, link FROM outbox_sms
    WHERE message_id = ? AND message_id <> '' ORDER BY seq
"""
DUE_TEXTS: Final = """
    SELECT mo FROM held_text WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, mo LIMIT ?
"""
DUE_CALLS: Final = """
    SELECT id FROM call WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?
"""
DUE_PAYMENTS: Final = """
    SELECT id FROM payment WHERE next_at > 0 AND next_at <= ? ORDER BY next_at, id LIMIT ?
"""
DUE_SUBSCRIPTIONS: Final = """
    SELECT msisdn, period_no FROM subscription
    WHERE next_at > 0 AND next_at <= ? ORDER BY next_at, msisdn LIMIT ?
"""


def prunes(*, before_ms: int, parts_before_ms: int) -> tuple[tuple[str, int], ...]:
    """What `Store.prune` runs, in order: each statement with its `:before`; `:most` is the same."""
    return (
        (_PRUNE_PARTS, parts_before_ms),
        (_PRUNE_CONNECTIONS, parts_before_ms),
        (_PRUNE_MO, before_ms),
        (_PRUNE_SESSIONS, parts_before_ms),
        *((sql, before_ms) for sql in _PRUNE_OUTBOXES),
        (_PRUNE_EVENTS, before_ms),
    )


# A quoted text is passed over, and so is the `::` of a cast; what is left are placeholders.
_TOKENS: Final = re.compile(r"'(?:[^']|'')*'|::|\?|:([a-z_]+)")


class Numbered(NamedTuple):
    """A query with `$1`, `$2`, …; `names` are those of its values, in that order, if it has any."""

    sql: str
    names: tuple[str, ...]


@lru_cache(maxsize=512)
def numbered(sql: str) -> Numbered:
    """Write `?` and `:name` as `$1`, `$2`, …; the same name twice is the same number.

    Raises:
        ValueError: Both kinds of placeholders are in one query.
    """
    names: list[str] = []
    marks = 0

    def number(found: re.Match[str]) -> str:
        nonlocal marks
        mark, name = found[0], found[1]
        if mark == "?":
            marks += 1
            return f"${marks}"
        if name is None:
            return mark
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    written = _TOKENS.sub(number, sql)
    if marks and names:
        raise ValueError(f"? and :name in one query: {sql}")
    return Numbered(written, tuple(names))
