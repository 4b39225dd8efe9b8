"""What only a simulated SMSC can be made to do: nonsense in mid-flow, TLS, illness on demand."""

import datetime as dt
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telcod.errors import NotStarted
from telcod.rows import OutboxState
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import Behaviour, Fault, FaultKind
from tests.e2e.harness import Telcod, link

A = 84903000001
NUMBERS = tuple(range(84903000100, 84903000130))
TRY_LATER = 0x64

pytestmark = pytest.mark.anyio


async def prepare(telcod, smsc):
    await telcod.wait_bound()
    await smsc.wait_bound()
    await telcod.subscribers(*({"msisdn": msisdn} for msisdn in (A, *NUMBERS)))


def pdu(command_id, body, *, sequence, length=None, status=0):
    size = 16 + len(body) if length is None else length
    return b"".join(n.to_bytes(4) for n in (size, command_id, status, sequence)) + body


NONSENSE = {
    "a deliver_sm that ends too early": pdu(0x05, b"\0\1", sequence=0x4001),
    "a field without its end": pdu(0x05, b"x" * 40, sequence=0x4002),
    "an unknown command": pdu(0x0BAD, b"", sequence=0x4003),
    "an answer to nothing": pdu(0x8000_0004, b"9\0", sequence=0x4004),
    "an answer that cannot be read": pdu(0x8000_0004, b"9" * 70, sequence=0x4005),
    "a bind from the wrong side": pdu(0x09, b"a\0b\0\0\x34\0\0\0", sequence=0x4006),
    "a nack of nothing": pdu(0x8000_0000, b"", sequence=0, status=3),
}


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_in_mid_flow_disturbs_no_other_text(simulated, tmp_path, nonsense):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        sent = []
        for msisdn in NUMBERS:
            sent += simulated.send_text(str(msisdn), "1566", "KT")
            simulated.send_raw(nonsense)
        assert [await one for one in sent] == [0] * len(NUMBERS)
        for msisdn in NUMBERS:
            await simulated.wait_text(str(msisdn))
        assert telcod.count_told("is bound") == 1
        assert not telcod.log.events("link.ended")


@pytest.mark.rule("SMPP-2", "SMPP-6")
async def test_a_length_that_cannot_be_closes_the_link_and_nothing_is_lost(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        sent = []
        for msisdn in NUMBERS:
            sent += simulated.send_text(str(msisdn), "1566", "KT")
            if msisdn == NUMBERS[9]:
                simulated.send_raw(b"\xff" * 64)
        assert [await one.taken() for one in sent] == [0] * len(NUMBERS)
        for msisdn in NUMBERS:
            await simulated.wait_text(str(msisdn))
        await telcod.wait_bound(times=2)
        await telcod.wait_settled(len(NUMBERS))
        assert sorted(row.source for row in await telcod.journal()) == [*map(str, NUMBERS)]
        assert sorted(row.destination for row in await telcod.outbox()) == [*map(str, NUMBERS)]


@pytest.mark.rule("SMPP-2", "SMPP-5", "SMPP-6")
@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.UNBIND])
@pytest.mark.parametrize("command", ["deliver_sm_resp", "submit_sm"])
async def test_a_link_that_ends_again_and_again_gives_each_text_one_effect_and_one_answer(
    simulated, tmp_path, kind, command
):
    before_answer = command == "submit_sm"
    faults = tuple(
        Fault(kind=kind, after_pdus=count, command=command, before_answer=before_answer)
        for count in (3, 11, 19)
    )
    async with Telcod(tmp_path, link(simulated, window=5)) as telcod:
        await prepare(telcod, simulated)
        simulated.behave(Behaviour(faults=faults, window=5))
        sent = [simulated.send_text(str(msisdn), "1566", "DK")[0] for msisdn in NUMBERS]
        assert [await one.taken() for one in sent] == [0] * len(NUMBERS)
        for msisdn in NUMBERS:
            await simulated.wait_text(str(msisdn))
        states = await telcod.wait_settled(len(NUMBERS))
        assert states == [OutboxState.ACCEPTED] * len(NUMBERS)
        outcomes = [(row.source, row.verdict) for row in await telcod.journal()]
        assert sorted(outcomes) == [(str(msisdn), "package.trial_started") for msisdn in NUMBERS]


