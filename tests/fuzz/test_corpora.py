"""What fuzzing has found stays found: all inputs that are kept are run through their targets."""

from xml.parsers.expat import ExpatError

import pytest

from telcod.settings import FILE_NAME, load
from tests.fuzz.corpus import CORPUS, name_of, smallest_cover
from tests.fuzz.file_targets import SETTINGS
from tests.fuzz.planted import PLANTED, planted
from tests.fuzz.run import SLACK_S, fuzz
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

# By target, the rules that it proves.
ALL = [
    pytest.param("framing", marks=pytest.mark.rule("SMPP-1")),
    pytest.param("pdu", marks=pytest.mark.rule("SMPP-1")),
    pytest.param("session", marks=pytest.mark.rule("SMPP-1", "SMPP-2")),
    pytest.param("incoming", marks=pytest.mark.rule("SMPP-3", "SMPP-4")),
    pytest.param("gsm", marks=pytest.mark.rule("SMPP-3", "KW-6")),
    pytest.param("keywords", marks=pytest.mark.rule("KW-1", "KW-2", "PAY-1")),
    pytest.param("numbers", marks=pytest.mark.rule("NUM-1", "KW-5")),
    pytest.param("templates", marks=pytest.mark.rule("KW-6")),
    pytest.param("ussd_menu", marks=pytest.mark.rule("USSD-3")),
    pytest.param("ussd_gateways", marks=pytest.mark.rule("USSD-2")),
    pytest.param("ussd_smpp", marks=pytest.mark.rule("SMPP-7")),
    pytest.param("agi", marks=pytest.mark.rule("IVR-5")),
    pytest.param("call_bodies", marks=pytest.mark.rule("IVR-3")),
    pytest.param("voicexml", marks=pytest.mark.rule("IVR-4")),
    pytest.param("mqtt", marks=pytest.mark.rule("MQTT-1")),
    pytest.param("notification", marks=pytest.mark.rule("PAYAPI-2")),
    pytest.param("gateway_answers", marks=pytest.mark.rule("PAY-5")),
    pytest.param("pay_form", marks=pytest.mark.rule("PAY-3")),
    pytest.param("bank_file", marks=pytest.mark.rule("PAY-12")),
    pytest.param("subscribers", marks=pytest.mark.rule("CLI-4")),
    pytest.param("settings", marks=pytest.mark.rule("CFG-1")),
    pytest.param("rule_files", marks=pytest.mark.rule("CFG-2")),
]
FUZZ_S = 20
# What a mistake may make of it: a broken promise, or an exception that is none of the typed.
NOTICED = (AssertionError, ValueError, LookupError, RecursionError, ExpatError)


def files_of(name):
    return sorted((CORPUS / name).iterdir())


def replay(name):
    for path in files_of(name):
        try:
            TARGETS[name].one(path.read_bytes())
        except BaseException as error:
            error.add_note(f"the input is {path}")
            raise


@pytest.mark.parametrize("name", ALL)
def test_no_input_that_is_kept_breaks_a_promise(name):
    replay(name)


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_that_are_kept_catch_a_planted_mistake(name):
    with planted(name), pytest.raises(NOTICED):
        replay(name)


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_is_small_and_its_files_are_named_by_what_they_are(name):
    files = files_of(name)
    assert len(files) <= TARGETS[name].files_max
    contents = [path.read_bytes() for path in files]
    assert max(map(len, contents)) <= TARGETS[name].bytes_max
    for path, octets in zip(files, contents, strict=True):
        kind, _, end = path.name.rpartition("-")
        assert kind in {"seed", "found", ""}
        assert end == name_of(octets) if kind != "seed" else end.isdigit()


def test_every_target_has_seeds_a_planted_mistake_and_a_rule():
    assert TARGETS.keys() == SEEDS.keys() == PLANTED.keys()
    assert [param.values[0] for param in ALL] == list(TARGETS)
    assert {folder.name for folder in CORPUS.iterdir()} == TARGETS.keys()


def test_the_settings_that_a_fuzzer_edits_are_right_before(tmp_path):
    path = tmp_path / FILE_NAME
    path.write_bytes(SETTINGS)
    assert load(path, {}).fastagi is not None


def test_of_two_inputs_that_do_the_same_one_is_kept():
    one = TARGETS["numbers"].one
    number, short = b"\0\0\0\0" + b"84903000001", b"\0\0\0\0" + b"12"
    assert smallest_cover(one, [short, number, number], known=[]) == [short, number]
    assert smallest_cover(one, [short], known=[short]) == []


@pytest.mark.thorough
@pytest.mark.timeout(SLACK_S + 2 * FUZZ_S)
@pytest.mark.parametrize("name", TARGETS)
def test_a_while_of_fuzzing_finds_nothing(name):
    told = fuzz(name, FUZZ_S, keep=False)
    assert not told.broken, told.words
    print(told.words)
