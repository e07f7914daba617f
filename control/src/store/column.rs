//! Columns to types and back: ids are text, hashes are blobs, counts and times are integers.

use std::str::FromStr;

use protocol::agent::App;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Reads columns by name and type.
pub(super) trait Columns {
    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError>;
    fn text(&self, name: &'static str) -> Result<String, StoreError>;
    fn maybe_text(&self, name: &'static str) -> Result<Option<String>, StoreError>;
    fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, StoreError>;
    fn maybe_number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<Option<T>, StoreError>;
    fn hash(&self, name: &'static str) -> Result<Hash, StoreError>;

    /// A time.
    fn time(&self, name: &'static str) -> Result<UnixMs, StoreError> {
        self.number(name).map(UnixMs)
    }

    /// A time that may be missing.
    fn maybe_time(&self, name: &'static str) -> Result<Option<UnixMs>, StoreError> {
        Ok(self.maybe_number(name)?.map(UnixMs))
    }

    /// `package` and `activity`.
    fn app(&self) -> Result<Option<App>, StoreError> {
        let activity = self.maybe_text("activity")?;
        Ok(self
            .maybe_text("package")?
            .map(|package| App { package, activity }))
    }
}

impl Columns for SqliteRow {
    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| StoreError::Damaged(name))
    }

    fn text(&self, name: &'static str) -> Result<String, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_text(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, StoreError> {
        T::try_from(self.try_get::<i64, _>(name)?).map_err(|_| StoreError::Damaged(name))
    }

    fn maybe_number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        let number = self.try_get::<Option<i64>, _>(name)?;
        number
            .map(|number| T::try_from(number).map_err(|_| StoreError::Damaged(name)))
            .transpose()
    }

    fn hash(&self, name: &'static str) -> Result<Hash, StoreError> {
        let bytes: Vec<u8> = self.try_get(name)?;
        bytes.try_into().map(Hash).map_err(|_| StoreError::Damaged(name))
    }
}
