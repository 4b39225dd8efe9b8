"""What a subscriber texts and what he reads, as transcripts (the .txt files beside this one)."""

import pytest

from tests.dialogues.scenes import FOLDER, Player, read
from tests.world import shipped_rules

# Said elsewhere: by the engine when a handler broke, inside a list that was cut, on a screen for a
# handler that has nothing to say (tests/ussd/test_sessions.py).
NOT_IN_A_SCENE = {"ours.sorry", "list.more", "ussd.try_later"}
# Who is no subscriber has chosen no language.
NEVER_SAID = {("text.not_subscriber", "en")}


def play(scene, request):
    claimed = {rule for mark in request.node.iter_markers("rule") for rule in mark.args}
    assert set(scene.rules) <= claimed, "name the scene's rules at the test of its file"
    Player(scene).play()


@pytest.mark.rule("PKG-1", "PKG-2", "PKG-3", "PKG-4", "PKG-5", "PKG-6", "PKG-7", "PKG-8", "PKG-9")
@pytest.mark.rule("KW-3", "KW-6", "KW-8")
@pytest.mark.parametrize("scene", read("packages.txt"), ids=str)
def test_packages(scene, request):
    play(scene, request)


@pytest.mark.rule("LST-1", "LST-2", "NUM-1", "NUM-2", "NUM-3", "NUM-4", "NUM-5")
@pytest.mark.rule("KW-3", "KW-5", "KW-6", "PKG-7")
@pytest.mark.parametrize("scene", read("lists.txt"), ids=str)
def test_lists(scene, request):
    play(scene, request)


@pytest.mark.rule("PFM-2", "PFM-30", "PKG-9", "KW-3", "KW-6", "KW-8")
@pytest.mark.parametrize("scene", read("texts.txt"), ids=str)
def test_texts_for_others(scene, request):
    play(scene, request)


@pytest.mark.rule("PFM-20", "KW-2", "KW-6", "NUM-5")
@pytest.mark.parametrize("scene", read("hints.txt"), ids=str)
def test_hints_after_a_failed_call(scene, request):
    play(scene, request)


@pytest.mark.rule("USSD-3", "USSD-4", "PFM-3", "PFM-12", "PFM-30")
@pytest.mark.rule("PKG-2", "PKG-5", "LST-1", "KW-5", "KW-6")
@pytest.mark.parametrize("scene", read("ussd.txt"), ids=str)
def test_the_menu_and_questions_on_the_screen(scene, request):
    play(scene, request)


@pytest.mark.rule("KW-2", "KW-3", "KW-6", "KW-7", "KW-8")
@pytest.mark.parametrize("scene", read("info.txt"), ids=str)
def test_info(scene, request):
    play(scene, request)


@pytest.mark.rule("PAY-1", "KW-2", "KW-3", "KW-6")
@pytest.mark.parametrize("scene", read("epayment.txt"), ids=str)
def test_epayment(scene, request):
    play(scene, request)


@pytest.mark.rule("SELF-1")
@pytest.mark.parametrize("scene", read("selfcare.txt"), ids=str)
def test_self_care(scene, request):
    play(scene, request)


@pytest.mark.rule("PAY-5", "PAY-7", "PAY-8", "PAY-9", "PAY-10", "KW-6", "KW-8")
@pytest.mark.parametrize("scene", read("payments.txt"), ids=str)
def test_card_payments(scene, request):
    play(scene, request)


@pytest.mark.rule("PAY-2", "PAY-11", "KW-6", "CARE-2")
@pytest.mark.parametrize("scene", read("invoices.txt"), ids=str)
def test_invoices_and_look_ups(scene, request):
    play(scene, request)


@pytest.mark.rule("KW-3", "KW-4", "KW-6", "NUM-5")
@pytest.mark.parametrize("scene", read("nowhere.txt"), ids=str)
def test_texts_that_lead_nowhere(scene, request):
    play(scene, request)


@pytest.mark.rule("KW-6")
def test_every_text_of_the_catalogue_is_read_in_some_scene_in_both_languages():
    said = set()
    for path in sorted(FOLDER.glob("*.txt")):
        for scene in read(path.name):
            player = Player(scene)
            player.play()
            said |= player.catalogue.said
    expected = {
        (key, language)
        for key in shipped_rules().catalogue.keys() - NOT_IN_A_SCENE
        for language in ("vi", "en")
    }
    assert expected - said == NEVER_SAID


def test_a_scene_fails_when_something_else_comes():
    (scene,) = read("packages.txt")[:1]
    wrong = scene._replace(
        lines=tuple((n, line.replace("1.000d", "900d")) for n, line in scene.lines)
    )
    with pytest.raises(AssertionError, match=r"packages\.txt:\d+"):
        Player(wrong).play()
    silent = scene._replace(lines=scene.lines[:2])
    with pytest.raises(AssertionError, match="before it came"):
        Player(silent).play()
