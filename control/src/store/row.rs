//! Rows to types: ids are text, hashes are bytes, counts and times are integers of 64 bits.
//!
//! Columns are read by name. What the code never wrote is damage and is said so with the column's name; what a
//! value means is not known here but in the file of its table.

use std::str::FromStr;

use protocol::agent::App;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// A row of either database.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($row:expr, $name:expr, $kind:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$kind, _>($name),
            Row::Postgres(row) => row.try_get::<$kind, _>($name),
        }
    };
}

impl Row {
    /// Text that stands for something: an id, say.
    pub(crate) fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        get!(self, name, &str)?
            .parse()
            .map_err(|_| StoreError::Damaged(name))
    }

    /// Text that stands for something and may be missing.
    pub(crate) fn maybe_parsed<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        get!(self, name, Option<&str>)?
            .map(|text| text.parse().map_err(|_| StoreError::Damaged(name)))
            .transpose()
    }

    /// Text.
    pub(crate) fn text(&self, name: &'static str) -> Result<String, StoreError> {
        Ok(get!(self, name, String)?)
    }

    /// Text that may be missing.
    pub(crate) fn maybe_text(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        Ok(get!(self, name, Option<String>)?)
    }

    /// A number in the range of its type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, StoreError> {
        T::try_from(get!(self, name, i64)?).map_err(|_| StoreError::Damaged(name))
    }

    /// A number that may be missing.
    pub(crate) fn maybe_number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        get!(self, name, Option<i64>)?
            .map(|number| T::try_from(number).map_err(|_| StoreError::Damaged(name)))
            .transpose()
    }

    /// A truth, written `CAST(… AS BIGINT)`; missing is untrue, as in a WHERE.
    pub(crate) fn truth(&self, name: &'static str) -> Result<bool, StoreError> {
        Ok(self.maybe_number::<i64>(name)?.is_some_and(|number| number != 0))
    }

    /// A hash.
    pub(crate) fn hash(&self, name: &'static str) -> Result<Hash, StoreError> {
        get!(self, name, &[u8])?
            .try_into()
            .map(Hash)
            .map_err(|_| StoreError::Damaged(name))
    }

    /// A time.
    pub(crate) fn time(&self, name: &'static str) -> Result<UnixMs, StoreError> {
        self.number(name).map(UnixMs)
    }

    /// A time that may be missing.
    pub(crate) fn maybe_time(&self, name: &'static str) -> Result<Option<UnixMs>, StoreError> {
        Ok(self.maybe_number(name)?.map(UnixMs))
    }

    /// `package` and `activity`.
    pub(crate) fn app(&self) -> Result<Option<App>, StoreError> {
        let activity = self.maybe_text("activity")?;
        Ok(self
            .maybe_text("package")?
            .map(|package| App { package, activity }))
    }
}
