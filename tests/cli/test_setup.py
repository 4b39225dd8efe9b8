"""`telcod init` and `telcod check` (CLI-3)."""

import stat
import tomllib

import pytest

from telcod.settings import shipped_config_dir

pytestmark = pytest.mark.rule("CLI-3")


def test_init_writes_a_commented_configuration_that_is_right(place):
    names = {path.relative_to(place.folder).as_posix() for path in place.folder.rglob("*.toml")}
    assert {"telcod.toml", "limits.toml", "keywords.toml", "messages/vi.toml"} <= names
    assert any(name.startswith("tariffs/") for name in names)
    assert (place.folder / "telcod.toml").read_text().count("#") > 20
    done = place.tell("check")
    assert (done.exit_code, done.stdout) == (0, f"{place.folder}: right, 0 links.\n")


def test_what_may_come_to_hold_a_password_is_its_owners_alone(place):
    assert stat.S_IMODE((place.folder / "telcod.toml").stat().st_mode) == 0o600


def test_init_puts_the_books_beside_the_configuration_or_where_it_is_told(place, tmp_path):
    text = (place.folder / "telcod.toml").read_text()
    assert tomllib.loads(text)["store"]["url"] == "sqlite:telcod.db"
    other = tmp_path / "other"
    place.tell("init", other, "--store", "sqlite:///srv/telcod.db")
    assert 'url = "sqlite:///srv/telcod.db"' in (other / "telcod.toml").read_text()
    shipped = (shipped_config_dir() / "telcod.toml").read_text()
    assert tomllib.loads(shipped)["store"]["url"] == "sqlite:///var/lib/telcod/telcod.db"


@pytest.mark.rule("CLI-9")
def test_init_overwrites_nothing(place):
    before = (place.folder / "telcod.toml").read_text()
    (place.folder / "limits.toml").unlink()
    done = place.tell("init", place.folder)
    assert done.exit_code == 1
    assert "telcod.toml" in done.stderr
    assert (place.folder / "telcod.toml").read_text() == before
    assert not (place.folder / "limits.toml").exists()


@pytest.mark.rule("CFG-1", "CFG-2")
def test_check_tells_every_problem_of_every_file_in_one_go(place):
    config = place.folder / "telcod.toml"
    config.write_text(config.read_text().replace("\nport = 0", '\nport = "x"\nprot = 1'))
    place.file("limits.toml", "[lists]\nentries_max = 'many'\n")
    place.file("keywords.toml", '["1566"]\n')
    done = place.tell("check")
    assert done.exit_code == 1
    for part in ("http.port", "http.prot", "limits.toml: lists", "keywords.toml"):
        assert part in done.stdout
    assert "in the configuration. Mend them and check again." in done.stderr


@pytest.mark.rule("CLI-9")
def test_the_other_commands_do_not_start_with_a_wrong_configuration(place):
    place.file("telcod.toml", "nonsense")
    done = place.tell("token", "list")
    assert done.exit_code == 3
    assert "is not TOML" in done.stderr
