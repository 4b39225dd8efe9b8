"""The timers and limits of an SMPP link, with units, ranges and a sentence each.  Pure.

SMPP v3.4 section 7.2 names four timers (session init, enquire_link, inactivity, response) and
leaves their values to the implementation; the others are ours.  All are spans of the monotonic
clock.
"""

from typing import Annotated, Final, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec import Meta


class Timers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a link waits for what, in seconds.

    The ranges are checked where configuration is read (`msgspec.convert`), not here: a test may
    want a timer of a hundredth of a second.
    """

    connect_s: Annotated[
        float,
        Meta(ge=1, le=120, description="Open the TCP (and TLS) connection, or try again later."),
    ] = 10.0
    session_init_s: Annotated[
        float,
        Meta(
            ge=1,
            le=120,
            description="From connection to an OK bind_resp, or the connection closes.",
        ),
    ] = 5.0
    enquire_link_s: Annotated[
        float, Meta(ge=1, le=3600, description="Silence of the peer after which it is probed.")
    ] = 30.0
    response_wait_s: Annotated[
        float,
        Meta(
            ge=1,
            le=600,
            description="A response; after that the outcome is unknown and the peer is probed.",
        ),
    ] = 10.0
    inactivity_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="No PDU but enquire_link either way for this long: unbind (0: never).",
        ),
    ] = 0.0
    partial_pdu_s: Annotated[
        float,
        Meta(
            ge=1,
            le=120,
            description="The rest of a PDU whose first bytes came, or the link closes.",
        ),
    ] = 10.0
    unbind_wait_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=30,
            description="The unbind_resp and the last bytes out, before we just close.",
        ),
    ] = 2.0
    already_bound_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Least delay before the next bind after ESME_RALYBND: the SMSC still holds "
            "the dead connection until its own timer ends it.",
        ),
    ] = 30.0
    throttle_base_s: Annotated[
        float,
        Meta(
            ge=0.01, le=60, description="First pause of a link that answers THROTTLED or MSGQFUL."
        ),
    ] = 0.5
    throttle_factor: Annotated[
        float, Meta(ge=1.1, le=10, description="Growth of that pause while the link still refuses.")
    ] = 2.0
    throttle_max_s: Annotated[float, Meta(ge=0.01, le=600, description="Longest such pause.")] = (
        30.0
    )


class TimerRow(NamedTuple):
    """One row of `TIMERS`: `unit` is "s", or "" for a bare factor."""

    name: str
    unit: str
    default: float
    least: float
    most: float
    meaning: str


def _row(name: str, annotation: object) -> TimerRow:
    meta = next(extra for extra in get_args(annotation) if isinstance(extra, Meta))
    if meta.ge is None or meta.le is None or not meta.description:
        raise TypeError(f"timer {name} lacks a range or a sentence")
    unit = "s" if name.endswith("_s") else ""
    return TimerRow(name, unit, getattr(Timers(), name), meta.ge, meta.le, meta.description)


TIMERS: Final = tuple(
    _row(name, annotation)
    for name, annotation in get_type_hints(Timers, include_extras=True).items()
    if name in Timers.__struct_fields__
)
"""The table above as data, for `docs/` and `telcod check`."""
