"""USSD sessions: one step of a dialogue, carried out inside the engine's transaction (USSD-3).

A step reads where the dialogue stands, asks the menu where the input leads, runs the handler of the
leaf if it leads to one, and keeps the new place and what was shown: all in one transaction, so that
a step that comes twice has one effect and one answer.  The handler is that of the dispatch table,
told that it came by USSD: no rule is written twice.

A session that says nothing for 180 s is dead; one that was cut off can be gone on with for 10
minutes.  Sessions `push-…` are those that telcod itself began: what is typed there answers the push
(USSD-4).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from telcod.assembly import STORED_TEXT_CHARS_MAX
from telcod.billing.accounts import main_account
from telcod.billing.lists import on_net
from telcod.days import SECOND_MS
from telcod.dispatch import Route
from telcod.rows import (
    ACCOUNT,
    MO,
    OUTBOX_PUSH,
    SUBSCRIBER,
    SUBSCRIPTION,
    USSD_LAST,
    USSD_SESSION,
    MoRow,
    Subscriber,
    Table,
    UssdLast,
    UssdSession,
)
from telcod.rules import Rules
from telcod.text import money
from telcod.tx import Tx
from telcod.types import Channel, Language, Reply, Request
from ussd.menu import Menu, Place, Run, Show, Speaker
from ussd.steps import END_ROUTE, PUSHED, STEP_ROUTE, dialled

TOLD_AGAIN_MS: Final = 5_000
NO_CONNECTION: Final = 0
"""What the journal names as the connection of what came by no SMPP link."""

_PUSHED_PLACE: Final = Place("push")


class _Heard(NamedTuple):
    """What a gateway said."""

    session: str
    service_code: str
    typed: str
    step: int
    """-1 when the gateway counts no steps."""
    how: str
    """`last`, `all` or `new`: see `ussd.steps`."""

    @property
    def all_inputs(self) -> bool:
        """Whether `typed` is all inputs of the session."""
        return self.how == "all"

    @property
    def anew(self) -> bool:
        """Whether the gateway itself says that somebody has dialled."""
        return self.how == "new" or self.step == 0

    @property
    def is_dialled(self) -> bool:
        """Whether `typed` is what was dialled: some gateways put it there."""
        return self.typed.strip("*#") == self.service_code.strip("*#")

    def comes_after(self, row: UssdSession) -> bool:
        """Whether it goes on with that dialogue, as far as an unnumbered step can tell."""
        if not self.all_inputs:
            return not self.is_dialled
        return bool(self.typed) and self.typed.startswith(f"{row.heard}*" if row.heard else "")

    def new_input(self, row: UssdSession | None) -> str:
        """What was typed at this step; of all inputs, what follows those that we know."""
        if not self.all_inputs or row is None or not row.heard:
            return self.typed
        if self.typed.startswith(f"{row.heard}*"):
            return self.typed[len(row.heard) + 1 :]
        return self.typed.rpartition("*")[2]  # It has forgotten some: the last one is new.


def routes(leaves: Mapping[str, Route]) -> dict[str, Route]:
    """The rows that sessions add to the dispatch table.

    Args:
        leaves: The table whose handlers the menu leads to.
    """
    dialogue = _Dialogue(leaves)
    return {
        STEP_ROUTE: Route(
            STEP_ROUTE,
            dialogue.step,
            reads=USSD_SESSION,
            foresees=(_foresee_speaker, _foresee_left_behind),
        ),
        END_ROUTE: Route(END_ROUTE, end, reads=USSD_SESSION),
    }


def end(request: Request, tx: Tx) -> Reply:
    """The gateway says that the dialogue is over.

    `args`: the session.  Where it stood is kept, to be gone on with (USSD-3).
    """
    row = tx.get(USSD_SESSION, request.args[0])
    if row is None:
        return Reply("ussd.unknown")
    if not row.ended:
        # Of one that was dead already the 10 minutes don't begin again.
        touched_at = row.touched_at if _is_dead(row, tx) else tx.now_ms
        tx.put(USSD_SESSION, msgspec.structs.replace(row, ended=1, touched_at=touched_at))
    return Reply("ussd.ended")


class _Dialogue:
    """The handler of a step; knows the handlers that leaves lead to."""

    def __init__(self, leaves: Mapping[str, Route]) -> None:
        self._leaves: Final = leaves

    def step(self, request: Request, tx: Tx) -> Reply:
        """One step.

        `args`: the session, what was dialled, what was typed, the step's number or -1, and how it
        is told (`ussd.steps`).
        """
        session, service_code, typed, step, how = request.args
        heard = _Heard(session, service_code, typed, int(step), how)
        row = tx.get(USSD_SESSION, session)
        subscriber = tx.get(SUBSCRIBER, request.sender) if request.sender else None
        dead = heard.how == "new" or _is_dead(row, tx)
        if row is not None and row.msisdn != request.sender and not dead:
            return Reply("ussd.wrong_step", data={"step": row.step})  # Somebody else's session.
        if row is not None and not _is_whose(row, request.sender, subscriber):
            row = None  # Was: the gateway counts from the beginning, or the number has a new owner.
        if row is not None and _said_before(heard, row, tx.now_ms):
            return _shown(row.shown, row.step, ends=not row.place)
        refused = _out_of_turn(heard, row, dead=dead)
        if refused is not None:
            return refused
        if subscriber is None or not on_net(subscriber):
            return _ends(tx, "text.not_subscriber", Language.VI, heard)
        if session.startswith(PUSHED):
            return self._answer_push(request, tx, subscriber, heard, row)
        if row is None or (dead and heard.step <= 0):
            return self._begin(request, tx, subscriber, heard, row)
        if dead:
            return _ends(tx, "ussd.expired", subscriber.language, heard)
        return self._go_on(request, tx, subscriber, heard, row)

    def _begin(
        self,
        request: Request,
        tx: Tx,
        subscriber: Subscriber,
        heard: _Heard,
        dead: UssdSession | None,
    ) -> Reply:
        """`dead` is what stands under this id."""
        code, jumps = dialled(heard.service_code)
        known = code in tx.rules.menus
        if dead is not None and not heard.anew and (heard.comes_after(dead) or not known):
            # An input that comes too late for its dialogue: what was done there is not done again.
            code, jumps = dead.service_code, ()
        elif heard.typed and (heard.all_inputs or heard.step == 0):
            jumps = (*jumps, *(word for word in heard.typed.split("*") if word))
        menu: Menu | None = tx.rules.menus.get(code)
        if menu is None:
            ended = _ends(tx, "ussd.unknown_code", subscriber.language, heard)
            return Reply("ussd.unknown_code", data=ended.data)
        speaker = self._speaker(tx.rules, subscriber, tx.now_ms)
        left = None if jumps else _left_behind(tx, subscriber, code, menu)
        did = menu.begin(jumps, speaker) if left is None else menu.offer_resume(left, speaker)
        row = UssdSession(
            heard.session,
            subscriber.msisdn,
            subscriber.life,
            code,
            started_at=tx.now_ms,
            touched_at=tx.now_ms,
            step=max(heard.step, 0),
            typed="",
            heard="",
            shown="",
            place="",
            ended=0,
        )
        tx.put(USSD_LAST, UssdLast(subscriber.msisdn, heard.session))
        return self._do(request, tx, subscriber, heard, row, did)

    def _go_on(
        self, request: Request, tx: Tx, subscriber: Subscriber, heard: _Heard, row: UssdSession
    ) -> Reply:
        menu: Menu | None = tx.rules.menus.get(row.service_code)
        if menu is None:  # A reload took it away in mid-dialogue.
            return _ends(tx, "ussd.expired", subscriber.language, heard)
        speaker = self._speaker(tx.rules, subscriber, tx.now_ms)
        place = msgspec.json.decode(row.place, type=Place)
        did = menu.step(place, heard.new_input(row), speaker)
        return self._do(request, tx, subscriber, heard, row, did)

    def _do(
        self,
        request: Request,
        tx: Tx,
        subscriber: Subscriber,
        heard: _Heard,
        row: UssdSession,
        did: Show | Run,
    ) -> Reply:
        """Run the leaf if it led to one, and keep what the phone shows."""
        if isinstance(did, Run):
            menu: Menu = tx.rules.menus[row.service_code]
            text = self._run_leaf(request, tx, did, menu.short_code, row)
            now = tx.get(SUBSCRIBER, subscriber.msisdn) or subscriber  # Of another language, by NN.
            did = menu.result(did.place, text, self._speaker(tx.rules, now, tx.now_ms))
        return _keep(tx, heard, row, did)

    def _run_leaf(
        self, request: Request, tx: Tx, leaf: Run, short_code: str, row: UssdSession
    ) -> str:
        """Carry out what a text would, and note it in the journal as a text is."""
        asked = Request(
            leaf.route,
            sender=request.sender,
            args=leaf.args,
            channel=Channel.USSD,
            short_code=short_code,
            key=f"ussd:{row.id}:{row.started_at}:{row.step}",
            event_ms=tx.now_ms,
            actor=request.actor,
        )
        reply = self._leaves[leaf.route].handler(asked, tx)
        stored = " ".join(leaf.args)[:STORED_TEXT_CHARS_MAX]
        tx.append(
            MO,
            MoRow(
                tx.next_seq(MO),
                NO_CONNECTION,
                tx.now_ms,
                str(request.sender),
                short_code,
                leaf.route,
                stored,
                reply.outcome,
                b"",
            ),
        )
        return _rendered(tx, reply, request.sender)

    def _answer_push(
        self,
        request: Request,
        tx: Tx,
        subscriber: Subscriber,
        heard: _Heard,
        row: UssdSession | None,
    ) -> Reply:
        """What was pressed answers what telcod asked; who asked says what it means."""
        push = tx.log_row(OUTBOX_PUSH, int(heard.session.removeprefix(PUSHED)))
        over = row is not None and bool(row.ended)
        if (
            push is None
            or not push.asks
            or push.msisdn != subscriber.msisdn
            or push.expires_at <= tx.now_ms
            or over
        ):
            return _ends(tx, "ussd.nothing_asked", subscriber.language, heard)
        asked = Request(
            f"{push.kind}.answer",
            sender=subscriber.msisdn,
            args=(push.ref, heard.new_input(row).strip("*# "), str(row.step if row else 1)),
            channel=Channel.USSD,
            key=f"ussd:{heard.session}",
            event_ms=tx.now_ms,
            actor=request.actor,
        )
        reply = self._leaves[asked.route].handler(asked, tx)
        again = bool(reply.data and reply.data.get("again"))
        if row is None:
            row = UssdSession(
                heard.session,
                subscriber.msisdn,
                subscriber.life,
                "",
                started_at=tx.now_ms,
                touched_at=tx.now_ms,
                step=max(heard.step, 1),
                typed="",
                heard="",
                shown="",
                place="",
                ended=0,
            )
        text = _rendered(tx, reply, subscriber.msisdn)
        return _keep(tx, heard, row, Show(text, _PUSHED_PLACE, ends=not again))

    def _speaker(self, rules: Rules, subscriber: Subscriber, now_ms: int) -> Speaker:
        tariff = rules.tariffs.at(now_ms)
        values = {
            "day": money(tariff.packages["day"].price_vnd),
            "week": money(tariff.packages["week"].price_vnd),
            "part": money(tariff.sms.part_vnd),
            "minute": money(tariff.voice.minute_vnd),
        }

        def arguments(route: str, words: Sequence[str]) -> tuple[str, ...] | None:
            return rules.dispatcher.arguments(self._leaves[route], words)

        return Speaker(subscriber.language, values, arguments, rules.limits.ussd.screen_septets)


def _said_before(heard: _Heard, row: UssdSession, now_ms: int) -> bool:
    """Whether this is the last step once more: it gets the same answer (USSD-1)."""
    if heard.how == "new":  # Told again, if the very same comes at once; dialled anew, if later.
        same = row.step == 1 and row.heard == heard.service_code and row.typed == heard.typed
        return same and now_ms - row.touched_at < TOLD_AGAIN_MS
    if heard.all_inputs and heard.step < 0:
        return heard.typed == row.heard
    return heard.step == row.step - 1 and heard.typed == row.typed


def _out_of_turn(heard: _Heard, row: UssdSession | None, *, dead: bool) -> Reply | None:
    """Why a numbered step can't be taken, if it can't."""
    if heard.step < 0:
        return None
    if row is None:
        first = 1 if heard.session.startswith(PUSHED) else 0
        return None if heard.step == first else Reply("ussd.unknown")
    if heard.step == 0 and dead:
        return None
    return None if heard.step == row.step else Reply("ussd.wrong_step", data={"step": row.step})


def _is_whose(row: UssdSession, sender: int, subscriber: Subscriber | None) -> bool:
    """Whether it is a dialogue of this number, and of its owner of today (NUM-5)."""
    return row.msisdn == sender and (subscriber is None or row.life == subscriber.life)


def _is_dead(row: UssdSession | None, tx: Tx) -> bool:
    if row is None:
        return False
    silent_ms = tx.now_ms - row.touched_at
    return bool(row.ended) or silent_ms >= tx.rules.limits.ussd.session_s * SECOND_MS


def _foresee_speaker(request: Request, tx: Tx) -> Iterable[tuple[Table[Any], Any]]:
    """What most screens show, and, when a dialogue begins, which was the last one."""
    yield ACCOUNT, main_account(request.sender)
    yield SUBSCRIPTION, request.sender
    if tx.get(USSD_SESSION, request.args[0]) is None:
        yield USSD_LAST, request.sender


def _foresee_left_behind(request: Request, tx: Tx) -> Iterable[tuple[Table[Any], Any]]:
    if tx.get(USSD_SESSION, request.args[0]) is None:
        last = tx.get(USSD_LAST, request.sender)
        if last is not None:
            yield USSD_SESSION, last.session


def _left_behind(tx: Tx, subscriber: Subscriber, code: str, menu: Menu) -> Place | None:
    """Where the last dialogue was cut off, if it can be gone on with."""
    last = tx.get(USSD_LAST, subscriber.msisdn)
    row = tx.get(USSD_SESSION, last.session) if last is not None else None
    if row is None or not _is_whose(row, subscriber.msisdn, subscriber):
        return None
    if not row.place or row.service_code != code:
        return None
    if tx.now_ms - row.touched_at >= tx.rules.limits.ussd.resume_s * SECOND_MS:
        return None
    place = msgspec.json.decode(row.place, type=Place)
    return place if menu.worth_resuming(place) else None


def _keep(tx: Tx, heard: _Heard, row: UssdSession, did: Show) -> Reply:
    place = "" if did.ends else msgspec.json.encode(did.place).decode()
    row = msgspec.structs.replace(
        row,
        touched_at=tx.now_ms,
        step=row.step + 1,
        typed=heard.typed,
        heard=heard.typed if heard.all_inputs else heard.service_code or row.heard,
        shown=did.text,
        place=place,
        ended=int(did.ends),
    )
    tx.put(USSD_SESSION, row)
    return _shown(did.text, row.step, ends=did.ends)


def _shown(text: str, step: int, *, ends: bool) -> Reply:
    action = "end" if ends else "continue"
    return Reply("ussd.shown", data={"action": action, "text": text, "step": step})


def _ends(tx: Tx, key: str, language: str, heard: _Heard) -> Reply:
    """A sentence that ends a dialogue that has no place in the menu."""
    text = tx.rules.catalogue.render(key, {}, language)
    return _shown(text, max(heard.step, 0) + 1, ends=True)


def _rendered(tx: Tx, reply: Reply, msisdn: int) -> str:
    """What a handler answered, in the language that holds now; USSD is never silent."""
    subscriber = tx.get(SUBSCRIBER, msisdn)
    language = subscriber.language if subscriber else Language.VI
    render = tx.rules.catalogue.render
    lines = [render(key, values, language) for key, values in reply.lines]
    return " ".join(lines) or render("ussd.try_later", {}, language)
