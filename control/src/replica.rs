//! This control among others on the same database.
//!
//! ```text
//!   browser ──► replica B ── changes rows, commits ──► PostgreSQL ── NOTIFY ──► replica A ──► agent (its link is here)
//!                  ▲  calls: offers, patches ─────────►           ─────────────►    │
//!                  └──────────────── NOTIFY ◄───────── rows, replies ◄──────────────┘
//! ```
//!
//! An agent has one link, to whichever replica its dial reached. A browser may speak to any replica at any time: what a
//! lease's change sets off is done by the replica with the link, which hears of it; a question that needs an answer
//! goes there through the table `calls`. Nothing else is shared, and nobody has to be sent to the right replica.
//!
//! A notice is a hint to look at the rows. When the connection that brings them broke, everything is looked at anew.
//! On SQLite there is nobody else, and of all this only [`Reach::Here`] happens.

use std::collections::HashSet;
use std::time::Duration;

use dashmap::DashMap;
use protocol::agent::{Refusal, RefusalCode, Reply};
use protocol::{HostId, LeaseId};
use signaling::link::call::{Call, CallError};
use signaling::link::server::Host;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::domain::session::Advance;
use crate::domain::time::UnixMs;
use crate::doubt::{self, Doubts};
use crate::line::{Line, Wrong};
use crate::linkage;
use crate::others::Others;
use crate::sight::Sight;
use crate::store::StoreError;
use crate::store::feed::{Feed, News, Word};

/// How often a replica says that it is there, five times in what makes the others give it up, and looks at its links.
const SEEN_EVERY: Duration = Duration::from_secs(2);
/// A look that takes longer has failed: its connection may lead to a server that is not there any more.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Wait before listening anew after the server was lost: it is back within half a second when it was restarted.
const LISTEN_RETRY: Duration = Duration::from_millis(250);
/// Words that wait to be told, as many as one look at idle sessions may bring; more are dropped: a later one says more.
const WORDS_MAX: usize = 512;

/// What a replica knows of the others.
pub(crate) struct Replica {
    /// What the others know it by.
    pub id: Uuid,
    /// Whether there may be others.
    many: bool,
    /// Questions of ours that other replicas ask for us.
    asked: DashMap<Uuid, Asked>,
    /// Questions of others that are being asked here. After a broken connection one may be found as well as heard.
    serving: DashMap<Uuid, ()>,
    /// What other replicas are asked about their links.
    pub doubts: Doubts,
    tell: mpsc::Sender<Word>,
    /// Whether this one sees the database.
    pub sight: Sight,
}

/// A question that other replicas ask for us.
struct Asked {
    /// Says that it is answered, or lost.
    tell: oneshot::Sender<()>,
    /// Once it stands in the database: the host, and the replica that has its link.
    of: Option<(HostId, Uuid)>,
}

/// Words on their way to the other replicas.
pub(crate) type Words = mpsc::Receiver<Word>;

/// The way to a host's agent.
pub(crate) enum Reach {
    /// Its link is here.
    Here(Host),
    /// Another replica has it, this one.
    There(Shared, HostId, Uuid),
}

impl Replica {
    /// A replica; the words are for [`run`].
    pub(crate) fn new(id: Uuid, many: bool) -> (Self, Words) {
        let (tell, words) = mpsc::channel(WORDS_MAX);
        let replica = Self {
            id,
            many,
            asked: DashMap::new(),
            serving: DashMap::new(),
            doubts: Doubts::default(),
            tell,
            sight: Sight::default(),
        };
        (replica, words)
    }

    /// Whether others may share the database.
    pub(crate) const fn may_have_others(&self) -> bool {
        self.many
    }

    /// A question of ours was answered, or is lost.
    fn told(&self, id: Uuid) {
        if let Some((_, asked)) = self.asked.remove(&id) {
            // It may have given up.
            let _ = asked.tell.send(());
        }
    }

    /// Tells the others.
    pub(crate) fn tell(&self, word: Word) {
        if self.many {
            // Dropped when too many wait: a later one says more.
            let _ = self.tell.try_send(word);
        }
    }
}

impl Reach {
    /// The way to a host, if some replica has its link.
    pub(crate) async fn to(app: &Shared, host: HostId) -> Result<Option<Self>, StoreError> {
        if let Some(here) = app.hosts.get(host) {
            return Ok(Some(Self::Here(here)));
        }
        if !app.replica.many {
            return Ok(None);
        }
        let there = app.store.linked_to(host, app.replica.id).await?;
        Ok(there.map(|there| Self::There(app.clone(), host, there)))
    }

    /// Asks the agent, as [`Host::call`] does.
    pub(crate) async fn call<C: Call>(&self, call: C, deadline: Duration) -> Result<C::Done, CallError> {
        match self {
            Self::Here(host) => host.call(call, deadline, |_| {}).await,
            Self::There(app, host, there) => ask(app, (*host, *there), call, deadline).await,
        }
    }
}

