"""Reads transcripts and plays them.  A transcript is what a person would see on telephones:

== LST-2, KW-5: what it shows            a scene: the rules it proves, and its title
@ subscriber 0903000001 balance=9000     who there is; also postpaid, state=, debt=, language=
0903000001 > B 0903000001                texted to 1566; `>9223` to the other code
0903000001 >15660903000002 Hello         texted to 1566+number, for that number to pay
0903000001 < Khong the them ...          what arrives, and nothing else does
    and its next line                    a long text goes on indented
@ +24h                                   time passes (d, h, m); `down`: telcod does not run
@ clock                                  it runs again, and does what came due
@ topup 0903000001 5000                  also: state 0903000001 closed
@ delivered 0903000002                   what was texted to 1566+this number has arrived;
                                         `undelivered`: it could not be; `failed`: the SMSC refused
@ call_failed 0903000001 0903000002      the network says: the first had no money to call the second
@ ussd                                   at the beginning: a gateway shows what telcod says unasked,
0903000001 <ussd Cuoc goi toi ...        and that is on the screen
0903000001 >push 1                       a key is pressed to answer what it asked
0903000001 >ussd *1566#                  dialled, or typed in the dialogue
0903000001 <ussd Goi cuoc / 1 Goi dang   the screen; ` / ` is a new line, ` //` says that it ends
0903000001 >hangs up                     breaks the dialogue off
@ call 0903000001 0903000002 60          the second pays the first one's call of so many seconds
@ begun 0903000001 7K2M 50000            a card payment: the payer is on the gateway's page
@ authorised 7K2M                        the bank says yes to it, or `declined`; what comes of it if
                                         not the usual, as `clearing`; `cancelled`: it was fraud
@ centre 1 closed                        a centre's clearing is away, or back (`open`)
@ tried 7K2M cleared                     clearing is tried again, and comes to this
@ look_up 0903000001 wrong               somebody tries a payment password on the page
@ unlock 0903000001                      staff end the lock that five wrong ones bring
@ balance 0903000001 4000                what must be there
@ login 0903000001 123456                asks to log in on web or app, where this code was drawn
@ rules packages.retry_every_h=1         other limits, at the beginning of a scene
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from handlers import selfcare
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.msisdn import Msisdn, national, parse
from telcod.rows import OUTBOX_PUSH, QUARANTINE, OutboxState
from telcod.text import count_parts, encode_gsm7, is_gsm7
from telcod.types import Request
from tests.network_world import ROUTES, failed_call
from tests.payment_world import PaymentDoors
from tests.session_world import SessionWorld
from tests.world import rules_with
from ussd.steps import shown

SCREEN = "ussd"
PUSH = "push"
HANGS = "hangs"
ENDS = " //"
SCREEN_SEPTETS = 182
FOLDER = Path(__file__).parent
UNITS_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS}


class Scene(NamedTuple):
    """A conversation; `lines` are (number in the file, text)."""

    file: str
    title: str
    rules: tuple[str, ...]
    lines: tuple[tuple[int, str], ...]

    def __str__(self):
        return self.title


class CheckedCatalogue:
    """The shipped catalogue, which notes what was said and that it kept its declared size."""

    def __init__(self, catalogue):
        self.catalogue = catalogue
        self.said = set()
        self.too_long = []

    def render(self, key, values, language):
        text = self.catalogue.render(key, values, language)
        declared = self.catalogue.templates[language][key].parts
        # Not asserted here: the engine would take it for a handler that broke.
        if not is_gsm7(text) or count_parts(text).count > declared:
            self.too_long.append((key, text))
        self.said.add((key, language))
        return text


def read(name):
    """All scenes of a transcript."""
    scenes: list[tuple[str, list]] = []
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("== "):
            scenes.append((line[3:], []))
        elif line.startswith("    ") and scenes and scenes[-1][1]:
            at, before = scenes[-1][1][-1]
            scenes[-1][1][-1] = (at, f"{before} {line.strip()}")
        elif line.strip() and not line.startswith("#"):
            scenes[-1][1].append((number, line))
    return [
        Scene(name, title, tuple(part.strip() for part in rules.split(",")), tuple(lines))
        for heading, lines in scenes
        for rules, _, title in [heading.partition(": ")]
    ]


class CardDoors(PaymentDoors):
    """The page and the gateway, beside the telephones of a world."""

    def __init__(self, world):
        self.run, self.row, self.subscriber_row = world.run, world.row, world.subscriber_row


class Player:
    """Plays one scene; `play` raises at the first line that does not hold."""

    def __init__(self, scene):
        self.scene = scene
        self.heard = []
        self._restart({})

    def play(self):
        for number, line in self.scene.lines:
            where = f"{self.scene.file}:{number}: {line}"
            if line.startswith("@ "):
                self.nothing_unheard(where)
                self.direct(line[2:].split(), where)
            elif " <" in line and line.split(" ", 1)[1].startswith("<"):
                self.hear(line, where)
            else:
                self.nothing_unheard(where)
                self.say(line)
            self.listen()
        self.nothing_unheard(f"{self.scene.file}: the end of {self.scene.title!r}")
        assert self.catalogue.too_long == []
        assert list(self.world.store.scan(QUARANTINE)) == []
        assert self.world.check() == []

    def say(self, line):
        number, _, rest = line.partition(" >")
        code, _, text = rest.partition(" ")
        if code in {SCREEN, PUSH}:
            self.type(number, code, text)
        elif code == HANGS:
            assert self.world.end(self._dialogue[msisdn(number)].session) == "ussd.ended"
        else:
            self.world.text(msisdn(number), text, code=code or "1566")

    def type(self, number, where, typed):
        """Dial, type or press a key; then there is another screen."""
        who = msisdn(number)
        if where == PUSH:
            (push,) = [row for row in self.world.pushes()[-1:] if row.msisdn == who]
            answer = self.world.press(who, typed, seq=push.seq)
        elif typed.startswith("*"):
            self._dialogue[who] = self.world.dialogue(who, typed)
            answer = self._dialogue[who].answer
        else:
            answer = self._dialogue[who].type(typed).answer
        screen = shown(answer)
        assert is_gsm7(screen.text), screen.text
        assert len(encode_gsm7(screen.text)) <= SCREEN_SEPTETS, screen.text
        words = screen.text.replace("\n", " / ") + (ENDS if screen.ends else "")
        self.heard.append((number, SCREEN, words))

    def hear(self, line, where):
        number, _, rest = line.partition(" <")
        marked = rest[:4].isdigit() or rest.startswith(f"{SCREEN} ")
        code, text = (rest[:4], rest[4:]) if marked else ("1566", rest)
        assert self.heard, f"{where}\n  nothing came"
        assert self.heard.pop(0) == (number, code, text.strip()), where

    def direct(self, words, where):
        match words:
            case ["subscriber", number, *facts]:
                self.world.subscriber(msisdn(number), **subscriber_data(facts))
            case ["topup", number, amount]:
                assert self.world.topup(msisdn(number), int(amount)).outcome == "topup.done"
            case ["state", number, state]:
                assert self.world.set_state(msisdn(number), state).outcome == "state.set"
            case ["balance", number, amount]:
                assert self.world.balance(msisdn(number)) == int(amount), where
            case ["delivered" | "undelivered" as fate, number]:
                row = self.forwarded_to(number)
                self.world.settle(row=row, message_id=str(row.seq))
                assert self.world.receipt(fate, message_id=str(row.seq)) == f"receipt.{fate}", where
            case ["failed", number]:
                self.world.settle(OutboxState.FAILED, row=self.forwarded_to(number))
            case ["call_failed", caller, called]:
                self._calls_failed += 1
                event_id = str(self._calls_failed)
                (result,) = self.world.run(failed_call(event_id, msisdn(caller), called))
                assert result.outcome.startswith("hint."), where
            case ["call", caller, payer, seconds]:
                self.world.connect(where, msisdn(caller), msisdn(payer))
                self.world.ended(where, int(seconds))
            case ["clock"]:
                self.world.clock_work()
            case ["ussd"] | ["rules", _]:
                self.begin(words)
            case [time, *down] if time.startswith("+"):
                self.world.pass_time(duration_ms(time), down=down == ["down"])
            case _:
                self.direct_web(words, where)

    def direct_web(self, words, where):
        """What happens on pages and at the gateway; what it's answered is not on any telephone."""
        match words:
            case ["begun", number, payment_id, amount, *email]:
                who, more = msisdn(number), {"email": email[0]} if email else {}
                answer = self.card.begin(payment_id, who, int(amount), **more)
                expected = "payment.redirected"
            case ["authorised" | "declined" as word, payment_id, *state]:
                answer = self.card.notify(payment_id, word)
                expected = f"payment.{[*state, 'cleared' if word == 'authorised' else word][0]}"
            case ["cancelled", payment_id]:
                answer, expected = self.card.cancel(payment_id), "payment.cancelled"
            case ["centre", centre, word]:
                answer, expected = self.card.centre(centre, word), "payment.centre_set"
            case ["tried", payment_id, state]:
                answer, expected = self.card.due(payment_id), f"payment.{state}"
            case ["look_up", number, verdict]:
                (answer,) = self.world.run(
                    Request("lookup.try", sender=msisdn(number), body={"verdict": verdict})
                )
                expected = "lookup.shown" if verdict == "right" else "lookup.refused"
            case ["unlock", number]:
                (answer,) = self.world.run(Request("lookup.unlock", sender=msisdn(number)))
                expected = "lookup.unlocked"
            case ["login", number, code]:
                asked = Request("self.login", msisdn(number), ("hash",), body={"code": code})
                (answer,), expected = self.world.run(asked), "self.code_asked"
            case _:
                raise AssertionError(f"{where}\n  is no direction")
        assert answer.outcome == expected, f"{where}: {answer}"

    def begin(self, words):
        if words == ["ussd"]:
            self._restart({}, pushes=True)
            return
        name, _, value = words[1].partition("=")
        section, _, key = name.partition(".")
        self._restart({section: {key: value == "true" if not value.isdigit() else int(value)}})

    def forwarded_to(self, number):
        """The one text for a number that is on its way."""
        address = str(msisdn(number))
        (row,) = [
            row
            for row in self.world.forwarded()
            if row.destination == address and row.state == OutboxState.PENDING
        ]
        return row

    def listen(self):
        """What arrived since, in order."""
        rows = self.world.outbox()[self._listened :]
        self._listened += len(rows)
        for row in rows:
            # What telcod says fits the alphabet; what people text one another is theirs.
            assert row.kind == "forward" or is_gsm7(row.text), row.text
            self.heard.append((national(Msisdn(int(row.destination))), row.source, row.text))
        pushes = list(self.world.store.scan(OUTBOX_PUSH))[self._shown :]
        self._shown += len(pushes)
        for row in pushes:
            assert len(encode_gsm7(row.text)) <= SCREEN_SEPTETS, row.text
            self.heard.append((national(Msisdn(row.msisdn)), SCREEN, row.text))

    def nothing_unheard(self, where):
        assert not self.heard, f"{where}\n  before it came {self.heard[0]}"

    def _restart(self, limits, *, pushes=False):
        rules = msgspec.structs.replace(rules_with(**limits), pushes=pushes)
        self.catalogue = CheckedCatalogue(rules.catalogue)
        rules = msgspec.structs.replace(rules, catalogue=self.catalogue)
        self.world = SessionWorld(rules=rules, routes={**ROUTES, **selfcare.routes(ROUTES)})
        self.card = CardDoors(self.world)
        self._dialogue = {}
        self._listened = 0
        self._shown = 0
        self._calls_failed = 0


def msisdn(number):
    return int(parse(number))


def duration_ms(text):
    return int(text[1:-1]) * UNITS_MS[text[-1]]


def subscriber_data(facts):
    data = {}
    for fact in facts:
        name, _, value = fact.partition("=")
        match name:
            case "prepaid" | "postpaid":
                data["kind"] = name
            case "balance" | "debt":
                data[f"{name}_vnd"] = int(value)
            case _:
                data[name] = value
    return data
