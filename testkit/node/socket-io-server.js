'use strict';
// A real socket.io server: one of several replicas that share nothing. Started by `testkit/src/node.rs`; what it sees
// goes to standard output, one JSON object a line, the first of which says that it listens.
//
//   node socket-io-server.js --host 127.0.0.1 --port 9001 --name blue [--cookie io]
//
// It answers every `question` with its name and the transport that the question came by. With --cookie the session's id
// is in a cookie of that name.

const http = require('http');
const { parseArgs } = require('util');
const { Server } = require('socket.io');

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string' },
    name: { type: 'string', default: 'replica' },
    cookie: { type: 'string' },
  },
});

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

const server = http.createServer();
const sockets = new Server(server, options.cookie ? { cookie: { name: options.cookie, path: '/' } } : {});

sockets.on('connection', (socket) => {
  say({ event: 'open', transport: socket.conn.transport.name });
  socket.conn.on('upgrade', (transport) => say({ event: 'upgrade', transport: transport.name }));
  socket.on('question', (answer) => answer({ name: options.name, transport: socket.conn.transport.name }));
  socket.on('disconnect', (reason) => say({ event: 'close', reason }));
});

server.listen(Number(options.port), options.host, () => say({ event: 'ready', port: server.address().port }));
