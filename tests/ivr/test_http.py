"""Voice over HTTP as an interface: what it takes, how it refuses, and that nobody waits for it."""

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from ivr import calls
from ivr.http import ROUTES, form_fields
from ivr.shortcut import found
from telcod.errors import Overloaded, StoreFull, Unavailable
from telcod.simulator.ivr import SimulatedIvr
from telcod.web.app import make_app
from telcod.web.limits import WebLimits
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused
from tests.ivr.operator import BINH, TO_BINH, Operator, price
from tests.web.by_shortcut import ByShortcut
from tests.web.fake_backend import post_by

pytestmark = pytest.mark.anyio

CALLS = "/ivr/v1/calls"
OFFER = {"call_id": "1", "caller": "0903000001", "dialled": TO_BINH}
FLAT = {
    "action",
    "payer",
    "max_seconds",
    "warn_seconds",
    "reason",
    "prompt_id",
    "prompt_text",
    "prompt_files",
    "language",
    "keys",
    "answer_within_s",
    "repeat",
}
MALFORMED = [
    (CALLS, OFFER | {"call_id": "x" * 129}, "call_id"),
    (CALLS, OFFER | {"call_id": "a/b"}, "call_id"),
    (CALLS, OFFER | {"call_id": "a b"}, "call_id"),
    (CALLS, OFFER | {"call_id": "cuộc"}, "call_id"),
    (CALLS, OFFER | {"call_id": ".."}, "call_id"),
    (CALLS, {"call_id": "1", "dialled": TO_BINH}, "caller"),
    (CALLS, OFFER | {"caller": ""}, "caller"),
    (CALLS, {"call_id": "1", "caller": "0903000001"}, "dialled"),
    (CALLS, OFFER | {"dialled": ""}, "dialled"),
    (CALLS, OFFER | {"dialled": "1" * 65}, "dialled"),
    (CALLS, OFFER | {"at": "yesterday"}, "at"),
    (CALLS, OFFER | {"at": "2026-03-02T10:00:00"}, "at"),
    (CALLS, OFFER | {"at": 12}, "at"),
    (CALLS, OFFER | {"at": "1e400"}, "at"),
    # Made a whole number, it would keep the process busy for minutes.
    (CALLS, OFFER | {"at": "1e999999999"}, "at"),
    (CALLS, OFFER | {"at": "-1e999999999"}, "at"),
    (CALLS, OFFER | {"at": "1e-999999999"}, "at"),
    (CALLS, OFFER | {"colour": "red"}, "colour"),
    ("{}/consent", {}, "result"),
    ("{}/consent", {"result": "perhaps"}, "result"),
    ("{}/consent", {"result": "digit"}, "digit"),
    ("{}/consent", {"result": "digit", "digit": "A"}, "digit"),
    ("{}/consent", {"result": "digit", "digit": "11"}, "digit"),
    ("{}/consent", {"result": "digit", "digit": "\u0661"}, "digit"),
    ("{}/consent", {"result": "silence", "digit": "1"}, "digit"),
    ("{}/consent", {"result": "busy", "recording": "a\x00"}, "recording"),
    ("{}/consent", {"result": "busy", "recording": "a" * 129}, "recording"),
    ("{}/progress", {"used_seconds": -1}, "used_seconds"),
    ("{}/progress", {"used_seconds": "many"}, "used_seconds"),
    ("{}/progress", {"used_seconds": "nan"}, "used_seconds"),
    ("{}/progress", {"used_seconds": 10**12}, "used_seconds"),
    ("{}/ended", {"used_seconds": -5}, "used_seconds"),
    ("{}/ended", {"at": "2026-13-45T00:00:00Z"}, "at"),
    ("{}/ended", {"cause": "a\nb"}, "cause"),
    ("{}/answered", {"at": "12:00"}, "at"),
]


def problem(told, status, code=None):
    assert told.status == status, told
    assert told.get("status") == status
    assert code is None or told.get("code") == code
    return [error["field"] for error in told.get("errors")]


