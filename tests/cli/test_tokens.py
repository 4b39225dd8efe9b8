"""`telcod token`, on the file and through a daemon (CLI-7)."""

import pytest

pytestmark = pytest.mark.rule("CLI-7")


def created(place, name="shop-1", scope="staff"):
    return place.tell("token", "create", name, "--scope", scope)


def test_a_token_is_shown_once_listed_without_itself_and_revoked(both_ways):
    made = created(both_ways)
    assert made.exit_code == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("telcod_")
    assert "not shown again" in made.stderr
    listed = both_ways.tell("token", "list").stdout
    assert "shop-1" in listed
    assert token not in listed
    assert both_ways.tell("token", "revoke", "shop-1").exit_code == 0


@pytest.mark.rule("CLI-9")
def test_a_name_is_used_once_and_an_unknown_one_is_told(both_ways):
    created(both_ways)
    assert created(both_ways).exit_code == 1
    gone = both_ways.tell("token", "revoke", "nobody")
    assert gone.exit_code == 1
    assert "no token in use has this name" in gone.stderr


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize(("name", "scope"), [("Shop", "staff"), ("a b", "staff"), ("a", "root")])
def test_a_wrong_name_or_scope_is_wrong_use(place, name, scope):
    assert created(place, name, scope).exit_code == 2


def test_without_tokens_the_list_says_so(place):
    place.tell("db", "migrate")
    assert place.tell("token", "list").stdout == "There are no tokens.\n"
