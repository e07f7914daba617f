//! Control as its callers meet it: admins and browsers over HTTP, agents over the real link, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(unreachable_pub, reason = "the modules of one test see one another")]

mod audit;
mod gone;
mod idempotency;
mod launch;
mod observers;
mod policies;
mod presence;
mod races;
mod replicas;
mod restart;
mod revoke;
mod secrets;
mod strangers;
mod strays;
#[allow(dead_code, reason = "the tests inside of control use the rest of it")]
mod support;
mod viewers;
