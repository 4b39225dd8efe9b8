"""The site without a browser's eyes: who may open what, what is asked twice, what is refused."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import handlers
from telcod.billing.lists import Verdict
from telcod.billing.packages import Refusal
from telcod.days import HOUR_MS
from telcod.rows import ASKED_TEXT
from telcod.selfcare.pages import FOLDER, SelfPages
from telcod.types import Language
from tests.selfcare.world import HOST, A, B, C, SelfBackend, SelfWorld, client_of
from tests.world import rules_with

pytestmark = pytest.mark.rule("SELF-1")

FROM_HERE = {"Origin": HOST}
PAGES = [
    "/me",
    "/me/charges",
    "/me/package/day",
    "/me/package/cancel",
    "/me/lists/white",
    "/me/lists/black",
    "/me/dial",
    "/me/requests/1234",
]


@pytest.fixture
def world():
    with SelfWorld() as made:
        made.subscriber(A, balance_vnd=20_000)
        made.subscriber(B, balance_vnd=20_000)
        made.subscriber(C, kind="postpaid")
        yield made


@pytest.fixture
def client(world):
    with client_of(SelfBackend(world)) as made:
        made.follow_redirects = False
        yield made


@pytest.fixture
def visitor(client, world):
    """A's browser, logged in."""
    log_in(client, world)
    return client


def post(client, path, **fields):
    return client.post(path, data=fields, headers=FROM_HERE)


def log_in(client, world, number=A):
    typed = f"0{number % 10**9}"
    assert post(client, "/me/login", msisdn=typed).status_code == 200
    got = post(client, "/me/code", msisdn=typed, code=world.codes_sent_to(number)[-1])
    assert (got.status_code, got.headers["Location"]) == (303, "/me")
    return got


