"""What a request over MQTT asks, and where its answer goes (MQTT-1).  Pure.

A request is a JSON object with `op`; the rest are the fields of that operation.  The answer goes to
the response topic with the correlation data; a requester without MQTT 5 says `reply_to` and
`correlation_id` among the fields instead.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from telcod.problems import Malformed, TooLarge, told

PAYLOAD_BYTES_MAX: Final = 64 * 1024
CORRELATION_CHARS_MAX: Final = 256
TOPIC_CHARS_MAX: Final = 512
NUMBER_MAX: Final = 2**53
"""Beyond it a number is another one in JavaScript; beyond 2**64 it can't be written at all."""
_OWN_WORDS: Final = ("op", "reply_to", "correlation_id")


class Address(NamedTuple):
    """Where an answer goes; `correlation_id` is told in it (None: none was given)."""

    topic: str
    correlation: bytes = b""
    correlation_id: str | int | None = None


class Asked(NamedTuple):
    """A request: its operation and that one's fields, or what is wrong with it."""

    op: str
    fields: dict[str, Any]
    wrong: Malformed | None = None


class Forbidden(Exception):
    """The answer would go where telcod does not answer; nothing is done and nothing said."""


def read(
    payload: bytes, *, topic: str, correlation: bytes, prefix: str
) -> tuple[Asked, Address | None]:
    """Read a request.

    Args:
        payload: As it came.
        topic: The response topic; empty if there was none.
        correlation: Goes back as it came.
        prefix: How a topic must begin that is answered to.

    Returns:
        What is asked, and where to answer (None: nobody waits).

    Raises:
        Forbidden: The answer would go elsewhere than below `prefix`.
    """
    fields, wrong = _fields(payload)
    reply_to = fields.get("reply_to", "")
    topic = topic or (reply_to if isinstance(reply_to, str) else "")
    if topic and not _allowed(topic, prefix):
        raise Forbidden(f"an answer may not go to {topic[:100]!r}")
    correlation_id = fields.get("correlation_id")
    if not _fits(correlation_id):
        wrong = wrong or _malformed("correlation_id", "must be a short text or a whole number")
        correlation_id = None
    if not isinstance(reply_to, str):
        wrong = wrong or _malformed("reply_to", "must be a topic")
    op = fields.get("op")
    if not isinstance(op, str) or not op:
        wrong = wrong or _malformed("op", "must name what to do")
    address = Address(topic, correlation, correlation_id) if topic else None
    rest = {name: value for name, value in fields.items() if name not in _OWN_WORDS}
    return Asked(str(op or ""), rest, wrong), address


def answer(address: Address | None, said: Mapping[str, Any]) -> bytes:
    """The payload of an answer."""
    if address is not None and address.correlation_id is not None:
        said = {**said, "correlation_id": address.correlation_id}
    return msgspec.json.encode(said)


def problem(error: Exception) -> dict[str, Any]:
    """The answer to a request that went wrong, in HTTP's words."""
    words = told(error)
    said = {"code": words.code, "detail": words.detail, "what_to_do": words.what_to_do}
    if words.field:
        said["field"] = words.field
    members = getattr(error, "members", {})
    return {"error": {**said, **members}}


def _fields(payload: bytes) -> tuple[dict[str, Any], Malformed | None]:
    if len(payload) > PAYLOAD_BYTES_MAX:
        return {}, TooLarge(f"the body is larger than {PAYLOAD_BYTES_MAX} bytes")
    try:
        fields = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}, Malformed("the body is no JSON")
    except RecursionError:
        return {}, Malformed("the body is nested too deeply")
    if not isinstance(fields, dict):
        return {}, Malformed("the body is no JSON object")
    return fields, None


def _allowed(topic: str, prefix: str) -> bool:
    return (
        topic.startswith(prefix)
        and len(prefix) < len(topic) <= TOPIC_CHARS_MAX
        and topic.isprintable()
        and not set(topic) & set("+#")
    )


def _fits(correlation_id: object) -> bool:
    match correlation_id:
        case None:
            return True
        case bool():
            return False
        case str():
            return len(correlation_id) <= CORRELATION_CHARS_MAX
        case int():
            return abs(correlation_id) <= NUMBER_MAX
        case _:
            return False


def _malformed(field: str, reason: str) -> Malformed:
    return Malformed(f"{field}: {reason}", field=field)
