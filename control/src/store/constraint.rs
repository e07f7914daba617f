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
    use super::Constraint;
    use crate::rig::{Rig, after, on_both};
    use crate::store::StoreError;

    on_both![what_a_constraint_refuses_means_the_same_on_both_databases];

    async fn what_a_constraint_refuses_means_the_same_on_both_databases(rig: Rig) {
        rig.link("t", None, Some(1)).await;
        rig.granted("t", "a", after(1)).await;
        let lease = |epoch, state| {
            format!(
                "INSERT INTO leases (id, device_id, link_id, epoch, state, binding_hash, acquired_at)
                 SELECT 'x', device_id, link_id, {epoch}, {state}, binding_hash, acquired_at FROM leases"
            )
        };
        for (sql, refused) in [
            (
                "INSERT INTO users (id, login, password_hash, role, created_at)
                 SELECT 'x', login, password_hash, role, created_at FROM users"
                    .to_owned(),
                Constraint::Login,
            ),
            (lease("epoch + 9", "state"), Constraint::OneLiveLease),
            (lease("epoch", "'released'"), Constraint::Epoch),
            (
                "UPDATE links SET uses = max_uses + 1".to_owned(),
                Constraint::Uses,
            ),
            (
                "UPDATE leases SET link_id = 'nobody'".to_owned(),
                Constraint::Reference,
            ),
        ] {
            let error = rig.app.store.run(sql.clone()).await.unwrap_err();
            assert!(
                matches!(error, StoreError::Refused(constraint) if constraint == refused),
                "{sql}: {error:?}"
            );
        }
    }
}
