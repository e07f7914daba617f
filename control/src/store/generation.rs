//! The generation: what every epoch that is given out from now on is above.
//!
//! ```text
//!   since = the milliseconds of the last start, of the first connection to another server, or of the look that found the
//!           database older than what was written to it (line.rs) ─► next_epoch!() is above
//! ```
//!
//! A database that was put back from a backup, or a server that took a lost one's place, does not remember the epochs
//! that were given out since, and the agents' fences tell only of those that reached them. One process gives out fewer
//! than one per device and millisecond, so none comes twice as long as the clock is right. A database that knows no
//! device has nothing to forget. It does not know when one begins.

use super::statement::{Statement, args, statements};
use super::{Store, StoreError};
use crate::domain::time::UnixMs;

statements! {
    BEGIN_GENERATION(Number)
        "UPDATE generation SET since = $1 WHERE since < $1 AND EXISTS (SELECT 1 FROM devices)";
}

/// Begins one at this time.
pub(super) const BEGIN: Statement<1> = BEGIN_GENERATION;

impl Store {
    /// Begins one, because the database was put back under this control.
    pub(crate) async fn begin_generation(&self, now: UnixMs) -> Result<(), StoreError> {
        self.write.run(&BEGIN, args![now]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::Epoch;

    use crate::rig::{Rig, after};

    #[tokio::test]
    async fn a_server_that_was_put_back_under_a_running_control_gives_no_epoch_out_twice() {
        let mut rig = Rig::on_postgres().await;
        rig.link("t", None, None).await;
        rig.link("u", None, None).await;
        let server = rig.server();
        let backup = server.dump();
        let lost = rig.granted("t", "a", after(1)).await;
        assert_eq!(lost.epoch, Epoch(1));
        let server = rig.server();
        server.kill();
        server.start_again();
        server.restore(&backup);
        let next = rig.granted("u", "b", after(2)).await;
        assert!(next.epoch > Epoch(1), "{:?} was given out before", next.epoch);
    }
}
