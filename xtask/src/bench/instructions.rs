//! How many instructions a round trip takes in user space, counted by callgrind. They don't depend on the machine's mood.

use super::Bench;
use super::load;
use super::peer::{Kind, Peer, Start};
use crate::command::find;
use anyhow::{Context, Result, ensure};

/// How many sockets echo messages of 32 bytes.
pub(super) const SOCKETS: usize = 64;

/// How many messages each of them sends in the short run and in the long one. What the long one takes more is what the
/// messages take, without the start, the handshakes and the end.
const MESSAGES: [u64; 2] = [20, 120];

/// Each peer's instructions per round trip.
pub(super) type Instructions = Vec<(Kind, f64)>;

/// How many measurements there are.
pub(super) fn steps(peers: usize) -> usize {
    peers * MESSAGES.len()
}

/// Counts for each peer; nothing where there is no valgrind. Caddy is left out: valgrind does not know Go's stacks.
pub(super) fn measure(bench: &Bench) -> Result<Option<Instructions>> {
    bench.progress.line("\ninstructions: user-space instructions per 32-byte round trip, by callgrind");
    if find("valgrind").is_none() {
        bench.progress.line("  valgrind is not installed here");
        return Ok(None);
    }
    let mut all = Vec::new();
    for peer in bench.peers.iter().filter(|peer| peer.kind != Kind::Caddy) {
        let mut totals = Vec::new();
        for messages in MESSAGES {
            bench.progress.begins(&format!("instructions of {}", peer.kind.title()));
            totals
                .push(count(bench, peer, messages).with_context(|| format!("instructions of {}", peer.kind.title()))?);
            bench.progress.advances();
        }
        let round_trips = (MESSAGES[1] - MESSAGES[0]) * SOCKETS as u64;
        let each = totals[1].saturating_sub(totals[0]) as f64 / round_trips as f64;
        bench.progress.line(&format!("  {:<12} {each:.0}", peer.kind.name()));
        all.push((peer.kind, each));
    }
    Ok(Some(all))
}

/// All instructions of a proxy's life with so many messages.
fn count(bench: &Bench, peer: &Peer, messages: u64) -> Result<u64> {
    // The sum alone, on standard error: a proxy that has dropped its privileges could not write the file of the details.
    let wrapper = ["valgrind", "--tool=callgrind", "--vgdb=no", "--callgrind-out-file=/dev/null"].map(str::to_owned);
    let running = bench.ground.start_under(&wrapper, peer, Start { workers: 1, logged: false, ..Start::default() })?;
    bench.runtime.block_on(async {
        let open = load::open(running.address, SOCKETS).await?;
        load::exchange(open, messages, 32).await
    })?;
    let said = running.standard_error.clone();
    drop(running);
    let total = read_total(&std::fs::read_to_string(said)?);
    ensure!(total > 0, "callgrind counted nothing");
    Ok(total)
}

/// The sum over all processes: "==42== Collected : 1234".
fn read_total(text: &str) -> u64 {
    let counts = text.lines().filter_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_a_proxy_are_added_up() {
        let text = "==7== Events    : Ir\n==7== Collected : 1000\n==8== Collected : 234\n";
        assert_eq!(read_total(text), 1234);
        assert_eq!(read_total("==7== Events    : Ir\n"), 0);
    }
}
