"""How much a caller may ask, and from where (HTTP-4); the time is an argument.

A token bucket per caller: `burst` calls at once, `rate_per_s` over time.  The table of callers is
bounded: names of tokens are few, and the longest idle one goes first.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

CALLERS_MAX: Final = 10_000


class WebLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of `[http]`.

    `rate_per_s` is calls a second and token, 0 is no limit; `burst` how many may come at once;
    `allow_from` the networks (`10.0.0.0/8`) that may call at all, none named is everybody;
    `answer_wait_s` how long a voice platform waits for the books, because A waits on the line and
    platforms themselves wait 3 to 15 s (IVR-3).
    `proxies` are our own, whose `X-Forwarded-For` is believed: behind them the caller's address is
    meant wherever an address is, and they may have as many connections as there are.
    There may be `connections_max` connections, and `connections_per_address_max` from one address,
    so that nobody keeps all others out.
    A connection is cut when a head, a body, the next request or the reading of our answer takes
    longer than `head_wait_s`, `body_wait_s`, `idle_wait_s`, `read_wait_s` (`patience.py`).
    While somebody is refused for want of room, one that asks nothing is cut after a second.
    """

    rate_per_s: int = 0
    burst: int = 50
    allow_from: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    body_bytes_max: int = 64 * 1024
    connections_max: int = 1_000
    connections_per_address_max: int = 500
    answer_wait_s: float = 2.5
    head_wait_s: float = 10.0
    body_wait_s: float = 30.0
    idle_wait_s: float = 30.0
    read_wait_s: float = 30.0


_EVERYBODY: Final = "*"


class Crowd:
    """Who holds how many connections."""

    def __init__(self, *, most: int, per_address_max: int) -> None:
        self.most: Final = most
        self._per_address_max: Final = per_address_max
        self._held: Final[Counter[str]] = Counter()
        self._all = 0
        self._refused: Final[set[str]] = set()

    def takes(self, address: str, *, proxy: bool = False) -> bool:
        """Whether there is room for one more from this address; if there is, it has it.

        Args:
            address: Whose.
            proxy: It is many at once, so only the whole has a limit.
        """
        if self._all >= self.most:
            self._refused.add(_EVERYBODY)
            return False
        if self._held[address] >= self._per_address_max and not proxy:
            self._refused.add(address)
            return False
        self._held[address] += 1
        self._all += 1
        return True

    def leaves(self, address: str) -> None:
        """One that was taken is over."""
        self._all -= 1
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]

    def lacks_room(self, address: str) -> bool:
        """Whether one was refused since `looked` that could have had this address's room."""
        return address in self._refused or _EVERYBODY in self._refused

    def looked(self) -> None:
        """All connections have been looked at."""
        self._refused.clear()


class Buckets:
    """The token buckets of all callers."""

    def __init__(self, *, rate_per_s: int, burst: int) -> None:
        self._rate_per_s: Final = rate_per_s
        self._burst: Final = max(burst, 1)
        self._full: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may_call(self, caller: str, *, now_s: float) -> bool:
        """Whether this call is within the limit; if it is, it counts.

        Args:
            caller: Who calls.
            now_s: Monotonic seconds.
        """
        if self._rate_per_s <= 0:
            return True
        level, at_s = self._full.pop(caller, (self._burst, now_s))
        level = min(self._burst, level + (now_s - at_s) * self._rate_per_s)
        allowed = level >= 1
        self._full[caller] = (level - 1 if allowed else level, now_s)
        if len(self._full) > CALLERS_MAX:
            self._full.popitem(last=False)
        return allowed


class AllowList:
    """The networks that may call."""

    def __init__(self, networks: Iterable[str]) -> None:
        """
        Raises:
            ValueError: One of them is no network.
        """
        self._networks: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
            ip_network(network, strict=False) for network in networks
        )

    @property
    def is_open(self) -> bool:
        """Whether everybody may."""
        return not self._networks

    def admits(self, address: str) -> bool:
        """Whether an address may call; what is no address may only if everybody may."""
        if not self._networks:
            return True
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._networks)
