"""`telcod subscribers`, each scene on the file alone and through a running daemon (CLI-4)."""

import json

import pytest

from telcod.bulk import CHUNK_LINES_MAX, HEADER

pytestmark = pytest.mark.rule("CLI-4")

TOP = ",".join(HEADER) + "\n"
AN = '0903000001,prepaid,active,5000,,Nguyễn Văn An,"1 Lê Lợi, Quận 1",1,an@example.vn,vi\n'
BINH = "0903000002,postpaid,active,,12000,Bình,,2,,en\n"


def imported(place, text=TOP + AN + BINH):
    return place.tell("subscribers", "import", place.file("subscribers.csv", text))


def shown(place, number):
    found = place.tell("subscribers", "show", number, "--json")
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)


def test_a_file_is_imported_and_again_it_changes_nothing(both_ways):
    first, again = imported(both_ways, "\ufeff" + TOP + AN + BINH), imported(both_ways)
    assert (first.exit_code, first.stdout) == (0, "2 added, 0 changed, 0 unchanged.\n")
    assert again.exit_code == 0
    assert again.stdout == "0 added, 0 changed, 2 unchanged; nothing was changed.\n"
    an, binh = shown(both_ways, "0903000001"), shown(both_ways, "0903000002")
    assert (an["balance_vnd"], an["name"]) == (5_000, "Nguyễn Văn An")
    assert (binh["debt_vnd"], binh["language"], binh["centre"]) == (12_000, "en", 2)


def test_an_import_sets_no_balance_that_was_opened(both_ways):
    imported(both_ways)
    changed = imported(both_ways, TOP + AN.replace("5000", "9000").replace("active", "suspended"))
    assert changed.stdout == "0 added, 1 changed, 0 unchanged.\n"
    assert shown(both_ways, "0903000001")["balance_vnd"] == 5_000


def test_bad_lines_are_told_and_the_rest_is_imported(both_ways):
    done = imported(both_ways, TOP + AN + "abc,prepaid,active,,,,,1,,\n" + BINH)
    assert done.exit_code == 1
    assert done.stderr == "line 3: msisdn: 'abc' is not a number\n"
    assert done.stdout == "2 added, 0 changed, 0 unchanged, 1 with mistakes.\n"


def test_more_lines_than_one_request_takes_are_imported(both_ways):
    count = 2 * CHUNK_LINES_MAX + 1
    lines = (f"0904{number:06d},prepaid,active,,,,,1,,\n" for number in range(count))
    done = imported(both_ways, TOP + "".join(lines))
    assert done.stdout == f"{count} added, 0 changed, 0 unchanged.\n"


def test_a_dry_run_changes_nothing(place):
    path = place.file("subscribers.csv", TOP + AN + BINH)
    done = place.tell("subscribers", "import", path, "--dry-run")
    assert done.stdout == "2 lines can be imported; nothing was changed.\n"
    assert not (place.folder / "telcod.db").exists()


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TOP.replace(",", ";"), "separate them by commas"),
        ("", "the file is empty"),
        ((TOP + AN).encode("utf-16"), "the file is UTF-16"),
    ],
)
def test_a_file_of_something_else_is_refused_as_a_whole(place, text, told):
    done = imported(place, text)
    assert done.exit_code == 1
    assert told in done.stderr
    assert done.stderr.endswith("Mend the file; nothing was imported.\n")


@pytest.mark.rule("CLI-9")
def test_a_file_that_is_not_there_is_wrong_use(place):
    assert place.tell("subscribers", "import", "nowhere.csv").exit_code == 2


@pytest.mark.rule("NUM-1")
@pytest.mark.parametrize("form", ["0903000001", "+84 903 000 001"])
def test_a_subscriber_is_shown_for_people(both_ways, form):
    imported(both_ways)
    text = both_ways.tell("subscribers", "show", form).stdout
    assert "0903000001 (84903000001)" in text
    assert "Nguyễn Văn An" in text
    assert "5.000 đ" in text


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        ("0903000009", 1, "no subscriber of this network has this number."),
        ("abc", 2, "'abc' is not a number."),
        ("a/../b", 2, "'a/../b' is n"),
        ("..", 2, "Mend it and send it again"),
    ],
)
def test_who_is_nobody_is_told_so(both_ways, number, code, told):
    imported(both_ways)
    found = both_ways.tell("subscribers", "show", number)
    assert found.exit_code == code
    assert found.stderr.startswith("Error: ")
    assert told in found.stderr


def topped_up(place, amount=500, *options):
    return place.tell("subscribers", "topup", "0903000001", amount, "--reason", "shop", *options)


def test_a_top_up_adds_money_and_is_done_once_with_its_key(both_ways):
    imported(both_ways)
    assert topped_up(both_ways).stdout == "Topped up by 500 đ: 5.500 đ now.\n"
    for _ in range(2):
        done = topped_up(both_ways, 500, "--key", "k1")
        assert done.stdout == "Topped up by 500 đ: 6.000 đ now.\n"
    other = topped_up(both_ways, 501, "--key", "k1")
    assert other.exit_code == 1
    assert "was used for another request" in other.stderr
    assert shown(both_ways, "0903000001")["balance_vnd"] == 6_000


def test_a_key_holds_on_the_file_and_through_a_daemon_alike(place):
    imported(place)
    topped_up(place, 500, "--key", "k1")
    with place.served():
        assert topped_up(place, 500, "--key", "k1").stdout.endswith("5.500 đ now.\n")
        assert topped_up(place, 501, "--key", "k1").exit_code == 1


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize(
    "args",
    [
        ("0903000001", "0", "--reason", "x"),
        ("0903000001", "1.5", "--reason", "x"),
        ("0903000001", "5", "--reason", " "),
        ("0903000001", "5", "--reason", "x", "--key", "é"),
        ("0903000001", "5"),
    ],
)
def test_a_top_up_that_makes_no_sense_is_wrong_use(place, args):
    assert place.tell("subscribers", "topup", *args).exit_code == 2


def test_a_state_is_set_and_a_wrong_one_is_wrong_use(both_ways):
    imported(both_ways)
    told = [
        both_ways.tell("subscribers", "set-state", "0903000001", "suspended").stdout
        for _ in range(2)
    ]
    assert told == ["The state is suspended now.\n", "The state was suspended already.\n"]
    assert shown(both_ways, "0903000001")["state"] == "suspended"
    assert both_ways.tell("subscribers", "set-state", "0903000001", "asleep").exit_code == 2
