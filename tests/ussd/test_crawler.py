"""Every way through the shipped menu: each screen fits, and each leaf does what the text does, in
both languages; over every convention that telcod speaks the same screens are shown.
"""

import socket
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

import handlers
from telcod.clock import ManualClock
from telcod.rows import MO, TABLES
from telcod.service import SERVICE
from telcod.settings import shipped_config_dir
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_ussd import HABITS, SimulatedWire, UssdPhone
from telcod.simulator.ussd import SimulatedUssd
from telcod.simulator.ussd_dialects import DIALECTS
from telcod.text import is_gsm7, septets
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from telcod.web.tokens import new_token
from tests.e2e.harness import Telcod, link
from tests.mqtt.broker import Broker, Peer
from tests.mqtt.station import Station
from tests.session_world import CODE, SessionWorld
from tests.ussd.crawler import (
    FORWARD,
    GUIDE,
    HELLO,
    KEYS,
    LISTED,
    NEW,
    NONSENSE,
    NUMBERS,
    A,
    B,
    C,
    D,
    copy_of,
    crawl,
    effects,
    furnished,
    leaves,
    text_of,
    walk,
)
from tests.world import START_MS
from ussd.menu import ONWARD_KEY
from ussd.steps import Shown

pytestmark = pytest.mark.rule("USSD-3")

LANGUAGES = ("vi", "en")
SCREEN_SEPTETS = 182
LONG_AGO_MS = 3_600_000
BOOKS = {
    "rich": {},
    "bare": {"package": False, "lists": False, "code": False},
    "resting": {"package": False},
    "pending": {"package": False, "pending": True},
}
NOT_DIALLED = {"1#", "*"}  # What ends a code is no part of its inputs.
everything = pytest.mark.parametrize(
    "books",
    [
        "rich",
        "bare",
        pytest.param("resting", marks=pytest.mark.thorough),
        pytest.param("pending", marks=pytest.mark.thorough),
    ],
)
in_both = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@cache
def world_of(books, language):
    return furnished(language, **BOOKS[books])


def typed_too(world):
    """What else is worth typing: the code that waits, a text."""
    asked = world.contents()["asked_text"]
    return (*(row.code for row in asked), HELLO)


@cache
def crawled(books, language):
    world = world_of(books, language)
    return tuple(crawl(world, *typed_too(world)))


# -------------------------------------------------------------------------------- every screen


@in_both
@everything
def test_each_screen_fits_and_is_of_the_alphabet(books, language):
    shown = {screen.text for visit in crawled(books, language) for screen in visit.screens}
    assert len(shown) > 80
    for text in shown:
        assert is_gsm7(text), text
        assert 0 < septets(text) <= SCREEN_SEPTETS, text


@in_both
@everything
def test_nothing_that_is_typed_breaks_anything(books, language):
    world = world_of(books, language)
    for visit in crawled(books, language):
        assert visit.last.action in {"continue", "end"}
        assert visit.last.step >= len(visit.inputs) + 1
        assert visit.last.ends is (visit.leaf is not None)
    sorry = world.rules.catalogue.render("ours.sorry", {}, language)
    said = [screen.text for visit in crawled(books, language) for screen in visit.screens]
    assert not any(sorry in text for text in said)


@in_both
@everything
def test_each_screen_and_each_leaf_of_the_menu_is_reached(books, language):
    menu = world_of(books, language).rules.menus["1566"]
    visits = crawled(books, language)
    shown = "\n".join(visit.last.text for visit in visits)
    for screen in menu.screens.values():
        first_words = screen.text[language].pieces[0].split("\n")[0]
        assert first_words in shown
    leading = {
        route
        for screen in menu.screens.values()
        for route in (screen.route, *(choice.route for choice in screen.choices.values()))
        if route
    }
    reached = {visit.leaf[0] for visit in visits if visit.leaf}
    assert reached == leading
    # Whatever a text to 1566 may ask for.
    assert {row.name for row in handlers.PAYFORME} <= reached


