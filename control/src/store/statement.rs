//! Statements: every SQL text of control is a named constant with the kinds of its parameters.
//!
//! ```text
//!   statements! {
//!       /// What it does.
//!       END_SESSION(Text, Number) "UPDATE sessions SET ended_at = $2 WHERE id = $1";
//!   }
//!   tx.run(&END_SESSION, args![session, now])
//! ```
//!
//! One text serves SQLite and PostgreSQL, but for a statement that does several things at once: SQLite takes them one after
//! the other in one text, PostgreSQL as parts of one statement. What both take: `$1` placeholders, `CAST(CASE WHEN … THEN 1 ELSE 0 END AS
//! BIGINT)` for a truth, `CASE` where SQLite would have a two-armed `max`. Columns are listed by name, never as `*`:
//! a replica of an older version must not stumble over a column that a newer one added.
//!
//! How many arguments a statement takes is checked by the compiler; of which kind they are, where it is run in a
//! debug build. `registry` prepares every statement on both databases and compares what they say about it.

use protocol::{ConnectionId, DeviceId, Epoch, HostId, LeaseId, LinkId, SessionId};
use signaling::link::token::Fingerprint;
use uuid::Uuid;

use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// What a parameter or a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Names, states, ids.
    Text,
    /// Counts, epochs, times in milliseconds since 1970.
    Number,
    /// Hashes.
    Bytes,
}

/// A statement that takes `N` arguments.
#[derive(Debug)]
pub(crate) struct Statement<const N: usize> {
    /// The constant's name, for tests.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the registry's test names what it refuses")
    )]
    pub name: &'static str,
    /// The text.
    pub sql: &'static str,
    /// The text for PostgreSQL: the same, but for a few.
    pub postgres: &'static str,
    /// What `$1`, `$2`, … are.
    pub takes: &'static [Kind; N],
}

/// A statement in the registry.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub name: &'static str,
    pub sql: &'static str,
    pub postgres: &'static str,
    pub takes: &'static [Kind],
}

/// Makes constants of statements, and `STATEMENTS`, the list of them that the registry wants.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident($($kind:ident),*) $sql:expr $(, postgres $apart:expr)?;)*) => {
        $(
            $(#[$doc])*
            const $name: $crate::store::statement::Statement<
                { <[$crate::store::statement::Kind]>::len(&[$($crate::store::statement::Kind::$kind),*]) },
            > = $crate::store::statement::Statement {
                name: stringify!($name),
                sql: $sql,
                postgres: {
                    let apart: &[&str] = &[$($apart)?];
                    match apart {
                        [apart] => apart,
                        _ => $sql,
                    }
                },
                takes: &[$($crate::store::statement::Kind::$kind),*],
            };
        )*

        /// Every statement of this file.
        #[cfg(test)]
        pub(super) const STATEMENTS: &[$crate::store::statement::Listed] = &[
            $($crate::store::statement::Listed {
                name: $name.name,
                sql: $name.sql,
                postgres: $name.postgres,
                takes: $name.takes,
            }),*
        ];
    };
}
pub(super) use statements;

/// The arguments of a statement, in the order of its placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::store::statement::Value::from($value)),*] };
}
pub(super) use args;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, of whatever kind the statement takes.
    Null,
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

impl Value {
    /// Whether a parameter of this kind takes it.
    pub(super) fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Null => true,
            Self::Text(_) => kind == Kind::Text,
            Self::Number(_) => kind == Kind::Number,
            Self::Bytes(_) => kind == Kind::Bytes,
        }
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<UnixMs> for Value {
    fn from(at: UnixMs) -> Self {
        Self::Number(at.0)
    }
}

impl From<Epoch> for Value {
    fn from(epoch: Epoch) -> Self {
        Self::Number(epoch.0 as i64)
    }
}

impl From<Hash> for Value {
    fn from(hash: Hash) -> Self {
        Self::Bytes(hash.0.to_vec())
    }
}

impl From<Fingerprint> for Value {
    fn from(fingerprint: Fingerprint) -> Self {
        Self::Bytes(fingerprint.0.to_vec())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(i64::from(number))
            }
        })*
    };
}
numbers!(u16, u32);

macro_rules! ids {
    ($($id:ty),*) => {
        $(impl From<$id> for Value {
            fn from(id: $id) -> Self {
                Self::Text(id.to_string())
            }
        })*
    };
}
ids!(ConnectionId, DeviceId, HostId, LeaseId, LinkId, SessionId, Uuid);
