"""The values themselves: frozen, hashable, printable without secrets."""

import io

import pytest
from rich.console import Console

from telcod.smpp.bodies import BindReceiver, BindTransceiver, BindTransmitter, Outbind
from telcod.smpp.layout import LAYOUTS

BODIES = [layout.body for layout in LAYOUTS.values()]


@pytest.mark.rule("SMPP-8")
@pytest.mark.parametrize("body", [BindTransmitter, BindReceiver, BindTransceiver, Outbind])
def test_a_password_is_in_no_print_of_its_bind(body):
    bind = body(system_id="telcod", password="hunter22")
    screen = io.StringIO()
    Console(file=screen, width=200).print(bind)
    for shown in (repr(bind), str(bind), f"{bind}", screen.getvalue()):
        assert "hunter22" not in shown
        assert "[hidden]" in shown
        assert "telcod" in shown


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_body_is_frozen_and_two_of_the_same_fields_are_equal(body):
    assert body() == body()
    assert hash(body()) == hash(body())
    for name in body.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(body(), name, None)


@pytest.mark.rule("SMPP-1")
def test_bodies_of_different_commands_differ_even_with_the_same_fields():
    assert len({BindTransmitter("a"), BindReceiver("a"), BindTransceiver("a")}) == 3
