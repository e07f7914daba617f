//! Faults that a device can be told to have: what real devices do wrong, at moments that a seed decides.
//!
//! ```text
//!   Faults { kinds, seed } ──┬─ each server that starts ──► Plan ──► scrcpy_server, display
//!                            ├─ each host that connects ──► LinkPlan ──► adbd::link
//!                            ├─ each command, each sync stream ──► bytes ──► adbd's services
//!                            └─ each life of the daemon ──► LifePlan ──► adbd
//! ```
//!
//! The same kinds, seed and number give the same plan, so that a failed test can be run again. Every server, connection,
//! stream and life of the daemon has the faults, each at its own moment. It does not know how a fault is done, only when.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::dice::Dice;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The server takes 1 to 4 s to open its sockets.
    SlowStart,
    /// After 2 to 60 pictures nothing comes for 1 to 5 s.
    EncoderStall,
    /// The server is killed 0.2 to 3 s after its sockets are open.
    ServerDeath,
    /// The device gives no audio: id 0.
    AudioRefused,
    /// After a rotation the server checks positions against the new size 200 to 500 ms before it tells that size.
    UpLost,
    /// After 2 to 60 pictures some bytes that belong to nothing.
    VideoGarbage,
    /// 0.1 to 2 s after the start some bytes that belong to nothing.
    ControlGarbage,
    /// After 2 to 60 pictures a header that announces 4 GiB.
    HugeLength,
    /// The encoder refuses the first size, so a smaller session follows at once.
    DoubleSession,
    /// The network resets a host's connection 1 to 5 s after it was made.
    LinkCut,
    /// The device vanishes from the network 1 to 5 s after a host has connected: no byte, no FIN, no RST.
    HalfOpen,
    /// The adb daemon dies 1 to 5 s after its first host has come, with all that it serves; 0.5 to 2 s later it is back.
    AdbdRestart,
    /// There is no `/dev/uhid`, as in many containers.
    NoUhid,
    /// The audio socket begins with some bytes that belong to nothing.
    AudioGarbage,
    /// 1 to 5 s after a host has connected some bytes that belong to nothing come between two packets of adb.
    AdbGarbage,
    /// At such a moment an adb header that announces 4 GiB.
    AdbHuge,
    /// What a command prints, in frames, begins with some bytes that belong to nothing.
    ShellGarbage,
    /// What a command prints begins with a frame that announces 4 GiB.
    ShellHuge,
    /// 0.1 to 2 s after the start a clipboard of 4 GiB is announced.
    ClipboardHuge,
    /// The first answer of a sync stream is DATA of 4 GiB, announced and not sent.
    SyncHuge,
    /// The first answer of a sync stream begins with some bytes that belong to nothing.
    SyncGarbage,
}

/// No fault has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no fault of this name; there are {}", Fault::ALL.map(Fault::name).join(", "))]
pub struct UnknownFault;

/// The faults of a device. [`Default`] is none. Clones share the count of servers.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    kinds: Vec<Fault>,
    seed: u64,
    /// How many servers, connections, commands, sync streams and lives have faults; `None` = all.
    first: Option<u64>,
    /// How long an encoder hangs that does; `None` = as the seed says.
    hang: Option<Duration>,
    rolls: Arc<Rolls>,
}

/// How many plans of each kind were made.
#[derive(Debug, Default)]
struct Rolls {
    servers: AtomicU64,
    links: AtomicU64,
    commands: AtomicU64,
    syncs: AtomicU64,
    lives: AtomicU64,
}

/// What goes wrong with one server, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// How long the start takes.
    pub(crate) starts_after: Duration,
    /// The pictures before the stall, and how long it lasts.
    pub(crate) stall: Option<(u32, Duration)>,
    /// How long it lives.
    pub(crate) dies_after: Option<Duration>,
    pub(crate) audio_refused: bool,
    /// How much later than input a session is told, but for the first.
    pub(crate) session_late: Duration,
    /// The pictures before these bytes come.
    pub(crate) video_garbage: Option<(u32, Vec<u8>)>,
    /// The time before these bytes come.
    pub(crate) control_garbage: Option<(Duration, Vec<u8>)>,
    /// The pictures before the false header.
    pub(crate) huge_length: Option<u32>,
    pub(crate) first_size_fails: bool,
    pub(crate) no_uhid: bool,
    /// What the audio socket begins with.
    pub(crate) audio_garbage: Option<Vec<u8>>,
}