/// Hosts whose link this replica or another one has.
pub(crate) async fn linked(app: &Shared) -> Result<HashSet<HostId>, StoreError> {
    let mut linked: HashSet<HostId> = app.hosts.here().into_iter().collect();
    if app.replica.many {
        linked.extend(app.store.linked_elsewhere(app.replica.id).await?);
    }
    Ok(linked)
}

/// Asks a host's agent through the replica that has its link.
async fn ask<C: Call>(
    app: &Shared,
    of: (HostId, Uuid),
    call: C,
    deadline: Duration,
) -> Result<C::Done, CallError> {
    let lost = |error: StoreError| CallError::Lost(error.to_string());
    let (id, (tell, told)) = (Uuid::now_v7(), oneshot::channel());
    app.replica.asked.insert(id, Asked { tell, of: None });
    let _waits = Waits { app, id };
    let asked = app
        .store
        .add_call(id, of.0, &call.into_request(), deadline, UnixMs::now())
        .await;
    asked.map_err(lost)?;
    if let Some(mut asked) = app.replica.asked.get_mut(&id) {
        asked.of = Some(of);
    }
    let told = tokio::time::timeout(deadline, told).await.is_ok();
    // Also without a notice: it may have been lost with the connection that brings them.
    let reply = taken(app.store.take_call(id).await.map_err(lost)?, told)?;
    C::done(reply).ok_or(CallError::Protocol)
}

/// What a question came to that another replica asked for us. `told`: whether it was said to be answered, or lost.
pub(crate) fn taken(reply: Option<Reply>, told: bool) -> Result<Reply, CallError> {
    match reply {
        Some(Reply::Refused(refusal)) => Err(CallError::Refused(refusal)),
        Some(reply) => Ok(reply),
        None if told => Err(CallError::Lost("nobody is asking it any more".to_owned())),
        None => Err(CallError::TimedOut),
    }
}

/// Somebody waits for a reply, or has gone.
struct Waits<'a> {
    app: &'a App,
    id: Uuid,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.app.replica.asked.remove(&self.id);
    }
}

/// Says that this replica is there, hears the others, and does what falls to it, until control stops.
pub(crate) async fn run(app: Shared, mut words: Words) {
    let mut seen = tokio::time::interval(SEEN_EVERY);
    seen.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut feed, mut around) = (None, Around::default());
    loop {
        let ear = async {
            match &mut feed {
                Some(feed) => Feed::next(feed).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => break,
            _ = seen.tick() => {
                if !looks(&app, &mut around).await {
                    // What brings the notices may lead nowhere as well, and would not say so.
                    feed = None;
                } else if feed.is_none() && app.replica.many {
                    feed = listen(&app).await;
                }
            }
            Some(word) = words.recv() => {
                if let Err(error) = app.store.tell(word).await {
                    tracing::debug!(%error, "the other replicas could not be told");
                }
            }
            heard = ear => match heard {
                Ok(Some(news)) => hear(&app, news).await,
                Ok(None) | Err(_) => {
                    tracing::warn!("the database's notices broke off");
                    feed = None;
                    seen.reset_after(LISTEN_RETRY);
                }
            },
        }
    }
    if let Err(error) = app.store.replica_leaves(app.replica.id).await {
        tracing::warn!(%error, "the other replicas could not be told that this one stops");
    }
}

/// What one look around leaves for the next.
#[derive(Debug, Default)]
struct Around {
    others: Others,
    line: Line,
}

/// Looks around in time. Whether it came to its end.
async fn looks(app: &Shared, around: &mut Around) -> bool {
    let began = app.now().steady;
    match tokio::time::timeout(LOOK_MAX, look_around(app, around)).await {
        Ok(Ok(alone)) => {
            app.replica.sight.saw(began, alone);
            return true;
        }
        Ok(Err(error)) => tracing::error!(%error, "the other replicas could not be looked at"),
        Err(_) => tracing::error!("the other replicas could not be looked at in time"),
    }
    false
}

/// Starts to listen, and looks at everything that may have been told before.
async fn listen(app: &Shared) -> Option<Feed> {
    let listening = async {
        let feed = app.store.feed().await?;
        app.hosts.forget_all_facts();
        for session in app.store.live().await? {
            app.heard(session);
        }
        for session in app.watches.watched() {
            if let Some(session) = app.store.session(session).await? {
                app.watches.publish(&session);
            }
        }
        for (id, host) in app.store.open_calls(app.replica.id).await? {
            serve(app, host, id);
        }
        tell_who_waits(app).await?;
        Ok::<_, StoreError>(feed)
    };
    let listening = tokio::time::timeout(LOOK_MAX, listening).await.ok()?;
    listening
        .inspect_err(|error| tracing::error!(%error, "the database's notices cannot be heard"))
        .ok()
        .flatten()
}

