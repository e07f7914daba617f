//! The programs that run on the device and that somebody may end: name, arguments, and how.
//!
//! ```text
//!   app_process ── begin(command line) ──► Process ── dropped: ended by itself
//!                                             ▲ killed
//!   pkill -f TEXT ────────────────────────────┘ each whose command line holds it
//! ```
//!
//! Only what goes on for long is kept here; commands that answer at once are over before anybody could end them. It does
//! not know what the programs do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The running programs of one device; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    last: u32,
    running: BTreeMap<u32, (String, CancellationToken)>,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Process {
    processes: Processes,
    number: u32,
    killed: CancellationToken,
}

impl Processes {
    pub(crate) fn begin(&self, command_line: String) -> Process {
        let killed = CancellationToken::new();
        let mut table = self.lock();
        table.last += 1;
        let number = table.last;
        table.running.insert(number, (command_line, killed.clone()));
        drop(table);
        Process {
            processes: self.clone(),
            number,
            killed,
        }
    }

    /// Ends the programs whose command line holds this text; how many.
    pub(crate) fn kill(&self, text: &str) -> usize {
        let table = self.lock();
        let chosen = table.running.values().filter(|(line, _)| line.contains(text));
        chosen.map(|(_, killed)| killed.cancel()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Waits until somebody kills it.
    pub(crate) async fn killed(&self) {
        self.killed.cancelled().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.processes.lock().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_killed_by_a_piece_of_its_command_line_for_as_long_as_it_runs() {
        let processes = Processes::default();
        let (one, other) = (
            processes.begin("a scid=1".into()),
            processes.begin("a scid=2".into()),
        );
        assert_eq!(processes.kill("scid=2"), 1);
        other.killed().await;
        drop(other);
        assert_eq!(processes.kill("scid=2"), 0);
        assert!(!one.killed.is_cancelled());
    }
}
