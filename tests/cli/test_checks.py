"""`telcod check` finds each kind of mistake in each file, and what would only show at the start."""

import re

import pytest

from telcod.settings import shipped_config_dir

pytestmark = pytest.mark.rule("CLI-3", "CFG-1", "CFG-2")

TARIFF = "tariffs/2018-09-15.toml"
LINK = """
[[smpp.links]]
name = "a"
host = "127.0.0.1"
system_id = "telcod"
password = "x"
short_codes = ["1566"]
"""

# The file, what is put for what (a pattern; empty: at the end), and what must be told.
MISTAKES = [
    # Each file: no TOML at all.
    ("telcod.toml", "", "\n[http\n", "is not TOML"),
    ("limits.toml", "", "\n[lists\n", "limits.toml"),
    ("keywords.toml", "", "\n[x\n", "keywords.toml"),
    ("risk.toml", "", "\n[x\n", "risk.toml"),
    ("messages/vi.toml", "", "\n[x\n", "vi.toml"),
    ("messages/en.toml", "", "\n[x\n", "en.toml"),
    (TARIFF, "", "\n[x\n", "2018-09-15.toml"),
    ("prompts/vi/prompts.toml", "", "\n[x\n", "prompts.toml"),
    ("ussd/1566.toml", "", "\n[x\n", "1566.toml"),
    ("ussd/gateways/restcomm.toml", "", "\n[x\n", "restcomm"),
    ("ussd/smpp/standard.toml", "", "\n[x\n", "standard"),
    # telcod.toml: an unknown table and key, a wrong type, a value out of range.
    ("telcod.toml", "", "\n[htpp]\n", "htpp: is not known here; did you mean http?"),
    ("telcod.toml", r"\[http\]", "[http]\nprot = 1", "http.prot: is not known here"),
    ("telcod.toml", r"port = \d+", 'port = "x"', "http.port: expected a whole number"),
    ("telcod.toml", r"port = \d+", "port = 70000", "http.port"),
    # limits.toml
    ("limits.toml", "", "\n[lits]\nx = 1\n", "lits: unknown section"),
    ("limits.toml", r"# entries_max = 50", 'entries_max = "many"', "limits.toml: lists"),
    ("limits.toml", r"# entries_max = 50", "entries = 50", "limits.toml: lists"),
    # keywords.toml
    ("keywords.toml", r'\["B"\]', '["KT"]', "leads to"),
    ("keywords.toml", r'"package.cancel"', '"package.cancelled"', "no route is called"),
    ("keywords.toml", r'\["B"\]', "[]", "has no keyword"),
    ("keywords.toml", r'\["B"\]', '["b!"]', "is not a keyword"),
    # messages
    ("messages/vi.toml", r'"package.none"', '"package.nothing"', "package.none"),
    ("messages/vi.toml", r'"name.day" = "goi ngay"', '"name.day" = "gói ngày"', "name.day"),
    ("messages/en.toml", r'"name.day" = "[a-z ]+"', '"name.day" = "{nobody}"', "name.day"),
    # tariffs
    (TARIFF, r"price_vnd = 1000", "price_vnd = 0", "price_vnd"),
    (TARIFF, r"\+07:00", "", "valid_from: must be a time with its zone"),
    (TARIFF, r"\[packages.week\]", "[packages.month]", "packages.week: missing"),
    # prompts
    ("prompts/vi/prompts.toml", r"\[text\]", "[txt]", "prompts.toml: txt"),
    ("prompts/en/prompts.toml", r'version = "[^"]+"', 'version = "other"', "the same version"),
    # risk.toml
    ("risk.toml", "", '\n[[rule]]\nname = "x"\nwhen = "full_moon"\n', "risk.toml: rule"),
    ("risk.toml", "", "\n[rules]\n", "risk.toml: rules: is not known here"),
    # menus
    ("ussd/1566.toml", r'first = "main"', 'first = "mian"', "1566.toml: first"),
    ("ussd/1566.toml", r'to = "[a-z_]+"', 'to = "nowhere"', "nowhere"),
    ("ussd/1566.toml", r'run = "[a-z_.]+"', 'run = "package.fly"', "package.fly"),
    ("ussd/1566.toml", r'wrong_choice = "[^"]+"', 'wrong_choice = "sẵn"', "1566.toml"),
    # gateways
    ("ussd/gateways/restcomm.toml", "", "\nnonsense = 1\n", "restcomm"),
    ("ussd/smpp/standard.toml", "", "\nnonsense = 1\n", "standard"),
    # What only a start would show.
    (
        "telcod.toml",
        r'url = "sqlite[^"]*"',
        'url = "postgresql://h/d"',
        "store.url: names a server",
    ),
    ("telcod.toml", r"\[security\]", '[security]\nsecret = "abc"', "security.secret: must be 64"),
    ("telcod.toml", r"\[security\]", f'[security]\nsecret = "{"g" * 64}"', "security.secret"),
    ("telcod.toml", r"\[http\]", '[http]\nallow_from = ["10.0.0.0/33"]', "http.allow_from"),
    ("telcod.toml", r"\[http\]", '[http]\nproxies = ["proxy"]', "http.proxies"),
    ("telcod.toml", "", LINK.replace("1566", "4711"), "no keyword leads to 4711"),
    ("telcod.toml", "", LINK + 'ussd = "klingon"\n', "klingon"),
    ("telcod.toml", "", LINK + 'tls = true\ntls_ca = "no.pem"\n', "links[0].tls_ca"),
    ("telcod.toml", "", '[mqtt]\nurl = "mqtts://h"\ntls_ca = "no.pem"\n', "mqtt.tls_ca"),
    ("telcod.toml", "", '[ussd]\npush = "mqtt"\n', "ussd.push: "),
    ("telcod.toml", "", '[ussd]\npush = "http"\npush_url = "nope"\n', "ussd.push_url"),
    (
        "telcod.toml",
        "",
        '[ussd]\npush = "smpp"\npush_link = "a"\n',
        "ussd.push_link: must be the name of a link",
    ),
    (
        "telcod.toml",
        "",
        LINK + '[ussd]\npush = "smpp"\npush_link = "a"\n',
        "ussd.push_link: link a has no ussd profile",
    ),
]