/// Lets those look who wait for an answer for nothing: that it came may have been told while nobody listened; a server
/// that was killed has forgotten the question; a replica that was killed asks nobody any more, and the host has dialled
/// another one.
async fn tell_who_waits(app: &Shared) -> Result<(), StoreError> {
    let App { store, replica, .. } = &**app;
    let written = replica
        .asked
        .iter()
        .filter_map(|asked| Some((*asked.key(), asked.of?)));
    for (id, (host, there)) in written.collect::<Vec<_>>() {
        let is_open = store.open_call(id).await?.is_some();
        if !is_open || store.linked_to(host, replica.id).await? != Some(there) {
            replica.told(id);
        }
    }
    Ok(())
}

/// Says that this replica is there, forgets those that are not, and sets the rows about its own links right. On SQLite
/// nobody is there to be told. Whether there is nobody else.
async fn look_around(app: &Shared, around: &mut Around) -> Result<bool, StoreError> {
    let App { store, replica, .. } = &**app;
    let mut alone = true;
    if replica.many {
        let (now, line) = (UnixMs::now(), &mut around.line);
        if line.is_written()
            && let Some(wrong) = line.judge(store.replica_looks(replica.id).await?)
        {
            set_back(app, wrong, now).await?;
        }
        let wrote = store
            .replica_looked(replica.id, app.authority, line.next(), now)
            .await?;
        line.written();
        alone = wrote.is_empty();
        for (gone, at) in around.others.look(&wrote, app.now().steady) {
            if store.forget_silent(gone, at).await? {
                tracing::error!(replica.id = %gone, "a replica is gone; its hosts are out of reach until they dial another");
            }
        }
        tell_who_waits(app).await?;
    }
    linkage::settle(app).await?;
    Ok(alone)
}

/// The database does not have what was written to it: it was put back from a backup while it ran, or, when there is no
/// line at all, another replica took this one for gone. Epochs begin above all before, and hosts say everything again.
async fn set_back(app: &Shared, wrong: Wrong, now: UnixMs) -> Result<(), StoreError> {
    let what = match wrong {
        Wrong::Gone => "another control took this one for gone, or the database was put back",
        Wrong::Other => "the database is older than what was written to it",
    };
    tracing::warn!("{what}; epochs rise above all before");
    app.store.begin_generation(now).await?;
    app.hosts.forget_all_facts();
    // A connection that ended since is up in the older database, and only a Hello tells that it is not.
    app.hosts.dial_again();
    for session in app.store.live().await? {
        app.heard(session);
    }
    Ok(())
}

async fn hear(app: &Shared, news: News) {
    match news {
        News::Lease(lease) => follow(app, lease).await,
        News::Word(Word::Progress(session, progress)) => app.watches.progress(session, Advance::of(progress)),
        News::Word(Word::Idle(session, left)) => app.deadlines().told(session, left, app.now().steady),
        News::Reply(id) => app.replica.told(id),
        News::Word(Word::Answers(id, host, whom)) => doubt::asked(app, id, host, whom),
        News::Word(Word::Answered(id, answers)) => app.replica.doubts.told(id, answers),
        News::Call(id, host) => serve(app, host, id),
    }
}

/// Another replica changed a lease.
async fn follow(app: &Shared, lease: LeaseId) {
    match app.store.session_of(lease).await {
        Ok(Some(session)) => app.heard(session),
        Ok(None) => {}
        Err(error) => tracing::error!(lease.id = %lease, %error, "a changed lease could not be looked at"),
    }
}

/// Asks our agent what another replica wants to know, unless that is being done.
fn serve(app: &Shared, host: HostId, id: Uuid) {
    let Some(host) = app.hosts.get(host) else {
        return;
    };
    if app.replica.serving.insert(id, ()).is_some() {
        return;
    }
    let shared = app.clone();
    app.jobs.spawn(async move {
        serve_now(&shared, &host, id).await;
        shared.replica.serving.remove(&id);
    });
}

/// What another replica is told of an agent's answer to its question.
pub(crate) fn served(answered: Result<Reply, CallError>) -> Reply {
    match answered {
        Ok(reply) => reply,
        Err(CallError::Refused(refusal)) => Reply::Refused(refusal),
        Err(error) => Reply::Refused(Refusal {
            code: RefusalCode::DeviceOffline,
            detail: error.to_string(),
        }),
    }
}

async fn serve_now(app: &Shared, host: &Host, id: Uuid) {
    let served = async {
        let Some((request, deadline)) = app.store.open_call(id).await? else {
            return Ok(());
        };
        let reply = served(host.call(request, deadline, |_| {}).await);
        app.store.answer_call(id, &reply).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "another replica's question could not be served");
    }
}

impl App {
    /// Another replica changed a lease: tell who watches it here, and do what follows if its host's link is here.
    fn heard(self: &Shared, session: crate::domain::session::Session) {
        if self.hosts.is_online(session.host) {
            App::changed(self, session);
        } else {
            self.watches.publish(&session);
        }
    }
}

#[cfg(test)]
#[path = "replica_tests.rs"]
mod tests;
