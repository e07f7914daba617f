//! Where the database is: what stands in `--database`, parsed.
//!
//! ```text
//!   (nothing)                                   control.db in the data folder
//!   sqlite:/srv/farglass/control.db             that file
//!   postgres://user:secret@db.example.org/name  a server, over TCP
//!   postgres:///name?host=/run/postgresql       a server, over its Unix socket
//! ```
//!
//! An address may hold a password: what is shown of it leaves out everything that is secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// File of the database in the data folder.
const FILE: &str = "control.db";

/// An address of a database.
#[derive(Clone)]
pub(crate) enum Address {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A server of PostgreSQL.
    Postgres(Box<PgConnectOptions>),
}

/// An address that is none. It does not repeat the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a database's address starts with sqlite:, postgres:// or postgresql://, and names a file or a server"
)]
pub(crate) struct NoAddress;

impl Address {
    /// The database that is taken when none is named.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::Sqlite(folder.join(FILE))
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            return if file.is_empty() {
                Err(NoAddress)
            } else {
                Ok(Self::Sqlite(file.into()))
            };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(NoAddress);
        }
        let options = text.parse().map_err(|_| NoAddress)?;
        Ok(Self::Postgres(Box::new(options)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "SQLite in {}", file.display()),
            Self::Postgres(options) => {
                let name = options.get_database().unwrap_or(options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "PostgreSQL {name} at {}", socket.display()),
                    None => {
                        let (host, port) = (options.get_host(), options.get_port());
                        write!(f, "PostgreSQL {name} at {host}:{port}")
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let server: Address = "postgres://me:geheim@db.example.org:5433/farglass"
            .parse()
            .unwrap();
        assert_eq!(server.to_string(), "PostgreSQL farglass at db.example.org:5433");
        assert!(!format!("{server:?}").contains("geheim"));
        let socket: Address = "postgres:///farglass?host=/run/postgresql".parse().unwrap();
        assert_eq!(socket.to_string(), "PostgreSQL farglass at /run/postgresql");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for bad in [
            "",
            "sqlite:",
            "mysql://me:geheim@host/db",
            "postgres",
            "postgres://me:geheim@host:port/db",
        ] {
            let error = bad.parse::<Address>().unwrap_err();
            assert!(!error.to_string().contains("geheim"), "{bad}");
        }
        assert!(
            matches!("sqlite:/a/b.db".parse(), Ok(Address::Sqlite(file)) if file == Path::new("/a/b.db"))
        );
        assert!(
            matches!("sqlite:///a/b.db".parse(), Ok(Address::Sqlite(file)) if file == Path::new("/a/b.db"))
        );
    }
}
