//! Accepting connections, as many as the worker may hold.

use super::Listener;
use crate::exchange::ClientFacts;
use crate::front;
use crate::io::{Acceptor, Transport};
use crate::lifecycle::{Shared, worker};
use crate::observe::error_log::os_error;
use crate::observe::metrics::{self, Tally};
use culvert_conf::config::Level;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// How long accepting rests when the process has run out of something (nginx's accept_mutex_delay).
const REST: Duration = Duration::from_millis(500);

async fn next(acceptor: &Acceptor) -> io::Result<(Transport, ClientFacts)> {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    let (socket, addresses) = acceptor.accept().await?;
    let (remote, local) = addresses.unzip();
    metrics::count(Tally::Accepted);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    Ok((Transport::Socket(socket), ClientFacts::new(serial, remote, local)))
}

/// Accepts from `listener` and serves what comes, until the task is aborted. `id` is the listening address.
pub(crate) async fn accept(listener: Listener, id: usize, shared: Arc<Shared>) {
    let acceptor = match Acceptor::new(listener.into()) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            shared.log(Level::Alert, format_args!("a listening socket can't be used ({})", os_error(&error)));
            return;
        }
    };
    let mut said_full = false;
    let mut said_out = false;
    loop {
        if worker::is_full(&shared) {
            if !std::mem::replace(&mut said_full, true) {
                let limit = shared.connections_max();
                shared.log(Level::Alert, format_args!("{limit} worker_connections are not enough"));
            }
            worker::wait_for_end().await;
            continue;
        }
        match next(&acceptor).await {
            Ok((transport, facts)) => {
                (said_full, said_out) = (said_full && worker::is_nearly_full(&shared), false);
                metrics::count(Tally::Handled);
                worker::spawn_counted(front::serve(transport, facts, id, shared.clone()));
            }
            // The client was gone before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                if !std::mem::replace(&mut said_out, true) {
                    shared.log(Level::Crit, format_args!("accept4() failed ({}); accepting rests", os_error(&error)));
                }
                sleep(REST).await;
            }
        }
    }
}
