//! What the kernel keeps for a socket: the part of a tunnel's cost that no proxy can change.

use super::Bench;
use super::load;
use super::peer::{Kind, Start};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;

/// How many tunnels are opened, where there are descriptors for them.
const TUNNELS: usize = 8000;

/// A tunnel has four sockets on a machine that is client, gateway and server at once.
pub(super) const SOCKETS_PER_TUNNEL: usize = 4;

/// Caches that grow by less than this per socket are noise.
const BYTES_MIN: f64 = 8.0;

/// The caches of sockets in TIME_WAIT.
const TIME_WAIT: &str = "tw_sock_";

/// What was measured.
pub(super) struct Kernel {
    /// How many tunnels there were.
    pub(super) tunnels: usize,
    /// What the kernel's slabs grew by, per socket, in bytes.
    pub(super) slab_bytes: f64,
    /// What is in TCP's buffers, per socket, in bytes.
    pub(super) buffer_bytes: f64,
    /// The caches that grew: name, size of an object, objects per socket. Only root may see them.
    pub(super) caches: Vec<Cache>,
}

/// One kind of object of the kernel's.
pub(super) struct Cache {
    /// Its name in `/proc/slabinfo`.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) object_bytes: u64,
    /// How many more of them there are for each socket.
    pub(super) per_socket: f64,
}

/// Weighs the kernel before and after the tunnels.
pub(super) fn measure(bench: &Bench) -> Result<Option<Kernel>> {
    bench.progress.line("\nkernel: what the kernel keeps for each socket of idle tunnels");
    let peer = bench.peers.iter().find(|peer| peer.kind == Kind::Culvert).or(bench.peers.first());
    let peer = peer.context("there is no peer")?;
    bench.progress.begins("what the kernel keeps for sockets");
    let running = bench.ground.start(peer, Start { workers: 1, logged: true, ..Start::default() })?;
    let tunnels = TUNNELS.min(bench.tunnels_max);
    let (before, after) = bench.runtime.block_on(async {
        let _before = load::open(running.address, load::SOCKETS_BEFORE).await?;
        load::settle().await;
        let before = State::read()?;
        let _open = load::open(running.address, tunnels).await?;
        load::settle().await;
        Ok::<_, anyhow::Error>((before, State::read()?))
    })?;
    bench.progress.advances();
    let kernel = compare(&before, &after, tunnels);
    bench.progress.line(&format!(
        "  {:.0} bytes of slabs and {:.0} bytes of buffers per socket",
        kernel.slab_bytes, kernel.buffer_bytes
    ));
    for cache in &kernel.caches {
        let Cache { name, object_bytes, per_socket } = cache;
        bench.progress.line(&format!("    {name:<24} {per_socket:.2} × {object_bytes} bytes"));
    }
    Ok(Some(kernel))
}

/// The kernel's own books.
struct State {
    slab_bytes: u64,
    buffer_pages: u64,
    caches: BTreeMap<String, Slabs>,
}

/// One line of `/proc/slabinfo`.
struct Slabs {
    objects: u64,
    object_bytes: u64,
    /// The pages of all its slabs.
    pages: u64,
}

impl State {
    fn read() -> Result<State> {
        let sockets = fs::read_to_string("/proc/net/sockstat").context("could not read /proc/net/sockstat")?;
        // "TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1"
        let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
        let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1).and_then(|word| word.parse().ok());
        let caches = read_caches(&fs::read_to_string("/proc/slabinfo").unwrap_or_default());
        let slab_bytes = if caches.is_empty() { all_slabs()? } else { slabs_of_the_living(&caches) };
        Ok(State { slab_bytes, buffer_pages: pages.unwrap_or(0), caches })
    }
}

/// What all slabs take, for those who may not see them one by one.
fn all_slabs() -> Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo").context("could not read /proc/meminfo")?;
    let slab = memory.lines().find_map(|line| line.strip_prefix("Slab:")?.split_whitespace().next()?.parse().ok());
    let kilobytes: u64 = slab.context("there is no Slab in /proc/meminfo")?;
    Ok(kilobytes * 1024)
}

/// What the slabs take but for those of sockets in TIME_WAIT, which earlier rows left behind and which end meanwhile.
fn slabs_of_the_living(caches: &BTreeMap<String, Slabs>) -> u64 {
    let living = caches.iter().filter(|(name, _)| !name.starts_with(TIME_WAIT));
    living.map(|(_, slabs)| slabs.pages * rustix::param::page_size() as u64).sum()
}

/// The lines of `/proc/slabinfo`: name, active objects, objects, bytes of an object, objects per slab, pages per slab, …;
/// the last but one is the number of slabs.
fn read_caches(text: &str) -> BTreeMap<String, Slabs> {
    let caches = text.lines().skip(2).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |nth: usize| words.get(nth)?.parse::<u64>().ok();
        let pages = number(5)? * number(words.len().checked_sub(2)?)?;
        Some((words[0].to_owned(), Slabs { objects: number(1)?, object_bytes: number(3)?, pages }))
    });
    caches.collect()
}

fn compare(before: &State, after: &State, tunnels: usize) -> Kernel {
    let sockets = (tunnels * SOCKETS_PER_TUNNEL) as f64;
    let growth = |before: u64, after: u64| after.saturating_sub(before) as f64 / sockets;
    let mut caches = Vec::new();
    for (name, &Slabs { objects, object_bytes, .. }) in &after.caches {
        let per_socket = growth(before.caches.get(name).map_or(0, |slabs| slabs.objects), objects);
        if !name.starts_with(TIME_WAIT) && per_socket * object_bytes as f64 >= BYTES_MIN {
            caches.push(Cache { name: name.clone(), object_bytes, per_socket });
        }
    }
    let weight = |cache: &Cache| cache.per_socket * cache.object_bytes as f64;
    caches.sort_by(|left, right| weight(right).total_cmp(&weight(left)));
    Kernel {
        tunnels,
        slab_bytes: growth(before.slab_bytes, after.slab_bytes),
        buffer_bytes: growth(before.buffer_pages, after.buffer_pages) * rustix::param::page_size() as f64,
        caches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_compared_per_socket() {
        let text = |active: u64, slabs: u64| {
            format!(
                "slabinfo - version: 2.1\n# name <active_objs> …\n\
                 TCP {active} 900 2432 13 8 : tunables 0 0 0 : slabdata {slabs} {slabs} 0\n\
                 tw_sock_TCP {slabs} {slabs} 256 16 1 : tunables 0 0 0 : slabdata 1 1 0\n"
            )
        };
        let state = |active, slabs| {
            let caches = read_caches(&text(active, slabs));
            State { slab_bytes: slabs_of_the_living(&caches), buffer_pages: 0, caches }
        };
        let kernel = compare(&state(100, 10), &state(500, 60), 100);
        let page = rustix::param::page_size() as f64;
        assert_eq!(kernel.slab_bytes, page);
        assert_eq!(kernel.caches.len(), 1);
        assert_eq!((kernel.caches[0].name.as_str(), kernel.caches[0].object_bytes), ("TCP", 2432));
        assert_eq!(kernel.caches[0].per_socket, 1.0);
    }
}
