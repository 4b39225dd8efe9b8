"""The books of a daemon that does not run, opened here under its lock.

What a daemon would do in a batch of its writer thread is done by the same `Batcher` on this one.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from telcod.bulk import SubscriberLine, number_reason
from telcod.clock import SystemClock
from telcod.engine import Batcher
from telcod.errors import Refusal, TelcodError
from telcod.msisdn import Msisdn, NumberError, parse
from telcod.rows import TOKEN
from telcod.rulebook import load_rules
from telcod.service import SERVICE
from telcod.settings import Settings
from telcod.storage.snapshot import back_up
from telcod.storage.sqlite import SqliteStore
from telcod.types import Answer, Request
from telcod.vault import KEY_BYTES, Vault, token_hash
from telcod.web import staff_requests
from telcod.web.sockets import user_name
from telcod.web.staff_requests import Refused, checked
from telcod.web.tokens import new_token

Data = Mapping[str, Any]


class LocalBooks:
    """The port `Books` on the file itself."""

    served: Final = False

    def __init__(self, store: SqliteStore, batcher: Batcher, actor: str) -> None:
        self._store: Final = store
        self._batcher: Final = batcher
        self._actor: Final = actor

    @classmethod
    def open(cls, settings: Settings, path: Path) -> Self:
        """Open or create the file.

        Raises:
            StoreLocked: A daemon has it.
            StoreFailed: It can't be trusted.
            RulesError: The tariffs, messages, keywords or limits are wrong.
        """
        rules = load_rules(settings)
        store = SqliteStore.open(path)
        try:
            # No request made here comes in parts, so nothing is sealed or opened: any key will do.
            vault = Vault(bytes(KEY_BYTES))
            batcher = Batcher(store, rules, SERVICE, SystemClock(), vault)
        except BaseException:
            store.close()
            raise
        return cls(store, batcher, f"cli:{user_name(os.getuid())}")

    def close(self) -> None:
        """Close the file and let its lock go."""
        self._store.close()

    def show(self, msisdn: str) -> Data:
        """See `Books.show`."""
        number = self._number(msisdn)
        return self._ask(staff_requests.look_up(number, actor=self._actor))

    def top_up(self, msisdn: str, amount_vnd: int, reason: str, *, key: str) -> Data:
        """See `Books.top_up`."""
        number = self._number(msisdn)
        asked = staff_requests.top_up(number, amount_vnd, reason, key=key, actor=self._actor)
        return self._ask(asked)

    def set_state(self, msisdn: str, state: str) -> Data:
        """See `Books.set_state`."""
        number = self._number(msisdn)
        return self._ask(staff_requests.set_state(number, state, actor=self._actor))

    def import_lines(self, lines: Sequence[SubscriberLine]) -> Data:
        """See `Books.import_lines`."""
        return self._ask(staff_requests.import_lines(lines, actor=self._actor))

    def tokens(self) -> Sequence[Data]:
        """See `Books.tokens`."""
        return [msgspec.structs.asdict(row) for row in self._store.scan(TOKEN)]

    def create_token(self, name: str, scope: str) -> str:
        """See `Books.create_token`."""
        token = new_token()
        self._ask(staff_requests.create_token(name, scope, token_hash(token), actor=self._actor))
        return token

    def revoke_token(self, name: str) -> Data:
        """See `Books.revoke_token`."""
        return self._ask(staff_requests.revoke_token(name, actor=self._actor))

    def back_up(self, path: Path) -> int:
        """See `Books.back_up`."""
        return back_up(self._store.path, path).size_bytes

    def _ask(self, request: Request) -> Data:
        result = self._batcher.run([request]).results[0]
        if isinstance(result, TelcodError):
            raise result
        if not isinstance(result, Answer):
            raise TypeError("no request made here bears a password")
        return checked(result)

    def _number(self, text: str) -> Msisdn:
        number = parse(text, self._batcher.rules.old_prefixes)
        if isinstance(number, NumberError):
            raise Refused(Refusal.MALFORMED, number_reason(text, number), field="msisdn")
        return number
