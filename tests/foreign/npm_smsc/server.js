'use strict';
// An SMSC of the npm package `smpp`, steered by JSON lines: operations on stdin, events on stdout.
// PDUs and sessions are the package's; this file only says what to answer.  See ../peers.py.

const readline = require('node:readline');
const smpp = require('smpp');

const OK = 0;
const settings = JSON.parse(process.argv[2]);
const INT_OCTETS = new Map([
  [smpp.types.int8, 1],
  [smpp.types.int16, 2],
  [smpp.types.int32, 4],
]);

let server = null;
let answers = []; // Statuses of the next submits; null is silence.
let afterwards = OK; // What holds when `answers` are used up.
let messageId = 0;
let sessions = 0;
const bound = new Map(); // session number -> {session, mode, pending}

function tell(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

// --- what the ESME does ---------------------------------------------------------------------

function bind(session, number, mode, pdu) {
  if (pdu.system_id !== settings.system_id || pdu.password !== settings.password) {
    session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
    tell('bind_refused', { session: number, mode });
    session.close();
    return;
  }
  bound.set(number, { session, mode, pending: new Set() });
  session.send(pdu.response({ system_id: 'npm-smpp', sc_interface_version: 0x34 }));
  tell('bound', { session: number, mode, can_receive: mode !== 'transmitter' });
}

function submit(session, number, pdu) {
  // The package decodes by data_coding: a string if it knows the alphabet, else the octets.
  const body = pdu.message_payload === undefined ? pdu.short_message : pdu.message_payload;
  const raw = Buffer.isBuffer(body.message);
  const status = answers.length ? answers.shift() : afterwards;
  tell('submit_sm', {
    status,
    session: number,
    source: pdu.source_addr,
    destination: pdu.destination_addr,
    text: raw ? null : body.message,
    hex: raw ? body.message.toString('hex') : null,
    udh: (body.udh || []).map((element) => element.toString('hex')).join(''),
    data_coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    registered_delivery: pdu.registered_delivery,
    payload: pdu.message_payload !== undefined,
    tlvs: tlvsOf(pdu),
  });
  if (status === null) {
    return;
  }
  messageId += 1;
  session.send(pdu.response(
    status === OK ? { message_id: String(messageId) } : { command_status: status },
  ));
}

function tlvsOf(pdu) {
  const found = {};
  for (const [name, { id, type }] of Object.entries(smpp.tlvs)) {
    if (pdu[name] === undefined || name === 'message_payload') {
      continue;
    }
    const value = pdu[name];
    if (INT_OCTETS.has(type)) {
      found[id] = value.toString(16).padStart(2 * INT_OCTETS.get(type), '0');
    } else if (Buffer.isBuffer(value)) {
      found[id] = value.toString('hex');
    }
  }
  for (const [name, value] of Object.entries(pdu)) {
    if (/^\d+$/.test(name)) {
      found[name] = value.toString('hex'); // A tag that the package does not know.
    }
  }
  return found;
}

function converse(session) {
  sessions += 1;
  const number = sessions;
  for (const mode of ['transmitter', 'receiver', 'transceiver']) {
    session.on(`bind_${mode}`, (pdu) => bind(session, number, mode, pdu));
  }
  session.on('submit_sm', (pdu) => submit(session, number, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unknown', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    tell('unbound', { session: number });
    session.send(pdu.response());
    session.close();
  });
  session.on('generic_nack', (pdu) => {
    tell('generic_nack', { session: number, status: pdu.command_status });
  });
  session.on('error', (error) => tell('error', { session: number, reason: String(error) }));
  session.on('close', () => {
    const known = bound.get(number);
    bound.delete(number);
    for (const id of known ? known.pending : []) {
      tell('deliver_failed', { id, reason: 'the session ended' });
    }
    tell('closed', { session: number });
  });
}

// --- what the test does ---------------------------------------------------------------------

function tlvOptions(tlvs) {
  const options = {};
  for (const [tag, hex] of Object.entries(tlvs)) {
    const id = Number(tag);
    if (smpp.tlvsById[id] === undefined) {
      smpp.addTLV(`vendor_${id}`, { id, type: smpp.types.tlv.buffer });
    }
    const { tag: name, type } = smpp.tlvsById[id];
    const value = Buffer.from(hex, 'hex');
    options[name] = INT_OCTETS.has(type) ? value.readUIntBE(0, INT_OCTETS.get(type)) : value;
  }
  return options;
}

const operations = {
  deliver(op) {
    const target = [...bound.values()].find(({ mode }) => mode !== 'transmitter');
    if (target === undefined) {
      tell('deliver_failed', { id: op.id, reason: 'no receiver is bound' });
      return;
    }
    target.pending.add(op.id);
    const options = {
      source_addr_ton: 1,
      source_addr_npi: 1,
      source_addr: op.source,
      dest_addr_npi: 1,
      destination_addr: op.destination,
      esm_class: op.esm_class,
      data_coding: op.data_coding,
      // Octets, so that the package's choice of an alphabet does not come between.
      short_message: Buffer.from(op.hex, 'hex'),
      ...tlvOptions(op.tlvs),
    };
    target.session.deliver_sm(options, (answer) => {
      target.pending.delete(op.id);
      tell('deliver_resp', { id: op.id, status: answer.command_status });
    });
  },
  answer(op) {
    ({ statuses: answers, afterwards } = op);
    tell('done', { id: op.id });
  },
  enquire_link(op) {
    for (const { session } of bound.values()) {
      session.enquire_link({}, () => tell('enquire_link_resp', { id: op.id }));
    }
  },
  unbind() {
    for (const [number, { session }] of bound) {
      session.unbind({}, () => {
        tell('unbind_resp', { session: number });
        session.close();
      });
    }
  },
  drop(op) {
    for (const session of [...server.sessions]) {
      session.destroy();
    }
    tell('done', { id: op.id });
  },
  refuse(op) {
    server.close();
    tell('done', { id: op.id });
  },
  accept() {
    listen(settings.port);
  },
};

function listen(port) {
  server = smpp.createServer(converse);
  server.on('error', (error) => tell('error', { reason: String(error) }));
  server.listen(port, '127.0.0.1', () => {
    settings.port = server.address().port;
    tell('listening', { port: settings.port });
  });
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const op = JSON.parse(line);
    operations[op.op](op);
  })
  .on('close', () => process.exit(0));
listen(settings.port);
