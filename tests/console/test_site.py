"""The pages of staff, read and filled in as a browser would: sessions, forms, acts, cases."""

import re

import pytest

from telcod.console.visits import IDLE_S, SESSION_COOKIE, SESSION_S
from telcod.rows import AUDIT
from telcod.types import Request
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import revoke_token
from tests.console.world import NOBODY, A, B, C, CareBackend, CareWorld, Desk

pytestmark = pytest.mark.rule("CARE-1", "CARE-2")

HIM = f"/console/subscribers/{A}"
PAGES = [
    "/console",
    "/console/find?q=0903000001",
    HIM,
    "/console/payments/P1",
    "/console/cases",
    "/console/centres",
    "/console/audit",
    "/console/reports",
]


@pytest.fixture
def world(tmp_path):
    with CareWorld(tmp_path / "books.db") as made:
        yield made


@pytest.fixture
def backend(world):
    return CareBackend(world)


@pytest.fixture
def an(backend):
    desk = Desk(backend)
    assert desk.log_in().status == 200
    return desk


def act(desk, name, page=None, **typed):
    page = page or desk.get(HIM)
    return desk.send(page.form(f"{HIM}/act", act=name), **typed)


# -- sessions


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_before_he_is_logged_in(backend, path):
    desk = Desk(backend)
    page = desk.get(path)
    assert page.path == "/console/login"
    assert "Staff login" in page.text


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope not in {"staff", "admin"}])
def test_a_token_of_another_scope_does_not_log_in(backend, scope):
    desk = Desk(backend, "other", scope)
    page = desk.log_in()
    assert page.status == 403
    assert "not for staff" in page.text
    assert desk.get("/console").path == "/console/login"


@pytest.mark.parametrize("token", ["", "telcod_wrong", "x" * 5_000, "a b\r\nc"])
def test_a_token_that_is_none_does_not_log_in(backend, token):
    page = Desk(backend).log_in(token)
    assert page.status == 401
    assert SESSION_COOKIE not in page.response.cookies


def test_the_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends(backend):
    desk = Desk(backend)
    path, fields = desk.get("/console/login").form("/console/login")
    answer = desk.client.post(path, data={**fields, "token": desk.token}, follow_redirects=False)
    assert answer.status_code == 303
    (cookie,) = [
        value
        for value in answer.headers.get_list("set-cookie")
        if value.startswith(f"{SESSION_COOKIE}=")
    ]
    lower = cookie.lower()
    assert "httponly" in lower
    assert "samesite=strict" in lower
    assert "path=/console" in lower
    assert "secure" not in lower
    assert desk.token not in cookie
    assert token_hash(desk.token) not in cookie
    behind_https = {"X-Forwarded-Proto": "https"}
    page = desk.client.get("/console/login", headers=behind_https)
    assert "Secure" in page.headers["set-cookie"]
    assert "Strict-Transport-Security" in page.headers


def test_a_revoked_token_ends_the_session_at_once(backend, an):
    assert an.get("/console").path == "/console"
    backend.take(revoke_token("an", actor="test"))
    an.client.app.state.tokens.forget()
    assert an.get("/console").path == "/console/login"


