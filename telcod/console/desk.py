"""What staff can ask and do, for both doors of the console: the pages and the JSON API.

Reads go beside the writer; every look-up and every act is a request to it, with the name of the
token and the address that it came from.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from telcod.bulk import number_reason
from telcod.errors import Refusal
from telcod.msisdn import Msisdn, NumberError
from telcod.reports import REPORTS, Report, RowsReader, make_report
from telcod.rows import Centre
from telcod.storage import care_queries
from telcod.storage.care_queries import AuditPage, Case, PaymentStory, StoryPage
from telcod.types import Channel, Request
from telcod.web.ports import Backend
from telcod.web.staff_requests import Refused, checked

PAYMENT_ACTS: Final = ("review", "clear_by_hand", "propose_cancel", "confirm_cancel")
ID_CHARS_MAX: Final = 64
UNKNOWN: Final = "subscriber.unknown"
_SEQ_CHARS_MAX: Final = 15

# What a handler answered that is no success: how it is told to who asked.
_REFUSED: Final[Mapping[str, tuple[Refusal, str]]] = MappingProxyType(
    {
        UNKNOWN: (Refusal.NOT_FOUND, "no subscriber of this network has this number"),
        "care.malformed": (Refusal.MALFORMED, "this can't be done with these words"),
        "care.no_text": (Refusal.NOT_FOUND, "there is no such text to a subscriber"),
        "care.not_resent": (Refusal.CONFLICT, "a text of this kind is not sent again"),
        "care.still_waits": (Refusal.CONFLICT, "the text still waits to be sent"),
        "payment.not_found": (Refusal.NOT_FOUND, "there is no such payment"),
        "payment.other_centre": (Refusal.NOT_PERMITTED, "the payment is another centre's"),
        "payment.wrong_state": (Refusal.CONFLICT, "the payment stands otherwise by now"),
        "payment.not_proposed": (Refusal.CONFLICT, "nobody has proposed to cancel it"),
        "payment.same_person": (Refusal.CONFLICT, "another person must confirm it"),
        "payment.nobody": (Refusal.NOT_PERMITTED, "nobody asks"),
        "payment.no_such_centre": (Refusal.NOT_FOUND, "there are the centres 1 to 6"),
        "payment.no_such_case": (Refusal.NOT_FOUND, "there is no such case"),
    }
)


class By(NamedTuple):
    """Who asks, as the audit log names him, and from where."""

    actor: str
    address: str


class PackageShown(msgspec.Struct, frozen=True):
    """The package he has; times are Unix milliseconds, 0 is never."""

    package: str
    status: str
    trial: bool
    ends_at: int
    failed_since: int
    price_vnd: int


class ListsShown(msgspec.Struct, frozen=True):
    """The numbers on both lists; `white_works` needs a package that works."""

    white: tuple[str, ...]
    black: tuple[str, ...]
    white_works: bool
    entries_max: int


class SubscriberShown(msgspec.Struct, frozen=True):
    """A subscriber as he stands.  Money is whole đồng; `debt_vnd` below zero is credit.

    `locked_until` is until when his look-up is locked, 0: it isn't; `prices` are the packages'.
    """

    msisdn: str
    kind: str
    state: str
    language: str
    centre: int
    notices: bool
    since: int
    name: str
    address: str
    email: str
    balance_vnd: int
    held_vnd: int
    debt_vnd: int
    password_set: bool
    locked_until: int
    package: PackageShown | None
    prices: dict[str, int]
    minute_vnd: int
    text_vnd: int
    trial_free: bool
    eligible: bool
    lists: ListsShown


class Acted(msgspec.Struct, frozen=True):
    """What came of an act on somebody's behalf.

    `text` is what a text of his would have been answered; `told`: something was changed, so it was
    sent to him.
    """

    outcome: str
    text: str = ""
    told: bool = False


class Desk:
    """One for a daemon.

    Args:
        backend: The daemon.
        reader: Reads the books, once they are open; best a connection of its own, because a story
            may be long.
    """

    def __init__(self, backend: Backend, reader: Callable[[], RowsReader]) -> None:
        self.backend: Final = backend
        self._reader: Final = reader

    def number(self, text: str) -> Msisdn:
        """A number in any form.

        Raises:
            Refused: It is none.
        """
        number = self.backend.parse_number(text[:ID_CHARS_MAX])
        if isinstance(number, NumberError):
            raise Refused(
                Refusal.MALFORMED, number_reason(text[:ID_CHARS_MAX], number), field="msisdn"
            )
        return number

    # -- looking

    async def look_up(self, by: By, number: Msisdn, view: str) -> SubscriberShown:
        """A subscriber as he stands; audited with what of him is looked at.

        Raises:
            Refused: There is no such subscriber.
        """
        data = await self._ask(by, "care.look_up", view, sender=number)
        return msgspec.convert(data, SubscriberShown)

    async def story(
        self, by: By, number: Msisdn, *, kind: str = "", before: int = 0
    ) -> tuple[SubscriberShown, StoryPage]:
        """A page of what happened to him, and how he stands now; see `care_queries.story`."""
        if kind and kind not in care_queries.KINDS:
            what_to_do = f"Use one of {', '.join(care_queries.KINDS)}, or none."
            raise Refused(
                Refusal.MALFORMED, "there is no such kind", field="kind", what_to_do=what_to_do
            )
        view = " ".join(["story", *([kind] if kind else []), *([f"<{before}"] if before else [])])
        shown = await self.look_up(by, number, view)
        kinds = (kind,) if kind else ()
        page = await care_queries.story(
            self._reader(), number, kinds=kinds, before=before, since=shown.since
        )
        return shown, page

    async def payment(self, by: By, payment_id: str) -> PaymentStory:
        """A payment with its cases, entries and audit lines; a look-up of who paid it.

        Raises:
            Refused: There is none.
        """
        found = await care_queries.payment_story(self._reader(), payment_id[:ID_CHARS_MAX])
        if found is None:
            raise refused("payment.not_found")
        msisdn, view = found.payment.msisdn, f"payment {found.payment.id}"
        await self._ask(by, "care.look_up", view, sender=msisdn, may_be_unknown=True)
        return found

    async def cases(self) -> Sequence[Case]:
        """All that waits for a person."""
        return await care_queries.cases(self._reader())

    async def centres(self) -> Sequence[Centre]:
        """The centres, and whether their clearing is open."""
        return await care_queries.centres(self._reader())

    async def audit(
        self, *, before: int = 0, actor: str = "", subject: str = "", action: str = ""
    ) -> AuditPage:
        """See `care_queries.audit`."""
        return await care_queries.audit(
            self._reader(), before=before, actor=actor, subject=subject, action=action
        )

    async def report(self, name: str, day: int) -> Report:
        """A report of a day.

        Raises:
            Refused: There is no such report.
        """
        if name not in REPORTS:
            raise Refused(Refusal.NOT_FOUND, "there is no such report")
        return await make_report(self._reader(), name, day)

    # -- doing

    async def act(
        self, by: By, number: Msisdn, route: str, words: Sequence[str], *, key: str
    ) -> Acted:
        """Do for a subscriber what a text of his would do; the same key again changes nothing.

        Raises:
            Refused: There is no such subscriber, or this is not done for anybody.
        """
        data = await self._ask(by, "care.act", route, *words, sender=number, key=key)
        return msgspec.convert(data, Acted)

    async def unlock(self, by: By, number: Msisdn, *, key: str) -> str:
        """Let him look up again; the outcome."""
        return await self._staff(by, "lookup.unlock", sender=number, key=key)

    async def on_payment(self, by: By, act: str, payment_id: str, *words: str, key: str) -> str:
        """One of `PAYMENT_ACTS`; the outcome.  `words`: verdict of a review, then the reason.

        Raises:
            Refused: It stands otherwise, or another person must do it (STAFF-2).
        """
        return await self._staff(by, f"payment.{act}", payment_id[:ID_CHARS_MAX], *words, key=key)

    async def set_centre(self, by: By, centre: int, word: str) -> str:
        """Say that a centre's clearing is `open` or `closed`; the outcome."""
        return await self._staff(by, "payment.set_centre", str(centre), word)

    async def close_case(self, by: By, source: str, name: str, note: str) -> str:
        """A person has looked at a case; the outcome.

        Raises:
            Refused: There is no such case.
        """
        if source != "call" and not is_seq(name):
            raise refused("payment.no_such_case")
        data = await self._ask(by, "care.close_case", source, name[:200], note)
        return str(data["outcome"])

    async def resend(self, by: By, seq: str, *, key: str) -> str:
        """Send a text of ours again; whose it was.

        Raises:
            Refused: There is none, it still waits, or it is of a kind that is sent once.
        """
        if not is_seq(seq):
            raise refused("care.no_text")
        return str((await self._ask(by, "care.resend", seq, key=key))["msisdn"])

    async def _staff(self, by: By, route: str, *rest: str, sender: int = 0, key: str = "") -> str:
        data = await self._ask(by, "care.staff", route, *rest, sender=sender, key=key)
        return str(data["outcome"])

    async def _ask(
        self,
        by: By,
        route: str,
        *args: str,
        sender: int = 0,
        key: str = "",
        may_be_unknown: bool = False,
    ) -> Mapping[str, Any]:
        asked = Request(
            route,
            sender=sender,
            args=(by.address, *args),
            channel=Channel.STAFF,
            key=f"care:{by.actor}:{key}" if key else "",
            actor=by.actor,
        )
        answer = await self.backend.submit(asked)
        if may_be_unknown and answer.outcome == UNKNOWN:
            return {}
        # What was done by another handler has that one's outcome, in the data.
        outcome = str((answer.data or {}).get("outcome", answer.outcome))
        if outcome in _REFUSED:
            state = (answer.data or {}).get("state")
            raise refused(outcome, **({} if state is None else {"state": state}))
        return {**checked(answer), "outcome": outcome}


def refused(outcome: str, **members: object) -> Refused:
    """What an outcome that is no success is told as; `outcome` is among the problem's members."""
    refusal, detail = _REFUSED[outcome]
    return Refused(refusal, detail, members={"outcome": outcome, **members})


def is_seq(text: str) -> bool:
    """Whether this is a number of a row."""
    return text.isascii() and text.isdigit() and len(text) <= _SEQ_CHARS_MAX
