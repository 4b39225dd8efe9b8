"""What somebody does on the page's phones goes through telcod and back: texts, screens, calls."""

import pytest

from telcod.demo.call_desk import Timers
from tests.demo_world import FROM_THE_PAGE, demo

pytestmark = [pytest.mark.anyio, pytest.mark.rule("DEMO-1")]
B = "15660903000002"


async def test_a_text_goes_by_smpp_and_its_answer_arrives_on_the_phone(tmp_path):
    async with demo(tmp_path) as world:
        assert await world.do("B", "text", to="1566", text="DK7") == 204
        await world.text("B", "mien phi dung thu")
        [sent] = [each for each in world.phones["B"]["bubbles"] if each["way"] == "out"]
        assert sent["fate"] == "taken"
        await world.until(lambda: world.purse("B")["package"] == "week", "the package")
        texts = lambda: [line for line in world.lines if line["kind"] == "text"]  # noqa: E731
        await world.until(texts, "the line about it")
        [line] = texts()
        assert (line["what"], line["came"]) == ("1566: DK7", "package.trial_started")


async def test_a_text_to_a_number_that_telcod_has_not_is_shown_as_refused(tmp_path):
    async with demo(tmp_path) as world:
        await world.do("A", "text", to="1567", text="KT")
        await world.until(
            lambda: [each["fate"] for each in world.phones["A"]["bubbles"]] == ["refused"],
            "the refusal",
        )


async def test_a_password_is_on_the_phone_that_typed_it_and_nowhere_else(tmp_path):
    async with demo(tmp_path) as world:
        await world.do("C", "text", to="9223", text="MK abc123")
        await world.text("C", "mat khau thanh toan thanh cong")
        await world.until(lambda: world.lines, "the story")
        assert "abc123" not in str(world.lines)


async def test_a_dialogue_shows_screens_until_it_ends(tmp_path):
    async with demo(tmp_path) as world:
        assert await world.do("A", "dial", number="*1566#") == 204
        screen = await world.screen("A", "6 Cuoc da tru")
        assert screen["asks"]
        assert await world.do("A", "dial", number="*1566#") == 409
        await world.do("A", "screen", text="6")
        screen = await world.screen("A", "chua co giao dich")
        assert not screen["asks"]
        assert await world.do("A", "screen", text="6") == 409
        await world.do("A", "screen/close")
        await world.until(lambda: world.phones["A"]["screen"] is None, "the screen to go")
        await world.until(
            lambda: "6" in [line["what"] for line in world.lines if line["kind"] == "screen"],
            "the story of the screens",
        )


async def test_b_consents_talks_and_pays_by_the_second(tmp_path):
    async with demo(tmp_path) as world:
        assert await world.do("A", "dial", number=B) == 204
        await world.call("B", "ringing")
        await world.do("B", "call", what="answer")
        asked = await world.call("B", "question")
        assert asked["keys"] == "124"
        assert "1.500" in asked["says"]
        await world.do("B", "call", what="1")
        await world.call("A", "talking")
        await world.until(lambda: world.purse("B")["held_vnd"] > 0, "money to be reserved")
        await world.do("A", "call", what="leap")
        await world.until(lambda: world.phones["A"]["call"]["talk_s"] >= 30, "the leap")
        await world.do("A", "call", what="hangup")
        over = await world.call("B", "over")
        assert over["billed_s"] >= 30
        assert over["charged_vnd"] == over["billed_s"] * 25
        await world.until(
            lambda: world.purse("B")["posted_vnd"] == 200_000 - over["charged_vnd"], "the charge"
        )
        await world.until(lambda: world.purse("B")["held_vnd"] == 0, "the rest to be free")
        await world.text("B", "Quy khach da tra")
        charges = lambda: [  # noqa: E731
            line["amount_vnd"] for line in world.lines if line["kind"] == "entry"
        ]
        # What telcod did is told apart from what a purse holds.
        await world.until(charges, "the entry")
        assert charges() == [over["charged_vnd"]]


ANSWERS = ("ringing", "B", "answer")


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ([("ringing", "B", "hangup")], "refuse"),
        ([ANSWERS, ("question", "B", "2")], "refuse"),
        ([ANSWERS, ("question", "B", "hangup")], "refuse"),
        ([("ringing", "A", "hangup")], "hung_up_caller"),
        ([ANSWERS, ("question", "A", "hangup")], "hung_up_caller"),
    ],
)
async def test_a_call_that_does_not_come_about_costs_nothing(tmp_path, acts, why):
    async with demo(tmp_path) as world:
        await world.do("A", "dial", number=B)
        for stage, phone, what in acts:
            await world.call("B", stage)
            await world.do(phone, "call", what=what)
        over = await world.call("A", "over")
        assert over["why"] == why
        await world.call("B", "over")
        assert world.purse("B")["posted_vnd"] == 200_000
        # Both may put it away, and call again.
        for phone in "AB":
            await world.do(phone, "call", what="hangup")
        await world.until(lambda: world.phones["B"]["call"] is None, "the call to be put away")
        await world.do("A", "dial", number=B)
        await world.call("B", "ringing")


