"""telcod is killed at every write and sync, and between any two words with the SMSC (F1, F2).

Nothing that it acknowledged is lost, nothing is done or answered twice, and the books balance.
"""

import asyncio

import pytest

from tests.faults.sweep import Sweep, kill_at_call, kill_at_moment

WRITES = ("pwrite64", "fdatasync", "write")
# Calls are counted in each thread of a life: the first are of the start, later ones of batches.
SAMPLE = (
    *(kill_at_call("pwrite64", count) for count in (2, 5, 9, 14, 23, 37, 60, 97, 157)),
    *(kill_at_call("fdatasync", count) for count in (1, 3, 6)),
    *(kill_at_call("write", count) for count in (3, 12, 25, 40)),
    *(kill_at_moment("deliver_sm_resp", count) for count in (1, 21, 50)),
    *(kill_at_moment("submit_sm", count, before=True) for count in (1, 10, 40)),
    *(kill_at_moment("submit_sm", count) for count in (2, 30)),
)
ALL = (
    *(kill_at_call("pwrite64", count) for count in range(1, 151)),
    *(kill_at_call("fdatasync", count) for count in range(1, 16)),
    *(kill_at_call("write", count) for count in range(1, 51)),
    *(kill_at_moment("deliver_sm_resp", count) for count in range(1, 61, 3)),
    *(kill_at_moment("submit_sm", count, before=True) for count in range(1, 61, 3)),
    *(kill_at_moment("submit_sm", count) for count in range(2, 62, 6)),
)
POINTS_PER_FILE = 53
RULES = pytest.mark.rule("SMPP-2", "SMPP-3", "SMPP-5", "KW-3", "PKG-1", "PKG-2", "LST-2", "CLI-6")


def sweep(folder, points, *, seed=1, plant="", finish=True, until=""):
    async def run():
        async with Sweep(folder, seed=seed, plant=plant) as lives:
            points_here = points(lives.path) if callable(points) else points
            await lives.kill(points_here, until=until)
            if finish:
                await lives.finish()
            print(lives.summary())
            return lives

    return asyncio.run(run())


@RULES
def test_whatever_moment_it_is_killed_at_each_text_is_done_once_and_answered_once(tmp_path):
    lives = sweep(tmp_path, SAMPLE[::3])
    assert not lives.complaints
    assert lives.missed == 0


@RULES
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, len(ALL), POINTS_PER_FILE))
def test_killed_at_each_write_and_sync_of_a_life_each_text_is_done_once(tmp_path, first):
    lives = sweep(tmp_path, ALL[first : first + POINTS_PER_FILE], seed=first)
    assert not lives.complaints
    assert lives.missed <= len(WRITES)


# In WAL mode nothing but a checkpoint writes to the database's own file.
@pytest.mark.rule("SMPP-2", "CLI-6")
def test_killed_during_a_checkpoint_it_starts_again_and_has_everything(tmp_path):
    def points(path):
        return [
            *(kill_at_call("pwrite64", count, path=path) for count in (1, 4, 11, 24)),
            kill_at_call("fdatasync", 2, path=path),
        ]

    lives = sweep(tmp_path, points, plant="small_wal")
    assert not lives.complaints
    assert lives.missed == 0


@pytest.mark.rule("SMPP-2", "CLI-1")
def test_killed_while_it_stops_it_starts_again_and_has_everything(tmp_path):
    def points(path):
        return [
            *(kill_at_call("pwrite64", n, path=path, stopping=True) for n in (1, 3, 7)),
            kill_at_call("fdatasync", 1, path=path, stopping=True),
        ]

    lives = sweep(tmp_path, points)
    assert not lives.complaints
    assert lives.missed == 0


@pytest.mark.rule("SMPP-2", "CLI-6")
@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_killed_at_each_write_of_a_checkpoint_it_has_everything(tmp_path):
    def points(path):
        return [
            *(kill_at_call("pwrite64", count, path=path) for count in range(1, 41)),
            *(kill_at_call("fdatasync", count, path=path) for count in range(1, 6)),
        ]

    lives = sweep(tmp_path, points, plant="small_wal")
    assert not lives.complaints
    assert lives.missed <= 2


# ------------------------------------------------------------------- the sweep sees what it should


def noticed(folder, points, plant, kind):
    """Whether a planted mistake shows, at one of these points, by a complaint of this kind."""
    lives = sweep(folder, points, plant=plant, finish=False, until=kind)
    return any(complaint.startswith(kind) for complaint in lives.complaints)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_the_sweep_catches_an_effect_outside_the_transaction(tmp_path):
    assert noticed(tmp_path, SAMPLE, "effect_outside_the_transaction", "effect: ")


def test_the_sweep_catches_an_acknowledgement_before_the_commit(tmp_path):
    counts = (60, 40, 97, 157, 50, 70, 80, 110, 30, 130)
    points = [kill_at_call("pwrite64", count) for count in counts]
    assert noticed(tmp_path, points, "acknowledged_before_commit", "lost: ")


def test_the_sweep_catches_evidence_that_does_not_outlive_a_kill(tmp_path):
    # A batch is whole before it is synced: killed here, it is in the books and nobody was told.
    points = [kill_at_call("fdatasync", count) for count in (5, 7, 6, 8, 9, 4, 10, 5, 7, 6)]
    assert noticed(tmp_path, points, "evidence_forgotten", "journal: ")
