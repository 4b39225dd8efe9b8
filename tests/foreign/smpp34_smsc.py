"""An SMSC of the PyPI package smpp34, steered by JSON lines: operations on stdin, events on stdout.

PDUs and sessions are the package's (written in Rust); this file only says what to answer.  See
peers.py.  The package accepts every bind, does not tell a receiver from a transceiver, sends
enquire_link by its own timers, and cannot cut a session.
"""

import asyncio
import json
import sys
from typing import Any

import smpp34

OK = 0
MESSAGE_PAYLOAD = 0x0424


class Smsc:
    """The server, the sessions bound to it, and what submits are answered with."""

    def __init__(self, port, tasks):
        self.port = port
        self.tasks = tasks
        self.server: Any = None
        self.sessions = {}
        self.answers = []  # Statuses of the next submits; None is silence.
        self.afterwards = OK
        self.unanswered = []  # A submit that is let go is refused by the package.
        self.message_id = 0

    async def listen(self):
        self.server = smpp34.Server("127.0.0.1", self.port, system_id="smpp34")
        await self.server.start()
        self.tasks.create_task(self.serve(self.server))
        tell("listening", port=self.port)

    async def serve(self, server):
        while True:
            match await server.next():
                case smpp34.Esme() as esme:
                    self.sessions[esme.session_id] = esme
                    mode = None if esme.can_receive else "transmitter"
                    tell("bound", session=esme.session_id, mode=mode, can_receive=esme.can_receive)
                case smpp34.SubmitSmEvent() as submit:
                    self.take(submit)
                case smpp34.Unbound() as end:
                    self.sessions.pop(end.session_id, None)
                    tell("unbound", session=end.session_id)
                    tell("closed", session=end.session_id)

    def take(self, submit):
        tlvs = {tlv.tag: tlv.value.hex() for tlv in submit.tlvs}
        payload = tlvs.pop(MESSAGE_PAYLOAD, None)
        status = self.answers.pop(0) if self.answers else self.afterwards
        tell(
            "submit_sm",
            status=status,
            session=submit.session_id,
            source=submit.source_addr,
            destination=submit.destination_addr,
            text=None,
            hex=submit.short_message.hex() if payload is None else payload,
            udh="",
            data_coding=submit.data_coding,
            esm_class=submit.esm_class,
            registered_delivery=submit.registered_delivery,
            payload=payload is not None,
            tlvs=tlvs,
        )
        if status is None:
            self.unanswered.append(submit)
        elif status == OK:
            self.message_id += 1
            submit.accept(str(self.message_id))
        else:
            submit.reject(status)

    async def deliver(self, op):
        receivers = [esme for esme in self.sessions.values() if esme.can_receive]
        if not receivers:
            tell("deliver_failed", id=op["id"], reason="no receiver is bound")
            return
        try:
            answer = await receivers[0].deliver_sm(
                op["destination"],
                bytes.fromhex(op["hex"]),
                source_addr=op["source"],
                source_addr_ton=1,
                source_addr_npi=1,
                dest_addr_ton=0,
                dest_addr_npi=1,
                esm_class=op["esm_class"],
                data_coding=op["data_coding"],
                tlvs=[smpp34.Tlv(int(tag), bytes.fromhex(v)) for tag, v in op["tlvs"].items()],
            )
        except (smpp34.SmppError, OSError, RuntimeError) as error:
            tell("deliver_failed", id=op["id"], reason=str(error))
        else:
            tell("deliver_resp", id=op["id"], status=answer.command_status)

    async def unbind(self, session_id, esme):
        await esme.unbind()
        tell("unbind_resp", session=session_id)

    async def operate(self, op):
        match op["op"]:
            case "deliver":
                # Not waited for: the ESME may answer in any order, or never.
                self.tasks.create_task(self.deliver(op))
                return
            case "answer":
                self.answers, self.afterwards = op["statuses"], op["afterwards"]
            case "unbind":
                for session_id, esme in self.sessions.items():
                    self.tasks.create_task(self.unbind(session_id, esme))
                return
            case "refuse":
                await self.server.stop()
            case "accept":
                await self.listen()
                return
        tell("done", id=op["id"])


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def run(settings):
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        smsc = Smsc(settings["port"], tasks)
        await smsc.listen()
        while line := await reader.readline():
            await smsc.operate(json.loads(line))
        sys.exit(0)  # The test is over; what was left unanswered stays so.


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
