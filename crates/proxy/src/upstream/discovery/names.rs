//! `server name resolve`: a task per upstream that keeps its peers at what its names mean now.

use super::asker::Asker;
use crate::upstream::background::{View, now};
use crate::upstream::{Endpoint, Member};
use culvert_conf::config::{Level, PeerAddr, Resolver, UpstreamServer};
use culvert_engine::balance::PeerSpec;
use culvert_engine::discovery::{self, Answer, Changes, Name, Settings, Trouble, srv_name};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// All names of one upstream.
pub(in crate::upstream) struct Names {
    view: Arc<View>,
    resolver: Option<(Arc<Resolver>, Duration, Arc<Asker>)>,
    lines: HashMap<u64, Line>,
    asked: JoinSet<(u64, Result<Answer, Trouble>)>,
    last_line: u64,
    /// Dropped once each name has been asked for.
    settling: Option<mpsc::Sender<()>>,
}

/// A `server` line with `resolve`.
struct Line {
    /// Its place among the upstream's lines.
    index: usize,
    server: UpstreamServer,
    settings: Settings,
    name: Name,
    /// What the last question came to, so that the log hears of it once.
    trouble: Option<Trouble>,
    was_asked: bool,
}

impl Names {
    /// Resolves the names of `view`'s upstream from now on. `settling` is dropped when each has been asked for once.
    pub(in crate::upstream) async fn keep(mut views: watch::Receiver<Arc<View>>, settling: mpsc::Sender<()>) {
        let view = views.borrow_and_update().clone();
        let mut names = Names {
            view,
            resolver: None,
            lines: HashMap::new(),
            asked: JoinSet::new(),
            last_line: 0,
            settling: Some(settling),
        };
        names.take_view().await;
        loop {
            let due = names.ask_due();
            let sleep = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                Some(Ok((line, result))) = names.asked.join_next() => names.hear(line, result),
                changed = views.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    names.view = views.borrow_and_update().clone();
                    names.take_view().await;
                }
            }
        }
    }

    /// Takes over the upstream's settings. Names that are still there go on with what is known of them.
    async fn take_view(&mut self) {
        let view = self.view.clone();
        let config = &view.upstream.config;
        let resolver = config.resolver.clone().map(|resolver| (resolver, config.resolver_timeout));
        let is_new = match (&self.resolver, &resolver) {
            (Some((old, wait, _)), Some((new, timeout))) => old != new || wait != timeout,
            (None, None) => false,
            _ => true,
        };
        if is_new {
            self.resolver = match resolver {
                Some((resolver, timeout)) => {
                    let asker = Arc::new(Asker::open(&resolver, timeout).await);
                    Some((resolver, timeout, asker))
                }
                None => None,
            };
            // What the old name servers still say is not waited for.
            self.asked = JoinSet::new();
        }
        let mut before: Vec<(u64, Line)> = self.lines.drain().collect();
        for (index, server) in config.servers.iter().enumerate().filter(|(_, server)| server.resolve) {
            let settings = settings_of(server, config.resolver.as_deref(), config.resolver_timeout);
            let same = |line: &Line| line.server.addr == server.addr && line.server.service == server.service;
            let known = before.iter().position(|(_, line)| same(line)).map(|at| before.swap_remove(at));
            let (id, line) = self.line(server, settings, known, is_new);
            self.lines.insert(id, Line { index, ..line });
        }
        self.lines.values().for_each(|line| line.restore(&view));
        view.peers_changed();
    }

    fn line(
        &mut self,
        server: &UpstreamServer,
        settings: Settings,
        known: Option<(u64, Line)>,
        is_new: bool,
    ) -> (u64, Line) {
        match known {
            Some((id, mut line)) => {
                if is_new || line.settings != settings {
                    let endpoints: Vec<_> = line.name.endpoints().copied().collect();
                    line.name = Name::with_endpoints(settings.clone(), now(), endpoints);
                }
                (id, Line { server: server.clone(), settings, ..line })
            }
            None => {
                self.last_line += 1;
                let name = Name::new(settings.clone(), now());
                let server = server.clone();
                (self.last_line, Line { index: 0, server, settings, name, trouble: None, was_asked: false })
            }
        }
    }

    /// Asks for what is due. Returns when the next name will be.
    fn ask_due(&mut self) -> Option<std::time::Instant> {
        let (_, _, asker) = self.resolver.as_ref()?;
        let now = now();
        for (&id, line) in &mut self.lines {
            if line.name.due().is_some_and(|due| due <= now) {
                line.name.asked();
                self.asked.spawn(line.question(id, asker.clone()));
            }
        }
        self.lines.values().filter_map(|line| line.name.due()).min()
    }

    fn hear(&mut self, id: u64, result: Result<Answer, Trouble>) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let dice = rand::random();
        let (changes, trouble) = match result {
            Ok(answer) => (line.name.answered(now(), answer, dice), None),
            Err(trouble) => (line.name.failed(now(), trouble, dice), Some(trouble)),
        };
        // A name without addresses is a name that is not there, to whoever wants to connect.
        let is_empty = line.name.endpoints().next().is_none();
        let trouble = trouble.or(is_empty.then_some(Trouble::NoSuchName));
        line.tell_trouble(&self.view, trouble);
        line.apply(&self.view, &changes);
        line.was_asked = true;
        if self.lines.values().all(|line| line.was_asked) {
            self.settling = None;
        }
    }
}

