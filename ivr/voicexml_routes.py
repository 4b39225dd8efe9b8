"""VoiceXML over HTTP: `/ivr/vxml/…`, documents for a voice browser, and the recordings they name
(IVR-4, IVR-6).

The calls are those of `/ivr/v1/calls` of the same token: one may offer here and end there.  Voice
browsers can't send a token in a header, so these routes take it as the parameter `token` as well;
documents that follow carry it on.  A browser that gets a document can run it, so the books' silence
is answered by a document too: one that refuses.
"""

from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from litestar import Request as HttpRequest
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_404_NOT_FOUND

from ivr import calls, voicexml
from ivr.calls import CallAnswer, Consent, Offer, Result
from ivr.http import decided, form_fields, request_of
from ivr.voicexml import Said
from telcod.errors import Refusal
from telcod.msisdn import NumberError
from telcod.prompts import REQUIRED, Prompts
from telcod.types import Language
from telcod.web.auth import QUERY_TOKEN, SCOPES, Caller
from telcod.web.open_routes import OpenOperation, backend_of
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused

VoiceRequest = HttpRequest[Any, Caller, Any]

ENDING: Final = ".wav"
RECORDING_TYPE: Final = "audio/wav"
RECORDING_BYTES_MAX: Final = 4 * 1024 * 1024  # four minutes; a prompt has less than one
RECORDING_KEPT_S: Final = 300

_SPOKEN: Final = frozenset({"refuse", "busy", "announce"})
# What can be said without knowing a call.
_ANNOUNCED: Final = tuple(sorted(prompt for prompt, places in REQUIRED.items() if not places))

CallId = Annotated[str, QueryParameter(description="The platform's own id of the call.")]
CallerNumber = Annotated[str, QueryParameter(description="A's number, in any form.")]
Dialled = Annotated[str, QueryParameter(description="What A dialled: 1566 and a number.")]
Repeat = Annotated[int, QueryParameter(description="Which question this answers.", ge=0, le=100)]
PromptId = Annotated[str, QueryParameter(description="One without places for numbers.")]
Spoken = Annotated[Language, QueryParameter(description="Which of the languages.")]
Within = Annotated[bool, QueryParameter(description="Whether another dialog called this one.")]
_COMMON: Final[dict[str, Any]] = {
    "tags": ["ivr"],
    "opt": {SCOPES: (Scope.IVR, Scope.ADMIN), QUERY_TOKEN: True},
    "responses": PROBLEMS,
    "media_type": voicexml.MEDIA_TYPE,
}


