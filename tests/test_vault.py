"""What is sealed opens only here, and a fingerprint tells nothing to who lacks the key."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.vault import Vault, same, token_hash

pytestmark = pytest.mark.rule("PAY-1")

VAULT, OTHER = Vault(bytes(32)), Vault(bytes(31) + b"\x01")


@given(data=st.binary(max_size=200))
def test_what_is_sealed_opens_with_the_same_key_only(data):
    sealed = VAULT.seal(data)
    assert VAULT.open(sealed) == data
    assert OTHER.open(sealed) is None
    assert VAULT.seal(data) != sealed


@given(data=st.binary(max_size=50), at=st.integers(0, 60), bit=st.integers(0, 7))
def test_a_changed_seal_does_not_open(data, at, bit):
    sealed = bytearray(VAULT.seal(data))
    sealed[at % len(sealed)] ^= 1 << bit
    assert VAULT.open(bytes(sealed)) is None


@given(junk=st.binary(max_size=40))
def test_junk_does_not_open_and_does_not_raise(junk):
    assert VAULT.open(junk) is None


def test_a_fingerprint_is_of_the_message_and_the_key():
    one = VAULT.fingerprint(b"MK 1234")
    assert one == VAULT.fingerprint(b"MK 1234")
    assert len(one) == 16
    assert one != VAULT.fingerprint(b"MK 1235")
    assert one != OTHER.fingerprint(b"MK 1234")
    assert one != blake2b(b"MK 1234", digest_size=16).digest()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(bytes(size))


def test_the_key_file_is_made_once_and_is_its_owners(tmp_path):
    path = tmp_path / "secret"
    made = Vault.of_file(path)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert Vault.of_file(path).open(made.seal(b"x")) == b"x"
    path.write_text("not a key")
    with pytest.raises(ValueError, match=r"hex"):
        Vault.of_file(path)


@pytest.mark.rule("CLI-7")
def test_tokens_are_kept_as_hashes_and_compared_whole():
    assert token_hash("a") != token_hash("b")
    assert len(token_hash("a")) == 64
    assert same(token_hash("a"), token_hash("a"))
    assert not same(token_hash("a"), token_hash("b"))


def test_the_name_of_a_secret_tells_it_from_others_and_is_no_fingerprint_of_a_text():
    one, same, other = (Vault(key) for key in (bytes(32), bytes(32), bytes([1] * 32)))
    assert one.name() == same.name() != other.name()
    assert bytes.fromhex(one.name()) != one.fingerprint(b"")
