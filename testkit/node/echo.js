'use strict';
// The recipe's WebSocket server on the real `ws` package: it answers `Server received from client: TEXT` to text and
// sends binary messages back as they are. Started by `testkit/src/node.rs`; everything it sees goes to standard
// output, one JSON object a line, the first of which says that it listens.
//
//   node echo.js --host 127.0.0.1 --port 8010 [--name blue] [--deflate] [--protocols chat,superchat] [--refuse 403]
//     [--fragment FRAMES] [--delay MILLISECONDS]
//
// With --fragment, binary messages go back in so many frames. With --delay every handshake is answered that late.
//
// Text that begins with a slash is a command to the server:
//   /name              answers the value of --name
//   /headers           answers the headers of the handshake as JSON
//   /close CODE TEXT   closes with that code and reason
//   /ping TEXT         sends a ping
//   /terminate         drops the connection without a Close frame
//   /fragments A B C   answers one message in as many frames as there are words

const http = require('http');
const crypto = require('crypto');
const { parseArgs } = require('util');
const { WebSocketServer } = require('ws');

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string' },
    name: { type: 'string', default: 'echo' },
    deflate: { type: 'boolean', default: false },
    protocols: { type: 'string', default: '' },
    refuse: { type: 'string' },
    fragment: { type: 'string', default: '1' },
    delay: { type: 'string', default: '0' },
  },
});

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const known = options.protocols.split(',').filter(Boolean);

// The last offer that is known wins, so that a test can tell a choice from a mirror of the first offer.
function chooseProtocol(offered) {
  return [...offered].reverse().find((name) => known.includes(name)) || false;
}

const sockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: options.deflate ? { threshold: 0 } : false,
  maxPayload: 64 * 1024 * 1024,
  handleProtocols: known.length ? chooseProtocol : undefined,
});

const commands = {
  name: (socket) => socket.send(options.name),
  headers: (socket, _words, request) => socket.send(JSON.stringify(request.headers)),
  close: (socket, [code, ...reason]) => socket.close(Number(code), reason.join(' ')),
  ping: (socket, words) => socket.ping(words.join(' ')),
  terminate: (socket) => socket.terminate(),
  fragments: (socket, words) => words.forEach((word, at) => socket.send(word, { fin: at === words.length - 1 })),
};

function sendPieces(socket, data, count) {
  const size = Math.max(1, Math.ceil(data.length / count));
  let at = 0;
  do {
    socket.send(data.subarray(at, at + size), { binary: true, fin: at + size >= data.length });
    at += size;
  } while (at < data.length);
}

function answer(socket, request, data, isBinary) {
  const digest = crypto.createHash('sha256').update(data).digest('hex');
  say({ event: 'message', binary: isBinary, length: data.length, sha256: digest });
  if (isBinary) return sendPieces(socket, data, Number(options.fragment));
  const text = data.toString();
  const [name, ...words] = text.slice(1).split(' ');
  if (text.startsWith('/') && commands[name]) return commands[name](socket, words, request);
  return socket.send(`Server received from client: ${text}`);
}

sockets.on('connection', (socket, request) => {
  say({ event: 'open', url: request.url, headers: request.headers, extensions: socket.extensions });
  socket.on('message', (data, isBinary) => answer(socket, request, data, isBinary));
  socket.on('ping', (data) => say({ event: 'ping', data: data.toString() }));
  socket.on('pong', (data) => say({ event: 'pong', data: data.toString() }));
  socket.on('close', (code, reason) => say({ event: 'close', code, reason: reason.toString() }));
  socket.on('error', (error) => say({ event: 'error', message: error.message }));
});

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain');
  response.end(`${options.name} ${request.method} ${request.url}\n`);
});

server.on('upgrade', (request, socket, head) => {
  const accept = () => sockets.handleUpgrade(request, socket, head, (peer) => sockets.emit('connection', peer, request));
  const delay = Number(options.delay);
  if (!options.refuse) return delay ? setTimeout(accept, delay) : accept();
  say({ event: 'refused', url: request.url });
  const body = 'no sockets for you\n';
  return socket.end(
    `HTTP/1.1 ${options.refuse} ${http.STATUS_CODES[options.refuse]}\r\nContent-Type: text/plain\r\n` +
      `X-Refused-By: ${options.name}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
});

server.listen(Number(options.port), options.host, () => say({ event: 'ready', port: server.address().port }));
