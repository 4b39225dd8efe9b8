"""One gateway's conventions as data: what is heard by each, what is said, and bad files."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.settings import shipped_config_dir
from telcod.smpp.consts import TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import DataSm, DeliverSm, Pdu, SubmitSm, decode, encode
from telcod.smpp.tlv import Tlv, tlv_or_none
from ussd.smpp_files import load_profiles
from ussd.smpp_profile import (
    Address,
    Peer,
    Profile,
    ProfileError,
    Say,
    What,
    build,
    peer_of_push,
    read,
    session_of,
    write,
)
from ussd.steps import Step, step_request

FOLDER = shipped_config_dir() / "ussd" / "smpp"
PROFILES = load_profiles(FOLDER)
A = "84903000001"
OP, INFO, REFERENCE = TlvTag.USSD_SERVICE_OP, TlvTag.ITS_SESSION_INFO, TlvTag.USER_MESSAGE_REFERENCE

pytestmark = pytest.mark.rule("SMPP-7")


def deliver(op, text="", *, info=None, reference=None, destination="1566", **fields):
    tlvs = [] if op is None else [Tlv(OP, bytes((op,)))]
    if info is not None:
        tlvs.append(Tlv(INFO, info.to_bytes(2)))
    if reference is not None:
        tlvs.append(Tlv(REFERENCE, reference.to_bytes(2)))
    return DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=A,
        destination_addr=destination,
        short_message=text.encode(),
        tlvs=tuple(tlvs),
        **fields,
    )


def heard(name, body, alphabet="gsm7"):
    return read(PROFILES[name], body, alphabet)


# what | session | step | code | text, of what is delivered, by each shipped profile.
HEARD = [
    ("standard", deliver(1, "*1566*1#", info=0x2A00), What.NEW, "2a", None, "*1566*1#"),
    ("standard", deliver(1, info=0x2A00, destination="*1566#"), What.NEW, "2a", None, "*1566#"),
    ("standard", deliver(18, "1", info=0x2A02), What.ANSWER, "2a", 1, "1566"),
    ("standard", deliver(18, "1", info=0x2A00), What.ANSWER, "2a", None, "1566"),
    ("standard", deliver(18, "1", info=0x2AFE), What.ANSWER, "2a", 127, "1566"),
    ("standard", deliver(18, "1", info=0x2A03), What.END, "2a", None, "1566"),
    ("standard", deliver(129, info=0x2A02), What.END, "2a", None, "1566"),
    ("standard", deliver(17, info=0x2A02), What.END, "2a", None, "1566"),
    ("standard", deliver(19, info=0x2A03), What.CONFIRMED, "2a", None, "1566"),
    ("standard", deliver(200, info=0x2A02), What.UNKNOWN, "2a", None, "1566"),
    ("standard", deliver(18, "1"), What.ANSWER, "", None, "1566"),
    ("tata", deliver(1, "x", info=0x1234, destination="*1566#"), What.NEW, "1234", None, "*1566#"),
    ("tata", deliver(18, "1", info=0x1234), What.ANSWER, "1234", None, "1566"),
    ("tata", deliver(2, "1", info=0x1234), What.ANSWER, "1234", None, "1566"),
    ("tata", deliver(18, "1", info=0x1235), What.END, "1234", None, "1566"),
    ("sixdee", deliver(1, "*1566#", info=0x1234), What.NEW, "1234", None, "*1566#"),
    ("sixdee", deliver(129, info=0x1234), What.END, "1234", None, "1566"),
    ("mica", deliver(1, "*1566#", reference=7), What.NEW, "0007", None, "*1566#"),
    ("mica", deliver(2, "1", reference=7, info=0x0101), What.ANSWER, "0007", None, "1566"),
    ("mica", deliver(23, reference=7), What.END, "0007", None, "1566"),
    ("msisdn", deliver(1, destination="*1566*1#"), What.NEW, "", None, "*1566*1#"),
    ("msisdn", deliver(18, "1"), What.ANSWER, "", None, "1566"),
    ("msisdn", deliver(18, "1", info=0x2A03), What.ANSWER, "", None, "1566"),
    ("msisdn", deliver(17), What.END, "", None, "1566"),
]


@pytest.mark.parametrize(("name", "body", "what", "session", "step", "code"), HEARD)
def test_each_shipped_profile_hears_its_gateway(name, body, what, session, step, code):
    found = heard(name, body)
    assert (found.what, found.session, found.step) == (what, session, step)
    assert found.code == code
    assert found.peer.phone == Address(A, 1, 1)


@pytest.mark.parametrize("name", PROFILES)
def test_a_message_without_an_operation_is_a_text(name):
    assert heard(name, deliver(None, "KT", info=0x2A00, service_type="USSD")) is None


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("standard", "hello", ""), ("sixdee", "", "+84"), ("msisdn", "*#06#", ""), ("mica", "", "")],
)
def test_what_is_no_code_is_none(name, code, text):
    assert heard(name, deliver(1, text, destination=code, info=0x100)).code == ""


@pytest.mark.parametrize(
    ("data", "coding", "alphabet", "text"),
    [
        (b"0903", 15, "gsm7", "0903"),
        (bytes.fromhex("aa180c3602"), 15, "gsm7-packed", "*100#"),
        ("Đăng ký".encode("utf-16-be"), 8, "gsm7", "Đăng ký"),
        ("1".encode("utf-16-be"), 0x48, "gsm7", "1"),
        (b" 1\r\n", 0, "gsm7", "1"),
        (b"a\nb", 0, "latin1", "a b"),
    ],
)
def test_inputs_are_read_in_the_alphabet_that_they_are_in(data, coding, alphabet, text):
    body = DeliverSm(short_message=data, data_coding=coding, tlvs=(Tlv(OP, b"\x12"),))
    assert heard("msisdn", body, alphabet).text == text


# the TLVs of a screen that goes on, of one that ends, of a notice; by what came.
SAID = [
    ("standard", deliver(1, info=0x2A00), "02/2a02", "11/2a03", "03/2a03"),
    ("tata", deliver(1, info=0x1234), "02/1234", "02/1235", "03/1235"),
    ("sixdee", deliver(1, info=0x1234), "02/1234", "17/1235", "03/1235"),
    ("mica", deliver(1, reference=7), "02/0007", "17/0007", "03/0007"),
    ("msisdn", deliver(1), "02", "11", "03"),
]


@pytest.mark.parametrize(("name", "body", "ask", "end", "notice"), SAID)
def test_each_shipped_profile_says_what_its_gateway_expects(name, body, ask, end, notice):
    found = heard(name, body)
    for say, wanted in ((Say.ASK, ask), (Say.END, end), (Say.NOTICE, notice)):
        submit = said(name, found.peer, say)
        assert "/".join(tlv.value.hex() for tlv in submit.tlvs) == wanted
        assert submit.service_type == "USSD"
        assert submit.destination_addr == A
        assert (submit.dest_addr_ton, submit.dest_addr_npi) == (1, 1)


def said(name, peer, say=Say.ASK, text="1 Goi cuoc", *, step=1, code="*1566#", alphabet="gsm7"):
    return write(PROFILES[name], peer, say, text, step=step, code=code, default_alphabet=alphabet)


def test_screens_past_the_count_are_not_counted():
    peer = heard("standard", deliver(18, info=0x2AFE)).peer
    infos = [tlv_or_none(said("standard", peer, step=step).tlvs, INFO) for step in (127, 128, 999)]
    assert infos == [b"\x2a\xfe", b"\x2a\x00", b"\x2a\x00"]


def test_a_gateway_that_counts_gets_its_own_count_back():
    profile = build({"session": {"sequence": "theirs"}})
    found = read(profile, deliver(18, "1", info=0x2A0A), "gsm7")
    assert found
    assert found.step == 5
    submit = write(profile, found.peer, Say.ASK, "x", step=9, code="1566", default_alphabet="gsm7")
    assert tlv_or_none(submit.tlvs, INFO) == b"\x2a\x0a"


def test_a_session_number_that_did_not_come_is_not_made_up():
    for name in PROFILES:
        assert [tlv.tag for tlv in said(name, heard(name, deliver(1)).peer).tlvs] == [OP]


@pytest.mark.parametrize(
    ("name", "source"), [("standard", "1566"), ("mica", "*1566#"), ("sixdee", "*1566#")]
)
def test_a_screen_comes_from_where_the_profile_says(name, source):
    assert said(name, heard(name, deliver(1, info=0x100)).peer).source_addr == source


def test_a_screen_may_come_from_an_address_of_its_own():
    profile = build({"submit": {"source_addr": "155"}})
    peer = Peer(Address(A, 1, 1), Address("1566", 0, 1))
    submit = write(profile, peer, Say.ASK, "x", step=1, code="", default_alphabet="gsm7")
    assert submit.source_addr == "155"


@pytest.mark.parametrize(
    ("alphabet", "text", "octets"),
    [
        ("gsm7", "{a}", b"\x1b\x28a\x1b\x29"),
        ("gsm7-packed", "1234567", bytes.fromhex("31d98c56b3dd1a")),
        ("latin1", "1 €", b"1 ?"),
        ("ascii", "Goi", b"Goi"),
        ("gsm7", "Gói đ", b"Goi d"),
    ],
)
def test_a_screen_is_written_in_the_links_alphabet(alphabet, text, octets):
    peer = Peer(Address(A, 1, 1), Address("1566", 0, 1))
    assert said("msisdn", peer, text=text, alphabet=alphabet).short_message == octets


def test_a_packed_screen_of_182_septets_fills_160_octets():
    peer = Peer(Address(A, 1, 1), Address("1566", 0, 1))
    submit = said("msisdn", peer, text="x" * 182, alphabet="gsm7-packed")
    assert len(submit.short_message) == 160


# ------------------------------------------------------------------------------------------ pushes


@pytest.mark.rule("USSD-4")
@pytest.mark.parametrize("name", [name for name in PROFILES if name != "msisdn"])
def test_each_push_gets_a_number_that_its_answer_brings_back(name):
    profile = PROFILES[name]
    phone, ours = Address(A, 1, 1), Address("1566", 0, 1)
    sessions = set()
    for number in range(1, 255):
        peer = peer_of_push(profile, number, phone, ours)
        info = tlv_or_none(said(name, peer).tlvs, INFO)
        reference = tlv_or_none(said(name, peer).tlvs, REFERENCE)
        body = deliver(
            2 if name == "mica" else 18,
            "1",
            info=None if info is None else int.from_bytes(info),
            reference=None if reference is None else int.from_bytes(reference),
        )
        found = heard(name, body)
        assert found.what is What.ANSWER
        assert found.session == session_of(profile, peer.info, peer.reference)
        assert int(found.session, 16) > 0
        sessions.add(found.session)
    assert len(sessions) == 254


# ------------------------------------------------------------------------------------------- files


def test_the_profiles_that_the_documentation_names_are_shipped():
    assert {"standard", "tata", "sixdee", "mica", "msisdn"} == PROFILES.keys()


@pytest.mark.rule("CFG-2")
def test_every_problem_of_a_file_is_told_at_once():
    table = {
        "heard": {"new": [], "answer": [300], "ended": [1]},
        "said": {"ask": "two"},
        "session": {"id": "cookie", "bits": 16},
        "sessions": {},
        "code": 7,
    }
    with pytest.raises(ProfileError) as caught:
        build(table)
    told = [problem.split(":")[0] for problem in caught.value.problems]
    assert sorted(told) == [
        "code",
        "heard.answer",
        "heard.ended",
        "said.ask",
        "session.bits",
        "session.id",
        "sessions",
    ]


@pytest.mark.rule("CFG-2")
@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"heard": {"new": []}}, "heard.new"),
        ({"heard": {"answer": []}}, "heard.answer"),
        ({"heard": {"new": [18]}}, "heard"),
        ({"session": {"id": "msisdn", "end_bit": True}}, "session.end_bit"),
        ({"session": {"id": "msisdn", "sequence": "ours"}}, "session.sequence"),
        ({"session": {"bits": 15, "sequence": "ours"}}, "session.sequence"),
        ({"said": {"end": 2}}, "said.end"),
        ({"submit": {"source_addr": "from"}}, "submit.source_addr"),
        ({"submit": {"data_coding": 8}}, "submit.data_coding"),
        ({"submit": {"service_type": "\x01"}}, "submit.service_type"),
    ],
)
def test_a_contradiction_is_refused(table, key):
    with pytest.raises(ProfileError) as caught:
        build(table)
    [problem] = caught.value.problems
    assert problem.split(":")[0] == key


@pytest.mark.rule("CFG-2")
def test_the_standard_file_shows_every_key_and_its_default():
    text = (FOLDER / "standard.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    shown = {f"{section}.{key}" for section, keys in table.items() for key in keys}
    profile = Profile()
    assert shown == {
        f"{section}.{key}"
        for section in profile.__struct_fields__
        for key in getattr(profile, section).__struct_fields__
    }


@pytest.mark.rule("CFG-2")
def test_an_installations_own_profile_stands_beside_the_shipped_and_before_its_namesake(tmp_path):
    (tmp_path / "tata.toml").write_text("[said]\nask = 2\n")
    (tmp_path / "ours.toml").write_text('[session]\nid = "msisdn"\n')
    profiles = load_profiles(FOLDER, tmp_path, tmp_path / "not there")
    assert profiles.keys() == PROFILES.keys() | {"ours"}
    assert profiles["tata"] == build({"said": {"ask": 2}})
    assert profiles["mica"] == PROFILES["mica"]


@pytest.mark.rule("CFG-2")
def test_problems_name_their_file(tmp_path):
    (tmp_path / "a.toml").write_text("[said]\nask = 1000\n")
    (tmp_path / "b.toml").write_text("[said\n")
    (tmp_path / "c.toml").write_bytes(b"\xff")
    with pytest.raises(ProfileError) as caught:
        load_profiles(tmp_path)
    told = [problem.split(": ")[0].rpartition("/")[2] for problem in caught.value.problems]
    assert told == ["a.toml", "b.toml", "c.toml"]


@pytest.mark.rule("CFG-1")
@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_link_may_name_any_shipped_profile(name):
    assert LinkSettings(name="a", host="h", system_id="s", password="p", ussd=name).ussd == name


# -------------------------------------------------------------------------------------- whatever

tlv_lists = st.lists(
    st.builds(
        Tlv,
        st.sampled_from([OP, INFO, REFERENCE, TlvTag.MESSAGE_PAYLOAD, 0x1401]),
        st.binary(max_size=4),
    ),
    max_size=5,
).map(tuple)
latin = st.text(st.characters(max_codepoint=255, exclude_characters="\0"), max_size=20)
octet = st.integers(0, 255)
bodies = st.builds(
    DeliverSm,
    source_addr=latin,
    destination_addr=latin | st.from_regex(r"\*1566(\*1)?#", fullmatch=True),
    source_addr_ton=octet,
    data_coding=octet,
    short_message=st.binary(max_size=254),
    tlvs=tlv_lists,
) | st.builds(DataSm, source_addr=latin, destination_addr=latin, data_coding=octet, tlvs=tlv_lists)
alphabets = st.sampled_from(["gsm7", "gsm7-packed", "latin1", "ascii"])


@given(st.sampled_from(sorted(PROFILES)), bodies, alphabets)
def test_whatever_is_delivered_is_a_text_or_makes_a_step(name, body, alphabet):
    found = heard(name, body, alphabet)
    has_op = tlv_or_none(body.tlvs, OP) is not None
    assert (found is not None) is has_op
    if found is not None:
        session = f"84903000001-{found.session}" if found.session else "0"
        request = step_request(
            session, Step(A, found.code, found.text, found.step), platform="a", sender=0
        )
        assert request.route == "ussd.step"


@given(
    st.sampled_from(sorted(PROFILES)),
    st.sampled_from(list(Say)),
    st.text(st.sampled_from("abc 01{}€"), max_size=91),
    st.integers(0, 1000),
    st.integers(0, 0xFFFF),
    alphabets,
)
def test_what_is_said_can_be_encoded_and_says_whose_session_it_is(
    name, say, text, step, number, alphabet
):
    came = heard(name, deliver(1, info=number, reference=number))
    submit = said(name, came.peer, say, text, step=step, alphabet=alphabet)
    pdu = decode(encode(submit, sequence_number=1))
    assert isinstance(pdu, Pdu)
    assert isinstance(pdu.body, SubmitSm)
    info = tlv_or_none(pdu.body.tlvs, INFO)
    reference = tlv_or_none(pdu.body.tlvs, REFERENCE)
    back = session_of(PROFILES[name], None if info is None else int.from_bytes(info), reference)
    assert back == came.session
    if info is not None:
        assert bool(info[1] & 1) is (say is not Say.ASK)
