//! Constraints whose refusal means something to whoever asked.
//!
//! PostgreSQL names the constraint that refused a statement. SQLite names the columns of a unique one, the name of
//! a check, and nothing of a reference; so what is told apart here is what both tell. Everything else that a
//! constraint refuses is a defect of ours and stays an error of the database.

use sqlx::error::{DatabaseError, ErrorKind};

use signaling::error::{Code, Problem};

/// A constraint that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constraint {
    /// `users_login_unique`: somebody has this login.
    Login,
    /// `leases_one_live_per_device`: somebody has this device.
    OneLiveLease,
    /// `leases_epoch_unique`: this epoch was given out before.
    Epoch,
    /// `links_uses_within`: the link is used up.
    Uses,
    /// A reference to what is not there, or not there any more.
    Reference,
}

/// What PostgreSQL says, what SQLite says, what it means.
const KNOWN: [(&str, &str, Constraint); 4] = [
    (
        "users_login_unique",
        "UNIQUE constraint failed: users.login",
        Constraint::Login,
    ),
    (
        "leases_one_live_per_device",
        "UNIQUE constraint failed: leases.device_id",
        Constraint::OneLiveLease,
    ),
    (
        "leases_epoch_unique",
        "UNIQUE constraint failed: leases.device_id, leases.epoch",
        Constraint::Epoch,
    ),
    (
        "links_uses_within",
        "CHECK constraint failed: links_uses_within",
        Constraint::Uses,
    ),
];

impl Constraint {
    /// The constraint behind a refusal; none when it means nothing to whoever asked.
    pub(super) fn of(error: &dyn DatabaseError) -> Option<Self> {
        if error.kind() == ErrorKind::ForeignKeyViolation {
            return Some(Self::Reference);
        }
        let known = KNOWN.iter().find(|(name, said, _)| match error.constraint() {
            Some(constraint) => constraint == *name,
            None => error.message() == *said,
        });
        known.map(|(.., constraint)| *constraint)
    }

    /// What it means to a client.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Login => Problem::new(Code::Conflict, "Somebody has this login. Choose another."),
            Self::OneLiveLease | Self::Epoch => Problem::new(
                Code::DeviceInUse,
                "Somebody is using this device, or it is being cleaned. Try again in a minute.",
            ),
            Self::Uses => Problem::new(
                Code::LinkExhausted,
                "This link was used up. Ask whoever sent it for a new one.",
            ),
            Self::Reference => Problem::new(
                Code::Conflict,
                "Something that this refers to is not there any more. Look at it again.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use protocol::agent::{DeviceFact, DeviceHealth};
    use protocol::{DeviceId, Epoch};
    use uuid::Uuid;

    use super::{Code, Constraint, KNOWN, Problem};
    use crate::rig::{Rig, after, on_both};
    use crate::store::{Store, StoreError};

    on_both![
        what_a_constraint_refuses_means_the_same_on_both_databases,
        a_host_with_two_devices_of_one_serial_number_is_welcome,
    ];

    async fn a_host_with_two_devices_of_one_serial_number_is_welcome(rig: Rig) {
        let fact = |id, name: &str| DeviceFact {
            id,
            name: name.to_owned(),
            serial: "EMULATOR".to_owned(),
            model: String::new(),
            width: 720,
            height: 1280,
            health: DeviceHealth::Healthy,
            fence: Epoch(0),
            labels: BTreeMap::new(),
        };
        let other = DeviceId::from_uuid(Uuid::now_v7());
        let facts = [fact(rig.device, "one"), fact(other, "two")];
        rig.app.store.report(rig.host, &facts, after(1)).await.unwrap();
        let known = rig.app.store.devices().await.unwrap();
        let known: Vec<_> = known.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(known, ["one", "two"]);
    }

    async fn what_a_constraint_refuses_means_the_same_on_both_databases(rig: Rig) {
        rig.link("t", None, Some(1)).await;
        rig.granted("t", "a", after(1)).await;
        let lease = |epoch, state| {
            format!(
                "INSERT INTO leases (id, device_id, link_id, epoch, state, binding_hash, acquired_at)
                 SELECT 'x', device_id, link_id, {epoch}, {state}, binding_hash, acquired_at FROM leases"
            )
        };
        for (sql, refused, told) in [
            (
                "INSERT INTO users (id, login, password_hash, role, created_at)
                 SELECT 'x', login, password_hash, role, created_at FROM users"
                    .to_owned(),
                Constraint::Login,
                Code::Conflict,
            ),
            (
                lease("epoch + 9", "state"),
                Constraint::OneLiveLease,
                Code::DeviceInUse,
            ),
            (lease("epoch", "'released'"), Constraint::Epoch, Code::DeviceInUse),
            (
                "UPDATE links SET uses = max_uses + 1".to_owned(),
                Constraint::Uses,
                Code::LinkExhausted,
            ),
            (
                "UPDATE leases SET link_id = 'nobody'".to_owned(),
                Constraint::Reference,
                Code::Conflict,
            ),
        ] {
            let error = rig.app.store.run(sql.clone()).await.unwrap_err();
            assert!(
                matches!(error, StoreError::Refused(constraint) if constraint == refused),
                "{sql}: {error:?}"
            );
            assert_eq!(Problem::from(&error).code(), told, "{sql}");
        }
    }

    /// What nothing that a client asks for can touch, beside names of our own (`_known`) and ids and hashes of our own
    /// making (`_pk`): a refusal would be a fault of ours, and is told as one.
    const OURS: [&str; 6] = [
        "devices_epoch_positive",
        "generation_single",
        "hosts_key_unique",
        "links_one_target",
        "links_token_unique",
        "sessions_lease_unique",
    ];

    /// Every constraint of the tables, as PostgreSQL names it or as SQLite's tables are written.
    async fn named(store: &Store) -> BTreeSet<String> {
        let postgres = "SELECT conname AS name FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid <> '_sqlx_migrations'::regclass
             UNION SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND i.indrelid <> '_sqlx_migrations'::regclass";
        if store.is_shared() {
            let rows = store.rows(postgres).await.unwrap();
            return rows.iter().map(|row| row.text("name").unwrap()).collect();
        }
        let rows = store
            .rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            .await
            .unwrap();
        let mut names = BTreeSet::new();
        for row in rows {
            let sql = row.text("sql").unwrap();
            let words: Vec<&str> = sql.split_whitespace().collect();
            for pair in words.windows(2) {
                let is_unique_index = pair[0] == "INDEX" && words[1] == "UNIQUE";
                if pair[0] == "CONSTRAINT" || is_unique_index {
                    names.insert(pair[1].to_owned());
                }
            }
        }
        names
    }

    #[tokio::test]
    async fn every_constraint_of_both_databases_means_something_or_is_known_to_be_our_own_business() {
        let (here, there) = (Rig::new().await, Rig::on_postgres().await);
        let names = named(&here.app.store).await;
        assert_eq!(names, named(&there.app.store).await, "both have the same");
        let told = |name: &str| KNOWN.iter().any(|(known, ..)| *known == name) || name.ends_with("_fk");
        let ours = |name: &str| OURS.contains(&name) || name.ends_with("_pk") || name.ends_with("_known");
        let unmapped: Vec<_> = names.iter().filter(|name| !told(name) && !ours(name)).collect();
        assert_eq!(unmapped, [""; 0]);
        for name in KNOWN.iter().map(|(known, ..)| *known).chain(OURS) {
            assert!(names.contains(name), "{name} is no constraint any more");
        }
    }
}