/// What goes wrong with one host's connection, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkPlan {
    pub(crate) cut_after: Option<Duration>,
    pub(crate) vanishes_after: Option<Duration>,
    /// The time before these bytes come between two packets.
    pub(crate) nonsense: Option<(Duration, Vec<u8>)>,
}

/// How long the adb daemon lives after its first host has come, and how long it is away then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LifePlan {
    pub(crate) dies_after: Duration,
    pub(crate) away: Duration,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::SlowStart,
        Self::EncoderStall,
        Self::ServerDeath,
        Self::AudioRefused,
        Self::UpLost,
        Self::VideoGarbage,
        Self::ControlGarbage,
        Self::HugeLength,
        Self::DoubleSession,
        Self::LinkCut,
        Self::HalfOpen,
        Self::AdbdRestart,
        Self::NoUhid,
        Self::AudioGarbage,
        Self::AdbGarbage,
        Self::AdbHuge,
        Self::ShellGarbage,
        Self::ShellHuge,
        Self::ClipboardHuge,
        Self::SyncHuge,
        Self::SyncGarbage,
    ];

    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::SlowStart => "slow-start",
            Self::EncoderStall => "encoder-stall",
            Self::ServerDeath => "server-death",
            Self::AudioRefused => "audio-refused",
            Self::UpLost => "up-lost",
            Self::VideoGarbage => "video-garbage",
            Self::ControlGarbage => "control-garbage",
            Self::HugeLength => "huge-length",
            Self::DoubleSession => "double-session",
            Self::LinkCut => "link-cut",
            Self::HalfOpen => "half-open",
            Self::AdbdRestart => "adbd-restart",
            Self::NoUhid => "no-uhid",
            Self::AudioGarbage => "audio-garbage",
            Self::AdbGarbage => "adb-garbage",
            Self::AdbHuge => "adb-huge",
            Self::ShellGarbage => "shell-garbage",
            Self::ShellHuge => "shell-huge",
            Self::ClipboardHuge => "clipboard-huge",
            Self::SyncHuge => "sync-huge",
            Self::SyncGarbage => "sync-garbage",
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == text)
            .ok_or(UnknownFault)
    }
}

impl Faults {
    /// These kinds, at moments that `seed` decides.
    pub fn new(kinds: Vec<Fault>, seed: u64) -> Self {
        Self {
            kinds,
            seed,
            first: None,
            hang: None,
            rolls: Arc::default(),
        }
    }

    /// Only the first servers, connections, commands, sync streams and lives have faults, so many of each; what comes
    /// after is sound.
    #[must_use]
    pub fn of_the_first(self, count: u64) -> Self {
        Self {
            first: Some(count),
            ..self
        }
    }

    /// An encoder that hangs does so for this long.
    #[must_use]
    pub fn hanging_for(self, hang: Duration) -> Self {
        Self {
            hang: Some(hang),
            ..self
        }
    }

    /// Whether all that was to have faults has been: what comes now is sound.
    #[must_use]
    pub fn are_over(&self) -> bool {
        let Rolls {
            servers,
            links,
            commands,
            syncs,
            lives,
        } = &*self.rolls;
        self.kinds.iter().all(|kind| {
            let rolled = match kind {
                Fault::LinkCut | Fault::HalfOpen | Fault::AdbGarbage | Fault::AdbHuge => links,
                Fault::ShellGarbage | Fault::ShellHuge => commands,
                Fault::SyncHuge | Fault::SyncGarbage => syncs,
                Fault::AdbdRestart => lives,
                _ => servers,
            };
            let sound = rolled.load(Ordering::Relaxed).checked_sub(1);
            sound.is_some_and(|newest| !self.has(*kind, newest))
        })
    }

