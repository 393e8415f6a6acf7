//! An upstream under many threads at once.

use super::{Asker, Endpoint, NoServer, Pick, Planned, Turn, Upstream};
use culvert_conf::config::{self, QueueSettings};
use culvert_engine::balance::{Ending, Health, Method, PeerSpec, Tried};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const THREADS: usize = 8;
const REQUESTS: usize = 300;

fn upstream(change: impl FnOnce(&mut config::Upstream), specs: &[PeerSpec]) -> Arc<Upstream> {
    let place = config::Place { file: Arc::from(Path::new("nginx.conf")), line: 1 };
    let mut config = config::Upstream::new("app".into(), false, place);
    change(&mut config);
    let planned = specs.iter().enumerate().map(|(server, spec)| Planned {
        endpoint: Endpoint::Memory(format!("backend-{server}")),
        spec: PeerSpec { name: format!("backend-{server}").into(), ..spec.clone() },
        server,
    });
    let upstream = Upstream::new(config, planned.collect(), None);
    upstream.take_effect();
    Arc::new(upstream)
}

async fn pick(upstream: &Arc<Upstream>) -> Option<Pick> {
    let tried = Tried::new();
    let asker = Asker { key: b"", client: None, server_id: None, again: None, tried: &tried };
    let mut waiting = match upstream.pick(&asker) {
        Ok(pick) => return Some(pick),
        Err(NoServer::Queued(waiting)) => waiting,
        Err(NoServer::Down | NoServer::Full) => return None,
    };
    loop {
        match waiting.turn().await {
            Turn::Over => return None,
            Turn::Look => match waiting.look(&asker) {
                Some(Ok(pick)) => return Some(pick),
                Some(Err(_)) => return None,
                None => {}
            },
        }
    }
}

/// Each thread runs `request` so often, in a runtime of its own, several at once.
fn on_all_threads<F: Future<Output = bool> + 'static>(
    upstream: &Arc<Upstream>,
    request: impl Fn(Arc<Upstream>) -> F + Copy + Send + Sync,
) -> usize {
    let work = |upstream: Arc<Upstream>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            let all: Vec<_> = (0..REQUESTS).map(|_| tokio::task::spawn_local(request(upstream.clone()))).collect();
            let mut good = 0;
            for task in all {
                good += usize::from(task.await.expect("no request panics"));
            }
            good
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| work(upstream.clone()))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

#[test]
fn nobody_is_forgotten_in_a_queue_that_many_threads_share() {
    let queue = QueueSettings { length_max: THREADS * REQUESTS, timeout: Duration::from_secs(60) };
    let spec = PeerSpec { max_conns: 2, ..PeerSpec::default() };
    let upstream = upstream(|config| config.queue = Some(queue), &[spec.clone(), spec]);
    let served = on_all_threads(&upstream, |upstream| async move {
        let Some(mut pick) = pick(&upstream).await else { return false };
        assert!(upstream.live() <= 4);
        tokio::task::yield_now().await;
        pick.ends(Ending::Good);
        true
    });
    assert_eq!(served, THREADS * REQUESTS);
    assert_eq!(upstream.live(), 0);
}

#[test]
fn counts_are_exact_whatever_becomes_of_the_peers_meanwhile() {
    let upstream = upstream(|config| config.method = Method::LeastConn, &[PeerSpec::default(), PeerSpec::default()]);
    on_all_threads(&upstream, |upstream| async move {
        let Some(mut pick) = pick(&upstream).await else { return false };
        let (peer, dice) = (pick.peer().id, rand::random::<u8>());
        match dice % 8 {
            0 => upstream.retire(peer),
            1 => drop(upstream.add_peer(0, Endpoint::Memory(format!("backend-{dice}")), PeerSpec::default())),
            2 => upstream.set_health(peer, Health::Unhealthy),
            3 => upstream.set_health(peer, Health::Healthy),
            4 => upstream.respecify(peer, PeerSpec { weight: 3, ..PeerSpec::default() }),
            _ => {}
        }
        tokio::task::yield_now().await;
        match dice % 3 {
            0 => pick.opens_tunnel(None),
            1 => pick.ends(Ending::Failed),
            _ => pick.answered(),
        }
        true
    });
    assert_eq!(upstream.live(), 0);
    assert!(upstream.loads().iter().all(|load| load.live == 0));
    assert!(
        upstream.members().iter().all(|member| !member.is_retired),
        "the retired have gone with their last request"
    );
}
