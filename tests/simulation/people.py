"""What people and platforms do, as the seed has it: texts, calls, dialogues, payments, top-ups.

Three groups, so that each has its model: who texts and calls, who pays by card, who types on
screens and lets others pay his texts.  Everybody is patient: what was not answered is asked again,
with the same words and the same id.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from telcod.epay.cashier import NewPayment
from telcod.errors import TelcodError
from telcod.smpp.incoming import identity
from telcod.smpp.pdu import DeliverSm
from telcod.text import encode_gsm7, encode_ucs2, is_gsm7
from telcod.types import Channel, Request
from tests.call_world import call_request, dialled
from tests.service_model import Model
from tests.session_model import LEADS
from tests.simulation.books import POISON
from tests.simulation.smsc import UDHI
from ussd.steps import Step, end_request, shown, step_request

TEXTERS = tuple(84903000001 + at for at in range(6))
OWING = 84903000007
PAYERS = (84903000011, 84903000012)
OWING_PAYERS = (84903000013, 84903000014)
TALKERS = (84903000021, 84903000022, 84903000023)
STRANGER = 84977000001
NUMBERS = {f"0{number % 10**9}": number for number in TALKERS}
PART_SEPTETS = 153
WAYS = (
    ("3", "2", "0903000021"),
    ("3", "2", "0903000022"),
    ("3", "4", "1"),
    ("4", "1"),
    ("4", "2"),
    ("5", "2", "0903000022", "hello"),
    ("5", "2", "0903000023", "xin chao"),
    ("3", "zz", "2", "0903000023"),
)
TRIES = 40


def national(number):
    return f"0{number % 10**9}"


@dataclass(eq=False)
class Text:
    """A text that somebody sent, and what became of it."""

    sender: int
    short_code: str
    text: str
    wanted: Callable[..., str]  # What the models say of it: of the oracle, the time and the result.
    bodies: tuple = ()
    messages: list = field(default_factory=list)
    committed: list = field(default_factory=list)  # Fingerprints of its parts, as they came.
    waiting: int = 0
    verdicts: list = field(default_factory=list)

    def expected(self, oracle, now_ms, result):
        return self.wanted(oracle, now_ms, result)

    def __str__(self):
        return f"{self.sender} to {self.short_code}: {self.text.rstrip()!r}"


class People:
    """Everybody.

    Args:
        world: Who carries what they say.
        rng: The source of chance.
    """

    def __init__(self, world, rng):
        self.world = world
        self.rng = rng
        self.texts = []
        self._spellings = {}
        self._serial = 0
        self._reference = 0

    def subscriber_lines(self):
        """All of them as lines of subscriber data; the models learn of them too."""
        rng, oracle = self.rng, self.world.oracle
        lines = []

        def add(number, kind, centre, balance_vnd):
            word = "balance_vnd" if kind == "prepaid" else "debt_vnd"
            line = {"msisdn": number, "kind": kind, "state": "active", "centre": centre}
            lines.append({**line, word: abs(balance_vnd)})

        for number in TEXTERS:
            balance_vnd = rng.choice((500, 1_000, 3_000, 12_000, 60_000))
            oracle.texter(number, "prepaid", balance_vnd)
            add(number, "prepaid", 1, balance_vnd)
        oracle.texter(OWING, "postpaid", 0)
        add(OWING, "postpaid", 1, 0)
        for at, number in enumerate((*PAYERS, *OWING_PAYERS)):
            kind = "prepaid" if number in PAYERS else "postpaid"
            balance_vnd = rng.choice((0, 900, 60_000)) * (1 if kind == "prepaid" else -1)
            oracle.payer(number, kind, 1 + at % 2, balance_vnd)
            add(number, kind, 1 + at % 2, balance_vnd)
        for number in TALKERS:
            oracle.talker(number)
            add(number, "prepaid", 1, 10_000_000)
        return lines

    # -- texts

    def text(self):
        """One of the texters texts something."""
        rng = self.rng
        sender = rng.choice((*TEXTERS, *TEXTERS, OWING, STRANGER))
        draw = rng.choices(
            (self._package, self._list, self._long, self._setting, self._look, self._wrong),
            weights=(30, 35, 6, 12, 8, 6),
        )[0]
        words, code, verdict = draw(sender)
        self._send(
            Text(
                sender,
                code,
                self._spelled(sender, words),
                lambda oracle, now_ms, result: (
                    (oracle.calls.nobody(sender) or verdict(oracle.calls))
                    if POISON not in words
                    else "ours.sorry"
                ),
            )
        )

    def poison(self):
        """A text that the books refuse."""
        self._serial += 1
        sender = self.rng.choice(TEXTERS)
        words = f"{POISON} {self._serial}"
        self._send(Text(sender, "1566", words, lambda oracle, now_ms, result: "ours.sorry"))

    def repeat(self):
        """An honest repeat: the same octets on a healthy line, long after the first."""
        now_s = self.world.loop.time()
        fit = [
            text
            for text in self.texts[-30:]
            if len(text.messages) == 1
            and text.messages[0].settled
            and now_s - text.messages[0].settled_at > 10.0
            and text.messages[0].settled_at - 5.0 > self.world.troubles_s[-1]
            and POISON not in text.text
        ]
        if fit:
            again = self.rng.choice(fit)
            again.messages += self.world.smsc_for(again.short_code).deliver(*again.bodies)
            again.bodies *= 2

    def _send(self, text):
        bodies = self._bodies(text)
        text.bodies = bodies
        self.texts.append(text)
        vault = self.world.vault
        for body in bodies:
            self.world.oracle.texts[vault.fingerprint(identity(body))] = text
        smsc = self.world.smsc_for(text.short_code)
        order = list(bodies)
        if self.rng.random() < 0.3:
            self.rng.shuffle(order)
        text.messages = smsc.deliver(*order)

    def _bodies(self, text):
        plain = is_gsm7(text.text)
        octets = encode_gsm7(text.text) if plain else encode_ucs2(text.text)
        room = PART_SEPTETS if plain else 134
        if len(octets) <= (160 if plain else 140):
            pieces = [octets]
        else:
            pieces = [octets[at : at + room] for at in range(0, len(octets), room)]
        self._reference = self._reference % 255 + 1
        head = (
            [b""]
            if len(pieces) == 1
            else [
                bytes((5, 0, 3, self._reference, len(pieces), part))
                for part in range(1, len(pieces) + 1)
            ]
        )
        return tuple(
            DeliverSm(
                source_addr=str(text.sender),
                destination_addr=text.short_code,
                esm_class=UDHI if before else 0,
                data_coding=0 if plain else 8,
                short_message=before + piece,
            )
            for before, piece in zip(head, pieces, strict=True)
        )

    def _spelled(self, sender, words):
        """The same words in octets that this sender has not used: other case, more blanks."""
        count = self._spellings[sender, words] = self._spellings.get((sender, words), -1) + 1
        return (words.lower() if count % 2 else words) + " " * (count // 2)

    def _package(self, sender):
        words, verdict = self.rng.choice(
            (
                ("DK", lambda model: model.register(sender, "day")),
                ("DK", lambda model: model.register(sender, "day")),
                ("DK7", lambda model: model.register(sender, "week")),
                ("HUY", lambda model: model.cancel(sender)),
            )
        )
        return words, "1566", verdict

    def _list(self, sender):
        kind = self.rng.choice(("black", "black", "white"))
        letter = {"black": "B", "white": "W"}[kind]
        number = self.rng.choice((*TEXTERS, STRANGER))
        if self.rng.random() < 0.65:
            words = f"{letter} {national(number)}"
            return words, "1566", lambda model: model.add(sender, kind, [number])
        if self.rng.random() < 0.2:
            return f"XOA{letter} ALL", "1566", lambda model: model.remove(sender, kind, "all")
        words = f"XOA{letter} {national(number)}"
        return words, "1566", lambda model: model.remove(sender, kind, [number])

    def _long(self, sender):
        """Many numbers, most of them nobody's: two parts, or three in UCS-2."""
        strangers = [STRANGER + 1 + self.rng.randrange(1_000) for _ in range(17)]
        numbers = list(dict.fromkeys((*strangers, self.rng.choice(TEXTERS))))
        keyword = self.rng.choice(("B", "B", "“B”"))
        words = f"{keyword} " + " ".join(map(national, numbers))
        return words, "1566", lambda model: model.add(sender, "black", numbers)

    def _setting(self, sender):
        words, code, verdict = self.rng.choice(
            (
                ("TC", "1566", lambda model: model.set_notices(sender, wanted=False)),
                ("ON", "1566", lambda model: model.set_notices(sender, wanted=True)),
                ("NN EN", "1566", lambda model: model.set_language(sender, "en")),
                ("NN VI", "9223", lambda model: model.set_language(sender, "vi")),
                ("MK", "9223", lambda model: model.set_password(sender)),
            )
        )
        if words == "MK":
            self._serial += 1
            words = f"MK pw{self._serial:06d}"
        return words, code, verdict

    def _look(self, sender):
        words, code, verdict = self.rng.choice(
            (
                ("KT", "1566", lambda model: Model.show(model, sender)),
                ("KT B", "1566", lambda model: model.show_list(sender, "black")),
                ("KT W", "1566", lambda model: model.show_list(sender, "white")),
                ("HD", "9223", lambda model: "help.epayment"),
            )
        )
        return words, code, verdict

    def _wrong(self, sender):
        self._serial += 1
        words = f"SAI CU PHAP {self._serial}"
        return words, "1566", lambda model: model.limited(sender, "text.unknown_payforme")

    # -- texts for others

    def forward(self):
        """A talker texts 1566 and the number of another."""
        sender, payer = self.rng.sample(TALKERS, 2)
        self._serial += 1
        text = Text(
            sender,
            f"1566{national(payer)}",
            f"Hello {self._serial}",
            lambda oracle, now_ms, result: (
                "forward.waiting"
                if oracle.talks.forwards(sender, payer, now_ms)
                else "forward.refused"
            ),
        )
        self._send(text)

    async def rings(self, push):
        """A question appears on a screen: its owner presses keys, or none."""
        rng, world = self.rng, self.world
        await world.loop.pause(rng.random() * 10.0)
        if rng.random() < 0.3:
            return
        step = 1
        for _ in range(3):
            key = rng.choice("11247")
            said = Step(msisdn=str(push.msisdn), input=key, step=step)
            request = step_request(push.session_id, said, platform="gw", sender=push.msisdn)
            answer = await world.ask(request)
            if answer is None or not answer.data or "text" not in answer.data:
                return
            screen = shown(answer)
            if screen.ends:
                return
            step = screen.step

    def codes(self):
        """Who was asked by a text answers it by its code."""
        world = self.world
        for row in world.asked_texts():
            if row.payer not in TALKERS or self.rng.random() < 0.4:
                continue
            accepts = self.rng.random() < 0.7
            mo = row.mo

            def wanted(oracle, now_ms, result, *, accepts=accepts, mo=mo):
                mos = sorted(oracle.held_texts())
                text = oracle.talks.texts[mos.index(mo)]
                if text.state == "asking" and now_ms >= text.due:
                    text.state = "expired"  # The clock's work is behind, but its time is over.
                    return "forward.expired"
                if oracle.talks.code(text, accepts=accepts):
                    return "forward.accepted" if accepts else "forward.declined"
                return "forward.code_unknown"

            words = self._spelled(row.payer, f"{'Y' if accepts else 'N'} {row.code}")
            self._send(Text(row.payer, "1566", words, wanted))

    # -- dialogues

    async def dialogue(self):
        """Somebody dials and types; now and then he hangs up half-way, or waits too long."""
        rng, world = self.rng, self.world
        self._serial += 1
        session, who = f"s{self._serial}", rng.choice(TALKERS)
        inputs = ["", *rng.choice(WAYS)]
        step = 0
        while inputs:
            typed = inputs.pop(0)
            said = Step(msisdn=str(who), service_code="*1566#", input=typed, step=step)
            answer = await world.ask(step_request(session, said, platform="gw", sender=who))
            if answer is None or not answer.data or "text" not in answer.data:
                return
            screen = shown(answer)
            if screen.ends:
                return
            step = screen.step
            fits = self._fits(session)
            if inputs and inputs[0] not in fits:
                inputs.insert(0, rng.choice(fits))
            if rng.random() < 0.1:
                await world.ask(end_request(session, platform="gw"))
                return
            await world.loop.pause(rng.random() * rng.choice((2.0, 2.0, 250.0)))

    def _fits(self, session):
        """What may be typed where a dialogue stands, as far as the model knows the menu."""
        talk = self.world.oracle.talks.talks.get(session)
        if talk is None or talk.place is None:
            return ("zz",)
        name, _ = talk.place
        if name == "offer":
            return ("1", "2")
        typed = {"black_add": tuple(NUMBERS), "ask_text": tuple(NUMBERS), "what": ("hello",)}
        more = typed.get(name, ())
        return (*LEADS[name], *more, *(("xin chao",) if name == "what" else ("zz",)))

    # -- calls

    async def call(self):
        """A call, as a platform reports it: sometimes twice, late, or without its end."""
        rng, world = self.rng, self.world
        self._serial += 1
        call_id, platform = f"c{self._serial}", rng.choice(("pbx", "vxml"))
        caller, payer = rng.sample(TEXTERS, 2)
        digits = dialled(payer) if rng.random() < 0.85 else national(payer)

        async def tell(op, *args, sender=0):
            request = call_request(op, call_id, *args, sender=sender, platform=platform)
            # Two silences are two silences: a reaction is told once.
            return await world.ask(request, once=op == "consent")

        answer = await tell("offer", digits, sender=caller)
        while answer is not None and (answer.data or {}).get("action") == "ask":
            await world.loop.pause(rng.random() * 5.0)
            reaction, key = rng.choice(
                (("digit", "1"), ("digit", "1"), ("digit", "3"), ("digit", "2"), ("silence", ""))
            )
            if rng.random() < 0.1:
                reaction, key = rng.choice(("hangup", "busy", "no_answer")), ""
            answer = await tell("consent", reaction, key, "")
        data = (answer.data if answer is not None else None) or {}
        if data.get("action") != "connect":
            if rng.random() < 0.3:
                await tell("ended", 0, 0)
            return
        await self._talk(tell, int(data["max_seconds"]))

    async def _talk(self, tell, granted_s):
        rng, world = self.rng, self.world
        answered_s = world.loop.time()
        talk_s = rng.choice((0, 3, 6, 20, 70, 400))
        if rng.random() < 0.9:
            await tell("answered", rng.choice((0, world.clock.wall_ms())))
        late = []
        for at_s in range(60, min(talk_s, granted_s) + 1, 60):
            await world.loop.pause(max(0.0, answered_s + at_s - world.loop.time()))
            if rng.random() < 0.8:
                late.append(world.spawn(self._late(tell, "progress", at_s)))
        await world.loop.pause(max(0.0, answered_s + talk_s - world.loop.time()))
        if rng.random() < 0.85:
            await self._late(tell, "ended", talk_s, 0, wait_s=rng.choice((0.0, 0.0, 5.0, 2_000.0)))

    async def _late(self, tell, op, *args, wait_s=None):
        wait = self.rng.random() * 3.0 if wait_s is None else wait_s
        await self.world.loop.pause(wait)
        await tell(op, *args)

    # -- money

    async def top_up(self):
        self._serial += 1
        request = Request(
            "staff.topup",
            sender=self.rng.choice(TEXTERS),
            args=(str(self.rng.choice((150, 1_000, 5_000, 20_000))), "cash"),
            key=f"topup:{self._serial}",
            channel=Channel.STAFF,
        )
        await self.world.ask(request)

    async def pay(self):
        """Somebody asks a portal to pay, until it answers."""
        rng, world = self.rng, self.world
        self._serial += 1
        number = rng.choice((*PAYERS, *OWING_PAYERS))
        new = NewPayment(
            "portal",
            f"p{self._serial}",
            number,
            rng.choice((50_000, 60_000, 200_000)),
            "topup" if number in PAYERS else "bill",
            "international",
            "https://shop.example/done",
        )
        for _ in range(rng.choice((1, 2, 5))):
            life = world.life
            if life is not None and life.serving:
                done = world.loop.create_future()
                life.spawn(lambda life=life, done=done: self._open(life, new, done))
                try:
                    async with asyncio.timeout(25.0):
                        if await done:
                            return
                except TimeoutError:
                    pass
            await world.loop.pause(1.0 + rng.random() * 5.0)

    async def _open(self, life, new, done):
        try:
            await life.cashier.open(new)
        except TelcodError as error:
            if not done.done():
                done.set_result(hasattr(error, "outcome"))
        else:
            if not done.done():
                done.set_result(True)
