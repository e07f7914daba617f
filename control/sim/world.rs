//! A world: everything that there is, and what happens next.
//!
//! ```text
//!   seed ─► dice ─► event ─► state ─► invariants ─► event … (STEPS_MAX) ─► rest: no more faults ─► I11
//! ```
//!
//! Time is virtual: a monotonic clock that only goes on, and control's wall clock that also jumps.

use std::collections::{BTreeMap, HashMap};

use protocol::{ConnectionId, DeviceId, LeaseId};

use super::agent_side::Device;
use super::control_side::Memory;
use super::dice::Dice;
use super::ground::{BEGIN, DEVICES, Ground, LINKS, SECOND};
use super::invariants::{Ledger, Rows};
use super::mutants::Mutant;
use super::network::{Message, Network};
use super::people::Person;
use super::stays::Stays;
use crate::secret::Hash;

const PEOPLE: usize = 3;
/// Events with faults in one world.
const STEPS_MAX: usize = 90;
/// Rounds of rest: each delivers everything, lets every job end, and lets some time pass.
const REST_ROUNDS: usize = 14;
/// What broke.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

/// Whether the invariants still hold.
pub(super) type Checked = Result<(), Violation>;

pub(super) fn broken<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

/// One world.
pub(super) struct World<'a> {
    pub(super) ground: &'a Ground,
    pub(super) dice: Dice,
    pub(super) mutant: Option<Mutant>,
    tell: bool,
    /// Whether anything goes wrong.
    pub(super) faults: bool,
    /// Milliseconds since the world began.
    pub(super) monotonic: u64,
    /// Control's wall clock, and the agent's for the mutant that looks at it.
    pub(super) wall: i64,
    pub(super) wall_max: i64,
    pub(super) network: Network,
    pub(super) control: Memory,
    pub(super) calls_made: u64,
    pub(super) cookies_made: u64,
    pub(super) backed_up: bool,
    pub(super) sweeping: bool,
    pub(super) devices: Vec<Device>,
    pub(super) people: Vec<Person>,
    /// Who was granted which lease.
    pub(super) owners: BTreeMap<LeaseId, usize>,
    /// What was granted for a request, by its fresh cookie.
    pub(super) granted_for: HashMap<Hash, LeaseId>,
    pub(super) connections: HashMap<ConnectionId, LeaseId>,
    pub(super) ledger: Ledger,
    pub(super) stays: Stays,
    pub(super) before: Rows,
}

