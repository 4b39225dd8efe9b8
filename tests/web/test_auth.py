"""The book of tokens: who is known, for how long, and that no change is missed."""

import asyncio

import pytest

from telcod.web.auth import TOKENS_KNOWN_S, TokenBook
from telcod.web.scopes import Scope
from telcod.web.staff_requests import revoke_token
from telcod.web.tokens import new_token
from tests.web.fake_backend import FakeBackend

pytestmark = pytest.mark.rule("CLI-7")


def name_of(token):
    return token.name if token else None


def test_a_token_revoked_by_another_daemon_is_known_within_a_second():
    backend = FakeBackend()
    backend.token(Scope.IVR)
    book = TokenBook(backend, backend.clock)
    assert name_of(asyncio.run(book.find("telcod_ivr"))) == "ivr"
    backend.take(revoke_token("ivr", actor="test"))
    backend.clock.advance(round(TOKENS_KNOWN_S * 1_000) + 1)
    assert asyncio.run(book.find("telcod_ivr")) is None


def test_a_change_while_the_table_is_read_is_not_missed():
    backend = FakeBackend()
    backend.token(Scope.IVR)
    book = TokenBook(backend, backend.clock)

    def revoke():
        backend.take(revoke_token("ivr", actor="test"))
        book.forget()

    backend.after_reading = revoke
    assert name_of(asyncio.run(book.find("telcod_ivr"))) == "ivr"  # it was when it was read
    backend.after_reading = lambda: None
    assert asyncio.run(book.find("telcod_ivr")) is None


def test_many_calls_at_once_are_all_known_on_an_empty_book():
    backend = FakeBackend()
    backend.token(Scope.IVR)
    book = TokenBook(backend, backend.clock)

    async def all_at_once():
        return await asyncio.gather(*(book.find("telcod_ivr") for _ in range(10)))

    assert {name_of(token) for token in asyncio.run(all_at_once())} == {"ivr"}


def test_tokens_are_long_random_and_known_by_their_prefix():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("telcod_") and len(token) == 50 for token in tokens)