@in_both
def test_every_hint_was_given(language):
    words = world_of("rich", language).rules.menus["1566"].words[language]._asdict()
    hints = {hint for name, hint in words.items() if name.startswith("wrong_")}
    shown = [visit.last.text for visit in crawled("rich", language)]
    assert all(any(text.startswith(hint) for text in shown) for hint in hints)


@in_both
@everything
def test_a_wrong_input_does_nothing(books, language):
    before = effects(world_of(books, language))
    world = copy_of(world_of(books, language))
    for at, visit in enumerate(crawled(books, language)):
        if visit.leaf is None and at % 25 == 0:
            walk(world, ("", *visit.inputs))
            world.clock.advance(LONG_AGO_MS)
            world.end("crawl")
    assert effects(world)["list_entry"] == before["list_entry"]
    assert effects(world)["entry"] == before["entry"]
    assert list(world.store.scan(MO)) == list(world_of(books, language).store.scan(MO))


# ------------------------------------------------------------------------------- every leaf


def leaf_visits(books, language):
    """The first way to each leaf with each of its arguments."""
    found: dict[Any, Any] = {}
    for visit in crawled(books, language):
        if visit.leaf is not None:
            found.setdefault(visit.leaf, visit)
    return found.values()


@in_both
@everything
def test_each_leaf_does_what_the_text_does_and_says_the_same(books, language):
    start = world_of(books, language)
    before = len(list(start.store.scan(MO)))
    compared = set()
    for visit in leaf_visits(books, language):
        asks = text_of(visit.leaf)
        by_menu, by_text = copy_of(start), copy_of(start)
        walk(by_menu, ("", *visit.inputs))
        if asks is None:
            assert visit.leaf[0] == GUIDE
            assert effects(by_menu) == effects(start)
            continue
        code, text = asks
        answer = by_text.text(A, text, code=code)
        assert effects(by_menu) == effects(by_text), visit
        assert visit.answer == " ".join(answer.text.split()), visit
        (row,) = list(by_menu.store.scan(MO))[before:]
        (same,) = list(by_text.store.scan(MO))[before:]
        assert (row.seq, row.route, row.verdict) == (same.seq, same.route, same.verdict)
        assert by_menu.check() == by_text.check() == []
        compared.add(visit.leaf[0])
    assert len(compared) == len(handlers.PAYFORME) + 1  # And the text for somebody else.


@in_both
def test_the_effects_that_are_compared_are_many(language):
    # What changes nothing agrees with everything.
    start = world_of("rich", language)
    changed = set()
    for visit in leaf_visits("rich", language):
        world = copy_of(start)
        walk(world, ("", *visit.inputs))
        if effects(world) != effects(start):
            changed.add(visit.leaf[0])
    assert changed >= {
        "package.cancel",
        "list.black_add",
        "list.black_remove",
        "list.white_add",
        "list.white_remove",
        "notices.stop",
        "confirm.yes",
        "confirm.no",
        "language.set",
        FORWARD,
    }


@in_both
def test_each_leaf_is_reached_by_dialling_it_as_well(language):
    start = world_of("rich", language)
    for visit in leaves(start, *typed_too(start)):
        if visit.inputs[-1] in NOT_DIALLED:
            continue
        code = f"*1566*{'*'.join(visit.inputs)}#"
        jumped = walk(copy_of(start), ("",), code=code)
        assert jumped.leaf == visit.leaf
        assert jumped.answer.endswith(visit.answer)


@in_both
def test_each_leaf_may_be_repeated_at_its_step_without_a_second_effect(language):
    start = world_of("rich", language)
    for visit in leaves(start, *typed_too(start)):
        world = copy_of(start)
        walk(world, ("", *visit.inputs), read=False)
        before = world.contents()
        *_, typed = visit.inputs
        again = world.step("crawl", A, typed, step=len(visit.inputs))
        assert again.data["text"] == visit.screens[len(visit.inputs)].text
        assert world.contents() == before


