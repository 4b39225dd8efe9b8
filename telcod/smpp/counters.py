"""What one SMPP link has counted since the daemon started.  Pure; a link has one of them.

The keys of the two maps are command ids that the codec knows, so that a peer that invents
command ids cannot make them grow.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(slots=True)
class Counters:
    """Mutable on purpose: counting must cost next to nothing.  `COUNTERS` says what each means."""

    pdus_in: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    pdus_out: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    malformed: int = 0
    unexpected: int = 0
    late: int = 0
    unknown: int = 0
    throttled: int = 0
    overloaded: int = 0
    wrong_state: int = 0
    binds: int = 0
    reconnects: int = 0
    outbinds_refused: int = 0


COUNTERS: Final = MappingProxyType(
    {
        "pdus_in": "Well-formed PDUs received, by command id.",
        "pdus_out": "PDUs sent, by command id.",
        "malformed": "PDUs received whose body, or command id, made no sense.",
        "unexpected": "Responses received that answer nothing we asked.",
        "late": "Responses to a submit_sm that came after its response timer.",
        "unknown": "Requests sent whose outcome is unknown: no response, or the connection went.",
        "throttled": "Submits refused with ESME_RTHROTTLED or ESME_RMSGQFUL.",
        "overloaded": "Messages refused with ESME_RX_T_APPN because too many were unanswered.",
        "wrong_state": "Requests refused because the session's state does not admit them.",
        "binds": "Binds that the SMSC accepted.",
        "reconnects": "Attempts to connect after the first.",
        "outbinds_refused": "Connections to the outbind port that were not taken.",
    }
)
"""Name to one sentence, for metrics and docs."""
