"""The routes of the payment site.

Look up, pay, be sent to the gateway's page, see what came of it, ask for the invoice.  Each keeps
no state of its own: what was typed travels in the form, the payment stands in the books, and the
form's key makes two clicks one payment.  Nothing personal is shown without the password (PAY-2).
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER

from telcod.billing.payments import AMOUNT_VND_MAX, AMOUNT_VND_MIN
from telcod.clock import Clock
from telcod.epay.api import LookUp
from telcod.epay.cashier import (
    Cashier,
    NewPayment,
    PaymentRefused,
    PaymentUnknown,
    PaymentView,
    payment_id_of,
)
from telcod.epay.site.forms import (
    KEY_CHARS,
    REFUSED,
    REFUSED_OTHERWISE,
    PayForm,
    form_problems,
    read_amount,
    read_pay_form,
)
from telcod.epay.site.problems import answer_as_page, status_of
from telcod.epay.site.standing import standing_of
from telcod.epay.site.visits import (
    AnyRequest,
    SiteLimits,
    SiteSettings,
    Visit,
    Visitors,
    language_of,
)
from telcod.errors import KeyReused, Refusal
from telcod.msisdn import Msisdn, NumberError, national
from telcod.rows import PaymentState
from telcod.text.values import local_time
from telcod.types import Channel
from telcod.types import Request as Asked
from telcod.vault import Vault
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.page_guard import page_headers
from telcod.web.pages import Pages, number_text
from telcod.web.staff_requests import Refused

__all__ = ["Site", "SiteLimits", "SiteSettings"]

SITE: Final = "site"
"""The platform that the site's own payments are of."""
HOME: Final = "/pay"
FOLDER: Final = Path(__file__).parent
INVOICE_SAID: Final = frozenset({"noted", "already", "not_cleared", "no_address", "no_payment"})
PASSWORD_CHARS_MAX: Final = 64

Page = Response[str]
PaymentId = Annotated[str, PathParameter(description="As it was named.")]


