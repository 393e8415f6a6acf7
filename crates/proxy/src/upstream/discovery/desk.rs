//! Names that only a request knows, `proxy_pass http://$name`: workers ask here, and answers are kept for as long as they hold.

use super::asker::Asker;
use culvert_conf::config::Resolver;
use culvert_engine::discovery::{Answer, Trouble};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What a name was found to be.
pub(crate) type Resolved = Result<Arc<[IpAddr]>, Trouble>;

/// So many questions wait to be taken in; who comes then waits as well.
const WAITING_MAX: usize = 1024;
/// So many names are asked for at once, and so many are kept: they come from clients, who may invent any number.
const ASKED_MAX: usize = 1024;
const KEPT_MAX: usize = 16 * 1024;
/// That a name could not be resolved is believed for so long, lest each request of a flood becomes a question.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// Asks for names, from any thread. One per generation; what it has learned ends with it.
#[derive(Clone)]
pub(crate) struct Lookups {
    questions: mpsc::Sender<Question>,
    /// Until somebody begins to answer.
    unread: Arc<Mutex<Option<mpsc::Receiver<Question>>>>,
}

struct Question {
    resolver: Arc<Resolver>,
    timeout: Duration,
    name: Box<str>,
    answer: oneshot::Sender<Resolved>,
}

impl Default for Lookups {
    fn default() -> Lookups {
        let (questions, unread) = mpsc::channel(WAITING_MAX);
        Lookups { questions, unread: Arc::new(Mutex::new(Some(unread))) }
    }
}

impl Lookups {
    /// The addresses of `name`, at least one; from `resolver`, or from what it said before and still holds. Takes no longer than
    /// `wait`.
    pub(crate) async fn resolve(&self, resolver: &Arc<Resolver>, wait: Duration, name: &str) -> Resolved {
        let (answer, answered) = oneshot::channel();
        let question =
            Question { resolver: resolver.clone(), timeout: wait, name: name.to_ascii_lowercase().into(), answer };
        let asked = async {
            self.questions.send(question).await.map_err(|_| Trouble::Unreachable)?;
            answered.await.unwrap_or(Err(Trouble::Unreachable))
        };
        timeout(wait, asked).await.unwrap_or(Err(Trouble::Timeout))
    }

    /// Answers all questions, until nobody is left who could ask.
    pub(in crate::upstream) fn serve(&self) -> impl Future<Output = ()> + Send + use<> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            if let Some(questions) = unread {
                Desk::default().serve(questions).await;
            }
        }
    }
}

/// A name at a resolver, by its number.
type Key = (usize, Box<str>);

#[derive(Default)]
struct Desk {
    /// The resolvers of the configuration; there are few.
    askers: Vec<(Arc<Resolver>, Duration, Arc<Asker>)>,
    kept: HashMap<Key, (Resolved, Instant)>,
    waiting: HashMap<Key, Vec<oneshot::Sender<Resolved>>>,
    asked: JoinSet<(Key, Resolved, Duration)>,
}

impl Desk {
    async fn serve(mut self, mut questions: mpsc::Receiver<Question>) {
        loop {
            tokio::select! {
                question = questions.recv(), if self.asked.len() < ASKED_MAX => match question {
                    Some(question) => self.take(question).await,
                    None => return,
                },
                Some(Ok((key, resolved, holds))) = self.asked.join_next() => self.tell(key, resolved, holds),
            }
        }
    }

    async fn take(&mut self, question: Question) {
        let Question { resolver, timeout, name, answer } = question;
        let number = self.asker(&resolver, timeout).await;
        let key = (number, name);
        if let Some((resolved, until)) = self.kept.get(&key)
            && *until > Instant::now()
        {
            // Whoever asked may be gone.
            let _ = answer.send(resolved.clone());
            return;
        }
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.push(answer);
            return;
        }
        self.waiting.insert(key.clone(), vec![answer]);
        let (asker, valid) = (self.askers[number].2.clone(), resolver.valid);
        self.asked.spawn(async move {
            let (resolved, holds) = ask(&asker, &key.1, valid).await;
            (key, resolved, holds)
        });
    }

    /// The number of the resolver.
    async fn asker(&mut self, resolver: &Arc<Resolver>, timeout: Duration) -> usize {
        let is_it = |(known, wait, _): &(Arc<Resolver>, Duration, _)| {
            (Arc::ptr_eq(known, resolver) || known == resolver) && *wait == timeout
        };
        if let Some(number) = self.askers.iter().position(is_it) {
            return number;
        }
        let asker = Arc::new(Asker::open(resolver, timeout).await);
        self.askers.push((resolver.clone(), timeout, asker));
        self.askers.len() - 1
    }

    fn tell(&mut self, key: Key, resolved: Resolved, holds: Duration) {
        for answer in self.waiting.remove(&key).unwrap_or_default() {
            let _ = answer.send(resolved.clone());
        }
        let now = Instant::now();
        if self.kept.len() >= KEPT_MAX {
            self.kept.retain(|_, (_, until)| *until > now);
        }
        if self.kept.len() < KEPT_MAX
            && let Some(until) = now.checked_add(holds)
        {
            self.kept.insert(key, (resolved, until));
        }
    }
}

async fn ask(asker: &Asker, name: &str, valid: Option<Duration>) -> (Resolved, Duration) {
    match asker.addresses(name, &[]).await {
        Ok(Answer::Addresses { addresses, ttl }) if !addresses.is_empty() => {
            (Ok(addresses.into()), valid.unwrap_or(ttl))
        }
        Ok(_) => (Err(Trouble::NoSuchName), FAILURE_HOLDS),
        Err(trouble) => (Err(trouble), FAILURE_HOLDS),
    }
}