class Seen(HTMLParser):
    """What a page holds that must not be there, or not without a name."""

    def __init__(self, html):
        super().__init__()
        self.found, self.labelled, self.inputs = [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        if tag == "style" or "style" in held or any(name.startswith("on") for name in held):
            self.found.append((tag, held))
        if tag == "script" and not held.get("src"):
            self.found.append((tag, held))
        for name in ("src", "href", "action"):
            if re.match(r"https?:|//", held.get(name) or ""):
                self.found.append((tag, held))
        if tag == "label":
            self.labelled.add(held["for"])
        if tag == "input" and held.get("type") != "hidden":
            self.inputs.append(held["id"])


# -------------------------------------------------------------------------------------- who gets in


def test_the_code_of_the_text_opens_the_site(client, world):
    got = log_in(client, world)
    (cookie,) = [line for line in got.headers.get_list("set-cookie") if "telcod_me=" in line]
    assert {"HttpOnly", "Path=/me", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    page = client.get("/me")
    assert page.status_code == 200
    assert "0903\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}001" in page.text


def test_behind_https_the_cookies_are_for_https_only(client, world):
    headers = FROM_HERE | {"X-Forwarded-Proto": "https"}
    client.post("/me/login", data={"msisdn": "0903000001"}, headers=headers)
    fields = {"msisdn": "0903000001", "code": world.codes_sent_to(A)[-1]}
    got = client.post("/me/code", data=fields, headers=headers)
    assert all("Secure" in line for line in got.headers.get_list("set-cookie"))


def test_the_page_after_an_unknown_number_is_that_after_a_known_one(client, world):
    known = post(client, "/me/login", msisdn="0903000001").text
    unknown = post(client, "/me/login", msisdn="0903000009").text
    assert (
        known.replace("000001", "000009").replace(
            "000\N{NO-BREAK SPACE}001", "000\N{NO-BREAK SPACE}009"
        )
        == unknown
    )
    assert [row.destination for row in world.outbox()] == [str(A)]


def test_a_wrong_code_is_said_on_the_page_and_opens_nothing(client):
    post(client, "/me/login", msisdn="0903000001")
    got = post(client, "/me/code", msisdn="0903000001", code="abcdef")
    assert got.status_code == 401
    assert "không đúng" in got.text
    assert "telcod_me" not in client.cookies


def test_what_is_no_number_is_said_and_shown_again_escaped(client):
    got = post(client, "/me/login", msisdn='"><b>x')
    assert "&#34;&gt;&lt;b&gt;x" in got.text
    assert "<b>" not in got.text


@pytest.mark.parametrize(("token", "where"), [("", "/me/login"), ("x", "/me/login?said=over")])
def test_no_page_is_shown_to_who_is_not_logged_in(client, token, where):
    if token:
        client.cookies.set("telcod_me", token, path="/me")
    for path in PAGES:
        got = client.get(path)
        assert (got.status_code, got.headers["Location"]) == (303, where)


def test_a_session_that_is_over_leads_to_the_login(visitor, world):
    world.clock.advance(HOUR_MS)
    got = visitor.get("/me")
    assert got.headers["Location"] == "/me/login?said=over"
    assert "kết thúc" in visitor.get(got.headers["Location"]).text


def test_logging_out_closes_every_page(visitor):
    token = visitor.cookies["telcod_me"]
    assert post(visitor, "/me/logout").status_code == 303
    visitor.cookies.set("telcod_me", token, path="/me")
    assert visitor.get("/me").status_code == 303


ACTS = [
    ("/me/login", {"msisdn": "0903000001"}),
    ("/me/code", {"msisdn": "0903000001", "code": "1"}),
    ("/me/logout", {}),
    ("/me/language", {"language": "en"}),
    ("/me/notices", {"wanted": "0"}),
    ("/me/package/day", {}),
    ("/me/lists/black", {"number": "0903000002"}),
    ("/me/lists/white", {"number": "0903000002"}),
    ("/me/lists/black/remove", {"number": "0903000002"}),
    ("/me/lists/black/clear", {"sure": "1"}),
    ("/me/requests/package", {"accept": "1"}),
]
ELSEWHERE = [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": f"{HOST}.evil.example"},
    {"Referer": "https://evil.example/me"},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_a_form_from_elsewhere_changes_nothing(visitor, world, headers):
    before = world.contents()
    for path, fields in ACTS:
        assert visitor.post(path, data=fields, headers=headers).status_code == 403, path
    assert world.contents() == before


def test_pages_forbid_everything_from_elsewhere_and_are_not_stored(visitor, world):
    world.forward(B, A, "Hello")
    (asked,) = world.store.scan(ASKED_TEXT)
    for path in ("/me/login", *PAGES[:-1], f"/me/requests/{asked.code}", "/me/package/none"):
        got = visitor.get(path)
        assert got.status_code in {200, 404}, path
        policy = got.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert got.headers["Cache-Control"] == "no-store"
        assert got.headers["X-Frame-Options"] == "DENY"
        seen = Seen(got.text)
        assert seen.found == []
        assert set(seen.inputs) <= seen.labelled


# ------------------------------------------------------------------------------------- what is done


def test_a_package_names_its_price_before_it_is_registered(visitor, world):
    page = visitor.get("/me/package/week").text
    assert "5.000 ₫" in page
    assert "24 giờ đầu" in page
    assert world.package(A) is None
    got = post(visitor, "/me/package/week")
    assert got.headers["Location"] == "/me?said=package.trial_started"
    assert world.package(A).package == "week"
    assert "Đã đăng ký gói" in visitor.get(got.headers["Location"]).text
    assert post(visitor, "/me/package/cancel").headers["Location"] == "/me?said=package.cancelled"


def test_a_number_for_the_whitelist_is_asked_for_again_with_the_price(visitor, world):
    world.text(A, "DK")
    page = post(visitor, "/me/lists/white", number="0903 000 002")
    assert "1.500 ₫" in page.text
    assert "250 ₫" in page.text
    assert world.listed(A, "white") == []
    got = post(visitor, "/me/lists/white", number=str(B), sure="1")
    assert got.headers["Location"] == "/me/lists/white?said=list.w.added"
    assert world.listed(A, "white") == [B]


def test_a_number_is_blocked_and_unblocked(visitor, world):
    assert post(visitor, "/me/lists/black", number="0903000002").status_code == 303
    assert world.listed(A, "black") == [B]
    post(visitor, "/me/lists/black/remove", number=str(B))
    assert world.listed(A, "black") == []
    assert "không phải là số" in post(visitor, "/me/lists/black", number="x").text


def test_a_list_is_emptied_after_one_more_question(visitor, world):
    post(visitor, "/me/lists/black", number="0903000002")
    assert "1 số" in post(visitor, "/me/lists/black/clear").text
    assert world.listed(A, "black") == [B]
    post(visitor, "/me/lists/black/clear", sure="1")
    assert world.listed(A, "black") == []


@pytest.mark.rule("PFM-30")
def test_a_text_that_waits_is_shown_with_its_price_and_answered(visitor, world):
    world.forward(B, A, "Hello")
    (asked,) = world.store.scan(ASKED_TEXT)
    assert f"/me/requests/{asked.code}" in visitor.get("/me").text
    page = visitor.get(f"/me/requests/{asked.code}").text
    assert "Đồng ý trả 250 ₫" in page
    assert "Hello" not in page
    got = post(visitor, f"/me/requests/{asked.code}", accept="1")
    assert got.headers["Location"] == "/me?said=forward.accepted"


@pytest.mark.rule("PFM-30")
def test_what_waits_for_another_is_neither_shown_nor_answered(visitor, world):
    world.subscriber(84_903_000_004)
    world.forward(84_903_000_004, B, "Hello")
    (asked,) = world.store.scan(ASKED_TEXT)
    path = f"/me/requests/{asked.code}"
    assert visitor.get(path).headers["Location"] == "/me?said=forward.code_unknown"
    got = post(visitor, path, accept="1")
    assert got.headers["Location"] == "/me?said=forward.code_unknown"
    assert list(world.store.scan(ASKED_TEXT)) == [asked]


@pytest.mark.parametrize("path", ["/me/requests/a'b", "/me/requests/12 34"])
def test_an_id_of_no_form_is_400(visitor, path):
    got = post(visitor, path, accept="1")
    assert got.status_code in {303, 400}
    assert "said=forward.code_unknown" in got.headers.get("Location", "said=forward.code_unknown")


@pytest.mark.rule("PKG-9")
def test_a_registration_that_waits_is_confirmed_on_the_site():
    rules = rules_with(packages={"confirm_registration": True})
    with SelfWorld(rules=rules) as world, client_of(SelfBackend(world)) as client:
        client.follow_redirects = False
        world.subscriber(A, balance_vnd=9_000)
        log_in(client, world)
        assert post(client, "/me/package/day").headers["Location"] == "/me?said=confirm.ask_trial"
        assert world.package(A) is None
        assert "/me/requests/package" in client.get("/me").text
        assert "1.000 ₫" in client.get("/me/requests/package").text
        post(client, "/me/requests/package", accept="1")
        assert world.package(A).package == "day"


def test_the_language_is_that_of_pages_and_texts(visitor, world):
    post(visitor, "/me/language", language="en")
    assert world.subscriber_row(A).language == "en"
    assert "Your package" in visitor.get("/me").text
    assert post(visitor, "/me/language", language="de").status_code == 400


def test_before_the_login_the_browsers_language_counts_and_can_be_changed(client):
    english = {"Accept-Language": "en-GB,en;q=0.9"}
    assert "Your phone number" in client.get("/me/login", headers=english).text
    assert "Số điện thoại" in client.get("/me/login").text
    post(client, "/me/language", language="en")
    assert "Your phone number" in client.get("/me/login").text


def test_what_to_dial_is_a_link_for_the_phone(visitor):
    page = visitor.get("/me/dial?number=0903000002").text
    assert 'href="tel:15660903000002"' in page
    assert "không phải là số" in visitor.get("/me/dial?number=x").text


def test_a_postpaid_subscriber_is_offered_no_package(client, world):
    log_in(client, world, C)
    page = client.get("/me").text
    assert "/me/package/" not in page
    assert "/me/notices" not in page


def test_only_our_own_words_are_shown_of_an_outcome(visitor):
    page = visitor.get("/me?said=<script>alert(1)</script>").text
    assert "alert" not in page
    assert "Đã xong" in page


@pytest.mark.parametrize(
    "path", ["/me/package/month", "/me/lists/grey", "/me/charges?start=-1", "/me/charges?start=x"]
)
def test_what_is_not_there_is_a_page_that_says_so(visitor, path):
    got = visitor.get(path)
    assert got.status_code in {400, 404}
    assert got.headers["Content-Type"].startswith("text/html")
    assert "Chưa thực hiện được" in got.text


# ------------------------------------------------------------------------------------------- words


def keys_in_templates():
    """(key, whether it ends there) of all `t("…")`."""
    found = set()
    for path in (FOLDER / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"\bt\(([^)]*)", text):
            found |= set(re.findall(r'"([a-z_]+\.[a-z_.]*)"', call))
    return found


def outcomes():
    """All that handlers may answer to what the site asks; what only looks at something apart."""
    looks = {"package.none", "package.in_trouble", "package.in_trial", "package.running"}
    looks |= {f"list.{letter}.{word}" for letter in "bw" for word in ("show", "which")}
    found = {refusal.value for refusal in Refusal}
    found |= {f"list.{letter}.{verdict}" for letter in "bw" for verdict in Verdict}
    found |= {f"list.{letter}.{word}" for letter in "bw" for word in ("empty", "all_removed")}
    for name in ("packages", "lists"):
        source = (Path(handlers.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        found |= set(re.findall(r'say\(\s*"([a-z_.]+)"', source))
    source = (Path(handlers.__file__).parent / "forwarded.py").read_text(encoding="utf-8")
    answers = source[source.index("def answer(") : source.index("def answer_push")]
    answers += source[source.index("def _answered") : source.index("def _ask(")]
    found |= set(re.findall(r'say\(\s*"([a-z_.]+)"', answers))
    found |= {"notices.on", "notices.off", "notices.on_already", "notices.off_already"}
    return found - looks


def test_every_word_is_used_and_every_word_used_is_there():
    pages = SelfPages()
    words = set(pages._pages.words[Language.VI])
    used = keys_in_templates()
    sources = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    used |= {word for word in words if f'"{word}"' in sources}
    begun = {key for key in used if key.endswith((".", "_"))}
    assert {key for key in used - begun if not key.startswith("t.")} <= words
    made = ("said.", "wrong.", "charge.", "package.day", "package.week", "package.per_", "lists.")
    assert {word for word in words - used if not word.startswith(made)} == set()


def test_every_outcome_has_words_on_the_site():
    pages = SelfPages()
    for language in Language:
        assert len(outcomes()) > 40
        lacking = {o for o in outcomes() if not pages.has(language, f"said.{o}")}
        assert lacking == set()
