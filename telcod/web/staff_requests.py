"""The requests that staff and the command line make, and what their answers mean.

One place for both doors: the HTTP routes, and the command line on a file that no daemon serves.
The same act has the same key and actor on either way, so a repeat by the other is known as one.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from telcod.bulk import SubscriberLine
from telcod.errors import Refusal, TelcodError
from telcod.types import Answer, Channel, Request

KEY_CHARS_MAX: Final = 128
REASON_CHARS_MAX: Final = 200
TOKEN_NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}\Z"  # noqa: S105  (no token)


class Refused(TelcodError):
    """A program's or a person's request is refused by the rules.  Nothing was done.

    `members` are told beside the problem, for programs.
    """

    def __init__(
        self,
        refusal: Refusal,
        message: str,
        *,
        what_to_do: str = "",
        field: str = "",
        members: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(message, what_to_do=what_to_do or _WHAT_TO_DO[refusal])
        self.refusal: Final = refusal
        self.field: Final = field
        self.members: Final = members


def refusal_or_none(error: Exception) -> Refusal | None:
    """The rules' reason that an error carries, whoever raised it; None if it went wrong instead."""
    refusal = getattr(error, "refusal", None)
    return refusal if isinstance(refusal, Refusal) else None


_WHAT_TO_DO: Final[Mapping[Refusal, str]] = MappingProxyType(
    {
        Refusal.TOO_LARGE: "Send less at a time.",
        Refusal.NOT_AUTHENTICATED: "Give a token: `Authorization: Bearer <token>`.",
        Refusal.NOT_PERMITTED: "Ask for a token whose scope is enough.",
        Refusal.TOO_OFTEN: "Wait a moment, then try again.",
        Refusal.MALFORMED: "Mend it and send it again; nothing was done.",
        Refusal.NOT_FOUND: "Check the name or the number; nothing was done.",
        Refusal.CONFLICT: "Look at how things stand now; nothing was done.",
    }
)

# What a handler answered, and how it is told to who asked.  An outcome that is not here went well.
_REFUSED: Final[Mapping[str, tuple[Refusal, str]]] = MappingProxyType(
    {
        "subscriber.unknown": (Refusal.NOT_FOUND, "no subscriber of this network has this number"),
        "token.unknown": (Refusal.NOT_FOUND, "no token in use has this name"),
        "token.exists": (Refusal.CONFLICT, "a token has, or had, this name"),
        "amount_out_of_range": (Refusal.MALFORMED, "the amount is out of range"),
        "account_unknown": (Refusal.CONFLICT, "the subscriber has no such account"),
        "funds_insufficient": (Refusal.CONFLICT, "the account does not hold that much"),
    }
)
_QUARANTINED: Final = "ours.sorry"


def checked(answer: Answer) -> Mapping[str, Any]:
    """The data of an answer that went well.

    Raises:
        Refused: The rules said no.
        TelcodError: The handler failed; the request was set aside.
    """
    refused = _REFUSED.get(answer.outcome)
    if refused is not None:
        raise Refused(*refused)
    if answer.outcome == _QUARANTINED:
        raise TelcodError(
            "telcod could not carry this out, and undid it",
            what_to_do="The request was set aside for a person; see the log.",
        )
    return {"outcome": answer.outcome, **(answer.data or {})}


def look_up(msisdn: int, *, actor: str) -> Request:
    """Show a subscriber; the look-up is audited (CARE-2)."""
    return _staff("staff.lookup", actor, sender=msisdn)


def top_up(msisdn: int, amount_vnd: int, reason: str, *, key: str, actor: str) -> Request:
    """Add money; the same key again changes nothing."""
    args = (str(amount_vnd), reason)
    return _staff("staff.topup", actor, sender=msisdn, args=args, key=f"topup:{key}")


def set_state(msisdn: int, state: str, *, actor: str) -> Request:
    """Set what the network lets a subscriber do."""
    return _staff("staff.set_state", actor, sender=msisdn, args=(state,))


def import_lines(lines: Sequence[SubscriberLine], *, actor: str) -> Request:
    """Take over lines of the subscriber data."""
    body = {"lines": [msgspec.structs.asdict(line) for line in lines]}
    return _staff("staff.import", actor, body=body)


def create_token(name: str, scope: str, token_hash: str, *, actor: str) -> Request:
    """Keep the hash of a new token."""
    return _staff("staff.token_create", actor, args=(name, scope, token_hash))


def revoke_token(name: str, *, actor: str) -> Request:
    """Take a token out of use."""
    return _staff("staff.token_revoke", actor, args=(name,))


def _staff(
    route: str,
    actor: str,
    *,
    sender: int = 0,
    args: tuple[str, ...] = (),
    key: str = "",
    body: Mapping[str, object] | None = None,
) -> Request:
    return Request(
        route=route,
        sender=sender,
        args=args,
        channel=Channel.STAFF,
        key=key,
        actor=actor,
        body=body,
    )
