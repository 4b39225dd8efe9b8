"""Who may call what: every route of a whole telcod, by every scope, and by nobody (CLI-7, HTTP-1).

A route that is added without a scope fails here until its reason stands in `OPEN`.
"""

import re

import pytest

from telcod.web.auth import SCOPES
from telcod.web.scopes import Scope
from tests.security.whole import make_tokens, routes, whole

# Which tokens open what, by how the path begins.  Said once more than in the code, on purpose.
OPENED_BY = {
    "/admin/v1/": {Scope.ADMIN},
    "/staff/v1/": {Scope.STAFF, Scope.ADMIN},
    "/network/v1/": {Scope.NETWORK, Scope.ADMIN},
    "/ivr/": {Scope.IVR, Scope.ADMIN},
    "/ussd/": {Scope.USSD, Scope.ADMIN},
    "/epay/v1/": {Scope.PORTAL, Scope.ADMIN},
}
# Routes that ask for no token, and what else keeps them.
OPEN = {
    "GET /healthz": "says only whether it lives; monitoring has no token",
    "GET /readyz": "the same",
    "GET /metrics": "the same; numbers of nobody in particular",
    "GET /schema/openapi.json": "the interface is no secret",
    "GET /schema": "the same",
    "GET /schema/{path}": "the same",
    "GET /static/{name}": "style sheet and script",
    "GET /ivr/vxml/audio/{name}": "recordings that anybody may hear",
    "POST /epay/v1/gateway/notifications": "the gateway's signature",
    "GET /pay": "anybody may pay; what changes something needs the form's token",
    "POST /pay/confirm": "the same",
    "POST /pay/change": "the same",
    "POST /pay/start": "the same",
    "GET /pay/lookup": "asks for the payment password",
    "POST /pay/lookup": "the payment password, and its lock",
    "GET /pay/result/{payment_id}": "the payment's id, which cannot be guessed",
    "GET /pay/result/{payment_id}/state": "the same",
    "POST /pay/result/{payment_id}/invoice": "the same, and the form's token",
    "POST /self/v1/login": "a code goes to the phone; limits by number and address",
    "POST /self/v1/login/confirm": "the code, five tries",
    "POST /self/v1/logout": "ends a session; without one it does nothing",
    "GET /me/login": "the way in",
    "POST /me/login": "as /self/v1/login",
    "POST /me/code": "the code, five tries",
    "POST /me/logout": "ends a session; without one it does nothing",
    "POST /me/language": "of the browser; of a session that is checked",
    "GET /console/login": "the way in",
    "POST /console/login": "a token of staff; limits by address",
}
# Routes that are kept by a session: what who has none is answered.
SESSIONS = {
    "/self/v1/": (401, ""),
    "/me": (303, "/me/login"),
    "/console": (303, "/console/login"),
}
FILLED = {
    "centre": "1",
    "day": "2026-03-02",
    "msisdn": "0903000009",
    "name": "day",
    "kind": "white",
    "number": "0903000009",
}
# Bodies that are right, so that nothing but the missing session is wrong.
BODIES = {
    "POST /self/v1/package": {"package": "day"},
    "POST /self/v1/lists/{kind}": {"number": "0903000009"},
    "PUT /self/v1/notices": {"wanted": True},
    "PUT /self/v1/language": {"language": "en"},
    "POST /self/v1/requests/{waiting}": {"accept": True},
}
FORMS = {"POST /me/lists/{kind}/remove": {"number": "0903000009"}}

pytestmark = [pytest.mark.anyio, pytest.mark.rule("CLI-7", "HTTP-1")]


def session_of(name):
    path = name.split()[1]
    if name in OPEN:
        return None
    return next((known for begin, known in SESSIONS.items() if path.startswith(begin)), None)


def ask_of(name):
    """A request to a route that changes nothing, whoever sends it."""
    method, path = name.split()
    filled = re.sub(r"\{(\w+)\}", lambda found: FILLED.get(found[1], "nobody"), path)
    return method, filled


def check_that_all_are_kept(found):
    """Every route has a scope, a session, or a reason."""
    unkept = {
        name
        for name, handler in found.items()
        if not handler.opt.get(SCOPES) and session_of(name) is None and name not in OPEN
    }
    assert not unkept
    assert not OPEN.keys() - found.keys(), "these are gone"
    assert not {name for name in OPEN if found[name].opt.get(SCOPES)}, "these have a scope by now"
    assert len(found) > 80


async def test_each_scope_opens_its_own_routes_and_a_route_without_one_has_a_reason(tmp_path):
    wrong = []
    async with whole(tmp_path) as (telcod, client):
        check_that_all_are_kept(routes(telcod))
        tokens = await make_tokens(telcod)
        # Addresses end up in the logs of proxies: one that holds a token opens calls, and no more.
        for scope, token in tokens.items():
            said = await client.get("/ivr/vxml/announce", params={"token": token})
            assert said.status_code == (200 if scope is Scope.IVR else 403), scope
        kept = [name for name, handler in routes(telcod).items() if handler.opt.get(SCOPES)]
        for name in kept:
            method, path = ask_of(name)
            (good,) = (scopes for begin, scopes in OPENED_BY.items() if path.startswith(begin))
            for scope, token in tokens.items():
                headers = {"Authorization": f"Bearer {token}"}
                status = (await client.request(method, path, headers=headers)).status_code
                if (status not in {401, 403}) != (scope in good) or status >= 500:
                    wrong.append((name, str(scope), status))
            for headers in ({}, {"Authorization": "Bearer telcod_made_up"}):
                status = (await client.request(method, path, headers=headers)).status_code
                if status != 401:
                    wrong.append((name, str(headers), status))
    assert not wrong
    assert len(kept) > 40


async def test_what_a_session_keeps_is_shown_to_nobody_without_one(tmp_path):
    wrong = []
    async with whole(tmp_path) as (telcod, client):
        tokens = await make_tokens(telcod)
        origin = {"Origin": str(client.base_url).rstrip("/")}
        names = [name for name in routes(telcod) if session_of(name) is not None]
        for name in names:
            method, path = ask_of(name)
            status, leads_to = session_of(name)
            # An operator's token is no session of anybody.
            for more in ({}, {"Authorization": f"Bearer {tokens[Scope.ADMIN]}"}):
                headers = {**origin, **more}
                sent = {"json": BODIES[name]} if name in BODIES else {"data": FORMS.get(name)}
                answer = await client.request(method, path, headers=headers, **sent)
                where = answer.headers.get("location", "").partition("?")[0]
                if (answer.status_code, where) != (status, leads_to):
                    wrong.append((name, answer.status_code, where))
    assert not wrong
    assert len(names) > 40
