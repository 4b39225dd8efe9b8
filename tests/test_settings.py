"""The configuration: everything wrong is told in one go, and nothing is ignored silently."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.errors import EXIT_NOT_STARTED, fate_of
from telcod.settings import (
    FILE_NAME,
    Problem,
    Secret,
    Settings,
    SettingsError,
    load,
    shipped_config_dir,
)
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.timers import Timers

LINK = """\
[[smpp.links]]
name = "smsc-a"
host = "127.0.0.1"
system_id = "telcod"
password = "secret"
short_codes = ["1566"]
"""

EXAMPLE = """\
[store]
url = "sqlite:///var/lib/telcod/telcod.db"
[http]
host = "127.0.0.1"
port = 8080
[mqtt]
url = "mqtt://127.0.0.1:1883"
[[smpp.links]]
name = "smsc-a"
host = "127.0.0.1"
port = 2775
system_id = "telcod"
password = { env = "SMSC_A_PASSWORD" }
bind = "transceiver"
short_codes = ["1566", "9223"]
window = 100
rate_per_s = 0
tls = false
default_alphabet = "gsm7"
[fastagi]
host = "127.0.0.1"
port = 4573
"""


@pytest.fixture
def write(tmp_path):
    def writer(text):
        path = tmp_path / FILE_NAME
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def problems(path, environ=None):
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {})
    return {(problem.key, problem.reason) for problem in caught.value.problems}


def keys(path, environ=None):
    return sorted(key for key, _ in problems(path, environ))


# ------------------------------------------------------------------------------ what is understood


@pytest.mark.rule("CFG-1")
def test_the_documented_example_is_understood(write):
    settings = load(write(EXAMPLE), {"SMSC_A_PASSWORD": "s3cret"})
    (link,) = settings.smpp.links
    assert (link.name, link.port, link.password) == ("smsc-a", 2775, "s3cret")
    assert link.short_codes == ("1566", "9223")
    assert settings.mqtt is not None
    assert settings.mqtt.url == "mqtt://127.0.0.1:1883"
    assert settings.fastagi is not None
    assert settings.fastagi.port == 4573


@pytest.mark.rule("CFG-1")
def test_an_empty_file_gives_the_defaults_without_mqtt_and_fastagi(write):
    path = write("")
    assert load(path, {}) == Settings(folder=path.parent)
    assert load(path, {}).mqtt is None
    assert load(path, {}).fastagi is None


@pytest.mark.rule("CFG-1")
def test_an_empty_table_of_an_optional_service_turns_it_on(write):
    fastagi = load(write("[fastagi]"), {}).fastagi
    assert fastagi is not None
    assert fastagi.port == 4573


@pytest.mark.rule("CFG-1")
def test_a_folder_stands_for_the_file_in_it(write):
    assert load(write("[http]\nport = 81").parent, {}).http.port == 81


@pytest.mark.rule("CFG-2")
def test_the_shipped_configuration_is_right_and_says_the_defaults():
    shipped = shipped_config_dir()
    assert load(None, {}) == Settings(folder=shipped)


@pytest.mark.rule("CFG-2", "CLI-3")
def test_every_commented_line_of_the_shipped_configuration_is_right_too():
    text = (shipped_config_dir() / FILE_NAME).read_text(encoding="utf-8")
    commented = re.sub(r"^# ((?:\[+[a-z.]+\]+|[a-z_]+ = ).*)$", r"\1", text, flags=re.MULTILINE)
    data = tomllib.loads(commented)
    shown, timers = data["smpp"]["links"][0], data["smpp"]["timers"]
    # What it shows for the timers and for a link are the defaults: the file can be believed.
    assert timers == msgspec.structs.asdict(Timers())
    defaults = {
        field.name: list(field.default) if isinstance(field.default, tuple) else field.default
        for field in msgspec.structs.fields(LinkSettings)
        # None: the timer of [smpp.timers], which is shown in its place.
        if not field.required and field.default is not None and field.name != "short_codes"
    }
    assert {name: shown[name] for name in defaults} == defaults
    assert set(shown) == set(LinkSettings.__struct_fields__)


@pytest.mark.rule("CFG-2")
def test_a_file_beside_the_configuration_wins_over_the_shipped_one(write):
    settings = load(write(""), {})
    assert settings.file("keywords") == shipped_config_dir() / "keywords.toml"
    own = settings.folder / "keywords.toml"
    own.write_text("")
    assert settings.file("keywords") == own


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/telcod/telcod.db", "/var/lib/telcod/telcod.db"),
        ("sqlite:telcod.db", "{folder}/telcod.db"),
        ("sqlite:data/telcod.db", "{folder}/data/telcod.db"),
    ],
)
@pytest.mark.rule("CFG-1")
def test_a_database_file_is_absolute_or_beside_the_configuration(write, url, path):
    settings = load(write(f'[store]\nurl = "{url}"'), {})
    assert settings.sqlite_path_or_none() == Path(path.format(folder=settings.folder))


@pytest.mark.rule("CFG-1")
def test_a_server_is_no_file(write):
    settings = load(write('[store]\nurl = "postgresql://db.example/telcod"'), {})
    assert settings.sqlite_path_or_none() is None


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.rule("CFG-1", "CLI-3")
def test_every_problem_is_told_in_one_go(write):
    path = write(
        """
        colour = "red"
        [store]
        url = "mysql://x"
        [http]
        host = ""
        port = 70000
        prot = 80
        [mqtt]
        user = 5
        [engine]
        queue_max = "many"
        [log]
        level = "loud"
        [[smpp.links]]
        name = "a"
        host = "h"
        system_id = "telcod"
        password = { env = "NOT_THERE" }
        short_codes = ["1566", "MOBI"]
        windw = 5
        [[smpp.links]]
        name = "a"
        password = "much too long"
        """
    )
    assert keys(path) == [
        "colour",
        "engine.queue_max",
        "http.host",
        "http.port",
        "http.prot",
        "log.level",
        "mqtt.url",
        "mqtt.user",
        "smpp.links[0].password",
        "smpp.links[0].short_codes",
        "smpp.links[0].windw",
        "smpp.links[1].host",
        "smpp.links[1].name",
        "smpp.links[1].password",
        "smpp.links[1].short_codes",
        "smpp.links[1].system_id",
        "store.url",
    ]


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[htpp]", "htpp", "is not known here; did you mean http?"),
        ("[http]\nprot = 1", "http.prot", "is not known here; did you mean port?"),
        ("[http]\nzzz = 1", "http.zzz", "is not known here"),
        ("folder = 'x'", "folder", "is not known here"),
        ("http = 5", "http", "must be a table"),
        ("[http]\nport = '80'", "http.port", "expected a whole number, got a text"),
        ("[http]\nport = -1", "http.port", "expected a whole number >= 0"),
        ("[http]\nport = true", "http.port", "expected a whole number, got true or false"),
        ("[smpp]\nlinks = 5", "smpp.links", "must be a list of tables, each under [[smpp.links]]"),
        ("[smpp]\nlinks = [5]", "smpp.links[0]", "must be a table"),
        ("[log]\nformat = 'xml'", "log.format", "invalid enum value 'xml'"),
        ("[mqtt]", "mqtt.url", "is missing"),
        (
            "[mqtt]\nurl = 'mqt://x'",
            "mqtt.url",
            "must begin with mqtt: or mqtts:; did you mean mqtt?",
        ),
        ("[mqtt]\nurl = 'mqtt:///x'", "mqtt.url", "must name a host: mqtt://host:1883"),
        (
            "[mqtt]\nurl = 'mqtt://u:p@h'",
            "mqtt.url",
            "must hold no password; give it as mqtt.password",
        ),
        (
            "[store]\nurl = 'sqlite://telcod.db'",
            "store.url",
            "must name a file: sqlite:///folder/file.db, or sqlite:file.db",
        ),
        (
            "[store]\nurl = 'postgresql://host'",
            "store.url",
            "must name a database: postgresql://host/database",
        ),
        ("[store]\nurl = 'telcod.db'", "store.url", "must begin with sqlite: or postgresql:"),
        (LINK + "tls_insecure = true", "smpp.links[0]", "say nothing without tls = true"),
        (LINK + LINK, "smpp.links[1].name", "'smsc-a' is the name of link 0 already"),
        (
            LINK.replace('"1566"', '"+84"'),
            "smpp.links[0].short_codes",
            "'+84' is not 3 to 6 digits",
        ),
        (LINK.replace('"1566"', ""), "smpp.links[0].short_codes", "at least one short code"),
        (LINK.replace('"127.0.0.1"', '""'), "smpp.links[0].host", "length >= 1"),
    ],
)
@pytest.mark.rule("CFG-1", "CLI-3")
def test_a_problem_names_its_key_and_its_reason(write, text, key, reason):
    ((found_key, found_reason),) = problems(write(text))
    assert found_key == key
    assert reason in found_reason


@pytest.mark.rule("CLI-3")
def test_a_problem_names_its_file(write):
    path = write("[htpp]")
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert caught.value.problems == (
        Problem(str(path), "htpp", "is not known here; did you mean http?"),
    )
    assert str(caught.value) == f"{path}: htpp: is not known here; did you mean http?"


@pytest.mark.rule("CLI-3")
def test_a_file_that_is_not_there_is_one_problem(tmp_path):
    ((_, reason),) = problems(tmp_path / "no.toml", {"TELCOD_SMPP__LINKS__0__NAME": "x"})
    assert reason == "there is no such file; `telcod init` writes one"


@pytest.mark.parametrize(
    ("data", "reason"), [(b"[http", "is not TOML"), (b"\xff", "is not UTF-8 text")]
)
@pytest.mark.rule("CLI-3")
def test_a_file_that_is_not_toml_is_a_problem(tmp_path, data, reason):
    path = tmp_path / FILE_NAME
    path.write_bytes(data)
    ((_, found),) = problems(path)
    assert reason in found


@pytest.mark.rule("CLI-3")
def test_a_file_that_somebody_names_must_be_there(write):
    ((key, reason),) = problems(write('[files]\ntariffs = "prices"'))
    assert key == "files.tariffs"
    assert "is not there" in reason


@pytest.mark.rule("CLI-9")
def test_a_wrong_configuration_is_a_daemon_that_could_not_start():
    assert fate_of(SettingsError([])).exit_code == EXIT_NOT_STARTED


# ---------------------------------------------------------------------------------- the environment


@pytest.mark.parametrize(
    ("variable", "value", "look"),
    [
        ("TELCOD_HTTP__PORT", "8081", lambda s: s.http.port == 8081),
        ("TELCOD_HTTP__CONTROL_SOCKET", "5", lambda s: s.http.control_socket == "5"),
        ("TELCOD_LOG__LEVEL", "debug", lambda s: s.log.level == "debug"),
        ("TELCOD_MQTT__URL", "mqtts://b:8883", lambda s: s.mqtt.url == "mqtts://b:8883"),
        ("TELCOD_SMPP__TIMERS__CONNECT_S", "2.5", lambda s: s.smpp.timers.connect_s == 2.5),
        ("TELCOD_SMPP__LINKS__0__TLS", "true", lambda s: s.smpp.links[0].tls is True),
        ("TELCOD_SMPP__LINKS__0__WINDOW", "7", lambda s: s.smpp.links[0].window == 7),
        ("TELCOD_SMPP__LINKS__0__PASSWORD", "1234", lambda s: s.smpp.links[0].password == "1234"),
        (
            "TELCOD_SMPP__LINKS__0__SHORT_CODES",
            "1566, 9223",
            lambda s: s.smpp.links[0].short_codes == ("1566", "9223"),
        ),
        (
            "TELCOD_SMPP__LINKS__0__SHORT_CODES__1",
            "9223",
            lambda s: s.smpp.links[0].short_codes == ("1566", "9223"),
        ),
        ("TELCOD_SECURITY__SECRET", "x", lambda s: s.security.secret == Secret("x")),
    ],
)
@pytest.mark.rule("CFG-1")
def test_a_variable_overrides_its_key_by_the_type_of_the_key(write, variable, value, look):
    assert look(load(write(LINK), {variable: value}))


@pytest.mark.rule("CFG-1")
def test_variables_can_add_a_whole_link(write):
    environ = {
        "TELCOD_SMPP__LINKS__1__NAME": "smsc-b",
        "TELCOD_SMPP__LINKS__1__HOST": "h",
        "TELCOD_SMPP__LINKS__1__SYSTEM_ID": "telcod",
        "TELCOD_SMPP__LINKS__1__PASSWORD": "secret",
        "TELCOD_SMPP__LINKS__1__SHORT_CODES": "9223",
    }
    assert [link.name for link in load(write(LINK), environ).smpp.links] == ["smsc-a", "smsc-b"]


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("TELCOD_HTTP__PROT", "no setting has this name; did you mean TELCOD_HTTP__PORT?"),
        ("TELCOD_HTTP", "no setting has this name"),
        ("TELCOD_FOLDER", "no setting has this name"),
        ("TELCOD_HTTP__PORT__X", "no setting has this name"),
        ("TELCOD_SMPP__LINKS__0", "no setting has this name"),
        ("TELCOD_SMPP__LINKS__X__NAME", "no setting has this name"),
        ("TELCOD_", "no setting has this name"),
        ("TELCOD_HTTP__PORT", "expected a whole number, got a text"),
        ("TELCOD_SMPP__LINKS__7__NAME", "the list in the file has no such place"),
    ],
)
@pytest.mark.rule("CFG-1")
def test_a_variable_that_means_nothing_is_a_problem_with_its_own_name(write, variable, reason):
    with pytest.raises(SettingsError) as caught:
        load(write(LINK), {variable: "x"})
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("environment", variable)
    assert reason in problem.reason


@pytest.mark.rule("CFG-1")
def test_other_programs_variables_are_not_ours(write):
    assert load(write(""), {"HOME": "/", "TELCO_HTTP__PORT": "1"}).http.port == 8080


@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(["HTTP", "PORT", "SMPP", "LINKS", "0", "1", "NAME", "TIMERS", "", "X"]),
            max_size=5,
        ).map(lambda words: "TELCOD_" + "__".join(words)),
        st.text(max_size=5),
        max_size=4,
    ),
    st.sampled_from(["", LINK, "http = 5", "smpp = []", "[smpp]\nlinks = 3", "[smpp]\nlinks=[3]"]),
)
@pytest.mark.rule("CFG-1", "CLI-3")
def test_whatever_the_environment_says_it_is_taken_or_told(tmp_path_factory, environ, text):
    path = tmp_path_factory.mktemp("config") / FILE_NAME
    path.write_text(text, encoding="utf-8")
    try:
        load(path, environ)
    except SettingsError as error:
        assert error.problems  # noqa: PT017  (either is right, nothing else is)


# ------------------------------------------------------------------------------------------ secrets


@pytest.mark.rule("CFG-1")
def test_a_secret_can_be_the_first_line_of_a_file_beside_the_configuration(write):
    path = write(LINK.replace('"secret"', '{ file = "a.secret" }'))
    (path.parent / "a.secret").write_text("s3cret\nnot this\n")
    assert load(path, {}).smpp.links[0].password == "s3cret"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{ file = "gone" }', "cannot be read: No such file or directory"),
        ('{ file = "empty" }', "is empty"),
        ('{ env = "GONE" }', "the variable GONE is not set, or is empty"),
        ('{ env = "EMPTY" }', "the variable EMPTY is not set, or is empty"),
        ('{ env = "A", file = "b" }', "must be a value, {"),
        ('{ var = "A" }', "must be a value, {"),
        ("{ env = 5 }", "must be a value, {"),
    ],
)
@pytest.mark.rule("CFG-1")
def test_a_secret_that_cannot_be_had_is_a_problem(write, value, reason):
    path = write(LINK.replace('"secret"', value))
    (path.parent / "empty").write_text("\n")
    ((key, found),) = problems(path, {"EMPTY": ""})
    assert key == "smpp.links[0].password"
    assert reason in found


@pytest.mark.rule("CFG-1")
def test_a_telcod_variable_that_the_file_names_is_no_unknown_setting(write):
    path = write(LINK.replace('"secret"', '{ env = "TELCOD_SMSC_PASSWORD" }'))
    assert load(path, {"TELCOD_SMSC_PASSWORD": "x"}).smpp.links[0].password == "x"


@pytest.mark.rule("CFG-1", "SMPP-8")
def test_no_repr_and_no_problem_shows_a_secret(write):
    hidden = "s3cret"
    text = LINK.replace('"secret"', f'"{hidden}"') + f'[security]\nsecret = "{hidden}"\n'
    settings = load(write(text), {"TELCOD_MQTT__URL": "mqtt://h", "TELCOD_MQTT__PASSWORD": hidden})
    assert hidden not in repr(settings)
    assert settings.security.secret is not None
    assert settings.security.secret.reveal() == hidden
    with pytest.raises(SettingsError) as caught:
        load(write(text.replace(hidden, hidden * 9) + "[htpp]"), {})
    assert hidden not in str(caught.value)


@pytest.mark.rule("CFG-1")
def test_a_secret_must_be_a_text(write):
    assert problems(write("[security]\nsecret = 5")) == {
        ("security.secret", "must be a text that is not empty")
    }


@pytest.mark.rule("CFG-1", "IVR-5")
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('allow_from = ["10.0.0.0/8"]', "secret is missing"),
        ('allow_from = ["127.0.0.1", "10.0.0.9"]', "secret is missing"),
        ("allow_from = []", "names no network"),
        ('allow_from = ["here"]', "'here' is no network"),
        ('secret = "short"', "16 to 128 letters"),
        ('secret = "with/a/slash/in/between"', "16 to 128 letters"),
    ],
)
def test_fastagi_that_anybody_or_nobody_could_ask_is_a_problem(write, table, reason):
    assert reason in str(problems(write(f"[fastagi]\n{table}")))


@pytest.mark.rule("CFG-1", "IVR-5")
def test_fastagi_may_be_asked_from_elsewhere_with_a_secret(write):
    table = '[fastagi]\nsecret = "s3cret-of-the-dialplan"\nallow_from = ["10.0.0.0/8"]'
    fastagi = load(write(table), {}).fastagi
    assert fastagi is not None
    assert fastagi.secret is not None
    assert "s3cret" not in repr(fastagi)


@pytest.mark.rule("CFG-1")
@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5_000, "a = " + "1" * 5_000, "a = 0x" + "f" * 5_000]
)
def test_a_file_that_no_parser_can_hold_is_told_as_no_toml(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(tmp_path, {})
