//! A second network namespace behind a bad line.

use super::{INSIDE, Network};
use crate::script::{Runner, Script};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// The addresses of the line's two ends. They are nobody else's, since both namespaces are the test's own.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 2);

/// What a line does to packets; probabilities are from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// How many it loses.
    pub loss: f64,
    /// How many overtake those before them.
    pub reorder: f64,
    /// How long it holds the others back, in milliseconds.
    pub delay_ms: u32,
}

/// What a line has done so far.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// Packets that came.
    pub packets: u64,
    /// Packets that were lost.
    pub lost: u64,
    /// Packets that went before others.
    pub early: u64,
}

/// The far end: peers that are started there reach this namespace over the line, and nothing else does.
#[derive(Debug)]
pub struct Far {
    script: Script,
    holder: String,
}

impl Network {
    /// Lays a line to a namespace of its own.
    ///
    /// # Errors
    /// Why that is not permitted here.
    pub fn far(&self, line: Line) -> Result<Far, String> {
        if std::env::var_os(INSIDE).is_none() {
            return Err("network namespaces are not permitted".into());
        }
        let (near, far) = (NEAR.to_string(), FAR.to_string());
        let [loss, reorder, delay] =
            [line.loss, line.reorder, f64::from(line.delay_ms)].map(|number| number.to_string());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let runner = Runner { words: ["/usr/bin/python3", "line.py"].map(str::to_owned).into(), folder };
        let places = ["--near", &near, "--far", &far];
        let faults = ["--loss", &loss, "--reorder", &reorder, "--delay-ms", &delay, "--seed", "7"];
        let script = Script::start(&runner, &[&places[..], &faults].concat());
        let laid = script.until("line");
        match laid["holder"].as_u64() {
            Some(holder) => Ok(Far { script, holder: holder.to_string() }),
            None => Err(laid["why"].as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl Far {
    /// A port of this namespace, as the far end reaches it.
    pub fn near(&self, port: u16) -> SocketAddr {
        (IpAddr::V4(NEAR), port).into()
    }

    /// A port of the far end.
    pub fn at(&self, port: u16) -> SocketAddr {
        (IpAddr::V4(FAR), port).into()
    }

    /// The same scripts, run at the far end.
    pub(crate) fn runner(&self, runner: Runner) -> Runner {
        let enter = ["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.holder)];
        Runner { words: enter.into_iter().chain(runner.words).collect(), ..runner }
    }

    /// What the line has done so far.
    pub fn carried(&mut self) -> Carried {
        self.script.does(&json!({ "tell": true }));
        let told = self.script.until("told");
        let count = |name: &str| told[name].as_u64().expect("a count");
        Carried { packets: count("packets"), lost: count("lost"), early: count("early") }
    }
}
