//! The feed: what other replicas did, as soon as it is committed. PostgreSQL only.
//!
//! ```text
//!   a commit ── trigger ── NOTIFY farglass, 'lease ID WHO' │ 'call ID HOST' │ 'reply ID' ──► every replica's LISTEN
//!   a word of a replica ── NOTIFY farglass, 'progress SESSION JSON' │ 'idle SESSION MS' │ 'answers ID HOST REPLICA'
//!                                            │ 'answered ID yes' ──►
//! ```
//!
//! A notice is a hint to look: what is true stands in the tables. Notices are lost while the connection is down, so
//! whoever listens looks at everything when it is back. It does not know what anybody does about them.

use std::time::Duration;

use protocol::agent::Progress;
use protocol::{HostId, LeaseId, SessionId};
use sqlx::postgres::PgListener;
use uuid::Uuid;

use super::database::Pool;
use super::{Store, StoreError, postgres};

/// The channel. Payloads end at 8000 bytes; ours have a hundred.
const CHANNEL: &str = "farglass";
const TELL: &str = "SELECT pg_notify($1, $2)";
/// Connections are named after their replica (see `postgres`); those of one that was killed are gone at once.
const CONNECTED: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = $1)";

/// What a replica hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Somebody changed a lease.
    Lease(LeaseId),
    /// Somebody asks a host's agent for something.
    Call(Uuid, HostId),
    /// A call was answered.
    Reply(Uuid),
    /// What no row says.
    Word(Word),
}

/// What a replica tells the others, since no row says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A preparation goes on.
    Progress(SessionId, Progress),
    /// So long nobody may act until the session ends; none: somebody acted.
    Idle(SessionId, Option<Duration>),
    /// Somebody asks whether the host's link at that replica still answers.
    Answers(Uuid, HostId, Uuid),
    /// Whether the link that was asked for does.
    Answered(Uuid, bool),
}

/// A replica's ear.
pub(crate) struct Feed {
    listener: PgListener,
    own: String,
}

impl Store {
    /// Starts to listen; none where there is nobody else.
    pub(crate) async fn feed(&self) -> Result<Option<Feed>, StoreError> {
        let Pool::Postgres(pool) = &self.write else {
            return Ok(None);
        };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.ignore_pool_close_event(true);
        // Whoever waits for notices may stop waiting at any time. In the middle of a reconnection that would leave a
        // connection in the pool that goes on to listen, and its next statement would stumble over a notice.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        let own = pool
            .connect_options()
            .get_application_name()
            .unwrap_or_default()
            .to_owned();
        Ok(Some(Feed { listener, own }))
    }

    /// Whether another replica is connected to the database, as far as the server knows.
    pub(crate) async fn is_connected(&self, replica: Uuid) -> Result<bool, StoreError> {
        let Pool::Postgres(pool) = &self.read else {
            return Ok(false);
        };
        let named = sqlx::query_scalar(CONNECTED).bind(postgres::name_of(replica));
        Ok(named.fetch_one(pool).await?)
    }

    /// Tells everybody what no row says.
    pub(crate) async fn tell(&self, word: Word) -> Result<(), StoreError> {
        if let Pool::Postgres(pool) = &self.read {
            let told = sqlx::query(TELL).bind(CHANNEL).bind(payload(word));
            told.execute(pool).await?;
        }
        Ok(())
    }
}

impl Feed {
    /// What another replica did. None when the connection broke and notices may be lost.
    pub(crate) async fn next(&mut self) -> Result<Option<News>, StoreError> {
        loop {
            let Some(notice) = self.listener.try_recv().await? else {
                return Ok(None);
            };
            if let Some(news) = parse(notice.payload(), &self.own) {
                return Ok(Some(news));
            }
        }
    }
}

fn payload(word: Word) -> String {
    match word {
        Word::Progress(session, progress) => {
            let json = serde_json::to_string(&progress).expect("a name and a number are JSON");
            format!("progress {session} {json}")
        }
        Word::Idle(session, Some(left)) => format!("idle {session} {}", left.as_millis()),
        Word::Idle(session, None) => format!("idle {session}"),
        Word::Answers(id, host, replica) => format!("answers {id} {host} {replica}"),
        Word::Answered(id, true) => format!("answered {id} yes"),
        Word::Answered(id, false) => format!("answered {id} no"),
    }
}

/// Reads a notice; none when it is our own or of a version that we do not know.
fn parse(payload: &str, own: &str) -> Option<News> {
    let (what, rest) = payload.split_once(' ')?;
    let (id, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match what {
        "lease" if rest != own => Some(News::Lease(id.parse().ok()?)),
        "call" => Some(News::Call(id.parse().ok()?, rest.parse().ok()?)),
        "reply" => Some(News::Reply(id.parse().ok()?)),
        "progress" => {
            let progress = serde_json::from_str(rest).ok()?;
            Some(News::Word(Word::Progress(id.parse().ok()?, progress)))
        }
        "idle" => {
            let left = (!rest.is_empty()).then(|| rest.parse().map(Duration::from_millis));
            Some(News::Word(Word::Idle(id.parse().ok()?, left.transpose().ok()?)))
        }
        "answers" => {
            let (host, replica) = rest.split_once(' ')?;
            let (host, replica) = (host.parse().ok()?, replica.parse().ok()?);
            Some(News::Word(Word::Answers(id.parse().ok()?, host, replica)))
        }
        "answered" => Some(News::Word(Word::Answered(id.parse().ok()?, rest == "yes"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::agent::Stage;
    use sqlx::postgres::PgConnection;
    use sqlx::{Connection as _, Executor as _};

    use super::*;
    use crate::postgres_child::Postgres as Server;

    /// Ends the connections that listen.
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";

    #[tokio::test]
    async fn a_feed_that_broke_says_so_and_listens_no_more() {
        let server = Server::start();
        let store = Store::open(
            server.url().parse().unwrap(),
            Uuid::nil(),
            crate::support::READ_TIMEOUT,
        )
        .await
        .unwrap();
        let mut feed = store.feed().await.unwrap().unwrap();
        let mut other = PgConnection::connect(&server.url()).await.unwrap();
        let ended = other.fetch_all(END).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(feed.next().await.unwrap(), None);
        let still = other.fetch_all(END).await.unwrap();
        assert_eq!(still.len(), 0, "a connection nobody hears");
    }

    #[test]
    fn a_replica_hears_others_and_not_itself() {
        let lease = LeaseId::from_uuid(Uuid::now_v7());
        assert_eq!(
            parse(&format!("lease {lease} farglass 2"), "farglass 1"),
            Some(News::Lease(lease))
        );
        assert_eq!(parse(&format!("lease {lease} farglass 1"), "farglass 1"), None);
        let session = SessionId::from_uuid(Uuid::now_v7());
        let progress = Progress {
            stage: Stage::Launch,
            percent: 50,
        };
        for word in [
            Word::Idle(session, Some(Duration::from_millis(7))),
            Word::Idle(session, None),
            Word::Progress(session, progress),
            Word::Answers(Uuid::nil(), HostId::from_uuid(Uuid::now_v7()), Uuid::now_v7()),
            Word::Answered(Uuid::nil(), true),
            Word::Answered(Uuid::nil(), false),
        ] {
            assert_eq!(parse(&payload(word), "farglass 1"), Some(News::Word(word)));
        }
        for other in [
            "",
            "idle x 7",
            "lease",
            "lease x farglass 2",
            "call x y",
            "news of tomorrow",
        ] {
            assert_eq!(parse(other, "farglass 1"), None, "{other}");
        }
    }
}
