'use strict';
// An HTTP server that tells what it was asked and how, and sends WebSocket messages back: over HTTP/1.1 or HTTP/2, with or
// without TLS, with RFC 8441. Started by `testkit/src/node.rs`; what it sees goes to standard output, one JSON object a line, the
// first of which says that it listens.
//
//   node server.js --host 127.0.0.1 --port 9001 [--h2] [--cert FILE --key FILE] [--ca FILE] [--no-connect] [--streams N]
//     [--only-h2] [--tls 1.2]
//
// With --ca clients are asked for a certificate. With --h2 over TLS, HTTP/1.1 is spoken to those who want it, unless --only-h2.
// With --no-connect WebSockets are not taken as streams.
//
// Answers are JSON: the connection's number, the version, the method, the path, the headers, the length and the digest of the
// body, and what TLS knows. /sized/N answers N bytes, /chunked/N the same without a length and with a trailer, /reset resets,
// /status/N answers that status. Text over a WebSocket comes back as it is, but for `/facts`, which is answered as a request.

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const { parseArgs } = require('util');
const { WebSocket, WebSocketServer } = require('ws');

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string' },
    h2: { type: 'boolean', default: false },
    'only-h2': { type: 'boolean', default: false },
    'no-connect': { type: 'boolean', default: false },
    streams: { type: 'string', default: '100' },
    cert: { type: 'string' },
    key: { type: 'string' },
    ca: { type: 'string' },
    tls: { type: 'string' },
  },
});

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

const secrets = options.cert && {
  cert: fs.readFileSync(options.cert),
  key: fs.readFileSync(options.key),
  ca: options.ca && fs.readFileSync(options.ca),
  requestCert: Boolean(options.ca),
  rejectUnauthorized: false,
  maxVersion: options.tls && `TLSv${options.tls}`,
};
const settings = { enableConnectProtocol: !options['no-connect'], maxConcurrentStreams: Number(options.streams) };
const connections = new Map();

function numberOf(socket) {
  if (!connections.has(socket)) connections.set(socket, connections.size + 1);
  return connections.get(socket);
}

function factsOf(socket, version, method, path, headers) {
  const facts = { connection: numberOf(socket), version, method, path, headers: {} };
  for (const name of Object.keys(headers)) if (!name.startsWith(':')) facts.headers[name] = headers[name];
  if (headers[':authority']) facts.authority = headers[':authority'];
  if (headers[':scheme']) facts.scheme = headers[':scheme'];
  if (!socket.encrypted) return facts;
  const certificate = socket.getPeerCertificate();
  facts.tls = {
    version: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    sni: socket.servername || null,
    alpn: socket.alpnProtocol || null,
    resumed: socket.isSessionReused(),
    client: (certificate && certificate.subject && certificate.subject.CN) || null,
    authorized: socket.authorized,
  };
  return facts;
}

// Node's compatibility layer makes requests of both versions look alike.
function answer(request, response) {
  const socket = request.stream ? request.stream.session.socket : request.socket;
  const real = request.stream ? [...connections.keys()].find((known) => known.remotePort === socket.remotePort) : socket;
  const facts = factsOf(real || socket, request.httpVersion, request.method, request.url, request.headers);
  const digest = crypto.createHash('sha256');
  let length = 0;
  request.on('data', (data) => {
    digest.update(data);
    length += data.length;
  });
  request.on('end', () => reply(facts, { length, sha256: digest.digest('hex') }, request, response));
}

function reply(facts, body, request, response) {
  const [, kind, number] = request.url.split('/');
  if (kind === 'reset') return request.stream ? request.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : request.socket.destroy();
  if (kind === 'status') {
    response.writeHead(Number(number));
    return response.end();
  }
  if (kind === 'sized' || kind === 'chunked') {
    const bytes = Buffer.alloc(Number(number), 'x');
    if (kind === 'sized') response.setHeader('content-length', bytes.length);
    else response.setHeader('trailer', 'x-end');
    response.write(bytes.subarray(0, bytes.length / 2));
    if (kind === 'chunked') response.addTrailers({ 'x-end': 'yes' });
    return response.end(bytes.subarray(bytes.length / 2));
  }
  response.setHeader('content-type', 'application/json');
  return response.end(JSON.stringify({ ...facts, ...body }));
}

function echo(socket, facts) {
  say({ event: 'open', ...facts });
  socket.on('message', (data, isBinary) => {
    if (!isBinary && data.toString() === '/facts') return socket.send(JSON.stringify(facts));
    return socket.send(data, { binary: isBinary });
  });
  socket.on('close', (code, reason) => say({ event: 'close', code, reason: reason.toString() }));
  socket.on('error', (error) => say({ event: 'error', message: error.message }));
}

const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024 });

function upgrade(request, socket, head) {
  const facts = factsOf(socket, request.httpVersion, request.method, request.url, request.headers);
  sockets.handleUpgrade(request, socket, head, (peer) => echo(peer, facts));
}

function stream(stream, headers) {
  const known = [...connections.keys()].find((socket) => socket.remotePort === stream.session.socket.remotePort);
  const facts = factsOf(known || stream.session.socket, '2.0', 'CONNECT', headers[':path'], headers);
  stream.respond({ ':status': 200 });
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30000 });
  socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 64 * 1024 * 1024 });
  echo(socket, facts);
}

function create() {
  if (!options.h2) return secrets ? https.createServer(secrets, answer) : http.createServer(answer);
  const only = { settings };
  const server = secrets
    ? http2.createSecureServer({ ...secrets, ...only, allowHTTP1: !options['only-h2'] })
    : http2.createServer(only);
  server.on('request', (request, response) => {
    if (request.method !== 'CONNECT') answer(request, response);
  });
  server.on('connect', (request) => stream(request.stream, request.headers));
  return server;
}

const server = create();
server.on(secrets ? 'secureConnection' : 'connection', (socket) => numberOf(socket));
server.on('upgrade', upgrade);
server.on('tlsClientError', (error) => say({ event: 'tls', message: error.message }));
server.on('sessionError', (error) => say({ event: 'error', message: error.message }));
server.listen(Number(options.port), options.host, () => say({ event: 'ready', port: server.address().port }));
