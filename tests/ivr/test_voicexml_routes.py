"""VoiceXML over HTTP, through a small voice browser: dialogues, tokens, recordings, silence."""

import contextlib
import urllib.parse
from typing import Any

import httpx
import pytest

from ivr import voicexml_routes
from ivr.voicexml import MEDIA_TYPE
from telcod.errors import Overloaded
from telcod.types import Channel, Request
from telcod.web.app import make_app
from telcod.web.scopes import Scope
from tests.ivr.asterisk import AN, books
from tests.ivr.test_voicexml import V, literal, valid
from tests.web.fake_backend import RULES

pytestmark = [pytest.mark.anyio, pytest.mark.rule("IVR-4")]

TO_BINH = "15660903000002"
CALL = "17.1"


class Browser:
    """A voice browser that knows as much of VoiceXML as telcod's documents need."""

    def __init__(self, client, token):
        self._client = client
        self._token = token
        self.heard = []

    async def fetch(self, path, **parameters):
        return await self._client.get(
            f"/ivr/vxml/{path}", params=parameters | {"token": self._token}
        )

    async def run(self, path, *events, **parameters):
        """Run a document and those that follow, B doing these things; what it returns."""
        answer = await self.fetch(path, **parameters)
        for event in (*events, None):
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith(MEDIA_TYPE)
            root = valid(answer.text)
            self.heard.append("".join("".join(each.itertext()) for each in root.iter(f"{V}prompt")))
            if event is None or root.find(f".//{V}field") is None:
                return _returned(root)
            answer = await self._answer(answer, root, event)
        raise AssertionError

    async def _answer(self, answer, root, event):
        keys = {item.text for item in root.iter(f"{V}item")}
        if event == "hangup":
            [handler] = [
                each for each in root.iter(f"{V}catch") if "disconnect" in each.get("event")
            ]
        else:
            matched = "filled" if event in keys else "nomatch"
            handler = root.find(f".//{V}{matched if event else 'noinput'}")
        values = _variables(root) | {"pressed": event}
        for assign in handler.iter(f"{V}assign"):
            expression = assign.get("expr")
            values[assign.get("name")] = values.get(expression) or literal(expression)
        submit = handler.find(f"{V}submit")
        url = urllib.parse.urljoin(str(answer.request.url), submit.get("next"))
        form = {name: values[name] for name in submit.get("namelist").split()}
        return await self._client.post(url, data=form)


def _variables(root):
    return {var.get("name"): literal(var.get("expr")) for var in root.iter(f"{V}var")}


def _returned(root):
    found = root.find(f".//{V}block/{V}return")
    names = (found.get("namelist") or "").split() if found is not None else ()
    return {name: _variables(root)[name] for name in names}


@pytest.fixture
def backend():
    return books()


@pytest.fixture
async def browser(backend, tmp_path):
    async with browsing(backend, tmp_path) as browser:
        yield browser


@contextlib.asynccontextmanager
async def browsing(backend, folder, scope=Scope.IVR):
    app: Any = make_app(backend, control=False, dialects=voicexml_routes.routes(folder))
    token = backend.token(scope, "pbx")["Authorization"].removeprefix("Bearer ")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://telcod") as client:
        yield Browser(client, token)


async def dial(browser, dialled=TO_BINH):
    return await browser.run("offer", call_id=CALL, caller=str(AN), dialled=dialled)


def call(backend):
    shown = Request("call.show", args=(CALL,), channel=Channel.IVR, actor="pbx")
    return backend.take(shown).data


async def test_b_is_asked_and_accepts(backend, browser):
    offered = await dial(browser)
    assert offered == offered | {"action": "ask", "payer": "84903000002"}
    agreed = await browser.run("consent", "1", call_id=CALL)
    assert agreed == agreed | {"action": "connect", "max_seconds": 600, "warn_seconds": 30}
    assert "0 9 0 3 0 0 0 0 0 1" in browser.heard[-2]
    assert "1.500 đồng" in browser.heard[-2]
    assert call(backend)["state"] == "granted"


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (["2"], "declined"),
        (["", "", ""], "silent"),
        (["9", "3", ""], "silent"),
        (["", "hangup"], "hung_up"),
    ],
)
async def test_nobody_is_joined_without_consent(backend, browser, events, reason):
    await dial(browser)
    refused = await browser.run("consent", *events, call_id=CALL)
    assert refused["action"] == "refuse"
    assert call(backend)["reason"] == reason


@pytest.mark.rule("PFM-12", "HTTP-2")
async def test_an_answer_that_is_posted_twice_counts_once(backend, browser):
    await dial(browser)
    first = await browser.fetch("consent", call_id=CALL)
    for _ in range(5):
        await browser._answer(first, valid(first.text), "")
    assert call(backend)["state"] == "asking"


@pytest.mark.rule("PFM-10", "PFM-13")
async def test_a_hears_what_he_must_and_the_answer_says_so(browser):
    assert (await dial(browser, "1566 0903000001"))["action"] == "refuse"
    assert browser.heard[-1] == RULES.prompts.render("refused_not_served", "vi")


