"""What must not lie in the database in clear or be guessed from a hash: sealed parts, fingerprints,
tokens (PAY-1, SMPP-3).

One secret key of the installation, kept in a file of its own beside the database (mode 600) or
given by the configuration. A message's fingerprint is keyed, because a plain hash of `MK 1234`
gives the password away to whoever tries all of them.
"""

import contextlib
import hmac
import os
import secrets
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FINGERPRINT_BYTES: Final = 16


class Vault:
    """Seals, opens, fingerprints.

    Losing the key loses only parts that wait and the evidence of the last ten minutes.
    """

    def __init__(self, key: bytes) -> None:
        """
        Raises:
            ValueError: The key is not 32 bytes long.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"the installation's secret must be {KEY_BYTES} bytes, it is {len(key)}"
            )
        self._aead = AESGCM(sha256(b"seal" + key).digest())
        fingerprint_key = sha256(b"fingerprint" + key).digest()
        # A copy of one that has taken the key in costs half of taking it in each time.
        self._keyed: Final = blake2b(key=fingerprint_key, digest_size=FINGERPRINT_BYTES)

    @classmethod
    def of_file(cls, path: Path) -> "Vault":
        """The vault of a key file; the file is made, readable by its owner only, when there is
        none.

        It is made whole or not at all: a key that was half written would keep telcod from starting.
        When this returns a power cut does not take it away: what is in the books is made by it.

        Raises:
            ValueError: The file holds something else than 64 hexadecimal digits.
            OSError: It can't be read or made.
        """
        if not path.exists():
            fresh = path.with_name(path.name + ".new")
            # What was left there under this name is not written to: it may be somebody else's.
            fresh.unlink(missing_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # Somebody else was quicker: his key counts.
                os.link(fresh, path)
            fresh.unlink(missing_ok=True)
        _sync(path.parent)  # Also when it was there: whoever made it may have died before this.
        return cls(bytes.fromhex(path.read_text().strip()))

    def fingerprint(self, message: bytes) -> bytes:
        """16 bytes that are equal for equal messages, and say nothing to who lacks the key."""
        hashed = self._keyed.copy()
        hashed.update(message)
        return hashed.digest()

    def name(self) -> str:
        """What tells this secret from another one, and gives nothing of it away."""
        return self.fingerprint(b"the installation's secret").hex()

    def seal(self, data: bytes) -> bytes:
        """Encrypt; the result differs each time."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data, None)

    def open(self, sealed: bytes) -> bytes | None:
        """Decrypt; None when it was sealed with another key or changed."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            return None


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a file's own sync does not promise it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def token_hash(token: str) -> str:
    """What is kept of a bearer token: it is long and random, so a plain SHA-256 is enough."""
    return sha256(token.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare without telling by the time how much was right."""
    return hmac.compare_digest(one.encode(), other.encode())
