//! Culvert's decisions. What enters is events, bytes and `now`; what leaves is actions and choices: which location, which
//! peer, where a message ends, whether a handshake is one. This crate has no clock, no I/O, no tokio and no files, so
//! everything in it can be tested without waiting and without a socket.

mod dice;

pub mod access;
pub mod balance;
pub mod charset;
pub mod content;
pub mod discovery;
pub mod health;
pub mod http1;
pub mod map;
pub mod metric;
pub mod pace;
pub mod pattern;
pub mod proxy_protocol;
pub mod queue;
pub mod rebalance;
pub mod retry;
pub mod rewrite;
pub mod route;
pub mod sticky;
pub mod template;
pub mod uri;
pub mod variable;
pub mod websocket;
