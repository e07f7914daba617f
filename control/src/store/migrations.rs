//! The steps by which a database comes to the tables of this build, in the order of their numbers.
//!
//! ```text
//!   control/migrations/{sqlite,postgres}/0001_links_leases_devices.sql ──► 1, "links leases devices", its text
//! ```
//!
//! They are a part of the binary. A step that a database has taken is never edited: its checksum is in the database, and
//! a build that has it otherwise does not start. It does not know what the steps do, nor when they are taken.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, name and text of each step of a database, by the names of the files.
macro_rules! steps {
    ($dialect:literal: $($number:literal $name:literal),* $(,)?) => {
        [$((
            $number,
            $name,
            include_str!(concat!("../../migrations/", $dialect, "/", $number, "_", $name, ".sql")),
        )),*]
    };
}

/// The same numbers and names for every database.
macro_rules! steps_of {
    ($dialect:literal) => {
        steps!($dialect:
            "0001" "links_leases_devices",
            "0002" "generation",
            "0003" "replicas",
            "0004" "policies",
            "0005" "serials_and_bindings",
            "0007" "answers_turn",
            "0008" "states",
            "0009" "looks",
            "0010" "retention",
            "0011" "own_lines",
        )
    };
}

/// The steps of SQLite.
pub(super) fn sqlite() -> Migrator {
    migrator(&steps_of!("sqlite"))
}

/// The steps of PostgreSQL.
pub(super) fn postgres() -> Migrator {
    migrator(&steps_of!("postgres"))
}

fn migrator(steps: &[(&'static str, &'static str, &'static str)]) -> Migrator {
    let steps = steps.iter().map(|(number, name, text)| {
        let number = number.parse().expect("a step's number is digits");
        let name = Cow::Owned(name.replace('_', " "));
        // What switches SQLite's foreign keys off has its own transaction.
        let no_tx = text.starts_with("-- no-transaction");
        Migration::new(number, name, MigrationType::Simple, text.into_sql_str(), no_tx)
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_a_step_is_a_part_of_the_binary() {
        for (dialect, built_in) in [("sqlite", sqlite()), ("postgres", postgres())] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(dialect);
            let mut files: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
                .collect();
            let mut texts: Vec<_> = built_in.iter().map(|step| step.sql.as_str().to_owned()).collect();
            files.sort();
            texts.sort();
            assert_eq!(texts, files, "{dialect}");
        }
    }

    #[test]
    fn steps_are_named_as_databases_have_noted_them() {
        let steps = sqlite();
        let first = steps.iter().next().unwrap();
        assert_eq!((first.version, &*first.description), (1, "links leases devices"));
    }
}
