'use strict';
// A WebSocket client on the real `ws` package, driven line by line: it obeys JSON objects on standard input and prints
// what happens as JSON objects on standard output. Started by `testkit/src/node.rs`.
//
//   node client.js URL [--deflate] [--protocol chat]... [--header 'Name: value']... [--insecure | --ca FILE --name SERVER]
//                      [--h2]
//
// With --insecure any certificate is good. With --h2 the WebSocket is a stream of HTTP/2 (RFC 8441), over TLS for wss://.
//
// {"text": "…"}  {"fragments": ["a", "b"]}  {"random": BYTES}  {"pieces": [BYTES, FRAMES]}  {"ping": "…"}  {"pong": "…"}
// {"close": [CODE, "…"]}  {"terminate": true}

const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const readline = require('readline');
const { parseArgs } = require('util');
const WebSocket = require('ws');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    deflate: { type: 'boolean', default: false },
    protocol: { type: 'string', multiple: true, default: [] },
    header: { type: 'string', multiple: true, default: [] },
    ca: { type: 'string' },
    name: { type: 'string' },
    insecure: { type: 'boolean', default: false },
    h2: { type: 'boolean', default: false },
  },
});

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

const headers = Object.fromEntries(
  options.header.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
);
const MAX_PAYLOAD = 64 * 1024 * 1024;
const socket = options.h2 ? overHttp2(new URL(positionals[0])) : overHttp1();

function overHttp1() {
  return new WebSocket(positionals[0], options.protocol, {
    perMessageDeflate: options.deflate ? { threshold: 0 } : false,
    maxPayload: MAX_PAYLOAD,
    rejectUnauthorized: !options.insecure,
    headers,
    // Over TLS: whom to trust, and the server's name.
    ...(options.ca ? { ca: fs.readFileSync(options.ca), servername: options.name } : {}),
  });
}

function overHttp2(url) {
  const opened = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30000 });
  opened._isServer = false;
  const session = http2.connect(`${url.protocol === 'wss:' ? 'https' : 'http'}://${url.host}`, {
    rejectUnauthorized: !options.insecure,
  });
  session.on('error', (error) => opened.emit('error', error));
  session.once('remoteSettings', () => {
    const stream = session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': url.pathname + url.search,
        'sec-websocket-version': '13',
        ...(options.protocol.length ? { 'sec-websocket-protocol': options.protocol.join(', ') } : {}),
        ...headers,
      },
      { endStream: false },
    );
    stream.on('error', (error) => opened.emit('error', error));
    stream.once('response', (response) => {
      if (response[':status'] !== 200) {
        say({ event: 'response', status: response[':status'], headers: response });
        return process.exit(0);
      }
      return opened.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: MAX_PAYLOAD });
    });
  });
  opened.on('close', () => session.close());
  return opened;
}

function sendRandom(length) {
  const data = crypto.randomBytes(length);
  say({ event: 'sent', length, sha256: sha256(data) });
  socket.send(data);
}

function sendPieces([length, count]) {
  // Four letters: something for a compressor to do.
  const data = crypto.randomBytes(length).map((byte) => 97 + (byte & 3));
  say({ event: 'sent', length, sha256: sha256(data) });
  const size = Math.max(1, Math.ceil(length / count));
  for (let at = 0; at < length; at += size) socket.send(data.subarray(at, at + size), { fin: at + size >= length });
}

const orders = {
  text: (text) => socket.send(text),
  fragments: (parts) => parts.forEach((part, at) => socket.send(part, { fin: at === parts.length - 1 })),
  random: sendRandom,
  pieces: sendPieces,
  ping: (data) => socket.ping(data),
  pong: (data) => socket.pong(data),
  close: ([code, reason]) => socket.close(code, reason),
  terminate: () => socket.terminate(),
};

socket.on('open', () => say({ event: 'open', protocol: socket.protocol, extensions: socket.extensions }));
socket.on('message', (data, binary) => {
  const text = binary || data.length > 65536 ? undefined : data.toString();
  say({ event: 'message', binary, length: data.length, sha256: sha256(data), text });
});
socket.on('ping', (data) => say({ event: 'ping', data: data.toString() }));
socket.on('pong', (data) => say({ event: 'pong', data: data.toString() }));
socket.on('error', (error) => say({ event: 'error', message: error.message }));
socket.on('close', (code, reason) => {
  say({ event: 'close', code, reason: reason.toString() });
  process.stdin.destroy();
});
socket.on('unexpected-response', (_request, response) => {
  const chunks = [];
  response.on('data', (chunk) => chunks.push(chunk));
  response.on('end', () => {
    const body = Buffer.concat(chunks).toString();
    say({ event: 'response', status: response.statusCode, headers: response.headers, body });
    process.exit(0);
  });
});

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  for (const [name, value] of Object.entries(JSON.parse(line))) orders[name](value);
});
