"""Files that people hand over: the bank's of a day, subscribers to import, the configuration."""

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from telcod import rulebook
from telcod.bulk import BadLine, NotSubscribers, SubscriberLine, check_header, read_lines
from telcod.epay.files import HEADER, PROBLEMS_MAX, BadGatewayFile, read_gateway_file
from telcod.settings import FILE_NAME, Problem, Settings, SettingsError, load, shipped_config_dir
from tests.fuzz.bites import Bites, check_words
from ussd.gateway_file import ProfileError as GatewayProfileError
from ussd.gateway_file import load_profiles as load_gateways
from ussd.smpp_files import load_profiles as load_smpp
from ussd.smpp_profile import ProfileError as SmppProfileError

DAY = 20260302
REASON_CHARS_MAX = 300
CARD = re.compile(r"[0-9]{12,19}")
SECRET = "hushhush"
SHIPPED = shipped_config_dir()
SETTINGS = b"""
[store]
url = "sqlite:telcod.db"
[http]
port = 8080
allow_from = ["10.0.0.0/8"]
[security]
secret = "%(hex)b"
[[smpp.links]]
name = "a"
host = "127.0.0.1"
system_id = "telcod"
password = "%(secret)b"
short_codes = ["1566"]
ussd = "standard"
[smpp.timers]
enquire_link_s = 30
[mqtt]
url = "mqtts://broker.example"
user = "telcod"
password = "%(secret)b"
[fastagi]
secret = "%(secret)b-%(secret)b"
[ussd]
push = "http"
push_url = "https://ussd.example/push"
push_token = "%(secret)b"
[epay]
gateway_url = "https://gateway.example"
gateway_secret = "%(secret)b"
webhook_secrets = ["whsec_YW5vdGhlci1zZWNyZXQtd2hpbGUtcm90YXRlZA=="]
""" % {b"secret": SECRET.encode(), b"hex": b"0" * 64}


# -- the bank's file


def bank_file(data):
    """A file is taken whole or refused with the lines that are wrong, and tells no card number."""
    bites = Bites(data)
    body = bites.rest() if bites.flag() else ",".join(HEADER).encode() + b"\n" + bites.rest()
    try:
        file = read_gateway_file(body, DAY)
    except BadGatewayFile as error:
        _check_file_problems(error.problems)
        return
    assert file.day == DAY
    assert len(file.lines) <= file.lines_count
    assert file.amount_vnd == sum(line.amount_vnd for line in file.lines)
    assert read_gateway_file(body, DAY) == file


def _check_file_problems(problems):
    assert 1 <= len(problems) <= PROBLEMS_MAX
    for problem in problems:
        check_words(str(problem))
        assert problem.line >= 1
        assert len(str(problem)) < REASON_CHARS_MAX
        if "masked_card" in problem.reason:
            assert not CARD.search(problem.reason)


# -- subscribers


def subscribers(data):
    """Each line is a subscriber whom the books can hold, or is told with its number and reason."""
    bites = Bites(data)
    if bites.flag():
        try:
            check_header(bites.rest())
        except NotSubscribers as error:
            check_words(str(error))
        return
    raw = bites.rest().splitlines(keepends=True)
    seen = set()
    last = 1
    for found in read_lines(raw):
        if isinstance(found, BadLine):
            assert last < found.line <= len(raw) + 1
            last = found.line
            check_words(found.reason)
            continue
        # As the import sends it, and as the daemon reads it.
        again = msgspec.json.decode(msgspec.json.encode(found), type=SubscriberLine)
        assert again == found
        assert found.msisdn not in seen
        seen.add(found.msisdn)


# -- the configuration


@cache
def _folder():
    """A configuration to spoil, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="telcod-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(SHIPPED, folder / "config")
    return folder


def settings(data):
    """A `telcod.toml` is settings, or is refused with problems that name their keys."""
    bites = Bites(data)
    text = edited(SETTINGS, bites) if bites.flag() else bites.rest()
    folder = _folder() / "settings"
    folder.mkdir(exist_ok=True)
    (folder / FILE_NAME).write_bytes(text)
    try:
        found = load(folder / FILE_NAME, {})
    except SettingsError as error:
        _check_problems(error.problems)
        return
    assert isinstance(found, Settings)
    assert SECRET not in repr(found)


def edited(text, bites):
    """A file in which a person has changed some lines: what it says, or whether it is there."""
    lines = text.splitlines()
    for _ in range(bites.below(4)):
        at = bites.uint(2) % (len(lines) or 1)
        line = lines[at] if lines else b""
        match bites.below(4):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines[at:at] = [line]
            case 2:
                lines[at : at + 1] = [line.partition(b"=")[0] + b"= " + bites.some()]
            case 3:
                lines[at : at + 1] = [bites.some()]
    return b"\n".join(lines)


def _keywords(path, problems):
    return rulebook._dispatcher(path, {}, problems)


# One of each kind of file: where it lies, and who reads it.
_RULES: dict[str, tuple[str, Any]] = {
    "limits": ("limits.toml", rulebook._limits),
    "tariffs": ("tariffs", rulebook._tariffs),
    "keywords": ("keywords.toml", _keywords),
    "messages": ("messages", rulebook._catalogue),
    "prompts": ("prompts", rulebook._prompts),
    "risk": ("risk.toml", rulebook._risk),
    "ussd": ("ussd", rulebook._menus),
}
_FILES = {
    "tariffs": "2018-09-15.toml",
    "messages": "vi.toml",
    "prompts": "vi/prompts.toml",
    "ussd": "1566.toml",
}
_PROFILES = {
    "gateways": (SHIPPED / "ussd" / "gateways" / "restcomm.toml").read_bytes(),
    "smpp": (SHIPPED / "ussd" / "smpp" / "sixdee.toml").read_bytes(),
}
KINDS = (*_RULES, *_PROFILES)


def rule_files(data):
    """A file of rules is read, or is refused with problems that name their keys."""
    bites = Bites(data)
    kind, as_edited = bites.one_of(KINDS), bites.flag()
    if kind in _PROFILES:
        _profile(kind, edited(_PROFILES[kind], bites) if as_edited else bites.rest())
        return
    where, reader = _RULES[kind]
    path = _folder() / "config" / where
    file = path / _FILES[kind] if kind in _FILES else path
    right = file.read_bytes()
    text = edited(right, bites) if as_edited else bites.rest()
    problems: list[Problem] = []
    try:
        file.write_bytes(text)
        read = reader(path, problems)
    finally:
        file.write_bytes(right)
    if problems:
        _check_problems(problems)
    else:
        assert read is not None


def _profile(kind, text):
    folder = _folder() / kind
    folder.mkdir(exist_ok=True)
    (folder / "a.toml").write_bytes(text)
    try:
        read = load_gateways(folder) if kind == "gateways" else load_smpp(folder)
    except (GatewayProfileError, SmppProfileError) as error:
        for problem in error.problems:
            check_words(problem)
        return
    assert set(read) == {"a"}


def _check_problems(problems):
    assert problems
    for problem in problems:
        check_words(problem.reason)
        check_words(str(problem))
