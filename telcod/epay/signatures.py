"""Signatures of notifications, as Standard Webhooks prescribe (PAYAPI-2).  Pure.

What is signed is `<id>.<timestamp>.<body>`, the body byte by byte as it came.  Several signatures
stand beside one another while a secret is rotated, and so may several secrets of ours.
"""

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

TOLERANCE_S: Final = 300
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how secrets begin
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
SIGNATURES_MAX: Final = 16
"""More than anybody needs while secrets are rotated; a header could hold hundreds."""

_VERSION: Final = "v1"
_ID: Final = re.compile(r"[!-~]{1,128}")
# Ten digits do until the year 2286.
_TIMESTAMP: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


class Verdict(StrEnum):
    """What is wrong with a notification's head; the caller is told none of it."""

    GENUINE = "genuine"
    HEAD_MALFORMED = "head_malformed"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    NOT_SIGNED = "not_signed"


class Head(NamedTuple):
    """The three headers, as they came; empty where there is none."""

    webhook_id: str
    timestamp: str
    signatures: str


def secret_bytes(text: str) -> bytes:
    """The key that a written secret stands for: base64, usually after `whsec_`.

    Raises:
        ValueError: It is no base64, or not of 24 to 64 bytes.
    """
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("is no base64") from error
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(f"must be {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes in base64")
    return key


def signature(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """One signature, as it stands in the header."""
    said = f"{webhook_id}.{timestamp}.".encode() + body
    return f"{_VERSION},{b64encode(hmac.digest(secret, said, 'sha256')).decode()}"


def judge(head: Head, body: bytes, secrets: Sequence[bytes], *, now_ms: int) -> Verdict:
    """Whether one of our secrets has signed this body now.

    Every secret is tried on every signature, in constant time each, so that how long it takes does
    not tell how far a forger came.

    Args:
        head: The headers.
        body: The body, byte by byte as it came.
        secrets: Those that are in use now; several while one is rotated.
        now_ms: Unix milliseconds.
    """
    if not _ID.fullmatch(head.webhook_id) or not _TIMESTAMP.fullmatch(head.timestamp):
        return Verdict.HEAD_MALFORMED
    age_s = now_ms // 1_000 - int(head.timestamp)
    if age_s > TOLERANCE_S:
        return Verdict.TOO_OLD
    if age_s < -TOLERANCE_S:
        return Verdict.FROM_THE_FUTURE
    # Other versions (`v1a`) may stand among them; they are not ours to check.
    given = head.signatures.split(" ")[:SIGNATURES_MAX]
    made = [signature(secret, head.webhook_id, head.timestamp, body) for secret in secrets]
    same = [hmac.compare_digest(ours.encode(), one.encode()) for ours in made for one in given]
    return Verdict.GENUINE if any(same) else Verdict.NOT_SIGNED
