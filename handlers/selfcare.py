"""Subscribers on web and app: log in by a code, then do what the texts do (SELF-1).

Codes and tokens are made at the edge; what comes here are hashes, and, for the one text that names
it, the code in the request's body, which nothing keeps.  Who is logged in does what a text does by
the very handler of that text, told that it came by WEB or APP: a rule is written once.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from handlers import selfcare_views
from handlers.common import SHORT_CODE_PAYFORME, tell, write_audit
from telcod.billing.lists import on_net
from telcod.billing.logins import (
    TOUCH_MS,
    LoginLimits,
    decide_code,
    decide_login,
    is_open,
    own_or_new,
)
from telcod.dispatch import Route
from telcod.rows import (
    LOGIN_CODE,
    OUTBOX_SMS,
    SELF_SESSION,
    SUBSCRIBER,
    LoginCode,
    SelfSession,
    Subscriber,
)
from telcod.tx import Tx
from telcod.types import Language, Reply, Request

LIMITS: Final = LoginLimits()
KIND: Final = "login"
REFUSED: Final = Reply("self.refused")
NO_SESSION: Final = Reply("self.no_session")
ACTOR: Final = "subscriber"
CHANGES: Final = frozenset(
    {
        "package.register_day",
        "package.register_week",
        "package.cancel",
        "confirm.yes",
        "confirm.no",
        "list.black_add",
        "list.black_remove",
        "list.white_add",
        "list.white_remove",
        "notices.stop",
        "notices.resume",
        "language.set",
    }
)
"""What is done by web and app as by texts, and said in the audit log."""
LOOKS: Final = frozenset({"dial.guide"})
_KEY_CHARS: Final = 16


class _Known(NamedTuple):
    session: SelfSession
    subscriber: Subscriber


def routes(leaves: Mapping[str, Route]) -> dict[str, Route]:
    """The rows that web and app add to the dispatch table.

    Args:
        leaves: The table whose handlers they run.
    """
    return {
        route.name: route
        for route in (
            Route("self.login", login),
            Route("self.confirm", confirm),
            Route("self.logout", logout, reads=SELF_SESSION),
            Route("self.do", _Doing(leaves).do, reads=SELF_SESSION),
            Route("self.show", show, reads=SELF_SESSION),
            Route(f"{KIND}.outcome", forget_text),
        )
    }


def login(request: Request, tx: Tx) -> Reply:
    """Somebody wants to log in as `sender`: a code goes there, if that is a subscriber.

    `args`: the code's hash; `body`: the code.  The answer is always the same.
    """
    asked = Reply("self.code_asked")
    subscriber = tx.get(SUBSCRIBER, request.sender)
    before = tx.get(LOGIN_CODE, request.sender)
    code = str((request.body or {})["code"])
    if subscriber is None or not on_net(subscriber):
        # The same work as for one, but for what is kept.
        values = {"code": code, "minutes": LIMITS.code_min}
        tx.rules.catalogue.render("login.code", values, Language.VI)
        return asked
    own = own_or_new(before, subscriber.msisdn, subscriber.life)
    kept = decide_code(own, request.args[0], tx.now_ms, LIMITS)
    if kept is None:
        return asked
    tx.put(LOGIN_CODE, kept)
    tell(
        tx,
        subscriber,
        "login.code",
        kind=KIND,
        expires_at=kept.expires_at,
        code=code,
        minutes=LIMITS.code_min,
    )
    return asked


def forget_text(request: Request, tx: Tx) -> Reply:
    """The text with a code has left, or never will: the books forget what it said.

    `args`: the text it answers (none), its new state, its number in the outbox.
    """
    sms = tx.get(OUTBOX_SMS, int(request.args[2]))
    if sms is not None:
        tx.put(OUTBOX_SMS, msgspec.structs.replace(sms, text=""))
    return Reply("self.text_forgotten")


def confirm(request: Request, tx: Tx) -> Reply:
    """A code was typed; a right one opens a session.

    `args`: the hash of what was typed, the hash of the new session's token.  Wrong, too late, too
    often, never asked for: one answer.
    """
    subscriber = tx.get(SUBSCRIBER, request.sender)
    before = tx.get(LOGIN_CODE, request.sender)
    if subscriber is None or not on_net(subscriber):
        return REFUSED
    own = own_or_new(before, subscriber.msisdn, subscriber.life)
    typed, token = request.args
    tried = decide_login(own, typed, tx.now_ms, LIMITS)
    if tried.row is None:
        return REFUSED
    if not tried.right:
        tx.put(LOGIN_CODE, tried.row)
        return REFUSED
    tx.put(
        SELF_SESSION,
        SelfSession(
            hash=token,
            msisdn=subscriber.msisdn,
            life=subscriber.life,
            channel=request.channel,
            started_at=tx.now_ms,
            touched_at=tx.now_ms,
            acts=0,
        ),
    )
    tx.put(LOGIN_CODE, _with_session(tx, tried.row, token))
    said = msgspec.structs.replace(request, actor=ACTOR)
    write_audit(tx, said, "self.login", str(subscriber.msisdn))
    return Reply(
        "self.confirmed",
        data={"msisdn": str(subscriber.msisdn), "language": subscriber.language},
    )


def logout(request: Request, tx: Tx) -> Reply:
    """The session is over.  `args`: the hash of its token; one that is over already is fine."""
    session = tx.get(SELF_SESSION, request.args[0])
    if session is not None:
        _close(tx, session)
    return Reply("self.logged_out")


def show(request: Request, tx: Tx) -> Reply:
    """What the books hold of who is logged in.

    `args`: the hash of his token, which part (`selfcare_views.PARTS`), where the part goes on.
    """
    known = _known(tx, request.args[0])
    if known is None:
        return NO_SESSION
    part, start = request.args[1:]
    return Reply("self.shown", data=selfcare_views.PARTS[part](tx, known.subscriber, int(start)))


class _Doing:
    """The handler of what is done as by a text; knows the handlers of texts."""

    def __init__(self, leaves: Mapping[str, Route]) -> None:
        self._leaves: Final = leaves

    def do(self, request: Request, tx: Tx) -> Reply:
        """One act of who is logged in.

        `args`: the hash of his token, the route that a text would take, the words after its
        keyword.  `data` has that handler's outcome and its text in his language.
        """
        known = _known(tx, request.args[0])
        if known is None:
            return NO_SESSION
        token, name, *words = request.args
        if name not in CHANGES and name not in LOOKS:
            return Reply("self.malformed")
        leaf = self._leaves[name]
        args = tx.rules.dispatcher.arguments(leaf, words)
        if args is None:
            return Reply("self.malformed")
        session, subscriber = known
        acts = session.acts + 1
        asked = Request(
            name,
            sender=subscriber.msisdn,
            args=args,
            channel=request.channel,
            short_code=SHORT_CODE_PAYFORME,
            key=f"self:{token[:_KEY_CHARS]}:{acts}",
            event_ms=tx.now_ms,
            actor=ACTOR,
        )
        reply = leaf.handler(asked, tx)
        if name in CHANGES:
            tx.put(SELF_SESSION, msgspec.structs.replace(session, touched_at=tx.now_ms, acts=acts))
            write_audit(tx, asked, name, str(subscriber.msisdn), reply.outcome)
        now = tx.get(SUBSCRIBER, subscriber.msisdn) or subscriber  # Of another language, by NN.
        render = tx.rules.catalogue.render
        text = " ".join(render(key, values, now.language) for key, values in reply.lines)
        data = {"outcome": reply.outcome, "text": text, "language": now.language}
        if name == "dial.guide" and reply.lines:
            data["command"] = str(reply.lines[0].values.get("command", ""))
        return Reply("self.done", data=data)


def _known(tx: Tx, token: str) -> _Known | None:
    """Whose session it is; None when there is none, or it is over."""
    session = tx.get(SELF_SESSION, token)
    if session is None:
        return None
    subscriber = tx.get(SUBSCRIBER, session.msisdn)
    if (
        subscriber is None
        or not on_net(subscriber)
        or subscriber.life != session.life  # The number has another owner by now (NUM-5).
        or not is_open(session, tx.now_ms, LIMITS)
    ):
        _close(tx, session)
        return None
    if tx.now_ms - session.touched_at >= TOUCH_MS:
        session = msgspec.structs.replace(session, touched_at=tx.now_ms)
        tx.put(SELF_SESSION, session)
    return _Known(session, subscriber)


def _close(tx: Tx, session: SelfSession) -> None:
    tx.delete(SELF_SESSION, session)
    row = tx.get(LOGIN_CODE, session.msisdn)
    if row is not None:
        kept = [each for each in _hashes(row) if each != session.hash]
        tx.put(LOGIN_CODE, msgspec.structs.replace(row, sessions=",".join(kept)))


def _with_session(tx: Tx, row: LoginCode, token: str) -> LoginCode:
    """One more session; those that are over go, and the oldest when there are too many."""
    still = []
    for each in _hashes(row):
        session = tx.get(SELF_SESSION, each)
        if session is None:
            continue
        if is_open(session, tx.now_ms, LIMITS):
            still.append(session)
        else:
            tx.delete(SELF_SESSION, session)
    room = LIMITS.sessions_max - 1
    for session in still[: max(0, len(still) - room)]:
        tx.delete(SELF_SESSION, session)
    kept = [session.hash for session in still[-room:]] if room else []
    return msgspec.structs.replace(row, sessions=",".join([*kept, token]))


def _hashes(row: LoginCode) -> list[str]:
    return row.sessions.split(",") if row.sessions else []
