"""What a session is told, and what it tells, as values."""

import pytest

from telcod.smpp.consts import CommandId
from telcod.smpp.events import BIND_KINDS, BindKind, BindSettings
from telcod.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter, decode, encode


@pytest.mark.rule("SMPP-8")
def test_no_password_is_in_the_repr_of_bind_settings():
    settings = BindSettings(
        kind=BindKind.RECEIVER, system_id="telcod", password="geheim", outbind_password="secret"
    )
    for shown in (repr(settings), str(settings.__rich_repr__()), repr(settings.body())):
        assert "geheim" not in shown
        assert "secret" not in shown
        assert "telcod" in shown


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (BindKind.TRANSCEIVER, BindTransceiver),
        (BindKind.TRANSMITTER, BindTransmitter),
        (BindKind.RECEIVER, BindReceiver),
    ],
)
def test_each_kind_binds_by_its_own_pdu_with_every_field(kind, body):
    settings = BindSettings(
        kind=kind,
        system_id="telcod",
        password="geheim",
        system_type="VMS",
        interface_version=0x34,
        addr_ton=1,
        addr_npi=2,
        address_range="^1566",
    )
    command_id, _, _, decoded, *_ = decode(encode(settings.body(), sequence_number=1))
    assert command_id == BIND_KINDS[kind].command_id
    assert decoded == body(
        system_id="telcod",
        password="geheim",
        system_type="VMS",
        interface_version=0x34,
        addr_ton=1,
        addr_npi=2,
        address_range="^1566",
    )


def test_the_kinds_are_the_three_binds():
    assert {row.command_id for row in BIND_KINDS.values()} == {
        CommandId.BIND_RECEIVER,
        CommandId.BIND_TRANSMITTER,
        CommandId.BIND_TRANSCEIVER,
    }
