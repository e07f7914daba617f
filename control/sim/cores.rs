//! One thread of worlds on each core that this process may use.
//!
//! ```text
//!   core 0   worlds ⇄ their database's thread          core 1   worlds ⇄ their database's thread
//! ```
//!
//! A world and its database wait for each other at every statement. On one core that is a switch between two threads;
//! across cores it wakes a sleeping core each time, which cost three times as much as everything else together. A
//! thread that is started inherits the cores of the one that starts it, and so does the database's.

use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Runs this once on each core, on a thread of its own that stays there; what each gives.
pub(super) fn on_each<T: Send>(run: impl Fn() -> T + Sync) -> Vec<T> {
    let allowed = sched_getaffinity(SELF).expect("a thread may ask where it runs");
    let cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
    thread::scope(|scope| {
        let threads: Vec<_> = cores
            .map(|core| {
                let run = &run;
                scope.spawn(move || {
                    let mut only = CpuSet::new();
                    only.set(core).expect("it is one of those that were counted");
                    sched_setaffinity(SELF, &only).expect("a thread may stay where it may run");
                    run()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