impl<'a> World<'a> {
    pub(super) async fn new(ground: &'a Ground, seed: u64, mutant: Option<Mutant>, tell: bool) -> World<'a> {
        let devices = ground.devices.iter().enumerate().map(|(at, id)| {
            let folder = ground.folder.path().join(at.to_string());
            drop(std::fs::remove_dir_all(&folder));
            std::fs::create_dir(&folder).unwrap();
            Device::new(*id, folder)
        });
        let world = World {
            ground,
            dice: Dice::new(seed),
            mutant,
            tell,
            faults: true,
            monotonic: 0,
            wall: BEGIN,
            wall_max: BEGIN,
            network: Network::default(),
            control: Memory::default(),
            calls_made: 0,
            cookies_made: 0,
            backed_up: false,
            sweeping: false,
            devices: devices.collect(),
            people: (0..PEOPLE).map(|_| Person::default()).collect(),
            owners: BTreeMap::new(),
            granted_for: HashMap::new(),
            connections: HashMap::new(),
            ledger: Ledger::default(),
            stays: Stays::default(),
            before: Rows::default(),
        };
        world.copy("base", "main").await;
        world
    }

    /// From the first event to the last.
    pub(super) async fn live(mut self) -> Checked {
        self.before = self.look().await?;
        self.control_starts().await?;
        self.agent_starts()?;
        self.link_rises();
        self.deliver(0).await?;
        self.check(false).await?;
        for _ in 0..STEPS_MAX {
            if self.event().await? {
                self.check(self.sweeping).await?;
            }
            self.sweeping = false;
        }
        self.rest().await
    }

    /// One event. Whether control's rows may have changed.
    async fn event(&mut self) -> Result<bool, Violation> {
        let ms = self.dice_ms();
        self.pass(ms);
        let (who, link) = (self.dice.below(PEOPLE), self.dice.below(LINKS));
        // As the links are spread.
        let at = usize::from(self.dice.below(LINKS) >= SECOND);
        let which = self.dice.below(4);
        match self.dice.below(100) {
            0..27 => return self.something_arrives().await,
            27..39 => self.agent_obeys(at)?,
            39..51 => self.agent_works(at)?,
            51..57 => self.viewer_arrives(at, which.min(1)),
            57..63 => self.touches(at, which.min(1))?,
            63..65 => {
                if let Some(viewer) = self.devices[at].viewers.first().copied() {
                    self.close_viewer(at, viewer.connection, protocol::CloseReason::ClientLeft);
                }
            }
            65..87 if self.control.up => return self.people_act(who, link, at).await,
            87..97 => return self.something_fails(link).await,
            _ => {
                if self.agent_is_up() && self.control.up {
                    if !self.network.linked {
                        self.note(|| "the link rises".to_owned());
                        self.link_rises();
                    } else if self.control.host_up {
                        self.agent_reports();
                    }
                } else if !self.agent_is_up() {
                    self.note(|| "agent starts".to_owned());
                    self.agent_starts()?;
                } else {
                    self.control_starts().await?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn people_act(&mut self, who: usize, link: usize, at: usize) -> Result<bool, Violation> {
        match self.dice.below(22) {
            0..8 => self.claims(who, link).await?,
            8..14 => self.offers(who, link).await?,
            14..16 => self.ends(who, link).await?,
            16..18 => self.operator_resets(at).await?,
            _ => {
                self.sweeping = true;
                self.sweeps().await?;
            }
        }
        Ok(true)
    }

    async fn something_fails(&mut self, link: usize) -> Result<bool, Violation> {
        match self.dice.below(20) {
            0 => self.agent_dies(),
            1 if self.control.up => self.control_dies(),
            2 => {
                self.note(|| "the link breaks".to_owned());
                self.link_breaks().await?;
                return Ok(true);
            }
            3 if self.control.up => {
                self.call_times_out().await?;
                return Ok(true);
            }
            4 if self.control.up => {
                self.revokes(link).await?;
                return Ok(true);
            }
            5 => {
                let ahead = self.dice.percent(50);
                let jump = self.dice.between(1_000, 3_600_000) as i64;
                self.note(|| format!("the wall clock jumps by {jump}, ahead: {ahead}"));
                self.wall += if ahead { jump } else { -jump };
                self.wall_max = self.wall_max.max(self.wall);
            }
            6 => {
                let jump = self.dice.between(1_000, 120_000);
                self.note(|| format!("{jump} ms pass"));
                self.pass(jump);
            }
            7 if !self.backed_up && self.control.up => {
                self.note(|| "a backup is made".to_owned());
                self.back_up().await;
            }
            8 if self.backed_up => {
                self.note(|| "the backup is put back".to_owned());
                self.restore().await?;
                return Ok(true);
            }
            9..12 if !self.network.flying.is_empty() => {
                let lost = self.dice.below(self.network.flying.len());
                let message = self.network.flying.remove(lost);
                // Only requests and answers have streams of their own; the rest is lost with its link.
                if !matches!(message, Message::Request(..) | Message::Answer(..)) {
                    self.link_breaks().await?;
                    return Ok(true);
                }
            }
            12..16 if !self.network.flying.is_empty() => {
                let twice = self.dice.below(self.network.flying.len());
                let message = self.network.flying[twice].clone();
                if !matches!(message, Message::Hello(_)) {
                    self.network.flying.push(message);
                }
            }
            _ => {}
        }
        Ok(false)
    }

    async fn something_arrives(&mut self) -> Result<bool, Violation> {
        if self.network.flying.is_empty() {
            return Ok(false);
        }
        let which = if self.dice.percent(70) {
            0
        } else {
            self.dice.below(self.network.flying.len())
        };
        self.deliver(which).await
    }

    /// Delivers one message; whether control heard it.
    async fn deliver(&mut self, which: usize) -> Result<bool, Violation> {
        match self.network.flying.remove(which) {
            Message::Request(call, request) => {
                let device = match &request {
                    protocol::agent::Request::Prepare(request) => request.device,
                    protocol::agent::Request::Release(request) => request.device,
                    protocol::agent::Request::WhepOffer(request) => request.device,
                    protocol::agent::Request::WhepPatch(request) => request.device,
                    protocol::agent::Request::CloseConnection(request) => request.device,
                };
                let at = self.at(device);
                self.devices[at].inbox.push_back((call, request));
                Ok(false)
            }
            message => {
                self.note(|| format!("control hears {message:?}"));
                self.control_hears(message).await?;
                Ok(true)
            }
        }
    }

    /// Nothing fails any more: everything has to come to its end.
    async fn rest(mut self) -> Checked {
        self.note(|| "rest".to_owned());
        self.faults = false;
        for _ in 0..REST_ROUNDS {
            if !self.agent_is_up() {
                self.agent_starts()?;
            }
            if !self.control.up {
                self.control_starts().await?;
            }
            if !self.network.linked {
                self.link_rises();
            }
            self.agent_reports();
            while !self.network.flying.is_empty() {
                if self.deliver(0).await? {
                    self.check(false).await?;
                }
                for at in 0..DEVICES {
                    self.agent_obeys(at)?;
                }
            }
            for at in 0..DEVICES {
                // A gateway gives up whoever does not come.
                let absent = self.devices[at].viewers.iter().filter(|viewer| !viewer.up);
                for connection in absent.map(|viewer| viewer.connection).collect::<Vec<_>>() {
                    self.close_viewer(at, connection, protocol::CloseReason::IceFailed);
                }
                while !self.devices[at].inbox.is_empty() {
                    self.agent_obeys(at)?;
                }
                while self.devices[at].running.is_some() {
                    self.agent_works(at)?;
                }
            }
            self.pass(15_000);
            while self.network.flying.is_empty() && !self.control.calls.is_empty() {
                self.call_times_out().await?;
                self.check(false).await?;
            }
            self.sweeping = true;
            self.sweeps().await?;
            self.check(true).await?;
            self.sweeping = false;
            if self.network.flying.is_empty() && self.nothing_hangs().is_ok() {
                return Ok(());
            }
        }
        self.nothing_hangs()
    }

    /// Whether whoever is at work dies right here.
    pub(super) fn dies_here(&mut self) -> bool {
        self.faults && self.dice.percent(2)
    }

    /// Which device has this id.
    pub(super) fn at(&self, device: DeviceId) -> usize {
        let found = self.ground.devices.iter().position(|id| *id == device);
        found.expect("a world has no other devices")
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.tell {
            let line = format!("{:>8} ms  {}\n", self.monotonic, what());
            let _ = std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes());
        }
    }

    fn dice_ms(&mut self) -> u64 {
        if self.dice.percent(5) {
            self.dice.between(1_000, 40_000)
        } else {
            self.dice.between(0, 400)
        }
    }

    fn pass(&mut self, ms: u64) {
        self.monotonic += ms;
        self.wall += ms as i64;
        self.wall_max = self.wall_max.max(self.wall);
    }
}