@pytest.mark.rule("SMPP-2")
async def test_an_honest_repeat_on_a_healthy_link_is_a_new_text(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        for _ in range(3):
            [sent] = simulated.send_text(str(A), "1566", "KT")
            assert await sent == 0
        await simulated.wait_text(str(A), 3)
        assert len(await telcod.journal()) == 3


@pytest.mark.rule("SMPP-2")
async def test_more_than_the_writer_takes_is_left_with_the_smsc_and_comes_later(
    simulated, tmp_path
):
    async with Telcod(tmp_path, link(simulated), engine={"queue_max": 1}) as telcod:
        await prepare(telcod, simulated)
        simulated.behave(Behaviour(retry_pause_s=0.01, window=10))
        sent = [simulated.send_text(str(msisdn), "1566", "DK")[0] for msisdn in NUMBERS]
        assert [await one.taken() for one in sent] == [0] * len(NUMBERS)
        assert TRY_LATER in {status for one in sent for status in one.statuses}
        for msisdn in NUMBERS:
            assert len(await simulated.wait_text(str(msisdn))) == 1
        assert len(await telcod.journal()) == len(NUMBERS)


# -------------------------------------------------------------------------------------------- TLS


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        certificate = self._sign(
            self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0)
        )
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, address):
        """The TLS context of a server with a certificate for this address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smsc")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._sign(subject, key.public_key(), names)
        path = self.folder / f"{address}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(self, subject, public_key, extension):
        day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(day - dt.timedelta(days=3_000))
            .not_valid_after(day + dt.timedelta(days=30_000))
            .add_extension(extension, critical=True)
            .sign(self.key, hashes.SHA256())
        )


@pytest.mark.rule("SMPP-8")
async def test_a_tls_link_is_bound_when_the_certificate_is_right(tmp_path):
    authority = Authority(tmp_path, "ca")
    async with SimulatedSmsc(ssl_context=authority.server("127.0.0.1")) as smsc:
        settings = link(smsc, tls=True, tls_ca="ca.pem")
        async with Telcod(tmp_path, settings) as telcod:
            await prepare(telcod, smsc)
            [sent] = smsc.send_text(str(A), "1566", "KT")
            assert await sent == 0
            await smsc.wait_text(str(A))


@pytest.mark.rule("SMPP-8")
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_tls_link_to_somebody_else_is_refused_and_says_why(tmp_path, wrong):
    authority = Authority(tmp_path, "ca")
    Authority(tmp_path, "other")
    trusted = "other.pem" if wrong == "authority" else "ca.pem"
    address = "127.0.0.1" if wrong == "authority" else "127.0.0.2"
    async with SimulatedSmsc(ssl_context=authority.server(address)) as smsc:
        settings = link(smsc, tls=True, tls_ca=trusted)
        async with Telcod(tmp_path, settings) as telcod:
            [line, *_] = await telcod.wait_logged("link.unreachable")
            assert "certificate verify failed" in line["reason"]
            assert telcod.count_told("is bound") == 0
            assert smsc.bound() == []


@pytest.mark.rule("SMPP-8", "CLI-9")
async def test_certificates_that_cannot_be_read_are_told_at_start(simulated, tmp_path):
    settings = link(simulated, tls=True, tls_ca="nowhere.pem")
    with pytest.raises(NotStarted, match=r"link a: the certificates of nowhere\.pem"):
        async with Telcod(tmp_path, settings):
            pass


@pytest.mark.rule("KW-2", "CLI-9")
async def test_a_link_whose_short_code_has_no_keywords_is_told_at_start(simulated, tmp_path):
    with pytest.raises(NotStarted, match="link a carries 9090"):
        async with Telcod(tmp_path, link(simulated, short_codes=["1566", "9090"])):
            pass