class Site:
    """The payment site of one daemon; `routes` are to be mounted.

    Args:
        settings: Where it stands.
        cashier: Takes payments on.
        look_up: Compares passwords.
        vault: Makes the tokens of forms.
        clock: For limits, and for what is still open.
    """

    def __init__(
        self, settings: SiteSettings, cashier: Cashier, look_up: LookUp, vault: Vault, clock: Clock
    ) -> None:
        self._cashier: Final = cashier
        self._look_up: Final = look_up
        self._clock: Final = clock
        self.visitors: Final = Visitors(settings, vault, clock)
        self._secure: Final = settings.is_secure
        self._gateway: Final = _origin(settings.gateway_url)
        self.pages: Final = Pages(FOLDER / "templates", FOLDER / "words", home=HOME)

    def routes(self) -> tuple[HTTPRouteHandler, ...]:
        """The routes, open to everybody; none of them is part of the API."""

        # The framework copies what it is handed, and a function is its own copy; a method isn't.
        def answer_problem(request: AnyRequest, error: Exception) -> Page:
            return self._answer_problem(request, error)

        common: dict[str, Any] = {
            "include_in_schema": False,
            "exception_handlers": {Exception: answer_problem},
            "media_type": "text/html",
            "status_code": HTTP_200_OK,
        }
        shown: tuple[tuple[str, Callable[[Visit], Awaitable[Page]]], ...] = (
            (HOME, self._start),
            (f"{HOME}/lookup", self._ask_password),
        )
        sent: tuple[tuple[str, Callable[[Visit], Awaitable[Page]]], ...] = (
            (f"{HOME}/lookup", self._show_account),
            (f"{HOME}/confirm", self._confirm),
            (f"{HOME}/change", self._change),
            (f"{HOME}/start", self._pay),
        )
        return (
            *(_getter(self, path, page, common) for path, page in shown),
            *(_poster(self, path, page, common) for path, page in sent),
            *self._result_routes(common),
        )

    def _result_routes(self, common: dict[str, Any]) -> tuple[HTTPRouteHandler, ...]:
        @get(f"{HOME}/result/{{payment_id:str}}", **common)
        async def result(request: AnyRequest, payment_id: PaymentId) -> Page:
            return await self._result(self.visitors.visit(request), payment_id)

        @get(f"{HOME}/result/{{payment_id:str}}/state", **common)
        async def result_state(request: AnyRequest, payment_id: PaymentId) -> Page:
            return await self._result_state(self.visitors.visit(request), payment_id)

        @post(f"{HOME}/result/{{payment_id:str}}/invoice", **common)
        async def ask_invoice(request: AnyRequest, payment_id: PaymentId) -> Page:
            visit = self.visitors.visit(request, await request.body())
            return await self._ask_invoice(visit, payment_id)

        return (result, result_state, ask_invoice)

    # -- paying

    async def _start(self, visit: Visit) -> Page:
        return self._pay_page(visit, PayForm())

    async def _change(self, visit: Visit) -> Page:
        """Back to the form, with what was typed; the next confirmation is another intent."""
        return self._pay_page(visit, read_pay_form(visit.fields)._replace(key=""))

    async def _confirm(self, visit: Visit) -> Page:
        """All that will be done, on one page, before it is done."""
        form = read_pay_form(visit.fields)
        number = _number(visit, form.number)
        problems = form_problems(form, number_is_good=number is not None)
        amount_vnd = read_amount(form.amount)
        if amount_vnd is not None and not AMOUNT_VND_MIN <= amount_vnd <= AMOUNT_VND_MAX:
            problems["amount"] = "refused.amount"
        if number is None or amount_vnd is None or problems:
            return self._pay_page(visit, form, problems, status=422)
        if not visit.is_genuine:
            return self._pay_page(visit, form, notice="stale", status=403)
        return self._page(
            visit,
            "confirm.html",
            form=form,
            key=form.key or secrets.token_urlsafe(KEY_CHARS),
            amount_vnd=amount_vnd,
            shown_number=national(number),
            # A redirect that a form leads to is held to the page that the form stands on.
            forms_to=(self._gateway,) if self._gateway else (),
        )

    async def _pay(self, visit: Visit) -> Page:
        """Take the payment on, and send the payer to the gateway; twice the same is once."""
        form = read_pay_form(visit.fields)
        number = _number(visit, form.number)
        problems = form_problems(form, number_is_good=number is not None)
        amount_vnd = read_amount(form.amount)
        if number is None or amount_vnd is None or problems or not form.key:
            return self._pay_page(visit, form, problems, status=422)
        if not visit.is_genuine:
            return self._pay_page(visit, form, notice="stale", status=403)
        self.visitors.count_payment(visit)
        payment_id = payment_id_of(SITE, form.key)
        new = NewPayment(
            platform=SITE,
            key=form.key,
            msisdn=number,
            amount_vnd=amount_vnd,
            purpose=form.purpose,
            card=form.card,
            return_url=f"{visit.base_url}{_result_path(payment_id)}",
            email=form.email,
            invoice=form.invoice,
            address=visit.address,
        )
        try:
            view = await self._cashier.open(new)
        except KeyReused:
            # The same click over another connection has another address: it's the same intent.
            note(visit.request.scope, payment=payment_id, outcome="key_reused")
            return self._redirect(visit, _result_path(payment_id))
        except PaymentRefused as error:
            note(visit.request.scope, outcome=error.outcome)
            field, word = REFUSED.get(error.outcome, REFUSED_OTHERWISE)
            form = form._replace(key="")
            if field:
                return self._pay_page(visit, form, {field: word}, status=409)
            return self._pay_page(visit, form, notice=word, status=409)
        note(visit.request.scope, payment=view.payment_id, state=view.state)
        at_once = view.state == PaymentState.REDIRECTED and _is_of(view, self._gateway)
        return self._redirect(
            visit, view.redirect_url if at_once else _result_path(view.payment_id)
        )

    # -- what came of it

    async def _result(self, visit: Visit, payment_id: str) -> Page:
        view = await self._own(payment_id)
        said = str(visit.request.query_params.get("said", ""))
        return self._result_page(visit, view, said=said if said in INVOICE_SAID else "")

    async def _result_state(self, visit: Visit, payment_id: str) -> Page:
        """The part of the page that asks again by itself."""
        view = await self._own(payment_id)
        return self._page(visit, "_standing.html", **self._standing(view), invoice_said="")

    async def _ask_invoice(self, visit: Visit, payment_id: str) -> Page:
        view = await self._own(payment_id)
        if not visit.is_genuine:
            return self._result_page(visit, view, notice="stale", status=403)
        asked = Asked("invoice.ask", args=(view.payment_id,), channel=Channel.WEB, actor=SITE)
        answer = await backend_of(visit.request).submit(asked)
        note(visit.request.scope, payment=view.payment_id, outcome=answer.outcome)
        said = answer.outcome.removeprefix("invoice.")
        if said not in INVOICE_SAID:  # It broke, and was set aside for a person.
            raise Refused(Refusal.CONFLICT, "the invoice can't be asked for")
        return self._redirect(visit, f"{_result_path(view.payment_id)}?said={said}")

    async def _own(self, payment_id: str) -> PaymentView:
        try:
            return await self._cashier.show(payment_id, platform=SITE)
        except PaymentUnknown as error:
            raise Refused(Refusal.NOT_FOUND, "the site has made no such payment") from error

    def _result_page(
        self,
        visit: Visit,
        view: PaymentView,
        *,
        said: str = "",
        notice: str = "",
        status: int = 200,
    ) -> Page:
        return self._page(
            visit,
            "result.html",
            **self._standing(view),
            path=_result_path(view.payment_id),
            invoice_said=said,
            notice=notice,
            status=status,
        )

    def _standing(self, view: PaymentView) -> dict[str, Any]:
        standing = standing_of(view, now_ms=self._clock.wall_ms())
        return {"standing": standing, "view": view, "until": local_time(view.expires_at)}

    # -- looking up

    async def _ask_password(self, visit: Visit) -> Page:
        return self._lookup_page(visit, "")

    async def _show_account(self, visit: Visit) -> Page:
        """Name, address and debt for who knows the password; else one answer for every reason."""
        typed = visit.fields.get("number", "")[:40]
        if not visit.is_genuine:
            return self._lookup_page(visit, typed, notice="stale", status=403)
        self.visitors.count_lookup(visit)
        password = visit.fields.get("password", "")[:PASSWORD_CHARS_MAX]
        found = await self._look_up(backend_of(visit.request), typed, password, actor=SITE)
        number = _number(visit, typed)
        if found is None or number is None:
            return self._lookup_page(visit, typed, notice="lookup.refused", status=403)
        debt_vnd = int(found["debt_vnd"])
        payable_vnd = min(max(debt_vnd, AMOUNT_VND_MIN), AMOUNT_VND_MAX)
        shown = national(number)
        return self._page(
            visit,
            "account.html",
            form=PayForm(
                number=shown, amount=number_text(visit.language, payable_vnd) if debt_vnd else ""
            ),
            problems={},
            path=f"{HOME}/lookup",
            shown_number=shown,
            name=found["name"],
            address=found["address"],
            debt_vnd=debt_vnd,
            is_small=debt_vnd < AMOUNT_VND_MIN,
        )

    def _lookup_page(
        self, visit: Visit, number: str, *, notice: str = "", status: int = 200
    ) -> Page:
        return self._page(
            visit, "lookup.html", path=f"{HOME}/lookup", number=number, notice=notice, status=status
        )

    # -- pages

    def _pay_page(
        self,
        visit: Visit,
        form: PayForm,
        problems: Mapping[str, str] | None = None,
        *,
        notice: str = "",
        status: int = 200,
    ) -> Page:
        return self._page(
            visit,
            "start.html",
            path=HOME,
            form=form,
            problems=problems or {},
            notice=notice,
            status=status,
        )

    def _page(
        self,
        visit: Visit,
        template: str,
        *,
        path: str = HOME,
        status: int = 200,
        forms_to: tuple[str, ...] = (),
        **values: Any,
    ) -> Page:
        token = self.visitors.token(visit)
        text = self.pages.render(template, visit.language, path=path, token=token, **values)
        headers = page_headers(secure=self._secure, forms_to=forms_to)
        if template == "confirm.html":
            # It holds what was just typed and nothing more: going back to it needs no sending anew.
            headers["Cache-Control"] = "private, max-age=0"
        return Response(
            text,
            status_code=status,
            media_type="text/html",
            headers=headers,
            cookies=self.visitors.cookies(visit),
        )

    def _redirect(self, visit: Visit, where: str) -> Page:
        headers = page_headers(secure=self._secure) | {"Location": where}
        return Response(
            "",
            status_code=HTTP_303_SEE_OTHER,
            headers=headers,
            cookies=self.visitors.cookies(visit),
        )

    def _answer_problem(self, request: AnyRequest, error: Exception) -> Page:
        """The edge of one request for a page: whatever went wrong, in words a payer understands."""
        language = language_of(request)
        what, headers = answer_as_page(request, error)
        text = self.pages.render("error.html", language, path=HOME, what=what)
        return Response(
            text,
            status_code=status_of(error),
            media_type="text/html",
            headers=page_headers(secure=self._secure) | headers,
        )


def _getter(
    site: Site, path: str, page: Callable[[Visit], Awaitable[Page]], common: dict[str, Any]
) -> HTTPRouteHandler:
    @get(path, **common)
    async def handler(request: AnyRequest) -> Page:
        return await page(site.visitors.visit(request))

    return handler


def _poster(
    site: Site, path: str, page: Callable[[Visit], Awaitable[Page]], common: dict[str, Any]
) -> HTTPRouteHandler:
    @post(path, **common)
    async def handler(request: AnyRequest) -> Page:
        return await page(site.visitors.visit(request, await request.body()))

    return handler


def _number(visit: Visit, text: str) -> Msisdn | None:
    number = backend_of(visit.request).parse_number(text)
    return None if isinstance(number, NumberError) else number


def _result_path(payment_id: str) -> str:
    return f"{HOME}/result/{payment_id}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _is_of(view: PaymentView, origin: str) -> bool:
    return bool(view.redirect_url) and _origin(view.redirect_url) == origin
