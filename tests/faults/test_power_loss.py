"""The power fails, and what was not synced is lost, torn, or there in part (F3).

What telcod acknowledged is there all the same, done once, and the books balance.
"""

import asyncio
from pathlib import Path

import pytest

from telcod.check import check_books
from telcod.rows import MO
from telcod.storage.sqlite import SqliteStore
from telcod.vault import Vault
from tests.e2e.harness import DATABASE
from tests.faults.power import DELIVER_SM_RESP, KEY, PowerLoss, Recording, first_start

RULES = pytest.mark.rule("SMPP-2", "SMPP-5", "KW-3", "PKG-1", "PKG-2", "LST-2", "CLI-6")
MOMENTS = 60
MOMENTS_THOROUGH = 1_500
STRANGERS = 3
ENDED_BY_ITSELF = frozenset(range(128))


def lose_power(folder, moments, *, seed=1, plant="", until="", **life_of):
    async def run():
        async with PowerLoss(folder, seed=seed, plant=plant) as life:
            await life.live(**life_of)
            return life

    life = asyncio.run(run())
    assert not life.complaints
    life.fail(moments, seed=seed, until=until)
    print(f"{life.moments} moments, {life.acknowledged} acknowledgements, {life.summary()}")
    return life


# Checkpoints come often here, so that the database itself is written in mid-life too.
@RULES
def test_whenever_the_power_fails_what_was_acknowledged_is_there_and_done_once(tmp_path):
    life = lose_power(tmp_path, MOMENTS, plant="small_wal")
    assert not life.complaints
    assert life.moments == MOMENTS
    assert life.acknowledged > 10 * MOMENTS


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("plant", ["", "small_wal"], ids=["as shipped", "small_wal"])
@pytest.mark.parametrize("seed", range(4))
def test_at_thousands_of_moments_the_power_takes_nothing_acknowledged(tmp_path, plant, seed):
    life = lose_power(tmp_path, MOMENTS_THOROUGH, seed=seed, plant=plant)
    assert not life.complaints
    assert life.moments == MOMENTS_THOROUGH


def look_at_a_first_start(record, folder, moments, *, seed):
    """Each image of a first start can be started on, with the key that its journal was made by."""
    key = (folder / KEY).read_bytes()
    images = folder / "power"
    for moment in record.moments(moments, seed=seed, images=images):
        told = len(record.left_by(moment, DELIVER_SM_RESP))
        store = SqliteStore.open(images / DATABASE)
        Vault.of_file(images / KEY)
        rows = list(store.scan(MO))
        assert not check_books(store), f"at {moment}"
        assert len(rows) >= told, f"at {moment}: {told} acknowledged, {len(rows)} in the books"
        # Or it takes a text that comes again for another one.
        assert not rows or (images / KEY).read_bytes() == key, f"at {moment}: the key is lost"
        store.close()


@pytest.mark.rule("CLI-1", "CLI-6", "SMPP-2")
@pytest.mark.parametrize(
    "moments",
    [
        MOMENTS,
        pytest.param(MOMENTS_THOROUGH, marks=[pytest.mark.thorough, pytest.mark.timeout(900)]),
    ],
)
def test_whenever_the_power_fails_in_the_very_first_start_the_next_one_succeeds(tmp_path, moments):
    record = asyncio.run(first_start(tmp_path, STRANGERS))
    look_at_a_first_start(record, tmp_path, moments, seed=moments)


# --------------------------------------------------------------- F4: and a sync has failed before


def after_a_failed_sync(folder, when):
    """Let a sync fail, and then the power; which file's sync it was."""
    life = lose_power(
        folder,
        MOMENTS,
        plant="small_wal",
        recording=Recording("fdatasync", "error=EIO", str(when)),
        ends=ENDED_BY_ITSELF,
    )
    assert not life.complaints
    failed = {Path(act.path).name for act in life.record.acts if act.what == "sync failed"}
    assert failed
    return failed


@pytest.mark.rule("SMPP-2", "CLI-6")
def test_power_that_fails_after_a_sync_has_failed_takes_nothing_acknowledged(tmp_path):
    # Whose sync it is, a commit's or a checkpoint's, depends on how the texts fall into batches.
    assert after_a_failed_sync(tmp_path, 9) <= {DATABASE, f"{DATABASE}-wal"}


# A checkpoint's sync is SQLite's own affair: it tells nobody, and writes the same pages again
# before it syncs again, so nothing rests on what the system has forgotten.
@pytest.mark.rule("SMPP-2", "CLI-6")
@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_power_that_fails_after_a_checkpoints_sync_has_failed_takes_nothing(tmp_path):
    failed = set()
    for when in range(10, 40):
        (tmp_path / str(when)).mkdir()
        failed |= after_a_failed_sync(tmp_path / str(when), when)
        if DATABASE in failed:
            break
    assert DATABASE in failed


# ------------------------------------------------------- the failing power sees what it should


@pytest.mark.parametrize(
    "plant",
    [
        "synchronous_off",
        "acknowledged_before_commit",
        pytest.param("synchronous_normal", marks=pytest.mark.thorough),
    ],
)
def test_it_finds_what_is_lost_when_telcod_does_not_wait_for_the_disk(tmp_path, plant):
    # What a disk left behind without syncs may be no database at all: not what is looked for here.
    life = lose_power(tmp_path, 4 * MOMENTS, plant=plant, until="lost: ")
    assert life.complaints