def test_every_kind_of_books_is_crawled():
    assert {
        param if isinstance(param, str) else param.values[0] for param in everything.args[1]
    } == {*BOOKS}


def test_inputs_that_look_alike_are_all_tried():
    assert len({*KEYS, *NONSENSE, *NUMBERS}) == len(KEYS) + len(NONSENSE) + len(NUMBERS)
    assert {LISTED, NEW} < {*NUMBERS}


# ----------------------------------------------------------------------- on every convention

# One way to each leaf, worked off one after the other on the same books by A.
TOUR = (
    *(("1", "1"), ("1", "2", "1"), ("1", "3", "1"), ("1", "1")),
    *(("2", "2", LISTED), ("2", "2", f"{NEW}*{LISTED}*12"), ("2", "1"), ("2", "3", NEW)),
    *(("3", "2", NEW), ("3", "1"), ("3", "3", NEW), ("3", "2", NEW), ("3", "4", "1")),
    *(("4", "1"), ("4", "2"), ("5", "1", NEW), ("5", "2", NEW, "Goi lai nhe"), ("6",), ("7",)),
    *(("8", "1", "1", "1234"), ("8", "1", "2"), ("8", "2", "1", "1234"), ("8", "2", "2")),
    *(("2", "4", "1"), ("1", "4", "1"), ("9", "x", "8", "3", "2"), ("1", "1"), ("7",)),
    *(("x", "2", "2", "y", LISTED), ("5", "2", "1", NEW, "Call me"), ("8", "3", "1")),
)


@dataclass
class Twin:
    """The same operator in memory, and what it shows."""

    world: Any
    count: int = 0

    @classmethod
    def of(cls, now_ms):
        world = SessionWorld(start_ms=now_ms, rules=furnished().rules)
        world.import_(*({"msisdn": number, "balance_vnd": 20_000} for number in (A, B, C, D)))
        return cls(world)

    def tour(self):
        """Each way with all that is shown on it."""
        for way in TOUR:
            self.count += 1
            phone = self.world.dialogue(A, CODE, *way, session=f"tour-{self.count}")
            while not phone.ends:
                phone.type(ONWARD_KEY)
            onward = [ONWARD_KEY] * (len(phone.screens) - len(way) - 1)
            yield (*way, *onward), [(screen.text, screen.ends) for screen in phone.screens]


def test_the_tour_goes_to_every_leaf():
    twin = Twin.of(START_MS)
    assert len(list(twin.tour())) == len(TOUR)
    went = {row.route for row in twin.world.store.scan(MO)}
    assert went == {row.name for row in handlers.PAYFORME} | {FORWARD, GUIDE}


async def walk_the_tour(twin, dial, rows):
    """Each way on a phone; all that it shows is what the twin shows, and so are the books.

    Args:
        twin: The same books in memory.
        dial: Begins a dialogue; then `type` goes on, both giving the text and whether it ends.
        rows: Reads a table.
    """
    for way, expected in twin.tour():
        phone = await dial()
        got = [phone.first, *[await phone.type(typed) for typed in way]]
        assert got == expected, way
    ours = effects(twin.world)
    theirs = effects(Rows({table.index: await rows(table) for table in TABLES}))
    for name in ("list_entry", "subscriber", "subscription", "period", "held_text", "sms"):
        assert theirs[name] == ours[name], name
    journal = [(row.route, row.text, row.verdict) for row in await rows(MO)]
    assert journal == [(row.route, row.text, row.verdict) for row in twin.world.store.scan(MO)]


class Rows:
    """Tables that were read, for `effects`."""

    def __init__(self, tables):
        self._tables = tables
        self.store = self

    def scan(self, table):
        return self._tables[table.index]

    def outbox(self):
        return next(
            rows
            for rows, table in zip(self._tables.values(), TABLES, strict=True)
            if table.name == "outbox_sms"
        )


async def operator(telcod):
    """The subscribers of the tour."""
    await telcod.subscribers(*({"msisdn": number} for number in (A, B, C, D)))