@pytest.fixture(params=[False, True], ids=["JSON", "form"])
async def either(request, tmp_path):
    """Telcod before a platform that posts JSON, and before one that posts forms."""
    async with Operator(tmp_path, form=request.param) as running:
        yield running


class Slow:
    """The daemon, but what is asked of the books waits at a door."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.door = asyncio.Event()
        self.raises = None
        self.late = []
        self.ivr: Any = None

    def __getattr__(self, name):
        return getattr(self.daemon, name)

    async def submit(self, request):
        if self.raises is not None:
            raise self.raises
        if not self.door.is_set():
            self.late.append(request)
            await self.door.wait()
        return await self.daemon.submit(request)

    def post(self, request, told):
        post_by(self.submit, request, told)

    async def catch_up(self):
        """What came too late is carried out all the same."""
        self.door.set()
        late, self.late = self.late, []
        return [await self.daemon.submit(request) for request in late]


@pytest.fixture(params=[False, True], ids=["framework", "shortcut"])
async def slow(request, operator):
    """A telcod whose books can be made slow, behind an application that waits 0.5 s for them."""
    slow = Slow(operator.daemon)
    limits = WebLimits(answer_wait_s=0.5)
    framework = make_app(slow, control=False, limits=limits, dialects=ROUTES)
    app: Any = ByShortcut(framework, found) if request.param else framework
    token = await operator.token("hurried")
    transport = httpx.ASGITransport(app=app)
    async with SimulatedIvr("http://telcod", token, transport=transport) as slow.ivr:
        yield slow


# ------------------------------------------------------------------------------------- a whole call


@pytest.mark.rule("IVR-1", "IVR-2", "IVR-3")
async def test_a_whole_call_in_json_and_in_forms(either):
    ivr = either.ivr
    asked = await ivr.offer("1", "+84903000001", TO_BINH, at="2026-03-02T10:00:00+07:00")
    assert asked.get("action") == "ask"
    assert (await ivr.consent("1", "silence")).get("repeat") == 2
    connected = await ivr.consent("1", "1", recording="r-17")
    assert (connected.get("action"), connected.get("max_seconds")) == ("connect", 600)
    assert (await ivr.answered("1")).body == {"max_seconds": 600, "final": False}
    assert (await ivr.progress("1", 59.2)).body == {"max_seconds": 660, "final": False}
    assert (await ivr.show("1")).body == {
        "state": "talking",
        "reason": "",
        "max_seconds": 660,
        "used_seconds": 60,
        "charged_vnd": 0,
        "billed_seconds": 0,
    }
    ended = await ivr.ended("1", 65, cause="16")
    assert ended.body == {"charged_vnd": price(65), "billed_seconds": 65}
    assert (await ivr.show("1")).get("state") == "ended"
    assert await either.balance(BINH) == 20_000 - price(65)


@pytest.mark.rule("IVR-1", "IVR-2")
async def test_an_answer_is_one_flat_object_of_strings_and_numbers(operator):
    told = [
        await operator.ask("1"),
        await operator.ivr.consent("1", "1"),
        await operator.ivr.offer("2", "0903000001", "1566"),
        await operator.ivr.offer("3", "0903000001", "0903000002"),
        await operator.ivr.offer("4", "0903000001", "156612"),
    ]
    actions = [each.get("action") for each in told]
    assert actions == ["ask", "connect", "announce", "not_applicable", "refuse"]
    for each in told:
        assert each.body.keys() == FLAT
        assert all(type(value) in {str, int} for value in each.body.values())


@pytest.mark.rule("IVR-1", "HTTP-2")
async def test_the_same_report_again_gets_the_same_answer(operator):
    reports = [
        (CALLS, OFFER),
        (f"{CALLS}/1/consent", {"result": "digit", "digit": "1"}),
        (f"{CALLS}/1/answered", {}),
        (f"{CALLS}/1/progress", {"used_seconds": 30}),
        (f"{CALLS}/1/ended", {"used_seconds": 60}),
    ]
    for path, said in reports:
        first = await operator.ivr.post(path, said)
        assert first.status == 200
        assert (await operator.ivr.post(path, said)).content == first.content
    assert await operator.charges() == [1_500]


@pytest.mark.rule("IVR-2", "HTTP-2")
async def test_a_silence_that_names_its_question_counts_once(operator):
    await operator.ask()
    first = await operator.ivr.consent("1", "silence", repeat=1)
    again = await operator.ivr.consent("1", "silence", repeat=1)
    assert first.get("repeat") == 2
    assert again.body == first.body
    assert (await operator.ivr.consent("1", "1", repeat=1)).status == 409  # another answer to it
    assert (await operator.ivr.consent("1", "1", repeat=2)).get("action") == "connect"


# ------------------------------------------------------------------------------------ what is wrong


@pytest.mark.rule("IVR-1", "IVR-2", "IVR-3", "HTTP-1")
async def test_what_is_malformed_is_refused_by_its_field_and_changes_nothing(either):
    await either.talk("1")
    balance, before = await either.account(BINH), await either.call("1")
    # A form has no empty fields and no types: what is wrong there is wrong in the same way.
    for path, said, field in MALFORMED:
        told = await either.ivr.post(path.format(f"{CALLS}/1"), said)
        if said:
            assert problem(told, 400, "malformed") == [field], (path, said)
        else:
            assert problem(told, 400, "malformed") in (["result"], ["body"])
    assert await either.account(BINH) == balance
    assert await either.call("1") == before


NOTHING = [
    (b"", "application/json"),
    (b"null", "application/json"),
    (b"[]", "application/json"),
    (b"{", "application/json"),
    (b"\xff\xfe", "application/json"),
    (b"[" * 5_000, "application/json"),
    (b"nothing to see", "text/plain"),
    (b"call_id=%ff&caller=1&dialled=2", "application/x-www-form-urlencoded"),
    (b"call_id=1&caller=1&dialled=2&caller=3", "application/x-www-form-urlencoded"),
    (b"&".join(b"f%d=1" % n for n in range(40)), "application/x-www-form-urlencoded"),
]


@pytest.mark.rule("HTTP-1")
async def test_a_body_that_is_nothing_is_refused(slow):
    for content, kind in NOTHING:
        headers = {"content-type": kind}
        response = await slow.ivr._client.post(CALLS, content=content, headers=headers)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
    assert not slow.late


@pytest.mark.rule("IVR-3")
async def test_json_under_a_forms_name_is_json(slow):
    slow.door.set()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = await slow.ivr._client.post(CALLS, content=json.dumps(OFFER), headers=headers)
    assert response.json()["action"] == "ask"


@pytest.mark.rule("IVR-3")
def test_an_empty_field_of_a_form_counts_as_left_out():
    assert form_fields(b"used_seconds=&at=&cause=16") == {"cause": "16"}
    assert form_fields(b"caller=+84903000001") == {"caller": " 84903000001"}
    for body, field in ((b"a=1&a=2", "a"), (b"=1&=2", "body")):
        with pytest.raises(Refused) as caught:
            form_fields(body)
        assert caught.value.field == field


@pytest.mark.rule("IVR-3", "HTTP-1")
async def test_an_unknown_call_or_none_is_not_found(operator):
    for op, said in (
        ("consent", {"result": "busy"}),
        ("answered", {}),
        ("progress", {"used_seconds": 3}),
        ("ended", {}),
    ):
        problem(await operator.ivr.post(f"{CALLS}/nobody/{op}", said), 404, "not_found")
        problem(await operator.ivr.post(f"{CALLS}//{op}", said), 404, "not_found")
    problem(await operator.ivr.show("nobody"), 404, "not_found")
    problem(await operator.ivr.show(""), 404, "not_found")
    assert problem(await operator.ivr.post(CALLS, OFFER | {"call_id": ""}), 404) == ["call_id"]
    problem(await operator.ivr.post(f"{CALLS}/1/nothing", {}), 404)
    assert problem(await operator.ivr.show("x" * 129), 400) == ["call_id"]
    assert not await operator.open_holds()


@pytest.mark.rule("HTTP-1", "IVR-1")
async def test_only_a_token_of_a_platform_opens_it(operator):
    for token, status in (
        ("telcod_unknown", 401),
        (await operator.token("menus", Scope.USSD), 403),
        (await operator.token("people", Scope.STAFF), 403),
        (await operator.token("boss", Scope.ADMIN), 200),
    ):
        async with SimulatedIvr(operator.url, token) as ivr:
            told = await ivr.offer("1", "0903000001", TO_BINH)
            assert told.status == status
            assert (await ivr.show("1")).status == status
    assert await operator.call("1") is None


@pytest.mark.rule("HTTP-1")
async def test_a_body_beyond_64_kib_is_too_large(operator):
    told = await operator.ivr.post(CALLS, OFFER | {"dialled": "1" * 70_000})
    problem(told, 413, "too_large")


# ------------------------------------------------------------------------------------------ in time


def unavailable(told):
    assert told.status == 200
    assert told.body.keys() == FLAT
    assert (told.get("action"), told.get("reason")) == ("refuse", "unavailable")
    assert told.get("prompt_id") == "unavailable"
    assert told.get("prompt_text").startswith("Dịch vụ đang tạm thời gián đoạn")
    assert told.get("max_seconds") == 0


@pytest.mark.rule("IVR-3")
async def test_an_offer_that_the_books_do_not_decide_in_time_is_refused_safely(operator, slow):
    unavailable(await slow.ivr.offer("1", "0903000001", TO_BINH))
    (late,) = await slow.catch_up()
    assert late.data["action"] == "ask"  # nobody hears it
    operator.pass_s(3_600)
    await operator.tick()
    assert (await operator.call("1", "hurried")).state == "refused"
    await operator.ask("2", caller="0903000003")  # Binh is free again


@pytest.mark.rule("IVR-3", "PFM-15", "PFM-17")
async def test_a_consent_that_is_late_leaves_no_hold_for_ever(operator, slow):
    slow.door.set()
    await slow.ivr.offer("1", "0903000001", TO_BINH)
    slow.door.clear()
    unavailable(await slow.ivr.consent("1", "1"))
    (late,) = await slow.catch_up()
    assert late.data["action"] == "connect"
    assert await operator.held(BINH) == 15_000
    operator.pass_s(150)
    assert await operator.tick() == ["call.suspect"]
    assert await operator.held(BINH) == 0
    assert not await operator.charges()
    assert await operator.balance(BINH) == 20_000


@pytest.mark.rule("IVR-3", "PFM-15")
async def test_a_platform_that_reports_the_end_of_a_refused_call_frees_the_money_at_once(
    operator, slow
):
    slow.door.set()
    await slow.ivr.offer("1", "0903000001", TO_BINH)
    slow.door.clear()
    unavailable(await slow.ivr.consent("1", "1"))
    await slow.catch_up()
    assert (await slow.ivr.ended("1")).body == {"charged_vnd": 0, "billed_seconds": 0}
    assert await operator.held(BINH) == 0


@pytest.mark.rule("IVR-3", "HTTP-1")
async def test_reports_that_the_books_do_not_take_in_time_are_to_come_again(slow):
    slow.door.set()
    await slow.ivr.offer("1", "0903000001", TO_BINH)
    await slow.ivr.consent("1", "1")
    slow.door.clear()
    for op, said in (("answered", {}), ("progress", {"used_seconds": 1}), ("ended", {})):
        response = await slow.ivr._client.post(f"{CALLS}/1/{op}", json=said)
        assert response.status_code == 503
        assert response.json()["code"] == "unavailable"
        assert int(response.headers["retry-after"]) > 0
    assert (await slow.ivr.show("1")).status == 503


@pytest.mark.rule("IVR-3", "HTTP-1")
@pytest.mark.parametrize(
    "error",
    [Overloaded("too many wait"), Unavailable("stopping"), StoreFull("no room")],
    ids=["overloaded", "stopping", "disk full"],
)
async def test_who_cannot_be_served_is_refused_safely(operator, slow, error):
    slow.raises = error
    unavailable(await slow.ivr.offer("1", "0903000001", TO_BINH))
    unavailable(await slow.ivr.consent("1", "1"))
    for told in (await slow.ivr.progress("1", 5), await slow.ivr.ended("1", 5)):
        problem(told, 503)
    assert await operator.call("1", "hurried") is None


@pytest.mark.rule("IVR-3")
async def test_after_a_safe_refusal_the_same_offer_may_be_tried_again(slow):
    slow.raises = Overloaded("too many wait")
    unavailable(await slow.ivr.offer("1", "0903000001", TO_BINH))
    slow.raises = None
    slow.door.set()
    assert (await slow.ivr.offer("1", "0903000001", TO_BINH)).get("action") == "ask"


@pytest.mark.rule("IVR-3")
def test_two_and_a_half_seconds_is_the_most_that_a_platform_waits():
    assert WebLimits().answer_wait_s == 2.5


# ------------------------------------------------------------------------------- log, moments, page


@pytest.mark.rule("IVR-1")
async def test_a_report_is_one_line_of_the_log(operator):
    await operator.ask("call-17")
    await operator.ivr.consent("call-17", "2")
    lines = [line for line in operator.telcod.log.events("http.answered") if "call" in line]
    assert [(line["call"], line["action"], line["status"]) for line in lines] == [
        ("call-17", "ask", 200),
        ("call-17", "refuse", 200),
    ]
    assert lines[1]["reason"] == "not_accepted"
    assert "0903000001" not in operator.telcod.log.text
    assert lines[0]["caller"] == "token:pbx"


MOMENT_MS = 1_772_420_400_250


@pytest.mark.rule("IVR-1", "IVR-3")
@pytest.mark.parametrize(
    "at",
    [
        "2026-03-02T10:00:00.250+07:00",
        "2026-03-02T03:00:00.250Z",
        "20260302T030000.250Z",
        "1772420400.25",
        "1772420400250",
        1_772_420_400.25,
        1_772_420_400_250,
    ],
)
def test_a_moment_is_iso_8601_or_a_unix_time(at):
    assert datetime.fromisoformat("2026-03-02T10:00:00.250+07:00").timestamp() * 1_000 == MOMENT_MS
    request = calls.answered("1", calls.Answered(at), platform="pbx")
    assert request.args == ("1", str(MOMENT_MS))


@pytest.mark.rule("IVR-3")
@pytest.mark.parametrize(
    ("said", "whole"), [(0.0, "0"), (0.01, "1"), (59.0, "59"), (59.001, "60"), (86_400.0, "86400")]
)
def test_a_second_that_was_begun_counts(said, whole):
    assert calls.progress("1", calls.Progress(said), platform="pbx").args == ("1", whole)


@pytest.mark.rule("IVR-1", "IVR-3")
async def test_the_openapi_page_shows_each_call_with_both_kinds_of_body(slow):
    page = (await slow.ivr._client.get("/schema/openapi.json")).json()
    paths = {path: item for path, item in page["paths"].items() if path.startswith(CALLS)}
    assert len(paths) == 6
    for path, item in paths.items():
        for operation in item.values():
            assert {"200", "400", "401", "403", "404", "409", "503"} <= operation[
                "responses"
            ].keys()
            if "requestBody" in operation:
                kinds = operation["requestBody"]["content"].keys()
                assert kinds == {"application/json", "application/x-www-form-urlencoded"}, path
    answer = page["components"]["schemas"]["CallAnswer"]
    assert answer["properties"].keys() == FLAT
    assert page["components"]["schemas"]["OverProblem"]["properties"]["charged_vnd"]