impl Line {
    fn question(&self, id: u64, asker: Arc<Asker>) -> impl Future<Output = (u64, Result<Answer, Trouble>)> + use<> {
        let host = host_of(&self.server).to_owned();
        let service = self.server.service.clone();
        let known: Vec<IpAddr> = self.name.endpoints().map(|endpoint| endpoint.address.ip()).collect();
        async move {
            let answer = match service {
                Some(service) => asker.services(&srv_name(&service, &host)).await,
                None => asker.addresses(&host, &known).await,
            };
            (id, answer)
        }
    }

    /// Gives the peers that are known what the line says of them now.
    fn restore(&self, view: &View) {
        for endpoint in self.name.endpoints() {
            view.add_peer(self.index, Endpoint::Inet(endpoint.address), self.spec(endpoint));
        }
    }

    fn apply(&self, view: &View, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        for endpoint in changes.added.iter().chain(&changes.changed) {
            view.add_peer(self.index, Endpoint::Inet(endpoint.address), self.spec(endpoint));
        }
        let members = view.upstream.members();
        for endpoint in changes.vanished.iter().map(|gone| Endpoint::Inet(gone.address)) {
            let is_it =
                |member: &&Member| !member.is_retired && member.server == self.index && member.endpoint == endpoint;
            if let Some(member) = members.iter().find(is_it) {
                view.retire(member.id);
            }
        }
        view.peers_changed();
        let (added, vanished) = (list(&changes.added), list(&changes.vanished));
        let text =
            format!("\"{}\" of upstream \"{}\" changed its addresses", self.server.spec.name, view.upstream.name);
        view.log(Level::Notice, format_args!("{text}, new: [{added}], gone: [{vanished}]"));
    }

    fn spec(&self, endpoint: &discovery::Endpoint) -> PeerSpec {
        PeerSpec { weight: endpoint.weight, backup: endpoint.backup, ..self.server.spec.clone() }
    }

    /// The line of nginx's resolver, once for as long as the trouble stays the same.
    fn tell_trouble(&mut self, view: &View, trouble: Option<Trouble>) {
        if self.trouble == trouble {
            return;
        }
        self.trouble = trouble;
        let host = host_of(&self.server);
        let name = match &self.server.service {
            Some(service) => srv_name(service, host),
            None => host.to_owned(),
        };
        match trouble {
            Some(trouble) => view.log(
                Level::Error,
                format_args!(
                    "{name} could not be resolved ({}), upstream: \"{}\"",
                    trouble.describe(),
                    view.upstream.name
                ),
            ),
            None if self.was_asked => {
                view.log(Level::Notice, format_args!("{name} is resolved again, upstream: \"{}\"", view.upstream.name))
            }
            None => {}
        }
    }
}

/// The addresses, or the first of them where they are many: a line of the log has an end.
fn list(endpoints: &[discovery::Endpoint]) -> String {
    const SHOWN_MAX: usize = 16;
    let shown: Vec<_> = endpoints.iter().take(SHOWN_MAX).map(|endpoint| endpoint.address.to_string()).collect();
    match endpoints.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn host_of(server: &UpstreamServer) -> &str {
    match &server.addr {
        PeerAddr::Host(host, _) => host,
        // The configuration has no `resolve` on sockets.
        PeerAddr::Unix(_) => "",
    }
}

fn settings_of(server: &UpstreamServer, resolver: Option<&Resolver>, timeout: Duration) -> Settings {
    let port = match &server.addr {
        PeerAddr::Host(_, port) => *port,
        PeerAddr::Unix(_) => 0,
    };
    Settings {
        port,
        weight: server.spec.weight,
        backup: server.spec.backup,
        valid: resolver.and_then(|resolver| resolver.valid),
        retry_max: timeout,
        ipv4: resolver.is_none_or(|resolver| resolver.ipv4),
        ipv6: resolver.is_none_or(|resolver| resolver.ipv6),
        ..Settings::default()
    }
}
