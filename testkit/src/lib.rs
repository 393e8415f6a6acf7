//! What Culvert's tests stand on: addresses and directories of their own, gateways as processes (Culvert or the real
//! nginx), scripted upstream servers and raw clients. Everything is blocking, every wait has a deadline, and whatever a
//! test starts ends with it. It imports none of Culvert's crates, so that it judges them from outside.
//!
//! ```no_run
//! use culvert_testkit::{Backend, Client, Gateway, Place, Program};
//! let place = Place::new();
//! let backend = Backend::answering(place.at(9001), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
//! let config = "server { listen {address}:8080; location / { proxy_pass http://{address}:9001; } }";
//! let gateway = Gateway::start(&Program::Nginx, &place, config);
//! let mut client = Client::connect(place.at(8080));
//! let response = client.get("/");
//! assert_eq!((response.status(), response.text()), (200, "hi".into()));
//! assert_eq!(backend.requests()[0].head.target(), "/");
//! # drop(gateway);
//! ```

mod authority;
mod backend;
mod browser;
pub mod certificates;
mod client;
mod config;
mod deadline;
pub mod dns;
mod firefox;
mod gateway;
mod message;
pub mod network;
pub mod node;
mod place;
mod process;
pub mod python;
mod script;
pub mod websocket;
mod wire;
mod world;

pub use authority::{Authority, Identity, self_signed};
pub use backend::{Backend, Connection, Conversation};
pub use browser::Browser;
pub use client::Client;
pub use deadline::Deadline;
pub use firefox::Firefox;
pub use gateway::{Gateway, Program, Refusal};
pub use message::{Body, Framing, Head, Request, Response, parse_responses};
pub use nix::sys::signal::Signal;
pub use place::Place;
pub use process::{Finished, Process, run};
/// The orders to and the reports from the scripts of [`node`] and [`python`] are JSON.
pub use serde_json::{Value, json};
pub use wire::{Endpoint, Wire};
pub use world::World;
