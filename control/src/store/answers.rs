//! Answers to requests with an Idempotency-Key: whoever asks the same again gets the first answer.
//!
//! ```text
//!   first ──► row without an answer ──► work ──► answer kept ──► same key, same body: the answer
//!                    │                    └─ refused: row gone      same key, other body: misused
//!                    └─ same key meanwhile: at work
//! ```
//!
//! Keys are kept as hashes and belong to one person and one route. An answer is kept for a day and is never a
//! secret: what is shown once is made again from the key (see `secret::Seal`). If control dies over the work, the
//! row without an answer is taken over after a while by one, and the work is done again by its own rules, which must
//! bear that; whoever was only slow keeps and drops nothing any more. It knows no route.

use std::time::Duration;

use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// How long an answer is kept.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long a request may be at work before the next one takes its place: longer than an agent or the database keep a
/// request waiting.
pub(crate) const AT_WORK_MAX: Duration = Duration::from_secs(30);
/// Answers that are kept at most; beyond it the oldest go. Each is a kilobyte or two.
const ANSWERS_MAX: i64 = 10_000;

statements! {
    KNOWN(Text, Bytes)
        "SELECT body_hash, status, location, body, created_at, worked_since FROM answers
         WHERE scope = $1 AND key_hash = $2";
    BEGIN(Text, Bytes, Bytes, Number)
        "INSERT INTO answers (scope, key_hash, body_hash, created_at, worked_since) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (scope, key_hash) DO UPDATE SET body_hash = excluded.body_hash, status = NULL, location = NULL,
             body = NULL, created_at = excluded.created_at, worked_since = excluded.worked_since";
    TAKE_OVER(Number, Text, Bytes, Number)
        "UPDATE answers SET worked_since = $1
         WHERE scope = $2 AND key_hash = $3 AND worked_since = $4 AND status IS NULL";
    KEEP(Number, Text, Text, Text, Bytes, Number)
        "UPDATE answers SET status = $1, location = $2, body = $3
         WHERE scope = $4 AND key_hash = $5 AND worked_since = $6 AND status IS NULL";
    DROP_QUESTION(Text, Bytes, Number)
        "DELETE FROM answers WHERE scope = $1 AND key_hash = $2 AND worked_since = $3 AND status IS NULL";
    FORGET_OLD(Number) "DELETE FROM answers WHERE created_at <= $1";
    FORGET_MANY(Number)
        "DELETE FROM answers WHERE created_at <
         (SELECT created_at FROM answers ORDER BY created_at DESC LIMIT 1 OFFSET $1)";
}

/// A request that may be asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Who asks what.
    pub scope: String,
    /// Hash of its key.
    pub key: Hash,
    /// Hash of everything that it says.
    pub body: Hash,
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// JSON.
    pub body: String,
}

/// The right to work on a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// When it was first asked.
    pub since: UnixMs,
    /// When this work on it began.
    pub worked_since: UnixMs,
}

/// What is known of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it is to be worked on now, by whoever asks.
    Nothing(Turn),
    /// The answer, and when it was first asked.
    Answer(Answer, UnixMs),
    /// Somebody is working on it.
    AtWork,
    /// Its key was used for something else.
    Misused,
}

impl Store {
    /// Looks whether a question was asked before; if not, notes that it is being worked on.
    pub(crate) async fn ask(&self, question: &Question, now: UnixMs) -> Result<Known, StoreError> {
        let mut tx = self.begin().await?;
        let Question { scope, key, body } = question;
        if let Some(row) = tx.maybe(&KNOWN, args![scope, *key]).await? {
            let since = row.time("created_at")?;
            let age = since.until(now);
            let misused = row.hash("body_hash")? != *body;
            match row.maybe_number("status")? {
                _ if age >= KEPT_FOR => {}
                _ if misused => return Ok(Known::Misused),
                Some(status) => {
                    let answer = Answer {
                        status,
                        location: row.maybe_text("location")?,
                        body: row.maybe_text("body")?.unwrap_or_default(),
                    };
                    return Ok(Known::Answer(answer, since));
                }
                None => {
                    let worked_since = row.time("worked_since")?;
                    if worked_since.until(now) < AT_WORK_MAX {
                        return Ok(Known::AtWork);
                    }
                    // Whoever began died over it, or may as well have: it is done again, as of the first time.
                    let taken = tx.run(&TAKE_OVER, args![now, scope, *key, worked_since]).await?;
                    tx.commit().await?;
                    let worked_since = now;
                    let turn = Turn { since, worked_since };
                    return Ok(if taken == 1 {
                        Known::Nothing(turn)
                    } else {
                        Known::AtWork
                    });
                }
            }
        }
        tx.run(&BEGIN, args![scope, *key, *body, now]).await?;
        tx.commit().await?;
        let (since, worked_since) = (now, now);
        Ok(Known::Nothing(Turn { since, worked_since }))
    }

    /// Keeps the answer, if it is still this turn's to give.
    pub(crate) async fn keep_answer(
        &self,
        question: &Question,
        turn: Turn,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        let status = u32::from(answer.status);
        let values = args![
            status,
            answer.location.as_ref(),
            &answer.body,
            &question.scope,
            question.key,
            turn.worked_since,
        ];
        self.write.run(&KEEP, values).await?;
        Ok(())
    }

    /// There is no answer: whoever asks next is the first again, unless somebody took this turn's place.
    pub(crate) async fn drop_question(&self, question: &Question, turn: Turn) -> Result<(), StoreError> {
        let values = args![&question.scope, question.key, turn.worked_since];
        self.write.run(&DROP_QUESTION, values).await?;
        Ok(())
    }

    /// Forgets what is too old, and the oldest of too many.
    pub(crate) async fn forget_old_answers(&self, now: UnixMs) -> Result<(), StoreError> {
        let oldest = UnixMs(now.0.saturating_sub(KEPT_FOR.as_millis() as i64));
        self.write.run(&FORGET_OLD, args![oldest]).await?;
        self.write.run(&FORGET_MANY, args![ANSWERS_MAX - 1]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Rig, after, on_both};

    on_both![an_abandoned_question_is_taken_over_by_one_and_the_slow_first_one_has_no_say_any_more];

    async fn an_abandoned_question_is_taken_over_by_one_and_the_slow_first_one_has_no_say_any_more(rig: Rig) {
        let store = &rig.app.store;
        let question = Question {
            scope: "somebody something".to_owned(),
            key: Hash::of("key"),
            body: Hash::of("body"),
        };
        let ask = async |seconds| store.ask(&question, after(seconds)).await.unwrap();
        let Known::Nothing(first) = ask(0).await else {
            panic!("nobody asked before")
        };
        assert_eq!(ask(29).await, Known::AtWork);
        let Known::Nothing(second) = ask(30).await else {
            panic!("the first one is given up")
        };
        assert_eq!(second.since, first.since, "as of the first time");
        assert_eq!(ask(31).await, Known::AtWork, "one takes over, and no other");

        let answer = |status| Answer {
            status,
            location: None,
            body: String::new(),
        };
        store.drop_question(&question, first).await.unwrap();
        store.keep_answer(&question, first, &answer(500)).await.unwrap();
        assert_eq!(ask(32).await, Known::AtWork, "it is the second one's by now");
        store.keep_answer(&question, second, &answer(201)).await.unwrap();
        assert_eq!(ask(33).await, Known::Answer(answer(201), first.since));
        store.drop_question(&question, second).await.unwrap();
        assert_eq!(
            ask(34).await,
            Known::Answer(answer(201), first.since),
            "an answer stays"
        );
    }
}
