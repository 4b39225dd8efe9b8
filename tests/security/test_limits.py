"""Guessing is counted in the books where money or data hangs on it, so no restart forgets it.

Login codes: `tests/selfcare/test_logins.py` (`..._over_a_restart`).  By address: `tests/epay/
test_site.py`, `tests/selfcare/test_api.py`, `tests/console/test_site.py`.  How many payments a day:
counters in the books, `tests/handlers/test_payments.py`.
"""

import pytest

from telcod.days import MINUTE_MS
from telcod.rows import LOOKUP_TRIES
from telcod.types import Channel, Request
from tests.world import World

A = 84_903_000_001


def guess(world, verdict="wrong"):
    asked = Request("lookup.try", sender=A, channel=Channel.WEB, body={"verdict": verdict})
    (answer,) = world.run(asked)
    return answer.outcome


@pytest.mark.rule("PAY-2")
def test_wrong_passwords_are_counted_and_the_lock_holds_over_restarts(tmp_path):
    with World(tmp_path / "telcod.db") as world:
        world.subscriber(A, kind="postpaid")
        world.run(Request("password.set", sender=A, short_code="9223", secret_hash="kept"))
        for wrong in range(1, 5):
            assert guess(world) == "lookup.refused"
            assert world.row(LOOKUP_TRIES, A).wrong == wrong
            world.restart()
        assert guess(world) == "lookup.refused"
        world.restart()
        assert guess(world, "right") == "lookup.refused"
        world.clock.advance(30 * MINUTE_MS)
        world.restart()
        assert guess(world, "right") == "lookup.shown"
