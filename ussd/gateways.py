"""USSD as other gateways speak it: `/ussd/gateway/{profile}`, by profiles (USSD-2).

What only an engineer can mend (a field that is missing, a token that is wrong) is a problem with a
4xx status, as everywhere.  What happens while somebody looks at his phone (the books are late, the
dialogue is over) is a sentence on his screen, in the gateway's own form, that ends the dialogue.
"""

from collections.abc import Callable, Mapping
from typing import Final

from litestar import HttpMethod, Response, route
from litestar.datastructures import Headers
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_401_UNAUTHORIZED

from telcod.errors import KeyReused, Refusal, TelcodError
from telcod.msisdn import NumberError
from telcod.types import Answer, Request
from telcod.web.auth import BASIC_TOKEN, SCOPES
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.ports import Backend
from telcod.web.problems import PROBLEMS, answer_problem
from telcod.web.staff_requests import Refused
from ussd.gateway_fields import BadBody, read_fields
from ussd.gateway_profile import Heard, Phase, Profile, Written, answered, closed, heard, places
from ussd.http import GATEWAYS, UssdRequest, request_of, tell, wait_s_of
from ussd.steps import Shown, end_request, shown, step_request

PATH: Final = "/ussd/gateway"
TRY_LATER: Final = "He thong dang ban, xin thu lai sau. / Please try again later."

# Whose number nobody could tell from it: the gateway sent something else.
_NO_NUMBER: Final = frozenset({NumberError.EMPTY, NumberError.NAME, NumberError.NOT_A_NUMBER})
_CHALLENGE: Final = 'Basic realm="telcod", charset="UTF-8", Bearer realm="telcod"'


def routes(
    profiles: Mapping[str, Profile], try_later: Callable[[], str] = lambda: TRY_LATER
) -> tuple[HTTPRouteHandler, ...]:
    """A route for each profile.

    Args:
        profiles: By name, as `gateway_file.load_profiles` reads them.
        try_later: What a phone shows when the books can't say anything.
    """
    return tuple(_route(name, profile, try_later) for name, profile in profiles.items())


def _route(name: str, profile: Profile, try_later: Callable[[], str]) -> HTTPRouteHandler:
    path = f"{PATH}/{name}"
    for part in profile.path.split("/") if profile.path else ():
        path += "/" + part.replace("}", ":str}")

    @route(
        path,
        http_method=[HttpMethod(method) for method in dict.fromkeys(profile.methods)],
        summary=f"A gateway that speaks as {name}",
        description=profile.about,
        status_code=HTTP_200_OK,
        tags=["ussd"],
        opt={SCOPES: GATEWAYS, BASIC_TOKEN: True},
        responses=PROBLEMS,
        exception_handlers={Exception: _problem},
        operation_id=lambda _, method, __: f"{method.title()}UssdGateway{name.title()}",
    )
    async def serve(request: UssdRequest) -> Response[bytes]:
        return await _serve(profile, request, try_later)

    return serve


async def _serve(
    profile: Profile, request: UssdRequest, try_later: Callable[[], str]
) -> Response[bytes]:
    said = _heard(profile, request, await request.body())
    platform = request.auth.name
    called = {"session_id": profile.fields.session_id, "service_code": profile.fields.service_code}
    names = {ours: next(iter(places(where)), ours) for ours, where in called.items()}
    if said.said is None:
        over = request_of(lambda: end_request(said.session_id, platform=platform), names)
        # Of one that nobody knows, it is over as well.
        await _told(request, over)
        return _response(profile, closed(profile, said.values))
    asked = _asked(profile, backend_of(request), said, platform=platform, names=names)
    answer = await _told(request, asked)
    screen = Shown("end", "", 0) if answer is None else shown(answer)
    if not screen.text:
        screen = Shown("end", try_later(), screen.step)
    note(request.scope, action=screen.action)
    return _response(profile, answered(profile, said.values, screen))


def _heard(profile: Profile, request: UssdRequest, body: bytes) -> Heard:
    """What the gateway said.

    Raises:
        Refused: It can't be read, or lacks something.
    """
    try:
        fields = read_fields(
            query=request.scope.get("query_string", b""),
            headers=_headers(request.headers),
            path={name: str(value) for name, value in request.path_params.items()},
            body=body,
            form=profile.body,
            charset=profile.charset,
        )
        return heard(profile, fields)
    except BadBody as error:
        raise Refused(Refusal.MALFORMED, f"{error.field} {error}", field=error.field) from error


def _asked(
    profile: Profile, backend: Backend, said: Heard, *, platform: str, names: Mapping[str, str]
) -> Request:
    """The request of a step.

    Raises:
        Refused: Nobody can tell whose step it is, or a field is wrong.
    """
    step = said.said
    if step is None:
        raise AssertionError("a dialogue that is over has no step")
    number = backend.parse_number(step.msisdn)
    if isinstance(number, NumberError) and number in _NO_NUMBER:
        field = next(iter(places(profile.fields.msisdn)))
        raise Refused(Refusal.MALFORMED, f"{field} holds no number", field=field)
    all_inputs = profile.inputs == "all"
    return request_of(
        lambda: step_request(
            said.session_id,
            step,
            platform=platform,
            sender=0 if isinstance(number, NumberError) else number,
            all_inputs=all_inputs,
            # All inputs say by themselves that they begin anew.
            fresh=said.phase is Phase.NEW and not all_inputs,
        ),
        names,
    )


async def _told(request: UssdRequest, asked: Request) -> Answer | None:
    """What the books say; None when they can't."""
    try:
        wait_s = wait_s_of(request)
        return await tell(backend_of(request), asked, request.scope, wait_s=wait_s)
    except (Refused, KeyReused):
        raise
    except TelcodError as error:
        note(request.scope, reason=str(error))
        return None


def _headers(headers: Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _response(profile: Profile, written: Written) -> Response[bytes]:
    in_xml = profile.answer.form == "xml"
    return Response(
        written.body.encode(profile.charset, "xmlcharrefreplace" if in_xml else "replace"),
        media_type=profile.answer.content_type,
        encoding=profile.charset,
        headers={"Cache-Control": "no-store", **written.headers},
    )


def _problem(request: UssdRequest, error: Exception) -> Response[bytes]:
    """As everywhere, and that user and password do: some clients only send what they are asked."""
    response = answer_problem(request, error)
    if response.status_code == HTTP_401_UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = _CHALLENGE
    return response
