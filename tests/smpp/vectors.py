"""One frame of every PDU of SMPP v3.4 in hex, and the value that it must be.

The hex was written by the npm package smpp 0.5.1 from the same field values, so that these frames
do not come from the codec they test.  Blanks separate the header's four words and the fields.
"""

from telcod.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    TlvTag,
    Unbind,
    UnbindResp,
    UnsuccessSme,
)

# "telcod" "secret08" "USSD" 3.4, ton 1, npi 1, "^1566$"
_BIND_HEX = "74656c636f6400 736563726574303800 5553534400 34 01 01 5e313536362400"
_BIND = ("telcod", "secret08", "USSD", 0x34, 1, 1, "^1566$")
_VERSION = (Tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34"),)

VECTORS = [
    (
        f"0000002f 00000002 00000000 00000001 {_BIND_HEX}",
        Pdu(0x00000002, 0, 1, BindTransmitter(*_BIND)),
    ),
    (
        "0000001a 80000002 00000000 00000001 534d534300 0210000134",
        Pdu(0x80000002, 0, 1, BindTransmitterResp("SMSC", _VERSION)),
    ),
    (
        f"0000002f 00000001 00000000 00000001 {_BIND_HEX}",
        Pdu(0x00000001, 0, 1, BindReceiver(*_BIND)),
    ),
    (
        "0000001a 80000001 00000000 00000001 534d534300 0210000134",
        Pdu(0x80000001, 0, 1, BindReceiverResp("SMSC", _VERSION)),
    ),
    (
        f"0000002f 00000009 00000000 00000001 {_BIND_HEX}",
        Pdu(0x00000009, 0, 1, BindTransceiver(*_BIND)),
    ),
    (
        "0000001a 80000009 00000000 00000001 534d534300 0210000134",
        Pdu(0x80000009, 0, 1, BindTransceiverResp("SMSC", _VERSION)),
    ),
    (
        "0000001b 0000000b 00000000 00000001 534d534300 6b6e6f636b00",
        Pdu(0x0000000B, 0, 1, Outbind("SMSC", "knock")),
    ),
    ("00000010 00000006 00000000 00000007", Pdu(0x00000006, 0, 7, Unbind())),
    ("00000010 80000006 00000000 00000007", Pdu(0x80000006, 0, 7, UnbindResp())),
    ("00000010 00000015 00000000 00000007", Pdu(0x00000015, 0, 7, EnquireLink())),
    ("00000010 80000015 00000000 00000007", Pdu(0x80000015, 0, 7, EnquireLinkResp())),
    ("00000010 80000000 00000003 00000000", Pdu(0x80000000, 3, 0, GenericNack())),
    (
        (
            "00000053 00000004 00000000 7fffffff 5553534400 01 01 383439303331323334353600"
            "03 00 3135363600 40 01 02 00 30303030303030303135303030303052 00 01 01 08 05"
            "04 4b542042 0501000102 138300021234"
        ),
        Pdu(
            0x00000004,
            0,
            0x7FFFFFFF,
            SubmitSm(
                service_type="USSD",
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr="84903123456",
                dest_addr_ton=3,
                dest_addr_npi=0,
                destination_addr="1566",
                esm_class=0x40,
                protocol_id=1,
                priority_flag=2,
                schedule_delivery_time="",
                validity_period="000000001500000R",
                registered_delivery=1,
                replace_if_present_flag=1,
                data_coding=8,
                sm_default_msg_id=5,
                short_message=b"KT B",
                tlvs=(
                    Tlv(TlvTag.USSD_SERVICE_OP, b"\x02"),
                    Tlv(TlvTag.ITS_SESSION_INFO, b"\x12\x34"),
                ),
            ),
        ),
    ),
    (
        (
            "0000003e 00000005 00000000 7fffffff 5553534400 01 01 383439303331323334353600"
            "03 00 3135363600 40 01 02 00 00 01 01 08 05 04 4b542042 020400020201"
        ),
        Pdu(
            0x00000005,
            0,
            0x7FFFFFFF,
            DeliverSm(
                service_type="USSD",
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr="84903123456",
                dest_addr_ton=3,
                dest_addr_npi=0,
                destination_addr="1566",
                esm_class=0x40,
                protocol_id=1,
                priority_flag=2,
                registered_delivery=1,
                replace_if_present_flag=1,
                data_coding=8,
                sm_default_msg_id=5,
                short_message=b"KT B",
                tlvs=(Tlv(TlvTag.USER_MESSAGE_REFERENCE, b"\x02\x01"),),
            ),
        ),
    ),
    (
        "00000017 80000004 00000000 00000007 3366412d303100",
        Pdu(0x80000004, 0, 7, SubmitSmResp("3fA-01")),
    ),
    ("00000011 80000005 00000000 00000007 00", Pdu(0x80000005, 0, 7, DeliverSmResp())),
    (
        (
            "00000035 00000103 00000000 00000008 5553534400 01 01 383439303331323334353600"
            "03 00 3135363600 04 01 00 042400044b542042"
        ),
        Pdu(
            0x00000103,
            0,
            8,
            DataSm(
                service_type="USSD",
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr="84903123456",
                dest_addr_ton=3,
                dest_addr_npi=0,
                destination_addr="1566",
                esm_class=4,
                registered_delivery=1,
                data_coding=0,
                tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, b"KT B"),),
            ),
        ),
    ),
    (
        "00000017 80000103 00000000 00000008 3366412d303200",
        Pdu(0x80000103, 0, 8, DataSmResp("3fA-02")),
    ),
    (
        (
            "00000058 00000021 00000000 00000009 5553534400 01 01 383439303331323334353600"
            "02 01 01 01 383439303331323334353700 02 737461666600"
            "40 01 02 00 30303030303030303135303030303052 00 01 01 08 05 04 4b542042"
        ),
        Pdu(
            0x00000021,
            0,
            9,
            SubmitMulti(
                service_type="USSD",
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr="84903123456",
                dest_addresses=(SmeAddress(1, 1, "84903123457"), DistributionList("staff")),
                esm_class=0x40,
                protocol_id=1,
                priority_flag=2,
                schedule_delivery_time="",
                validity_period="000000001500000R",
                registered_delivery=1,
                replace_if_present_flag=1,
                data_coding=8,
                sm_default_msg_id=5,
                short_message=b"KT B",
            ),
        ),
    ),
    (
        (
            "0000002a 80000021 00000000 00000009 3366412d303300"
            "01 01 01 383439303331323334353700 0000000b"
        ),
        Pdu(
            0x80000021, 0, 9, SubmitMultiResp("3fA-03", (UnsuccessSme(1, 1, "84903123457", 0x0B),))
        ),
    ),
    (
        "0000001e 00000003 00000000 0000000a 3366412d303100 03 00 3135363600",
        Pdu(0x00000003, 0, 10, QuerySm("3fA-01", 3, 0, "1566")),
    ),
    (
        (
            "0000002a 80000003 00000000 0000000a 3366412d303100"
            "3235303133313233353935393032382b00 02 06"
        ),
        Pdu(0x80000003, 0, 10, QuerySmResp("3fA-01", "250131235959028+", 2, 6)),
    ),
    (
        (
            "00000031 00000008 00000000 0000000b 5553534400 3366412d303100 03 00 3135363600"
            "01 01 383439303331323334353600"
        ),
        Pdu(
            0x00000008,
            0,
            11,
            CancelSm("USSD", "3fA-01", 3, 0, "1566", 1, 1, "84903123456"),
        ),
    ),
    ("00000010 80000008 00000000 0000000b", Pdu(0x80000008, 0, 11, CancelSmResp())),
    (
        (
            "00000037 00000007 00000000 0000000c 3366412d303100 03 00 3135363600 00"
            "30303030303030303135303030303052 00 01 05 04 4b542057"
        ),
        Pdu(
            0x00000007,
            0,
            12,
            ReplaceSm("3fA-01", 3, 0, "1566", "", "000000001500000R", 1, 5, b"KT W"),
        ),
    ),
    ("00000010 80000007 00000000 0000000c", Pdu(0x80000007, 0, 12, ReplaceSmResp())),
    (
        (
            "0000002a 00000102 00000000 0000000d 01 01 383439303331323334353600"
            "03 00 3135363600 0422000100"
        ),
        Pdu(
            0x00000102,
            0,
            13,
            AlertNotification(
                1, 1, "84903123456", 3, 0, "1566", (Tlv(TlvTag.MS_AVAILABILITY_STATUS, b"\0"),)
            ),
        ),
    ),
]

FRAMES = [bytes.fromhex(octets) for octets, _ in VECTORS]
NAMES = [type(pdu.body).__name__ for _, pdu in VECTORS]
