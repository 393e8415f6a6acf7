'use strict';
// A real socket.io client that polls first and then upgrades to a WebSocket. It obeys JSON objects on standard input and
// prints what happens as JSON objects on standard output. Started by `testkit/src/node.rs`.
//
//   node socket-io-client.js URL [--from 127.0.0.2] [--header 'Name: value']... [--cookies] [--polling]
//
// With --cookies it keeps cookies as a browser does, with --polling it never upgrades.
//
// {"ask": true}  {"close": true}

const http = require('http');
const readline = require('readline');
const { parseArgs } = require('util');
const { io } = require('socket.io-client');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string' },
    header: { type: 'string', multiple: true, default: [] },
    cookies: { type: 'boolean', default: false },
    polling: { type: 'boolean', default: false },
  },
});

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

const headers = Object.fromEntries(
  options.header.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
);
const socket = io(positionals[0], {
  transports: options.polling ? ['polling'] : ['polling', 'websocket'],
  reconnection: false,
  withCredentials: options.cookies,
  extraHeaders: headers,
  agent: options.from ? new http.Agent({ localAddress: options.from }) : false,
});

const orders = {
  ask: () => socket.emit('question', (answer) => say({ event: 'answer', ...answer })),
  close: () => socket.close(),
};

// The upgrade may come before the connection to the namespace is told of.
socket.io.on('open', () => {
  socket.io.engine.on('upgrade', (transport) => say({ event: 'upgrade', transport: transport.name }));
});
socket.on('connect', () => say({ event: 'open', transport: socket.io.engine.transport.name }));
socket.on('connect_error', (error) => say({ event: 'end', reason: error.message }));
socket.on('disconnect', (reason) => {
  say({ event: 'end', reason });
  process.stdin.destroy();
});
socket.io.on('close', (reason) => say({ event: 'end', reason }));

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  for (const [name, value] of Object.entries(JSON.parse(line))) orders[name](value);
});
