"""Rules are read whole or not at all, and every problem of every file is said in one go."""

import shutil
from pathlib import Path

import pytest

import telcod
from telcod.rulebook import RulesError, load_rules
from telcod.settings import load

pytestmark = pytest.mark.rule("CFG-2", "CLI-3", "KW-2")

SHIPPED = Path(telcod.__file__).parent.parent / "config"


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "config"
    shutil.copytree(SHIPPED, copy)
    return copy


def rules_of(folder):
    return load_rules(load(folder / "telcod.toml", {"SMSC_A_PASSWORD": "x"}))


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def problems_of(folder):
    with pytest.raises(RulesError) as refused:
        rules_of(folder)
    return [str(problem) for problem in refused.value.problems]


def test_the_shipped_files_are_the_sources_prices_and_numbers(folder):
    rules = rules_of(folder)
    tariff = rules.tariffs.at(2**50)
    assert tariff.packages["day"].price_vnd == 1_000
    assert tariff.packages["week"].price_vnd == 5_000
    assert (tariff.packages["day"].period_h, tariff.packages["week"].period_h) == (24, 168)
    assert (tariff.voice.minute_vnd, tariff.voice.first_block_s, tariff.sms.part_vnd) == (
        1_500,
        6,
        250,
    )
    assert (rules.limits.packages.retry_every_h, rules.limits.packages.cancel_after_h) == (6, 720)
    assert (rules.limits.lists.entries_max, rules.limits.texts.unknown_answers_max) == (50, 5)
    assert rules.old_prefixes["0120"] == "070"


def test_what_an_installation_lacks_is_as_shipped(folder):
    for name in ("keywords.toml", "limits.toml"):
        (folder / name).unlink()
    shutil.rmtree(folder / "messages")
    shutil.rmtree(folder / "tariffs")
    assert rules_of(folder).dispatcher.parse("1566", "DK").route == "package.register_day"


def test_a_setting_is_taken_over(folder):
    change(folder / "limits.toml", "# entries_max = 50", "entries_max = 7")
    assert rules_of(folder).limits.lists.entries_max == 7


def test_an_alias_is_a_line_in_a_file(folder):
    change(folder / "keywords.toml", '"KIEM TRA"]', '"KIEM TRA", "XEM"]')
    assert rules_of(folder).dispatcher.parse("1566", "xem").route == "package.show"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("limits.toml", "# entries_max = 50", 'entries_max = "many"', "lists"),
        ("limits.toml", "# entries_max = 50", "entries = 50", "entries"),
        ("limits.toml", "[lists]", "[listen]", "unknown section"),
        ("limits.toml", '0120 = "070"', '0120 = "7"', "0120"),
        ("limits.toml", '0120 = "070"', "0120 = 70", "old_prefixes"),
        ("limits.toml", "[lists]", "[lists", "limits.toml"),
        ("keywords.toml", '"package.cancel"', '"package.cancelled"', "package.cancel"),
        ("keywords.toml", '["B"]', '["KT"]', "leads to"),
        ("keywords.toml", '["B"]', '"B"', "keywords.toml"),
        ("messages/vi.toml", '"package.none"', '"package.nothing"', "package.none"),
        ("messages/en.toml", '"day package"', '"gói ngày"', "name.day"),
        ("tariffs/2018-09-15.toml", "price_vnd = 1000", "price_vnd = 0", "price_vnd"),
        ("tariffs/2018-09-15.toml", "price_vnd = 1000", "price_vnd = 1000.5", "price_vnd"),
        ("tariffs/2018-09-15.toml", "+07:00", "", "valid_from"),
        ("tariffs/2018-09-15.toml", "[packages.week]", "[packages.month]", "packages.week"),
        ("tariffs/2018-09-15.toml", "[sms]", "[text]", "text"),
    ],
)
def test_a_mistake_is_named_with_its_file(folder, file, old, new, said):
    change(folder / file, old, new)
    problems = problems_of(folder)
    assert any(said in problem for problem in problems)
    assert any(Path(file).name.split(".")[0].split("/")[0] in problem for problem in problems)


def test_all_mistakes_are_said_in_one_go(folder):
    change(folder / "limits.toml", "[lists]", "[listen]")
    change(folder / "keywords.toml", '["B"]', '["KT"]')
    change(folder / "tariffs" / "2018-09-15.toml", "price_vnd = 1000", "price_vnd = 0")
    change(folder / "messages" / "vi.toml", '"name.day" = "goi ngay"', '"name.day" = "gói ngày"')
    text = "\n".join(problems_of(folder))
    for word in ("listen", "leads to", "price_vnd", "name.day"):
        assert word in text


def test_two_tariffs_of_one_moment_are_refused(folder):
    tariffs = folder / "tariffs"
    shutil.copy(tariffs / "2018-09-15.toml", tariffs / "2019.toml")
    assert "same id" in "\n".join(problems_of(folder))


def test_a_file_that_is_no_text_is_said(folder):
    (folder / "limits.toml").write_bytes(b"\xff\xfe\x00")
    assert any("limits.toml" in problem for problem in problems_of(folder))