async def test_who_says_nothing_is_asked_again_and_then_the_call_is_refused(tmp_path):
    async with demo(tmp_path, timers=Timers(ring_s=30, answer_s=0)) as world:
        await world.do("A", "dial", number=B)
        await world.call("B", "ringing")
        await world.do("B", "call", what="answer")
        assert (await world.call("A", "over"))["why"] == "refuse"
        await world.until(
            lambda: any(line["came"].startswith("refused") for line in world.lines), "the refusal"
        )


async def test_who_does_not_pick_up_is_not_asked(tmp_path):
    async with demo(tmp_path, timers=Timers(ring_s=0, answer_s=30)) as world:
        await world.do("A", "dial", number=B)
        assert (await world.call("A", "over"))["why"] == "refuse"
        assert (await world.call("B", "over"))["says"] == ""


async def test_a_call_ends_when_the_granted_time_is_over(tmp_path):
    async with demo(tmp_path) as world:
        await world.do("B", "dial", number="15660903000001")
        await world.call("A", "ringing")
        await world.do("A", "call", what="answer")
        await world.call("A", "question")
        await world.do("A", "call", what="1")
        await world.call("A", "talking")
        # 500 dong pay twenty seconds.
        await world.do("B", "call", what="leap")
        over = await world.call("A", "over")
        assert (over["why"], over["billed_s"], over["charged_vnd"]) == ("time_over", 20, 500)


async def test_an_ordinary_call_without_money_makes_telcod_explain(tmp_path):
    async with demo(tmp_path) as world:
        await world.do("A", "dial", number="0903000002")
        assert (await world.call("A", "over"))["why"] == "no_money"
        screen = await world.screen("A", "15660903000002")
        assert (screen["pushed"], screen["asks"]) == (True, False)
        await world.text("A", "1566")
        await world.do("B", "dial", number="0903000001")
        assert (await world.call("B", "over"))["why"] == "ordinary"


async def test_a_text_that_b_pays_is_asked_on_b_s_screen_and_arrives(tmp_path):
    async with demo(tmp_path) as world:
        await world.do("A", "text", to=B, text="Goi lai cho minh nhe")
        screen = await world.screen("B", "0903000001")
        assert (screen["pushed"], screen["asks"]) == (True, True)
        await world.do("B", "screen", text="1")
        await world.text("B", "Goi lai cho minh nhe")
        await world.until(
            lambda: any(line["kind"] == "entry" for line in world.lines), "the charge"
        )


async def test_only_the_page_itself_on_this_machine_may_ask(tmp_path):
    async with demo(tmp_path) as world:
        text = {"to": "1566", "text": "DK"}
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (
            await world.page.post("/phones/A/text", json=text, headers=foreign)
        ).status_code == 403
        form = await world.page.post("/phones/A/text", data=text, headers=FROM_THE_PAGE)
        assert form.status_code == 403
        rebound = await world.page.get("/", headers={"Host": "phones.example"})
        assert rebound.status_code == 421
        assert world.stage.tokens["demo-staff"] not in rebound.text
        assert world.phones["A"]["bubbles"] == []


async def test_what_no_phone_can_do_is_refused(tmp_path):
    async with demo(tmp_path) as world:
        assert await world.do("Z", "text", to="1566", text="DK") == 404
        assert await world.do("A", "text", to="mother", text="DK") == 400
        assert await world.do("A", "dial", number="<b>") == 400
        assert await world.do("A", "call", what="answer") == 409
        assert await world.do("A", "call", what="dance") == 409
        assert await world.do("A", "text", to="1566", text="x" * 3_000) == 400


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_the_page_names_the_other_sites_and_has_all_its_words(tmp_path, language):
    async with demo(tmp_path) as world:
        page = await world.page.get("/", params={"lang": language})
        assert f'lang="{language}"' in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for part in ("/pay", "/me", "/console"):
            assert f"{world.stage.url}{part}?lang={language}" in page.text
        assert world.stage.tokens["demo-staff"] in page.text
        for name in ("demo.css", "demo.js"):
            assert (await world.page.get(f"/demo/{name}")).status_code == 200