def test_a_session_that_nobody_uses_ends_and_one_that_is_used_does_not_before_its_time(world, an):
    for _ in range(SESSION_S // IDLE_S - 1):
        world.clock.advance((IDLE_S - 1) * 1_000)
        assert an.get("/console").path == "/console"
    world.clock.advance(IDLE_S * 1_000)
    assert an.get("/console").path == "/console/login"


def test_no_session_lasts_longer_than_half_a_day(world, an):
    for _ in range(SESSION_S * 2 // IDLE_S):
        world.clock.advance(IDLE_S // 2 * 1_000)
        an.get("/console")
    assert an.get("/console").path == "/console/login"


def test_who_has_logged_out_can_not_come_back_with_a_copy_of_the_cookie(an):
    copy = an.client.cookies.get(SESSION_COOKIE)
    page = an.send(an.get("/console").form("/console/logout"))
    assert page.path == "/console/login"
    an.client.cookies.set(SESSION_COOKIE, copy, domain="testserver.local", path="/console")
    assert an.get("/console").path == "/console/login"


@pytest.mark.parametrize("cookie", ["x", "AAAA", "é", "A" * 5_000])
def test_a_cookie_of_somebodys_own_making_is_no_session(backend, cookie):
    desk = Desk(backend)
    answer = desk.client.get("/console", headers={b"Cookie": f"telcod_staff={cookie}".encode()})
    assert answer.url.path == "/console/login"


@pytest.mark.rule("HTTP-4")
def test_who_guesses_tokens_is_stopped(backend):
    desk = Desk(backend)
    statuses = [desk.log_in(f"guess-{n}").status for n in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    assert desk.log_in().status == 429


# -- forms


def test_a_form_without_the_sessions_token_does_nothing(world, an):
    form = an.get(HIM).form(f"{HIM}/act", act="package.register_day")
    page = an.send(form, form_token="0" * 32)
    assert "expired" in page.note()
    assert world.package(A) is None


def test_a_form_that_another_site_sends_does_nothing(world, an):
    path, fields = an.get(HIM).form(f"{HIM}/act", act="package.register_day")
    an.client.post(path, data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert world.package(A) is None


def test_a_form_of_one_session_is_not_good_in_another(world, backend, an):
    other = Desk(backend, "binh")
    other.log_in()
    other.send(an.get(HIM).form(f"{HIM}/act", act="package.register_day"))
    assert world.package(A) is None


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_no_script_of_their_own_and_the_headers_that_forbid_it(world, an, path):
    world.pay("P1", C, 100_000)
    page = an.get(path)
    assert page.status == 200, page.text
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert not page.tree.xpath("//script[not(@src)] | //*[@style] | //*[@onclick]")


# -- find and understand


@pytest.mark.parametrize("typed", ["0903000001", "0903 000 001", "84903000001", "+84 903000001"])
def test_a_subscriber_is_found_by_any_form_of_his_number(an, typed):
    page = an.get(f"/console/find?q={typed.replace('+', '%2B')}")
    assert page.path == HIM
    assert "0903000001" in page.text


def test_a_payment_is_found_by_its_code(world, an):
    world.pay("P1", C, 100_000)
    assert an.get("/console/find?q=P1").path == "/console/payments/P1"


@pytest.mark.parametrize("typed", ["", "nobody here", "<b>", "../../etc"])
def test_what_is_neither_is_said(an, typed):
    page = an.get(f"/console/find?q={typed}")
    assert page.status == 422
    assert "neither a number" in page.text


def test_a_number_of_nobody_is_said_and_the_look_up_is_logged(world, an):
    page = an.get(f"/console/subscribers/{NOBODY}")
    assert page.status == 404
    assert "No subscriber" in page.text
    assert world.last_audit().subject == str(NOBODY)


def test_names_are_shown_as_they_are_and_never_as_markup(an):
    page = an.get(HIM)
    assert "Thuê bao <b>& Co</b>" in page.text
    assert not page.tree.xpath("//b[text()='& Co']")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_story_of_everything_is_told_in_both_languages(world, backend, language):
    world.text(A, "DK")
    world.text(A, "XYZ")
    world.forward(B, A, "private words")
    world.connect("c1", B, A)
    world.ended("c1", 75)
    world.suspect_call()
    world.pay("P9", A, 60_000)
    desk = Desk(backend, language=language)
    desk.log_in()
    page = desk.get(HIM)
    said = {"vi": "Diễn biến", "en": "What happened"}[language]
    assert said in page.text
    assert "private words" not in page.html
    assert "XYZ" in page.text
    assert len(page.tree.xpath("//ol[@class='story']/li")) > 10
    assert not re.search(r"\{[a-z_]+\}", page.text)


def test_the_language_of_pages_is_chosen_by_the_link_and_kept(an):
    assert "Tra cứu" in an.get("/console?lang=vi").text
    assert "Tra cứu" in an.get("/console").text


def test_a_story_is_turned_page_by_page_and_filtered(world, an):
    for _ in range(30):
        world.text(A, "KT")
        world.clock.advance(1_000)
    page = an.get(f"{HIM}?kind=message")
    (older,) = page.tree.xpath("//a[contains(., 'Older')]/@href")
    first = page.tree.xpath("//ol[@class='story']/li")
    second = an.get(older).tree.xpath("//ol[@class='story']/li")
    assert (len(first), len(second)) == (40, 20)
    assert an.get(f"{HIM}?kind=gossip").status == 400


# -- act


def test_a_package_is_registered_and_cancelled_for_him_who_is_told(world, an):
    page = act(an, "package.register_day")
    assert page.path == HIM
    (told,) = world.care_texts(A)
    assert told in page.note()
    assert "told by a text" in page.note()
    assert world.package(A).status == "active"
    page = act(an, "package.cancel")
    assert world.package(A).status == "cancelled"
    assert len(world.care_texts(A)) == 2
    assert an.get(HIM).note() == ""


def test_two_clicks_on_one_form_are_one_act(world, an):
    world.text(A, "DK")
    world.text(A, "HUY")
    page = an.get(HIM)
    for _ in range(2):
        act(an, "package.register_day", page)
    assert world.balance(A) == 49_000
    assert len(world.care_texts(A)) == 1


def test_numbers_come_on_lists_and_go(world, an):
    act(an, "list.black_add", words="0903 000 002, 0903000003")
    assert world.listed(A, "black") == [B, C]
    page = an.get(HIM)
    an.send(page.form(f"{HIM}/act", act="list.black_remove", words=str(B)))
    assert world.listed(A, "black") == [C]


def test_what_changes_nothing_is_said_so(world, an):
    page = act(an, "list.white_add", words="0903000002")
    assert "Nothing was changed" in page.note()
    assert world.care_texts(A) == []


def test_words_that_make_no_sense_are_said_so(world, an):
    page = act(an, "list.black_add", words="  ")
    assert page.path == HIM
    assert "not understood" in page.note()


def test_a_text_is_sent_again(world, an):
    world.text(A, "KT")
    world.settle_all()
    page = an.send(an.get(HIM).form(f"{HIM}/resend"))
    assert "on its way again" in page.note()
    assert len(world.care_texts(A)) == 1


# -- mend


def cases(desk):
    return desk.get("/console/cases")


@pytest.mark.rule("PAY-6")
@pytest.mark.parametrize(
    ("verdict", "state", "said"),
    [("pass", "cleared", "Cleared"), ("reject", "rejected_fraud", "Rejected")],
)
def test_a_payment_is_reviewed(world, an, verdict, state, said):
    world.in_review("P3")
    assert "Waits for review" in cases(an).text
    path = "/console/payments/P3"
    page = an.send(an.get(path).form(f"{path}/review"), verdict=verdict, reason="known customer")
    assert said in page.note()
    assert world.state("P3") == state
    assert "known customer" in page.text


@pytest.mark.rule("PAY-8")
def test_what_could_not_be_cleared_is_cleared_by_hand_with_a_reason_and_its_case_closed(world, an):
    world.clearing_failed("P4")
    an.log_in()
    text = cases(an).text
    assert "Clearing failed" in text
    assert "Not cleared for 24 hours" in text
    path = "/console/payments/P4"
    form = an.get(path).form(f"{path}/clear_by_hand")
    assert "A reason is needed" in an.send(form, reason=" ").note()
    assert world.state("P4") == "clearing_failed"
    page = an.send(an.get(path).form(f"{path}/clear_by_hand"), reason="in their own books")
    assert "Cleared" in page.note()
    assert world.state("P4") == "cleared"
    close = cases(an).form("/console/cases/close", source="payment_case")
    assert "is closed" in an.send(close, reason="cleared by hand").note()
    assert "Nothing is waiting" in cases(an).text


@pytest.mark.rule("PAY-9", "STAFF-2")
def test_fraud_takes_two_people(world, backend, an):
    binh = Desk(backend, "binh")
    binh.log_in()
    world.pay("P1", C, 100_000)
    path = "/console/payments/P1"
    an.send(an.get(path).form(f"{path}/propose_cancel"), reason="the bank's letter")
    assert not an.get(path).forms(f"{path}/confirm_cancel")
    confirm = binh.get(path).form(f"{path}/confirm_cancel")
    own = (
        confirm[0],
        {**confirm[1], "form_token": an.get(path).form("/console/logout")[1]["form_token"]},
    )
    assert "Another person" in an.send(own, reason="me again").note()
    assert world.state("P1") == "cleared"
    assert "Proposed to cancel" in cases(binh).text
    page = binh.send(confirm, reason="I have read it too")
    assert "Cancelled" in page.note()
    assert world.state("P1") == "cancelled"


@pytest.mark.parametrize(
    ("make", "source", "title"),
    [
        ("contradictory", "payment_case", "contradicts itself"),
        ("suspect_call", "call", "A call without an end"),
        ("set_aside", "quarantine", "A request set aside"),
    ],
)
def test_a_case_says_what_it_means_and_is_closed_with_a_note(world, an, make, source, title):
    getattr(world, make)()
    an.log_in()
    page = cases(an)
    assert title in page.text
    assert "What to do" in page.text
    page = an.send(page.form("/console/cases/close", source=source), reason="looked at it")
    assert "is closed" in page.note()
    assert title not in cases(an).text


@pytest.mark.rule("PAY-5")
def test_an_unknown_outcome_is_explained(world, an):
    world.unknown("P2")
    assert "Outcome unknown" in cases(an).text
    assert "The gateway is being asked" in an.get("/console/payments/P2").text


def test_a_payment_that_moved_on_meanwhile_is_left_alone(world, an):
    world.in_review("P3")
    path = "/console/payments/P3"
    form = an.get(path).form(f"{path}/review")
    world.staff("review", "P3", "reject", "quicker")
    page = an.send(form, verdict="pass", reason="slower")
    assert "stands otherwise" in page.note()
    assert world.state("P3") == "rejected_fraud"


def test_a_centre_is_closed_and_opened_again(world, an):
    for word, said in (("closed", 0), ("open", 1)):
        form = an.get("/console/centres").form("/console/centres", centre="2", clearing=word)
        assert "Noted" in an.send(form).note()
        assert world.last_audit().action == "care.payment.set_centre"
        assert f"2 {word}" in world.last_audit().detail
        page = an.get("/console/centres")
        assert len(page.forms("/console/centres")) == 6
        assert ("closed" in [f[1]["clearing"] for f in page.forms("/console/centres")][1:2]) == said


@pytest.mark.rule("PAY-2")
def test_a_locked_look_up_is_unlocked(world, an):
    world.text(C, "MK abcd", code="9223")
    for _ in range(5):
        world.run(Request("lookup.try", sender=C, body={"verdict": "wrong"}))
    path = f"/console/subscribers/{C}"
    page = an.send(an.get(path).form(f"{path}/unlock"))
    assert "unlocked" in page.note()
    assert not an.get(path).forms(f"{path}/unlock")


# -- reports, log


@pytest.mark.rule("CARE-3")
@pytest.mark.parametrize("name", ["packages", "messages", "revenue", "collections", "clearing"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_report_is_drawn_with_the_numbers_beside_it(world, backend, name, language):
    world.text(A, "DK")
    world.text(B, "DK7")
    world.text(A, "XYZ")
    world.connect("c1", B, A)
    world.ended("c1", 75)
    world.pay("P1", C, 100_000)
    desk = Desk(backend, language=language)
    desk.log_in()
    page = desk.get(f"/console/reports?name={name}&date=2026-03-02")
    assert page.status == 200
    assert page.tree.xpath("//svg[@class='chart']//rect/title")
    assert page.tree.xpath("//table//td")
    assert not [row for row in world.store.scan(AUDIT) if row.action == "lookup"]


@pytest.mark.parametrize(
    ("asked", "status"), [("date=yesterday", 400), ("name=gossip", 404), ("date=20260230", 400)]
)
def test_a_report_that_there_is_not_is_said(an, asked, status):
    assert an.get(f"/console/reports?{asked}").status == status


def test_the_log_is_read_by_number_however_it_is_written(world, an):
    act(an, "package.register_day")
    page = an.get("/console/audit?subject=0903+000+001&action=care.")
    assert "Day package registered for him" in page.text
    assert "from testclient" in page.text
    assert "Topped up" not in page.text


@pytest.mark.rule("HTTP-1")
def test_what_breaks_is_a_page_without_a_stack_trace(world, backend, an):
    async def broken(_sql, _values):
        raise ZeroDivisionError("of the inside")

    backend.reader.rows = broken
    page = an.get("/console/cases")
    assert page.status == 500
    assert "telcod failed" in page.text
    assert "inside" not in page.text
