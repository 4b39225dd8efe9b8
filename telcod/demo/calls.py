"""The demo's calls: a simulated voice platform before the demo's telcod (CLI-2).

Calls go over HTTP with a token of scope `ivr`, as any platform's do.  `DIALS` is the fixed list for
`scripts/run --check`; `place_call` is what a person types.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console

from telcod.simulator.ivr import GESTURES, Play, Played, SimulatedIvr

DIALS_WORD: Final = "dials"
TALK_S: Final = 60
_ANSWERS: Final = GESTURES | set("0123456789*#")


class Dial(NamedTuple):
    """One call of the fixed list: what B does when asked, and how it must end."""

    caller: str
    dialled: str
    answers: tuple[str, ...]
    talk_s: int
    action: str
    charged_vnd: int | None


DIALS: Final = (
    Dial("0903000003", "1566", ("1",), 0, "announce", None),
    # On the whitelist of a working package: connected without a question.
    Dial("0903000002", "15660903000003", ("2",), 61, "connect", 1_525),
    # On the blacklist: refused without a question.
    Dial("0903000001", "15660903000002", ("1",), 60, "refuse", None),
    Dial("0903000001", "1566 0903 000 003", ("2",), 60, "refuse", None),
    # 500d pay 20 seconds.
    Dial("0903000003", "1566+84903000001", ("silence", "7", "1"), 20, "connect", 500),
    Dial("0903000002", "15660903000001", ("1",), 60, "refuse", None),
    Dial("0903000003", "0903000002", ("1",), 60, "not_applicable", None),
)


async def hold_calls(ivr: SimulatedIvr, dials: Sequence[Dial], console: Console) -> list[str]:
    """Put the fixed calls through and show them; what was not as it must be."""
    faults = []
    for dial in dials:
        played = await ivr.play(Play(dial.caller, dial.dialled, dial.answers, dial.talk_s))
        _show(dial.caller, dial.dialled, played, console)
        if (played.action, played.charged_vnd) != (dial.action, dial.charged_vnd):
            faults.append(
                f"{dial.caller} dials {dial.dialled}: {played.action} for {played.charged_vnd}, "
                f"not {dial.action} for {dial.charged_vnd}"
            )
    return faults


async def place_call(words: Sequence[str], ivr: SimulatedIvr, console: Console) -> None:
    """Put through what was typed: a number, `dials`, what it dials, what B does when asked."""
    caller, _, dialled, *answers = words
    if not set(answers) <= _ANSWERS:
        console.print(f"B does one of: {', '.join(sorted(_ANSWERS))}", markup=False)
        return
    played = await ivr.play(Play(caller, dialled, tuple(answers) or ("1",), TALK_S))
    _show(caller, dialled, played, console)


def _show(caller: str, dialled: str, played: Played, console: Console) -> None:
    console.print(f"{caller} dials {dialled}", style="cyan", markup=False)
    for op, told in played.told:
        if told.status != 200:
            console.print(f"  {op}: HTTP {told.status} {told.get('detail')}", markup=False)
        elif told.get("action") == "ask":
            console.print(f"  B hears: {told.get('prompt_text')}", markup=False, highlight=False)
        elif op in {"offer", "consent"}:
            heard = f": {told.get('prompt_text')}" if told.get("prompt_text") else ""
            console.print(f"  {told.get('action')}{heard}", markup=False, highlight=False)
        elif op == "ended":
            charged, seconds = told.get("charged_vnd"), told.get("billed_seconds")
            console.print(f"  ended: {seconds} s for {charged}d", markup=False, highlight=False)
