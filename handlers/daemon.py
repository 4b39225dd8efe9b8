"""What the daemon itself writes: that it started, and which tariffs it has used (DESIGN 5, F38)."""

from collections.abc import Iterable, Mapping
from typing import Final

from handlers.common import write_audit
from telcod.billing.tariffs import Tariff
from telcod.rows import META, TARIFF_SEEN, Meta, TariffSeen
from telcod.tx import Tx
from telcod.types import Reply, Request

BOOTS: Final = "boots"
SECRET: Final = "secret_name"  # noqa: S105  # The name of a row.


def start(request: Request, tx: Tx) -> Reply:
    """Count the start, and hold the tariffs to their word: one that was valid may never change.

    Its argument, if it has one, is the name of the installation's secret, which the books keep to:
    the daemons that share them must have the same.

    Replies `daemon.started` with the count, `tariff.changed` with the names of those that did, or
    `secret.another`.
    """
    if request.args:
        known = tx.get(META, SECRET)
        if known is not None and known.value != request.args[0]:
            return Reply("secret.another")
        tx.put(META, Meta(SECRET, request.args[0]))
    changed = _changed_tariffs(tx)
    if changed:
        return Reply("tariff.changed", data={"tariffs": changed})
    before = tx.get(META, BOOTS)
    boots = 1 + (int(before.value) if before else 0)
    tx.put(META, Meta(BOOTS, str(boots)))
    _note_tariffs(tx)
    return Reply("daemon.started", data={"boots": boots})


def alive(request: Request, tx: Tx) -> Reply:
    """Change nothing: that it is answered proves that the writer commits."""
    return Reply("daemon.alive")


def reload(request: Request, tx: Tx) -> Reply:
    """Take note of the tariffs of a reload, by the same rule."""
    changed = _changed_tariffs(tx)
    if changed:
        return Reply("tariff.changed", data={"tariffs": changed})
    _note_tariffs(tx)
    write_audit(tx, request, "reload", "rules")
    return Reply("daemon.reloaded")


def changed_tariffs(
    tariffs: Iterable[Tariff], seen: Mapping[str, TariffSeen], now_ms: int
) -> list[str]:
    """Which tariffs that were valid already are no longer what they were, or gone (F38).  Pure.

    Args:
        tariffs: Those to be used.
        seen: Those that the books have used, by id.
        now_ms: Unix milliseconds.
    """
    present = {tariff.id: tariff.fingerprint() for tariff in tariffs}
    return sorted(
        before.id
        for before in seen.values()
        if before.valid_from <= now_ms and before.hash != present.get(before.id)
    )


def _changed_tariffs(tx: Tx) -> list[str]:
    tariffs = tx.rules.tariffs.tariffs
    rows = [tx.get(TARIFF_SEEN, tariff.id) for tariff in tariffs]
    return changed_tariffs(tariffs, {row.id: row for row in rows if row is not None}, tx.now_ms)


def _note_tariffs(tx: Tx) -> None:
    for tariff in tx.rules.tariffs.tariffs:
        row = TariffSeen(tariff.id, tariff.valid_from_ms, tariff.fingerprint())
        if tx.get(TARIFF_SEEN, tariff.id) != row:
            tx.put(TARIFF_SEEN, row)