@pytest.mark.rule("PFM-3")
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_the_guidance_is_announced_in_both_languages(browser, language):
    await browser.run("announce", language=language)
    assert browser.heard == [RULES.prompts.render("guidance", language)]
    assert await browser.run("announce", prompt_id="refused", subdialog="true") == {}


async def test_books_that_are_overloaded_are_a_refusal_that_the_browser_can_run(backend, browser):
    backend.raises = Overloaded("too many wait")
    assert (await dial(browser))["reason"] == "unavailable"
    assert browser.heard == [RULES.prompts.render("unavailable", "vi")]


@pytest.mark.rule("HTTP-1")
async def test_a_token_is_needed_and_its_scope(backend, tmp_path):
    async with browsing(backend, tmp_path, scope=Scope.USSD) as browser:
        assert (await browser.fetch("consent", call_id=CALL)).status_code == 403
        browser._token = "wrong"
        assert (await browser.fetch("consent", call_id=CALL)).status_code == 401
        assert (await browser._client.get("/ivr/vxml/consent?call_id=1")).status_code == 401
        # Only these routes take it from the address.
        staff = await browser._client.get("/staff/v1/subscribers/1?token=telcod_pbx")
        assert staff.status_code == 401


async def test_a_browser_that_can_send_headers_needs_no_token_in_its_addresses(backend, browser):
    headers = {"Authorization": f"Bearer {browser._token}"}
    parameters = {"call_id": CALL, "caller": str(AN), "dialled": TO_BINH}
    await browser._client.get("/ivr/vxml/offer", params=parameters, headers=headers)
    asked = await browser._client.get(f"/ivr/vxml/consent?call_id={CALL}", headers=headers)
    [to] = {submit.get("next") for submit in valid(asked.text).iter(f"{V}submit")}
    assert to == f"consent?call_id={CALL}&repeat=1"


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("consent", {}, 400),
        ("consent", {"call_id": ""}, 404),
        ("consent", {"call_id": "a/b"}, 400),
        ("offer", {"call_id": CALL}, 400),
        ("announce", {"prompt_id": "ask"}, 404),
        ("announce", {"language": "xx"}, 400),
        ("audio/vi/nothing.wav", {}, 404),
    ],
)
async def test_what_makes_no_sense_is_a_problem(browser, path, parameters, status):
    answer = await browser.fetch(path, **parameters)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"result": "perhaps"},
        {"result": "digit", "digit": "x"},
        {"result": "digit", "more": "1"},
    ],
)
async def test_a_form_that_makes_no_sense_counts_as_nothing(backend, browser, form):
    await dial(browser)
    url = f"/ivr/vxml/consent?call_id={CALL}&repeat=1&token={browser._token}"
    answer = await browser._client.post(url, data=form)
    assert answer.status_code == 400
    assert call(backend)["state"] == "asking"


# -- recordings


@pytest.fixture
def recorded(tmp_path):
    for name in RULES.prompts.recordings("vi"):
        path = tmp_path / "vi" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"RIFF {name}".encode())
    return tmp_path


@pytest.mark.rule("IVR-6")
async def test_the_question_plays_recordings_when_all_of_it_was_recorded(browser, recorded):
    await dial(browser)
    asked = await browser.fetch("consent", call_id=CALL)
    sources = [audio.get("src") for audio in valid(asked.text).iter(f"{V}audio")]
    assert sources[:3] == ["audio/vi/ask.1.wav", "audio/vi/numbers/0.wav", "audio/vi/numbers/9.wav"]
    contents = []
    for source in sources:
        answer = await browser._client.get(urllib.parse.urljoin(str(asked.request.url), source))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/wav"
        contents.append(answer.content)
    assert contents[-1] == b"RIFF ask.4"


@pytest.mark.rule("IVR-6")
async def test_a_question_that_was_half_recorded_is_spoken(browser, recorded):
    (recorded / "vi" / "numbers" / "0.wav").unlink()
    await dial(browser)
    asked = await browser.fetch("consent", call_id=CALL)
    assert not list(valid(asked.text).iter(f"{V}audio"))
    assert (await browser.fetch("audio/vi/numbers/0.wav")).status_code == 404


@pytest.mark.rule("IVR-6")
@pytest.mark.parametrize(
    "name", ["../secret.wav", "vi/../../secret.wav", "vi/prompts.toml", "xx/ask.1.wav", "vi/ask.1"]
)
async def test_no_name_leads_to_another_file(browser, recorded, name):
    (recorded.parent / "secret.wav").write_bytes(b"secret")
    (recorded / "vi" / "prompts.toml").write_bytes(b"secret")
    answer = await browser.fetch(f"audio/{urllib.parse.quote(name, safe='/')}")
    assert answer.status_code in {400, 401, 404}
    assert b"secret" not in answer.content
