"""Profiles of gateways: those that are shipped are good, and all that is wrong is told at once."""

import tomllib

import msgspec
import pytest

from telcod.settings import shipped_config_dir
from ussd.gateway_checks import problems
from ussd.gateway_file import FILE_BYTES_MAX, ProfileError, load_profiles
from ussd.gateway_profile import Profile

pytestmark = pytest.mark.rule("USSD-2")

SHIPPED = shipped_config_dir() / "ussd" / "gateways"
GOOD = """
[fields]
session_id = "sid"
msisdn = "who"
[answer.continue]
body = "C ${text}"
[answer.end]
body = "E ${text}"
"""


def profile(text, *more):
    return msgspec.convert(tomllib.loads("\n".join((*more, text))), Profile)


def test_the_shipped_profiles_are_good():
    names = {"africastalking", "freeflow", "restcomm", "shouldclose", "yate"}
    assert load_profiles(SHIPPED).keys() == names


def test_a_profile_of_an_operators_own_is_a_file_and_nothing_else(tmp_path):
    (tmp_path / "our-own.toml").write_text(GOOD)
    (tmp_path / "README").write_text("not a profile")
    assert load_profiles(tmp_path).keys() == {"our-own"}


def test_no_folder_is_no_profiles(tmp_path):
    assert load_profiles(tmp_path / "nowhere") == {}


def test_all_that_is_wrong_with_all_profiles_is_told_at_once(tmp_path):
    (tmp_path / "a.toml").write_text("nonsense")
    (tmp_path / "b.toml").write_text(GOOD.replace("sid", "cookie:sid").replace("E ${text}", "E"))
    (tmp_path / "c.toml").write_text(GOOD + "colour = 1")
    (tmp_path / "d.toml").write_bytes(b"\xff")
    (tmp_path / "e.toml").write_text("#" * (FILE_BYTES_MAX + 1))
    (tmp_path / "F G.toml").write_text(GOOD)
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "h.toml").mkdir()
    with pytest.raises(ProfileError) as refused:
        load_profiles(tmp_path)
    told = refused.value.problems
    assert [problem.partition(":")[0] for problem in told] == [
        "F G.toml",
        "a.toml",
        "b.toml",
        "b.toml",
        "c.toml",
        "d.toml",
        "e.toml",
        "h.toml",
    ]
    assert "fields.session_id" in told[2]
    assert "answer.end.body: shows no ${text}" in told[3]
    assert "answer.end: Object contains unknown field colour" in told[4]


WRONG = {
    'path = "/session/{id}"': "path",
    'path = "a//b"': "path",
    'path = "{Id}"': "path",
    'path = "{id}/{id}"': "path",
    "methods = []": "methods",
    '[keep]\ntext = "x"': "keep.text",
    '[keep]\n"a b" = "x"': "keep.a b",
    '[keep]\nid = "path:id"': "keep.id",
    '[phases]\nnew = ["cookie:x=1"]': "phases.new",
    'inputs = "all"\nfirst_input = "dialled"': "first_input",
    'body = "json"\n[keep]\na = "b/@c"': "keep.a",
    'charset = "us-ascii"\n[answer]\nform = "json"': "answer.continue.body",
}


@pytest.mark.parametrize(("text", "key"), WRONG.items())
def test_what_makes_no_sense_is_told_by_its_key(text, key):
    good = GOOD.replace("[answer.", "\n[answer.")
    told = problems(profile(good, text))
    assert any(problem.startswith(f"{key}:") for problem in told), told


@pytest.mark.parametrize(
    ("form", "body", "headers"),
    [
        ("text", "costs 5$ ${text}", ""),
        ("text", "${text} ${colour}", ""),
        ("text", "no text", ""),
        ("text", "${text}", 'X = "${text}"'),
        ("text", "${text}", 'X = "a\\r\\nb"'),
        ("text", "${text}", '"X Y" = "a"'),
        ("text", "${text}", 'Content-Length = "3"'),
        ("json", "{text: ${text}}", ""),
        ("json", '{"text": ${text}}', ""),
        ("xml", "<a>${text}", ""),
        ("xml", "<!DOCTYPE a><a>${text}</a>", ""),
    ],
)
def test_an_answer_that_could_not_be_given_is_told_at_start(form, body, headers):
    text = f"[fields]\nsession_id='s'\nmsisdn='m'\n[answer]\nform='{form}'\n"
    text += "[answer.end]\nbody='''{\"a\":\"${text}\"}'''\n" if form == "json" else ""
    text += "[answer.end]\nbody='<a>${text}</a>'\n" if form != "json" else ""
    text += f"[answer.continue]\nbody='''{body}'''\n[answer.continue.headers]\n{headers}\n"
    told = problems(profile(text))
    assert told
    assert all(problem.startswith("answer.continue.") for problem in told), told


def test_a_template_that_is_careful_is_taken():
    for name in sorted(SHIPPED.glob("*.toml")):
        assert problems(profile(name.read_text())) == []
    assert problems(profile(GOOD)) == []
