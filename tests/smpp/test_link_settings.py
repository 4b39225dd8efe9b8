"""A link's configuration: what is refused, and what becomes of it."""

import msgspec
import pytest

from telcod.smpp.events import BindKind
from telcod.smpp.link_settings import LinkSettings, plain_address
from telcod.smpp.timers import Timers

LEAST = {"name": "smsc-a", "host": "127.0.0.1", "system_id": "telcod", "password": "geheim"}


def settings(**fields):
    return msgspec.convert(LEAST | fields, LinkSettings)


@pytest.mark.rule("SMPP-8")
def test_no_password_is_in_the_repr():
    shown = repr(settings(outbind_password="secret")) + str(settings().__rich_repr__())
    assert "geheim" not in shown
    assert "secret" not in shown
    assert "smsc-a" in shown


@pytest.mark.rule("CFG-1")
@pytest.mark.parametrize(
    "fields",
    [
        {"window": 0},
        {"port": 65_536},
        {"rate_per_s": -1},
        {"bind": "both"},
        {"default_alphabet": "utf8"},
        {"long_text": "split"},
        {"system_id": "sixteen-octets-x"},
        {"password": "ninechars"},
        {"enquire_link_s": 0},
        {"tsl": True},
        {"reconnect_min_s": 61, "reconnect_max_s": 60},
        {"tls_ca": "ca.pem"},
        {"tls_insecure": True},
        {"tls": True, "outbind_port": 2776},
        {"outbind_from": ["smsc.example"]},
        {"ussd": "../standard"},
        {"ussd": "x" * 65},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_not_ignored(fields):
    with pytest.raises(msgspec.ValidationError):
        settings(**fields)


@pytest.mark.rule("CFG-1")
def test_the_configuration_of_the_documentation_is_taken():
    link = settings(
        port=2775,
        bind="transceiver",
        short_codes=["1566", "9223"],
        window=100,
        rate_per_s=0,
        tls=False,
        default_alphabet="gsm7",
    )
    assert link.short_codes == ("1566", "9223")


@pytest.mark.rule("SMPP-7", "CFG-1")
def test_a_link_brings_ussd_only_if_it_says_by_which_profile():
    assert settings().ussd == ""
    assert settings(ussd="6d_of-ours").ussd == "6d_of-ours"


@pytest.mark.rule("SMPP-1")
def test_a_split_link_is_a_transmitter_and_a_receiver():
    assert settings().kinds() == (BindKind.TRANSCEIVER,)
    assert settings(bind="split").kinds() == (BindKind.TRANSMITTER, BindKind.RECEIVER)


@pytest.mark.rule("SMPP-1")
def test_what_is_bound_with_comes_from_the_settings():
    link = settings(system_type="VMS", address_range="^1566", window=7, inbound_window=9)
    bind = link.bind_settings(BindKind.TRANSMITTER)
    assert (bind.kind, bind.system_type, bind.address_range) == ("transmitter", "VMS", "^1566")
    assert (bind.window, bind.inbound_window, bind.tlvs_always) == (7, 9, False)
    assert settings(tlvs="always").bind_settings(BindKind.TRANSMITTER).tlvs_always


@pytest.mark.rule("SMPP-6")
def test_a_links_own_timers_take_the_place_of_the_common_ones():
    common = Timers(enquire_link_s=11, response_wait_s=12)
    assert settings().timers(common) == common
    own = settings(enquire_link_s=60, inactivity_s=300).timers(common)
    assert (own.enquire_link_s, own.response_wait_s, own.inactivity_s) == (60, 12, 300)


@pytest.mark.rule("SMPP-6")
@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("FE80:0:0::1%eth0", "fe80::1"),
    ],
)
def test_one_address_has_one_form_however_a_socket_shows_it(address, plain):
    assert plain_address(address) == plain
