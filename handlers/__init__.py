"""The whole service on one page: what each text does, and what happens without one.

A row is: the route's name, the handler that carries it out, what it takes after the keyword, and
the catalogue's key that explains it to who got it wrong.  The keywords that lead to a row are data:
`config/keywords.toml` (KW-2). Handlers are plain functions of the request and the open transaction:
no I/O, no clock, no randomness, so they may run again.

To add a keyword: write the handler, add its row here, its keyword to `config/keywords.toml`, its
texts to `config/messages/`.
"""

from collections.abc import Mapping
from typing import Final

from handlers import (
    answers,
    calls,
    clearing,
    daemon,
    day_close,
    epayment,
    events,
    forwarded,
    info,
    invoices,
    lists,
    lookup,
    mails,
    network,
    packages,
    payments,
    pushes,
    reconciliation,
    staff,
)
from handlers.common import SHORT_CODE_EPAYMENT, SHORT_CODE_PAYFORME, foresee_limit
from telcod.dispatch import (
    FORWARD_ROUTE,
    IGNORED_ROUTE,
    MALFORMED_ROUTE,
    UNKNOWN_ROUTE,
    Args,
    Route,
)
from telcod.rows import PAYMENT

# fmt: off
PAYFORME: Final = (  # 1566: the one who is called pays
    Route("package.register_day",   packages.register_day,     Args.NONE,                "usage.dk"),
    Route("package.register_week",  packages.register_week,    Args.NONE,                "usage.dk7"),
    Route("package.cancel",         packages.cancel,           Args.NONE,                "usage.huy"),
    Route("package.show",           packages.show,             Args.NONE,                "usage.kt"),
    Route("confirm.yes",            answers.yes,               Args.CODE_OR_NONE,        "usage.y"),
    Route("confirm.no",             answers.no,                Args.CODE_OR_NONE,        "usage.n"),
    Route("list.black_add",         lists.black_add,           Args.NUMBERS,             "usage.b", lists=True),
    Route("list.black_remove",      lists.black_remove,        Args.NUMBERS_ALL_OR_NONE, "usage.xoab", lists=True),
    Route("list.black_show",        lists.black_show,          Args.NONE,                "usage.kt_b", lists=True),
    Route("list.white_add",         lists.white_add,           Args.NUMBERS,             "usage.w", lists=True),
    Route("list.white_remove",      lists.white_remove,        Args.NUMBERS_ALL_OR_NONE, "usage.xoaw", lists=True),
    Route("list.white_show",        lists.white_show,          Args.NONE,                "usage.kt_w", lists=True),
    Route("charges.show",           info.charges,              Args.NONE,                "usage.kt_cuoc"),
    Route("notices.stop",           info.stop_notices,         Args.NONE,                "usage.tc"),
    Route("notices.resume",         info.resume_notices,       Args.NONE,                "usage.on"),
    Route("help",                   info.help_text,            Args.NONE,                "usage.hd"),
    Route("language.set",           info.set_language,         Args.LANGUAGE,            "usage.nn"),
)
EPAYMENT: Final = (  # 9223: card payments
    Route("password.set",           epayment.set_password,     Args.PASSWORD,            "usage.mk"),
    Route("invoice.request",        invoices.request_invoice,  Args.CODE_OR_NONE,        "usage.nhan"),
    Route("help",                   info.help_text,            Args.NONE,                "usage.hd"),
    Route("language.set",           info.set_language,         Args.LANGUAGE,            "usage.nn"),
)
NO_KEYWORD: Final = (  # texts that lead nowhere
    Route(UNKNOWN_ROUTE,            info.unknown,               foresees=(foresee_limit,)),
    Route(MALFORMED_ROUTE,          info.malformed,             foresees=(foresee_limit,)),
    Route(IGNORED_ROUTE,            info.ignored),
)
TEXTS: Final = (  # a text to 1566 + number: for that number, who pays
    Route(FORWARD_ROUTE,            forwarded.forward),
    Route("forward.outcome",        forwarded.outcome),
    Route("clock.text",             forwarded.look_after),
)
MENU: Final = (  # what is in the menu of *1566# and in no text; a question on the screen
    Route("dial.guide",             info.dial_guide,           Args.NUMBERS),
    Route("consent.answer",         forwarded.answer_push),
)
OF_CALL: Final = (calls.foresee_call, calls.foresee_rest)
CALLS: Final = (  # 1566 dialled: the one who is called is asked to pay
    Route("call.offer",             calls.offer,                foresees=(calls.foresee_offer,)),
    Route("call.consent",           calls.consent,              foresees=OF_CALL),
    Route("call.answered",          calls.answered,             foresees=OF_CALL),
    Route("call.progress",          calls.progress,             foresees=OF_CALL),
    Route("call.ended",             calls.ended,                foresees=OF_CALL, ends=True),
    Route("call.show",              calls.show),
)
NETWORK: Final = (  # what the network tells
    Route("network.call_failed",    network.call_failed),
    Route("network.subscriber",     network.put_subscriber),
)
PAYMENTS: Final = (  # card payments, from acceptance to the books
    Route("payment.create",         payments.create,            reads=PAYMENT),
    Route("payment.redirected",     payments.redirected,        reads=PAYMENT),
    Route("payment.refused",        payments.refused,           reads=PAYMENT),
    Route("payment.notified",       payments.notified,          reads=PAYMENT, ends=True),
    Route("payment.inquired",       payments.inquired,          reads=PAYMENT, ends=True),
    Route("payment.voided",         payments.voided,            reads=PAYMENT, ends=True),
    Route("payment.due",            payments.due,               reads=PAYMENT),
    Route("payment.show",           payments.show,              reads=PAYMENT),
    Route("payment.review",         clearing.review,            reads=PAYMENT),
    Route("payment.clear_by_hand",  clearing.clear_by_hand,     reads=PAYMENT),
    Route("payment.propose_cancel", clearing.propose_cancel,    reads=PAYMENT),
    Route("payment.confirm_cancel", clearing.confirm_cancel,    reads=PAYMENT),
    Route("payment.set_centre",     clearing.set_centre),
    Route("payment.close_case",     clearing.close_case),
)
CLOCK: Final = (  # what happens because its moment came
    Route("clock.package",          packages.look_after),
    Route("clock.call",             calls.supervise,            ends=True),
    Route("push.outcome",           pushes.outcome),
    Route("mail.outcome",           mails.outcome),
    Route("events.published",       events.published),
    Route("daemon.start",           daemon.start),
    Route("daemon.reload",          daemon.reload),
    Route("daemon.alive",           daemon.alive),
)
BOOKS: Final = (  # look-ups, invoices, the end of the day
    Route("lookup.try",             lookup.try_password),
    Route("lookup.unlock",          lookup.unlock),
    Route("invoice.ask",            invoices.ask),
    Route("reconcile.file",         reconciliation.take_file),
    Route("day.close",              day_close.close),
    Route("settlement.note",        day_close.note_settlement),
)
STAFF: Final = (  # what people and systems of the operator do
    Route("staff.lookup",           staff.look_up),
    Route("staff.topup",            staff.top_up),
    Route("staff.set_state",        staff.set_state),
    Route("staff.import",           staff.import_subscribers),
    Route("staff.token_create",     staff.create_token),
    Route("staff.token_revoke",     staff.revoke_token),
)
# fmt: on

BY_SHORT_CODE: Final[Mapping[str, tuple[Route, ...]]] = {
    SHORT_CODE_PAYFORME: PAYFORME,
    SHORT_CODE_EPAYMENT: EPAYMENT,
}
ROUTES: Final[Mapping[str, Route]] = {
    route.name: route
    for table in (
        PAYFORME,
        EPAYMENT,
        NO_KEYWORD,
        TEXTS,
        MENU,
        CALLS,
        NETWORK,
        PAYMENTS,
        CLOCK,
        BOOKS,
        STAFF,
    )
    for route in table
}
