"""USSD over SMPP: from a deliver_sm to a step, and the screen back by submit_sm (SMPP-7).

The way of one input: read by the link's profile → the session it belongs to → engine → COMMIT →
deliver_sm_resp → submit_sm with the screen.  No task and no future per message; what must be
remembered until the commit is a small `_Ticket`.

A session's id is made of what the gateway says: the phone's number and the session's, so it is the
same after a restart.  Gateways use numbers again, so what begins a session ends whatever had that
id before.

**An input that comes twice.**  Where the profile counts screens (`sequence`), the count is the
step, and the books give the same step the same answer.  Elsewhere evidence decides: the same octets
as the dialogue's last message, while that is not committed, or by another connection than one that
is gone since.  Then the phone gets the screen that it has once more, and nothing is carried out.
After a restart there is no such evidence, so an answer to a screen that we do not remember is not
carried out at all: the menu offers to go on where the dialogue was.  What cannot be told apart is a
code dialled just before a crash, delivered again after it: it begins anew.

A screen goes out once: one that the gateway refuses, or leaves unanswered, is not sent again,
unless it asks us to slow down.  The phone's dialogue times out, and who dials again may go on.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from telcod.errors import ESME_ROK, Overloaded, TelcodError, fate_of
from telcod.msisdn import NumberError, from_address
from telcod.smpp.consts import CommandStatus
from telcod.smpp.errors_table import Next, submit_error
from telcod.smpp.link import Link
from telcod.smpp.pdu import DataSm, DeliverSm, SubmitSm
from telcod.smpp.ussd_door import Aside
from telcod.types import Answer, Request, SecretNeeded
from ussd.smpp_profile import Heard, Profile, Say, What, read, write
from ussd.smpp_talks import REPEAT_S, Talk, TalkKey, Talks
from ussd.steps import Shown, Step, dialled, end_request, shown, step_request

SCREENS_WAITING_MAX: Final = 5_000
SCREEN_WAIT_S: Final = 60.0
"""A phone does not wait longer for a screen."""

_log = structlog.get_logger("ussd.smpp")


class Writer(Protocol):
    """What the door needs of the engine."""

    def post(
        self,
        request: Request,
        sink: Callable[[Request, Answer | SecretNeeded | TelcodError], None],
    ) -> bool:
        """See `Engine.post`."""


class _Ticket(NamedTuple):
    """A message that waits for its commit: where the response goes, and what it said."""

    link: Link
    connection: int
    sequence: int
    data_sm: bool
    profile: Profile
    heard: Heard
    sender: int
    talk: Talk


class _Screen(NamedTuple):
    """A screen that waits for room on its link since a moment (monotonic seconds)."""

    session_id: str
    body: SubmitSm
    since_s: float


class SmppDoor:
    """Takes the USSD of all links that have a profile.

    Args:
        writer: The engine.
        profiles: By the name that a link's `ussd` gives.
        clock: Monotonic seconds.
    """

    def __init__(
        self, writer: Writer, profiles: Mapping[str, Profile], *, clock: Callable[[], float]
    ) -> None:
        self.talks: Final = Talks()
        self.profiles: Final = profiles
        self.clock: Final = clock
        self._writer: Final = writer
        self._screens: dict[str, deque[_Screen]] = {}

    # -- what the gateway of links hands over (`telcod.smpp.ussd_door.UssdDoor`)

    def take(self, link: Link, connection: int, sequence: int, body: DeliverSm | DataSm) -> bool:
        """See `UssdDoor.take`."""
        profile = self.profiles[link.settings.ussd]
        heard = read(profile, body, link.settings.default_alphabet)
        if heard is None:
            return False
        data_sm = isinstance(body, DataSm)
        if heard.what is What.UNKNOWN:
            # For good: the same one again would be no clearer.
            _log.warning("ussd.operation_unknown", link=link.name)
            status = int(CommandStatus.ESME_RINVOPTPARAMVAL)
            link.respond(connection, sequence, status, data_sm=data_sm)
            return True
        if heard.what is What.CONFIRMED:
            link.respond(connection, sequence, ESME_ROK, data_sm=data_sm)
            return True
        address = from_address(*heard.peer.phone)
        sender = 0 if isinstance(address, NumberError) else int(address)
        key = TalkKey(link.name, str(sender or heard.peer.phone.addr), heard.session)
        talk = self.talks.get(key, now=self.clock())
        if talk is not None and self._is_repeat(talk, link, connection, body):
            ticket = _Ticket(link, connection, sequence, data_sm, profile, heard, sender, talk)
            self._take_again(ticket)
            return True
        known = talk is not None
        if talk is None or (heard.what is What.NEW):
            fresh = Talk(key, _id_of(sender, heard.session), heard.peer, heard.code, self.clock())
            # What had this number before is ended first, unless we know that it is over.
            fresh.over = talk is not None and talk.over
            talk = fresh
        talk.peer = heard.peer
        talk.heard, talk.heard_by, talk.heard_at_s = body, connection, self.clock()
        talk.pending = True
        self.talks.put(talk, now=self.clock())
        ticket = _Ticket(link, connection, sequence, data_sm, profile, heard, sender, talk)
        try:
            if heard.what is What.END:
                self._post(end_request(talk.session_id, platform=link.name), ticket)
            elif heard.what is What.ANSWER and (known or heard.step is not None):
                self._go_on(ticket, heard.step)
            else:
                self._begin(ticket)
        except BaseException:
            # Or the next copy would wait for this one for ever.
            talk.pending, talk.heard = False, None
            raise
        return True

    def on_ready(self, link: Link) -> None:
        """See `UssdDoor.on_ready`."""
        waiting = self._screens.get(link.name)
        while waiting:
            screen = waiting[0]
            if self.clock() - screen.since_s > SCREEN_WAIT_S:
                _log.warning("ussd.screen_stale", link=link.name)
            elif not self._submit(link, screen):
                return
            waiting.popleft()

    # -- one message

    def _is_repeat(self, talk: Talk, link: Link, connection: int, body: DeliverSm | DataSm) -> bool:
        if talk.heard != body:
            return False
        if talk.pending:
            return True
        fresh = self.clock() - talk.heard_at_s <= REPEAT_S
        return fresh and talk.heard_by != connection and not _is_up(link, talk.heard_by)

    def _take_again(self, ticket: _Ticket) -> None:
        """Nothing is carried out; the phone gets the screen that it may not have got."""
        talk = ticket.talk
        _log.info("ussd.redelivered", link=ticket.link.name)
        talk.heard_by, talk.heard_at_s = ticket.connection, self.clock()
        if talk.pending:
            talk.waiting = (*talk.waiting, ticket)
            return
        self._respond(ticket, ESME_ROK)
        self._show_again(ticket)

    def _begin(self, ticket: _Ticket) -> None:
        talk, heard = ticket.talk, ticket.heard
        talk.session_id = _id_of(ticket.sender, heard.session)
        if not talk.over:
            # Gateways use a number again, and often do not tell of an end.  Whatever becomes of
            # this, what follows it in the queue decides.
            self._writer.post(end_request(talk.session_id, platform=ticket.link.name), _no_matter)
        code = heard.code if heard.what is What.NEW else _menu_of(ticket)
        self._step(ticket, code)

    def _go_on(self, ticket: _Ticket, step: int | None) -> None:
        self._step(ticket, _menu_of(ticket), ticket.heard.text, step)

    def _step(self, ticket: _Ticket, code: str, text: str = "", step: int | None = None) -> None:
        number = str(ticket.sender or ticket.heard.peer.phone.addr)
        said = Step(number, code, text, step)
        request = step_request(
            ticket.talk.session_id, said, platform=ticket.link.name, sender=ticket.sender
        )
        self._post(request, ticket)

    def _post(self, request: Request, ticket: _Ticket) -> None:
        if not self._writer.post(request, partial(self._done, ticket)):
            self._refuse(ticket, Overloaded("too many requests are waiting"))

    def _done(
        self, ticket: _Ticket, _: Request, result: Answer | SecretNeeded | TelcodError
    ) -> None:
        """After COMMIT, on the loop's thread: the only place from which an input is answered OK."""
        if isinstance(result, TelcodError):
            self._refuse(ticket, result)
            return
        if isinstance(result, SecretNeeded):
            self._refuse(ticket, Overloaded("a menu asked for a password"))
            return
        if self._asked_otherwise(ticket, result):
            return
        talk, heard = ticket.talk, ticket.heard
        talk.pending = False
        waiting, talk.waiting = talk.waiting, ()
        for each in (ticket, *waiting):
            self._respond(each, ESME_ROK)
        if heard.what is What.END:
            talk.over = True
        elif result.outcome == "ussd.wrong_step":
            # An input to a screen that is past: the phone has a newer one, or gets it now.
            _log.info("ussd.step_past", link=ticket.link.name)
            self._show_again(ticket)
        else:
            self._show(ticket, shown(result))

    def _asked_otherwise(self, ticket: _Ticket, answer: Answer) -> bool:
        """Whether the books do not count as the gateway does, and were asked without its count."""
        if ticket.heard.what is not What.ANSWER:
            return False
        if answer.outcome == "ussd.unknown":
            self._begin(ticket)
            return True
        if answer.outcome == "ussd.wrong_step" and answer.data is not None:
            ahead = (ticket.heard.step or 0) > int(str(answer.data["step"]))
            if ahead:
                _log.warning("ussd.step_ahead", link=ticket.link.name)
                self._go_on(ticket, None)
            return ahead
        return False

    def _respond(self, ticket: _Ticket, status: int) -> None:
        ticket.link.respond(ticket.connection, ticket.sequence, status, data_sm=ticket.data_sm)

    def _refuse(self, ticket: _Ticket, error: TelcodError) -> None:
        """Nothing was kept: the gateway keeps the message and tries again, as if for the first
        time.
        """
        talk = ticket.talk
        talk.pending, talk.heard = False, None
        waiting, talk.waiting = talk.waiting, ()
        for each in (ticket, *waiting):
            self._respond(each, fate_of(error).smpp_status)

    # -- screens

    def _show(self, ticket: _Ticket, screen: Shown) -> None:
        talk, link = ticket.talk, ticket.link
        talk.over = screen.ends
        body = write(
            ticket.profile,
            talk.peer,
            Say.END if screen.ends else Say.ASK,
            screen.text,
            step=screen.step,
            code=talk.code,
            default_alphabet=link.settings.default_alphabet,
        )
        talk.shown = body
        self._send(link, _Screen(talk.session_id, body, self.clock()))

    def _show_again(self, ticket: _Ticket) -> None:
        talk = ticket.talk
        if talk.shown is not None:
            self._send(ticket.link, _Screen(talk.session_id, talk.shown, self.clock()))

    def _send(self, link: Link, screen: _Screen) -> None:
        waiting = self._screens.setdefault(link.name, deque())
        if waiting or not self._submit(link, screen):
            if len(waiting) >= SCREENS_WAITING_MAX:
                waiting.popleft()
                _log.warning("ussd.screen_dropped", link=link.name)
            waiting.append(screen)

    def _submit(self, link: Link, screen: _Screen) -> bool:
        try:
            return link.submit(screen.body, Aside(partial(self._submitted, link, screen)))
        except ValueError as error:  # Addresses or a text that no PDU can hold.
            _log.warning("ussd.screen_unsendable", link=link.name, reason=str(error))
            return True

    def _submitted(self, link: Link, screen: _Screen, status: int | None) -> None:
        """What became of a screen."""
        if status == ESME_ROK:
            return
        if status is None:
            _log.warning("ussd.screen_unanswered", link=link.name)
        elif submit_error(status).next is Next.SLOW_DOWN:
            self._screens.setdefault(link.name, deque()).appendleft(screen)
            self.on_ready(link)  # Only who has asked for room is told of it.
        else:
            _log.warning("ussd.screen_refused", link=link.name, command_status=status)


def _no_matter(_: Request, __: Answer | SecretNeeded | TelcodError) -> None:
    pass


def _id_of(sender: int, session: str) -> str:
    """A session's id: numbers of sessions are small, so the phone's is part of it."""
    return f"{sender}-{session}" if session else str(sender)


def _menu_of(ticket: _Ticket) -> str:
    """The code that an answer belongs to, should its dialogue begin anew; without the inputs that
    were dialled with it, which have been carried out.
    """
    code = ticket.talk.code or ticket.heard.code or next(iter(ticket.link.short_codes), "")
    return dialled(code)[0]


def _is_up(link: Link, connection: int) -> bool:
    return any(each.connection == connection for each in link.state.connections)
