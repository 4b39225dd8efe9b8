"""Payment passwords are hashed by argon2id, elsewhere, and never kept (PAY-1)."""

import threading
from concurrent.futures import CancelledError

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from telcod.passwords import LANES, MEMORY_KIB, PASSES, PasswordHashes

pytestmark = pytest.mark.rule("PAY-1")
SMALL_KIB = 64
WAIT_S = 10


@pytest.fixture
def hashes():
    made = PasswordHashes(memory_kib=SMALL_KIB)
    yield made
    made.close()


def test_a_hash_verifies_its_password_and_no_other(hashes):
    stored = hashes.submit("ABCD12").result(WAIT_S)
    assert PasswordHasher().verify(stored, "ABCD12")
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(stored, "ABCD13")
    assert "ABCD12" not in stored


def test_the_same_password_hashes_differently_each_time(hashes):
    assert hashes.submit("ABCD12").result(WAIT_S) != hashes.submit("ABCD12").result(WAIT_S)


def test_the_parameters_are_owasp_s_or_stronger():
    made = PasswordHashes()
    try:
        parameters = extract_parameters(made.submit("ABCD12").result(WAIT_S))
    finally:
        made.close()
    assert parameters.type.name == "ID"
    assert parameters.memory_cost == MEMORY_KIB >= 19 * 1024
    assert parameters.time_cost == PASSES >= 2
    assert parameters.parallelism == LANES


def test_one_thread_hashes_and_it_is_not_the_caller_s(hashes):
    threads = set()
    futures = [hashes.submit(str(number)) for number in range(5)]
    for future in futures:
        future.add_done_callback(lambda _: threads.add(threading.current_thread().name))
        future.result(WAIT_S)
    # A callback of one that is done already runs here.
    assert threads - {threading.current_thread().name} <= {"telcod-passwords_0"}


def test_close_gives_up_what_waits():
    made = PasswordHashes()
    futures = [made.submit(str(number)) for number in range(20)]
    made.close()
    assert all(future.done() for future in futures)
    assert futures[-1].cancelled()
    with pytest.raises(CancelledError):
        futures[-1].result(0)
