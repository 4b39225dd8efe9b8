"""Bearer tokens: how one is made (CLI-7)."""

import secrets
from typing import Final

TOKEN_PREFIX: Final = "telcod_"  # noqa: S105  (helps secret scanners to find a leaked one)
TOKEN_BYTES: Final = 32


def new_token() -> str:
    """A bearer token; shown once, kept as a hash only."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
