"""Who asks, and whether his form is ours: the parts that all pages share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.types import Language
from telcod.vault import Vault
from telcod.web.limits import AllowList
from telcod.web.page_guard import FormTokens, neighbourhood, page_headers, payer_address
from telcod.web.pages import choose_language, money
from telcod.web.static_files import KINDS, content, href

pytestmark = pytest.mark.rule("HTTP-4")

OURS = AllowList(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("10.0.0.1", "nonsense", ""),
        ("10.0.0.1", "198.51.100.1, <script>", ""),
        ("", "", ""),
    ],
)
def test_an_address_is_believed_as_far_as_our_own_proxies_wrote_it(client, forwarded, address):
    assert payer_address(client, forwarded, OURS) == address


def test_without_proxies_of_ours_nobody_else_s_word_counts():
    assert payer_address("10.0.0.1", "198.51.100.1", None) == "10.0.0.1"


@given(st.text(max_size=60), st.text(max_size=300))
def test_any_header_gives_an_address_or_nothing(client, forwarded):
    for proxies in (None, OURS):
        address = payer_address(client, forwarded, proxies)
        assert address == payer_address(address, "", None)


def test_one_customer_of_ipv6_is_counted_once_and_ipv4_addresses_each():
    assert neighbourhood("2001:db8:1:2::9") == neighbourhood("2001:db8:1:2:ffff::1")
    assert neighbourhood("2001:db8:1:2::9") != neighbourhood("2001:db8:1:3::9")
    assert neighbourhood("203.0.113.7") != neighbourhood("203.0.113.8")
    assert not neighbourhood("nonsense")


def test_a_form_is_believed_with_the_token_of_its_own_cookie_site_and_installation():
    tokens = FormTokens(Vault(bytes(32)), "pay")
    token = tokens.token("cookie")
    assert tokens.is_genuine("cookie", token)
    assert tokens.is_genuine("cookie", token, fetch_site="same-origin")
    assert FormTokens(Vault(bytes(32)), "pay").is_genuine("cookie", token)  # After a restart too.
    for cookie, given_ in (
        ("other", token),
        ("cookie", ""),
        ("", tokens.token("")),
        ("cookie", "é"),
    ):
        assert not tokens.is_genuine(cookie, given_)
    for fetch_site in ("cross-site", "same-site", "nonsense"):
        assert not tokens.is_genuine("cookie", token, fetch_site=fetch_site)
    assert not FormTokens(Vault(bytes(32)), "me").is_genuine("cookie", token)
    assert not FormTokens(Vault(bytes(31) + b"x"), "pay").is_genuine("cookie", token)


def test_the_policy_lets_nothing_in_from_elsewhere():
    headers = page_headers(secure=False, forms_to=("https://gateway.example",))
    policy = headers["Content-Security-Policy"]
    assert "form-action 'self' https://gateway.example;" in policy
    assert "unsafe" not in policy
    assert "Strict-Transport-Security" not in headers
    assert page_headers(secure=True)["Strict-Transport-Security"]


@pytest.mark.parametrize(
    ("asked", "cookie", "accepted", "language"),
    [
        ("", "", "", "vi"),
        ("en", "vi", "vi", "en"),
        ("xx", "en", "vi", "en"),
        ("", "", "fr-FR, en-US;q=0.7", "en"),
        ("", "", "EN", "en"),
        ("", "", "fr", "vi"),
        ("", "", "x" * 10_000 + ",en", "vi"),
    ],
)
def test_the_language_is_asked_for_or_kept_or_preferred_or_vietnamese(
    asked, cookie, accepted, language
):
    assert choose_language(asked, cookie, accepted) == language


def test_money_is_written_as_the_language_writes_it():
    assert money(Language.VI, 1_234_567) == "1.234.567 ₫"
    assert money(Language.EN, 1_234_567) == "1,234,567 ₫"


def test_files_of_pages_ask_for_nothing_from_elsewhere():
    style = content("telcod.css").decode()
    assert "url(" not in style
    assert "@import" not in style
    assert {href(name).partition("?")[0] for name in KINDS} == {f"/static/{name}" for name in KINDS}