    fn has(&self, kind: Fault, number: u64) -> bool {
        self.kinds.contains(&kind) && self.first.is_none_or(|first| number < first)
    }

    /// The plan of the next server.
    pub(crate) fn next_plan(&self) -> Plan {
        let server = self.rolls.servers.fetch_add(1, Ordering::Relaxed);
        let mut plan = Plan::default();
        for &kind in self.kinds.iter().filter(|&&kind| self.has(kind, server)) {
            plan.add(kind, &mut self.dice(kind, server));
        }
        plan.stall = plan
            .stall
            .map(|(pictures, hang)| (pictures, self.hang.unwrap_or(hang)));
        plan
    }

    /// The plan of the next host's connection.
    pub(crate) fn next_link(&self) -> LinkPlan {
        let link = self.rolls.links.fetch_add(1, Ordering::Relaxed);
        let after = |kind| {
            let mut dice = self.has(kind, link).then(|| self.dice(kind, link))?;
            Some(dice.ms(1_000, 5_000))
        };
        let mut nonsense = None;
        if let Some(after) = after(Fault::AdbGarbage) {
            // Other dice than the moment's: they would roll the same.
            nonsense = Some((after, any_bytes(&mut self.dice(Fault::AdbGarbage, !link))));
        }
        if let Some(after) = after(Fault::AdbHuge) {
            let words = [WRTE, 1, 1, u32::MAX, 0, !WRTE];
            nonsense = Some((after, words.iter().flat_map(|word| word.to_le_bytes()).collect()));
        }
        LinkPlan {
            cut_after: after(Fault::LinkCut),
            vanishes_after: after(Fault::HalfOpen),
            nonsense,
        }
    }

    /// What the next command's output begins with that it should not.
    pub(crate) fn next_command(&self) -> Option<Vec<u8>> {
        let command = self.rolls.commands.fetch_add(1, Ordering::Relaxed);
        if self.has(Fault::ShellHuge, command) {
            // Standard output, and the length.
            return Some(vec![1, 0xff, 0xff, 0xff, 0xff]);
        }
        let garbage = self.has(Fault::ShellGarbage, command);
        garbage.then(|| any_bytes(&mut self.dice(Fault::ShellGarbage, command)))
    }

    /// What the next sync stream's answers begin with that they should not.
    pub(crate) fn next_sync(&self) -> Option<Vec<u8>> {
        let sync = self.rolls.syncs.fetch_add(1, Ordering::Relaxed);
        if self.has(Fault::SyncHuge, sync) {
            return Some(b"DATA\xff\xff\xff\xff".to_vec());
        }
        let garbage = self.has(Fault::SyncGarbage, sync);
        garbage.then(|| any_bytes(&mut self.dice(Fault::SyncGarbage, sync)))
    }

    /// The plan of the daemon's next life; none: it lives for ever.
    pub(crate) fn next_life(&self) -> Option<LifePlan> {
        let life = self.rolls.lives.fetch_add(1, Ordering::Relaxed);
        let kind = Fault::AdbdRestart;
        let mut dice = self.has(kind, life).then(|| self.dice(kind, life))?;
        Some(LifePlan {
            dies_after: dice.ms(1_000, 5_000),
            away: dice.ms(500, 2_000),
        })
    }

    /// Each kind has dice of its own, so that one more kind does not move the others.
    fn dice(&self, kind: Fault, number: u64) -> Dice {
        Dice::new(self.seed ^ number << 32 ^ (kind as u64) << 56)
    }
}