def spoil(place, name, pattern, instead):
    path = place.folder / name
    text = path.read_text(encoding="utf-8")
    if pattern:
        spoiled, times = re.subn(pattern, lambda _: instead, text, count=1)
        assert times == 1
    else:
        spoiled = text + instead
    path.write_text(spoiled, encoding="utf-8")


@pytest.mark.parametrize(("name", "pattern", "instead", "told"), MISTAKES)
def test_a_mistake_is_found_and_told_with_its_place(place, name, pattern, instead, told):
    spoil(place, name, pattern, instead)
    done = place.tell("check")
    assert done.exit_code == 1
    assert told in done.stdout, done.stdout
    assert "in the configuration. Mend them and check again." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_every_kind_of_file_is_spoiled_above():
    spoiled = {name.split("/")[0] for name, *_ in MISTAKES}
    shipped = {
        path.relative_to(shipped_config_dir()).parts[0]
        for path in shipped_config_dir().rglob("*.toml")
    }
    assert shipped <= spoiled


def test_mistakes_in_all_files_are_told_in_one_go(place):
    chosen = {name: (pattern, instead, told) for name, pattern, instead, told in MISTAKES[11:]}
    for name, (pattern, instead, _) in chosen.items():
        spoil(place, name, pattern, instead)
    done = place.tell("check")
    for name, (_, _, told) in chosen.items():
        assert told in done.stdout, name


def test_a_configuration_with_all_of_it_is_right(place):
    spoil(
        place,
        "telcod.toml",
        "",
        LINK
        + 'ussd = "standard"\n[ussd]\npush = "smpp"\npush_link = "a"\n'
        + '[mqtt]\nurl = "mqtt://h"\n',
    )
    spoil(place, "telcod.toml", r"\[security\]", f'[security]\nsecret = "{"ab" * 32}"')
    spoil(place, "telcod.toml", r"\[http\]", '[http]\nallow_from = ["10.0.0.1/8"]')
    done = place.tell("check")
    assert (done.exit_code, done.stdout) == (0, f"{place.folder}: right, 1 links.\n")