class _Heard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document sends back."""

    result: Result
    digit: str = ""


class _Voice(NamedTuple):
    """The folder of prompts, and which of it was recorded."""

    folder: Path

    def said(self, answer: CallAnswer, prompts: Prompts) -> Said:
        """A prompt's text and, when all of it was recorded, its recordings.

        One that was half recorded is spoken as a whole: two voices in a sentence are worse.
        """
        files = answer.prompt_files.split("&") if answer.prompt_files else []
        if not files or not all((self.folder / f"{file}{ENDING}").is_file() for file in files):
            return Said(answer.prompt_text)
        held = prompts.recordings(files[0].partition("/")[0])
        return Said(
            answer.prompt_text,
            [(f"audio/{quote(file)}{ENDING}", held[file.partition("/")[2]]) for file in files],
        )


def routes(folder: Path) -> tuple[HTTPRouteHandler, ...]:
    """The routes, with the recordings that are in a folder of prompts."""
    voice = _Voice(folder)

    @get("/ivr/vxml/offer", summary="Somebody dials: a subdialog", **_COMMON)
    async def offer(
        request: VoiceRequest, call_id: CallId, caller: CallerNumber, dialled: Dialled
    ) -> Response[str]:
        """Runs on A's side.  Says what A must hear when he is not to be connected, and returns
        `action`, `payer`, `max_seconds`, `warn_seconds`, `reason`.
        """
        number = backend_of(request).parse_number(caller)
        said = Offer(call_id, caller, dialled)
        known = 0 if isinstance(number, NumberError) else number
        asked = request_of(lambda: calls.offer(said, platform=request.auth.name, caller=known))
        answer = await decided(request, asked)
        spoken = (
            voice.said(answer, backend_of(request).prompts) if answer.action in _SPOKEN else None
        )
        return _document(voicexml.answer(answer, spoken))

    @get("/ivr/vxml/consent", summary="Ask B: a subdialog", **_COMMON)
    async def ask(request: VoiceRequest, call_id: CallId) -> Response[str]:
        """Runs on B's side, after an offer whose `action` was `ask`.  Asks as often as must be, and
        returns the same as an offer: `connect`, or not.
        """
        # The same call offered again is told what stands, and changes nothing.
        again = Offer(call_id, "", "")
        asked = request_of(lambda: calls.offer(again, platform=request.auth.name, caller=0))
        return _next(request, voice, call_id, await decided(request, asked))

    @post("/ivr/vxml/consent", summary="What B did", status_code=HTTP_200_OK, **_COMMON)
    async def consent(request: VoiceRequest, call_id: CallId, repeat: Repeat = 0) -> Response[str]:
        """The documents of the question post here themselves."""
        heard = _heard(form_fields(await request.body()))
        said = Consent(heard.result, digit=heard.digit, repeat=repeat)
        asked = request_of(lambda: calls.consent(call_id, said, platform=request.auth.name))
        return _next(request, voice, call_id, await decided(request, asked))

    @get("/ivr/vxml/announce", summary="Say something", sync_to_thread=True, **_COMMON)
    def announce(
        request: VoiceRequest,
        prompt_id: PromptId = "guidance",
        language: Spoken = Language.VI,
        subdialog: Within = False,  # noqa: FBT002  # a parameter of the address
    ) -> Response[str]:
        """The guidance announcement, or any other prompt by its id; free for who hears it."""
        if prompt_id not in _ANNOUNCED:
            known = ", ".join(_ANNOUNCED)
            raise Refused(Refusal.NOT_FOUND, f"there are the prompts {known}", field="prompt_id")
        prompts = backend_of(request).prompts
        answer = CallAnswer(
            "announce",
            prompt_text=prompts.render(prompt_id, language),
            prompt_files="&".join(prompts.files(prompt_id, language)),
        )
        said = voice.said(answer, prompts)
        return _document(voicexml.announcement(language.value, said, subdialog=subdialog))

    @get("/ivr/vxml/audio/{name:path}", summary="A recording", sync_to_thread=True, **_OPEN)
    def audio(
        request: HttpRequest[Any, Any, Any],
        name: Annotated[str, PathParameter(description="As the documents name it.")],
    ) -> Response[bytes]:
        """A recording of a prompt; open, because it is what anybody may hear."""
        return _recording(folder, backend_of(request).prompts, name)

    return (offer, ask, consent, announce, audio)


_OPEN: Final[dict[str, Any]] = {
    "tags": ["ivr"],
    "operation_class": OpenOperation,
    "media_type": RECORDING_TYPE,
    "responses": {status: PROBLEMS[status] for status in (400, HTTP_404_NOT_FOUND, 500)},
}


def _next(request: VoiceRequest, voice: _Voice, call_id: str, answer: CallAnswer) -> Response[str]:
    """The document that follows: the question again, or what B's side came to."""
    if answer.action != "ask":
        return _document(voicexml.answer(answer))
    parameters = {"call_id": call_id, "repeat": str(answer.repeat)}
    if token := request.query_params.get("token"):
        parameters["token"] = token
    said = voice.said(answer, backend_of(request).prompts)
    address = f"consent?{urlencode(parameters)}"
    return _document(voicexml.question(answer, said, answer_to=address))


def _heard(fields: dict[str, str]) -> _Heard:
    try:
        return msgspec.convert(fields, _Heard)
    except msgspec.ValidationError as error:
        raise Refused(Refusal.MALFORMED, str(error).replace("`", ""), field="result") from error


def _document(text: str) -> Response[str]:
    return Response(text, media_type=voicexml.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _recording(folder: Path, prompts: Prompts, name: str) -> Response[bytes]:
    """A recording that a prompt may name: no other name leads to any file."""
    language, _, stem = name.strip("/").removesuffix(ENDING).partition("/")
    known = language in set(Language) and stem in prompts.recordings(language)
    path = folder / language / f"{stem}{ENDING}"
    if not known or not name.endswith(ENDING):
        raise Refused(Refusal.NOT_FOUND, "there is no such recording")
    try:
        with path.open("rb") as file:
            content = file.read(RECORDING_BYTES_MAX)
    except OSError:
        raise Refused(Refusal.NOT_FOUND, "this was not recorded") from None
    headers = {"Cache-Control": f"public, max-age={RECORDING_KEPT_S}"}
    return Response(content, media_type=RECORDING_TYPE, headers=headers)
