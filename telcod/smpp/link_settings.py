"""One configured SMPP link, as `[[smpp.links]]` writes it.  Pure.

Ranges are checked where configuration is read (`msgspec.convert`); what several fields say together
is checked here.
"""

import ipaddress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from telcod.smpp.events import BindKind, BindSettings
from telcod.smpp.timers import Timers

# Sizes are those of v3.4, 4.1.1, less the NUL that ends each field on the wire.
_SystemId = Annotated[str, Meta(min_length=1, max_length=15)]
_Password = Annotated[str, Meta(max_length=8)]
_Octet = Annotated[int, Meta(ge=0, le=255)]


def plain_address(address: str) -> str:
    """Return an IP address in its one form: IPv4 also when a dual-stack socket shows it as IPv6.

    Raises:
        ValueError: It is no IP address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a link goes, what it says of itself, and how much it takes.

    `ussd` names the profile of a gateway that brings USSD over this link; empty: it brings none.
    The timers are None where the common table (`Timers`) holds.  The passwords are in no repr.

    Raises:
        ValueError: Two fields contradict one another.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 2775
    system_id: _SystemId
    password: _Password
    system_type: Annotated[str, Meta(max_length=12)] = ""
    bind: Literal["transceiver", "split"] = "transceiver"
    short_codes: tuple[str, ...] = ()
    ussd: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{1,64})?$")] = ""

    window: Annotated[int, Meta(ge=1, le=10_000)] = 100
    inbound_window: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    rate_per_s: Annotated[int, Meta(ge=0, le=100_000)] = 0

    tls: bool = False
    tls_ca: str = ""
    tls_insecure: bool = False

    default_alphabet: Literal["gsm7", "gsm7-packed", "latin1", "ascii"] = "gsm7"
    long_text: Literal["udh", "payload", "sar"] = "udh"

    interface_version: _Octet = 0x34
    tlvs: Literal["auto", "always"] = "auto"
    addr_ton: _Octet = 0
    addr_npi: _Octet = 0
    address_range: Annotated[str, Meta(max_length=40)] = ""
    source_addr_ton: _Octet = 0
    source_addr_npi: _Octet = 1
    dest_addr_ton: _Octet = 1
    dest_addr_npi: _Octet = 1
    service_type: Annotated[str, Meta(max_length=5)] = ""

    enquire_link_s: Annotated[float, Meta(ge=1, le=3600)] | None = None
    response_wait_s: Annotated[float, Meta(ge=1, le=600)] | None = None
    session_init_s: Annotated[float, Meta(ge=1, le=120)] | None = None
    inactivity_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    reconnect_min_s: Annotated[float, Meta(ge=0.1, le=600)] = 1.0
    reconnect_max_s: Annotated[float, Meta(ge=0.1, le=3600)] = 60.0

    outbind_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    outbind_host: str = "127.0.0.1"
    outbind_from: tuple[str, ...] = ()
    outbind_password: _Password = ""

    def __post_init__(self) -> None:
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ValueError("reconnect_min_s is more than reconnect_max_s")
        if self.tls and self.outbind_port:
            raise ValueError("outbind_port would send the password in clear beside a tls link")
        for address in self.outbind_from:
            plain_address(address)
        if not self.tls and (self.tls_ca or self.tls_insecure):
            raise ValueError("tls_ca and tls_insecure say nothing without tls = true")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"LinkSettings({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            (name, "[hidden]" if name.endswith("password") else getattr(self, name))
            for name in self.__struct_fields__
        ]

    def kinds(self) -> tuple[BindKind, ...]:
        """Return the connections that the link keeps."""
        if self.bind == "split":
            return (BindKind.TRANSMITTER, BindKind.RECEIVER)
        return (BindKind.TRANSCEIVER,)

    def bind_settings(self, kind: BindKind) -> BindSettings:
        """Return what one connection of this link binds with."""
        return BindSettings(
            kind=kind,
            system_id=self.system_id,
            password=self.password,
            system_type=self.system_type,
            interface_version=self.interface_version,
            addr_ton=self.addr_ton,
            addr_npi=self.addr_npi,
            address_range=self.address_range,
            window=self.window,
            inbound_window=self.inbound_window,
            tlvs_always=self.tlvs == "always",
            outbind_password=self.outbind_password,
        )

    def timers(self, common: Timers) -> Timers:
        """Return the common timers with this link's own in their place."""
        own = {
            name: value
            for name in ("enquire_link_s", "response_wait_s", "session_init_s", "inactivity_s")
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(common, **own)