impl Plan {
    fn add(&mut self, kind: Fault, dice: &mut Dice) {
        match kind {
            Fault::SlowStart => self.starts_after = dice.ms(1_000, 4_000),
            Fault::EncoderStall => self.stall = Some((pictures(dice), dice.ms(1_000, 5_000))),
            Fault::ServerDeath => self.dies_after = Some(dice.ms(200, 3_000)),
            Fault::AudioRefused => self.audio_refused = true,
            Fault::UpLost => self.session_late = dice.ms(200, 500),
            Fault::VideoGarbage => self.video_garbage = Some((pictures(dice), any_bytes(dice))),
            Fault::ControlGarbage => self.control_garbage = Some((dice.ms(100, 2_000), any_bytes(dice))),
            Fault::HugeLength => self.huge_length = Some(pictures(dice)),
            Fault::DoubleSession => self.first_size_fails = true,
            Fault::NoUhid => self.no_uhid = true,
            Fault::AudioGarbage => self.audio_garbage = Some(any_bytes(dice)),
            Fault::ClipboardHuge => {
                self.control_garbage = Some((dice.ms(100, 2_000), vec![0, 0xff, 0xff, 0xff, 0xff]));
            }
            // These are not a server's.
            Fault::LinkCut
            | Fault::HalfOpen
            | Fault::AdbdRestart
            | Fault::AdbGarbage
            | Fault::AdbHuge
            | Fault::ShellGarbage
            | Fault::ShellHuge
            | Fault::SyncHuge
            | Fault::SyncGarbage => {}
        }
    }
}

/// adb's command for data of a stream.
const WRTE: u32 = u32::from_le_bytes(*b"WRTE");

/// After how many pictures something happens.
fn pictures(dice: &mut Dice) -> u32 {
    dice.between(2, 60) as u32
}

/// 16 to 512 bytes that are nothing.
fn any_bytes(dice: &mut Dice) -> Vec<u8> {
    let len = dice.between(16, 512);
    (0..len).map(|_| dice.roll() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_plans_and_another_seed_others() {
        let plans = |seed| {
            let faults = Faults::new(Fault::ALL.to_vec(), seed);
            [faults.next_plan(), faults.next_plan()]
        };
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
        let [first, second] = plans(1);
        assert_ne!(first, second);
        let links = |seed| {
            let faults = Faults::new(Fault::ALL.to_vec(), seed);
            let links = [faults.next_link(), faults.next_link()];
            let streams = [faults.next_command(), faults.next_sync()];
            (links, [faults.next_life(), faults.next_life()], streams)
        };
        assert_eq!(links(1), links(1));
        assert_ne!(links(1).0, links(2).0);
        assert_ne!(links(1).1[0], links(1).1[1]);
        assert!(links(1).2.iter().all(Option::is_some));
    }

    #[test]
    fn one_more_kind_does_not_move_the_others() {
        let alone = Faults::new(vec![Fault::HugeLength], 7).next_plan();
        let all = Faults::new(Fault::ALL.to_vec(), 7).next_plan();
        assert_eq!(alone.huge_length, all.huge_length);
        assert_eq!(Faults::default().next_plan(), Plan::default());
        assert_eq!(Faults::default().next_link(), LinkPlan::default());
        assert_eq!(Faults::default().next_life(), None);
        assert_eq!(Faults::default().next_command(), None);
        assert_eq!(Faults::default().next_sync(), None);
    }

    #[test]
    fn faults_of_the_first_end_with_them() {
        let faults = Faults::new(Fault::ALL.to_vec(), 7).of_the_first(1);
        assert_ne!(faults.next_plan(), Plan::default());
        assert!(!faults.are_over());
        assert_eq!(faults.next_plan(), Plan::default());
        assert!(!faults.are_over(), "links are still to have theirs");
        let of_servers = Faults::new(vec![Fault::ServerDeath], 7).of_the_first(1);
        let over = [0, 1, 2].map(|_| {
            let over = of_servers.are_over();
            of_servers.next_plan();
            over
        });
        assert_eq!(over, [false, false, true]);
        assert_ne!(faults.next_link(), LinkPlan::default());
        assert_eq!(faults.next_link(), LinkPlan::default());
        assert!(faults.next_life().is_some());
        assert_eq!(faults.next_life(), None);
    }

    #[test]
    fn a_fault_is_named_as_it_is_asked_for() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert_eq!("flood".parse::<Fault>(), Err(UnknownFault));
    }
}