class HttpPhone:
    """A phone at a simulated gateway."""

    def __init__(self, dialogue):
        self._dialogue = dialogue
        self.first = (dialogue.text, dialogue.ended)

    async def type(self, typed):
        seen = await self._dialogue.type(typed)
        return seen.text, seen.ends


@pytest.mark.anyio
@pytest.mark.rule("USSD-1", "USSD-2")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_tour_over_http(tmp_path, dialect):
    clock = ManualClock(START_MS)
    async with Telcod(tmp_path, clock=clock, routes=SERVICE) as telcod:
        await operator(telcod)
        token = new_token()
        made = create_token("gw", Scope.USSD, token_hash(token), actor="test")
        await telcod.daemon.submit(made)
        clock.advance(2_000)  # Tokens are read again after a second.
        url = f"http://127.0.0.1:{telcod.daemon.web.port}"
        async with SimulatedUssd(url, token, dialect=dialect) as gateway:

            async def dial():
                return HttpPhone(await gateway.dial(A))

            twin = Twin.of(START_MS)
            twin.world.clock.advance(clock.wall_ms() - START_MS)
            await walk_the_tour(twin, dial, telcod.rows)


def test_every_shipped_gateway_and_link_profile_is_toured():
    folder = shipped_config_dir() / "ussd"
    assert {path.stem for path in (folder / "gateways").glob("*.toml")} == {*DIALECTS} - {"json"}
    assert {path.stem for path in (folder / "smpp").glob("*.toml")} == {*HABITS}


class SmppPhone:
    """A phone at the simulated SMSC."""

    def __init__(self, phone):
        self._phone = phone
        self.first = None

    async def dialled(self):
        screen = await self._phone.dial(CODE)
        self.first = (screen.text, screen.ends)
        return self

    async def type(self, typed):
        screen = await self._phone.press(typed)
        return screen.text, screen.ends


@pytest.mark.anyio
@pytest.mark.rule("SMPP-7")
@pytest.mark.parametrize("profile", HABITS)
async def test_the_tour_over_smpp(tmp_path, profile):
    clock = ManualClock(START_MS)
    async with SimulatedSmsc() as smsc:
        settings = link(smsc, ussd=profile, enquire_link_s=3600)
        async with Telcod(tmp_path, settings, clock=clock, routes=SERVICE) as telcod:
            await operator(telcod)
            await telcod.wait_bound()
            phone = UssdPhone(SimulatedWire(smsc), str(A), HABITS[profile])
            await walk_the_tour(Twin.of(START_MS), lambda: SmppPhone(phone).dialled(), telcod.rows)


class MqttPhone:
    """A phone at a gateway that asks over the broker."""

    def __init__(self, peer, session):
        self._peer = peer
        self._said = {
            "op": "step",
            "session_id": session,
            "msisdn": f"0{A % 10**9}",
            "service_code": CODE,
        }
        self._step = 0
        self.first = None

    async def dialled(self):
        self.first = await self.type("")
        return self

    async def type(self, typed):
        told = await self._peer.ask("ussd", {**self._said, "input": typed, "step": self._step})
        screen = Shown(**told)
        self._step = screen.step
        return screen.text, screen.ends


@pytest.mark.anyio
@pytest.mark.rule("MQTT-1", "MQTT-4")
async def test_the_tour_over_mqtt(tmp_path):
    async with (
        Broker(tmp_path, config=["set_tcp_nodelay true"]) as broker,
        Station(tmp_path, broker) as station,
        Peer(broker, listens=["telcod/reply/peer"]) as peer,
    ):
        # Small packets that wait for one another's acknowledgement would take 40 ms each.
        peer._client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        station.world.batcher.rules = furnished().rules
        station.world.import_(*({"msisdn": n, "balance_vnd": 20_000} for n in (A, B, C, D)))
        twin = Twin.of(START_MS)

        async def dial():
            return await MqttPhone(peer, f"mqtt-{twin.count}").dialled()

        await walk_the_tour(twin, dial, station._reader.all)
