"""Which payments a person looks at, and which are refused for fraud: rules that are data (PAY-6).
Pure.

A rule names what it looks at: how often a card, a subscriber or an address pays (`card`,
`subscriber`, `address`), how much (`amount`), or a list of what is stopped (`stop_card`,
`stop_subscriber`, `stop_address`, `stop_bank`).  All rules are asked; the strictest answer counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from telcod.days import MINUTE_MS

COUNT_MAX: Final = 1_000
WITHIN_MIN_MAX: Final = 30 * 24 * 60


class When(StrEnum):
    """What a rule looks at."""

    CARD = "card"
    SUBSCRIBER = "subscriber"
    ADDRESS = "address"
    AMOUNT = "amount"
    STOP_CARD = "stop_card"
    STOP_SUBSCRIBER = "stop_subscriber"
    STOP_ADDRESS = "stop_address"
    STOP_BANK = "stop_bank"


class Then(StrEnum):
    """What it asks for.  `reject` is fraud suspected: no money is taken, nobody is asked."""

    REVIEW = "review"
    REJECT = "reject"


OFTEN: Final = frozenset({When.CARD, When.SUBSCRIBER, When.ADDRESS})
# What is known before anything is sent to the gateway.
KNOWN_AT_ONCE: Final = frozenset({When.STOP_SUBSCRIBER, When.STOP_ADDRESS})


class RiskRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule.  `count`: more payments than that within `within_min` minutes, this one counted."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
    when: When
    then: Then
    count: Annotated[int, Meta(ge=0, le=COUNT_MAX)] = 0
    within_min: Annotated[int, Meta(ge=0, le=WITHIN_MIN_MAX)] = 0
    amount_vnd: Annotated[int, Meta(ge=0)] = 0
    values: tuple[str, ...] = ()


class RiskRules(Struct, frozen=True, forbid_unknown_fields=True):
    """`config/risk.toml`: all rules, in the order in which their names are told."""

    rule: tuple[RiskRule, ...] = ()

    def looks_at(self, when: When) -> bool:
        """Whether any rule counts this; what nobody counts is not read."""
        return any(rule.when is when for rule in self.rule)

    def counted_max(self, when: When) -> int:
        """How many payments must be known at most to answer every rule of this kind."""
        return max((rule.count for rule in self.rule if rule.when is when), default=0) + 1


class Facts(NamedTuple):
    """What is known of a payment.  `times`: when the others of its card, subscriber, address were.

    What is not known yet is empty, and no rule is broken by it.
    """

    subscriber: str
    address: str
    amount_vnd: int = 0
    card: str = ""
    bank: str = ""
    times: Mapping[When, Sequence[int]] = {}


class Risk(NamedTuple):
    """What the rules ask for: the strictest answer (None: nothing), and which rules gave any."""

    then: Then | None
    names: tuple[str, ...]


def decide_risk(facts: Facts, rules: RiskRules, *, now_ms: int) -> Risk:
    """Ask every rule about an authorised payment.

    Args:
        facts: The payment; its own moment is not in `times`.
        rules: In force now.
        now_ms: Unix milliseconds; payments at the very edge of `within_min` no longer count.
    """
    broken = [rule for rule in rules.rule if _is_broken(rule, facts, now_ms)]
    rejects = any(rule.then is Then.REJECT for rule in broken)
    then = Then.REJECT if rejects else Then.REVIEW if broken else None
    return Risk(then, tuple(rule.name for rule in broken))


def is_stopped(facts: Facts, rules: RiskRules) -> bool:
    """Whether a stop-list refuses this payment before anything leaves for the gateway."""
    return any(
        rule.when in KNOWN_AT_ONCE and rule.then is Then.REJECT and _is_broken(rule, facts, 0)
        for rule in rules.rule
    )


def rule_problems(rules: RiskRules) -> Iterator[tuple[str, str]]:
    """Everything that makes no sense, as (key, reason)."""
    names = [rule.name for rule in rules.rule]
    for at, rule in enumerate(rules.rule):
        key = f"rule[{at}] {rule.name}"
        if names.index(rule.name) != at:
            yield key, "another rule has this name"
        for field, why in _field_problems(rule):
            yield f"{key}.{field}", why


def _field_problems(rule: RiskRule) -> Iterator[tuple[str, str]]:
    often, amount = rule.when in OFTEN, rule.when is When.AMOUNT
    for field in ("count", "within_min"):
        given = getattr(rule, field) > 0
        if given != often:
            yield field, f"must {'be above 0' if often else 'not be given'} when = {rule.when}"
    if (rule.amount_vnd > 0) != amount:
        said = "be above 0" if amount else "not be given"
        yield "amount_vnd", f"must {said} when = {rule.when}"
    if rule.values and (often or amount):
        yield "values", f"must not be given when = {rule.when}"
    for value in rule.values:
        if not value:
            yield "values", "has an empty value"
        elif rule.when is When.STOP_ADDRESS and _network_or_none(value) is None:
            yield "values", f"{value!r} is no address or network"


def _is_broken(rule: RiskRule, facts: Facts, now_ms: int) -> bool:
    match rule.when:
        case When.CARD | When.SUBSCRIBER | When.ADDRESS:
            since_ms = now_ms - rule.within_min * MINUTE_MS
            others = sum(at > since_ms for at in facts.times.get(rule.when, ()))
            return others + 1 > rule.count
        case When.AMOUNT:
            return facts.amount_vnd >= rule.amount_vnd
        case When.STOP_CARD:
            return facts.card in rule.values
        case When.STOP_BANK:
            return facts.bank in rule.values
        case When.STOP_SUBSCRIBER:
            return facts.subscriber in rule.values
        case When.STOP_ADDRESS:
            return _is_within(facts.address, rule.values)


def _is_within(address: str, networks: Sequence[str]) -> bool:
    try:
        asked = ip_address(address)
    except ValueError:
        return address in networks
    return any(asked in network for text in networks if (network := _network_or_none(text)))


def _network_or_none(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
