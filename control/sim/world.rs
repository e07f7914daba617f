//! A world: everything that there is.
//!
//! ```text
//!   seed ─► dice ─► event ─► state ─► invariants ─► event … (STEPS_MAX) ─► rest: no more faults ─► I11
//!                 chance.rs        invariants.rs                          rest.rs
//! ```
//!
//! Time is virtual: a monotonic clock that only goes on, and two wall clocks, control's and the agent's, that also jump,
//! each by itself, ahead and back.

use std::collections::{BTreeMap, HashMap};

use protocol::{ConnectionId, DeviceId, LeaseId};

use super::Rules;
use super::agent_side::Device;
use super::control_side::Memory;
use super::dice::Dice;
use super::ground::{BEGIN, Ground};
use super::invariants::{Ledger, Rows};
use super::mutants::Mutant;
use super::network::{Message, Network, Seat};
use super::people::Person;
use super::stays::Stays;
use super::violation::{Eyes, Violation};
use crate::secret::Hash;

pub(super) const PEOPLE: usize = 3;
/// Events with faults in one world.
const STEPS_MAX: usize = 90;

/// The worst temper. With it, what works dies at one of fifty moments at which it may.
const TEMPER_MAX: u64 = 4;

/// One world.
pub(super) struct World<'a> {
    pub(super) ground: &'a Ground,
    pub(super) dice: Dice,
    pub(super) mutant: Option<Mutant>,
    pub(super) eyes: Eyes,
    tell: bool,
    /// Whether anything goes wrong.
    pub(super) faults: bool,
    /// How much goes wrong, from 1 to `TEMPER_MAX`.
    pub(super) temper: u64,
    /// Milliseconds since the world began.
    pub(super) monotonic: u64,
    /// Control's wall clock.
    pub(super) wall: i64,
    /// The agent's, for the mutant that looks at it.
    pub(super) agent_wall: i64,
    /// The latest that control's ever showed.
    pub(super) wall_max: i64,
    pub(super) network: Network,
    /// The control whose turn it is.
    pub(super) control: Memory,
    /// The other one, where there are two.
    pub(super) other: Memory,
    pub(super) is_pair: bool,
    pub(super) calls_made: u64,
    pub(super) controls_made: u128,
    pub(super) cookies_made: u64,
    pub(super) backed_up: bool,
    /// Whether a mutant had its backup put back at the moment that it needs.
    pub(super) hurt: bool,
    pub(super) sweeping: bool,
    pub(super) devices: Vec<Device>,
    pub(super) people: Vec<Person>,
    /// Who was granted which lease.
    pub(super) owners: BTreeMap<LeaseId, usize>,
    /// What was granted for a request, by its fresh cookie.
    pub(super) granted_for: HashMap<Hash, LeaseId>,
    pub(super) connections: HashMap<ConnectionId, LeaseId>,
    pub(super) ledger: Ledger,
    /// As the control whose turn it is sees them.
    pub(super) stays: Stays,
    /// As the other one does.
    pub(super) others_stays: Stays,
    pub(super) before: Rows,
}

impl<'a> World<'a> {
    pub(super) async fn new(ground: &'a Ground, seed: u64, rules: Rules) -> World<'a> {
        let devices = ground.devices.iter().enumerate().map(|(at, id)| {
            let folder = ground.folder.path().join(at.to_string());
            drop(std::fs::remove_dir_all(&folder));
            std::fs::create_dir(&folder).unwrap();
            Device::new(*id, folder)
        });
        let mut dice = Dice::new(seed);
        let mut world = World {
            ground,
            temper: dice.between(1, TEMPER_MAX),
            dice,
            mutant: rules.mutant,
            eyes: rules.eyes,
            tell: rules.tell,
            faults: true,
            monotonic: 0,
            wall: BEGIN,
            agent_wall: BEGIN,
            wall_max: BEGIN,
            network: Network::default(),
            control: Memory::dead(Seat::First),
            other: Memory::dead(Seat::Second),
            is_pair: false,
            calls_made: 0,
            controls_made: 0,
            cookies_made: 0,
            backed_up: false,
            hurt: false,
            sweeping: false,
            devices: devices.collect(),
            people: (0..PEOPLE).map(|_| Person::default()).collect(),
            owners: BTreeMap::new(),
            granted_for: HashMap::new(),
            connections: HashMap::new(),
            ledger: Ledger::default(),
            stays: Stays::default(),
            others_stays: Stays::default(),
            before: Rows::default(),
        };
        world.copy("base", "main").await;
        world.is_pair = world.has_two();
        world
    }

    /// From the first event to the last. Where the dice came to lie.
    pub(super) async fn live(mut self) -> Result<u64, Violation> {
        self.before = self.look().await?;
        self.controls_start().await?;
        self.agent_starts()?;
        for at in 0..self.devices.len() {
            self.device_is_reached(at)?;
        }
        self.link_rises();
        self.deliver(0).await?;
        self.check(true).await?;
        for _ in 0..STEPS_MAX {
            let changed = self.event().await?;
            self.check(changed).await?;
            self.sweeping = false;
        }
        self.rest().await?;
        Ok(self.dice.throw())
    }

    /// Delivers one message; whether control heard it.
    pub(super) async fn deliver(&mut self, which: usize) -> Result<bool, Violation> {
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
                self.turn_to(self.network.at);
                self.note(|| format!("control hears {message:?}"));
                self.control_hears(message).await?;
                Ok(true)
            }
        }
    }

    /// Whether whoever is at work dies right here.
    pub(super) fn dies_here(&mut self) -> bool {
        self.faults && self.dice.percent(self.temper) && self.dice.percent(50)
    }

    /// Which device has this id.
    pub(super) fn at(&self, device: DeviceId) -> usize {
        let found = self.ground.devices.iter().position(|id| *id == device);
        found.expect("a world has no other devices")
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.tell {
            super::say(&format!("{:>8} ms  {}\n", self.monotonic, what()));
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.monotonic += ms;
        self.wall += ms as i64;
        self.agent_wall += ms as i64;
        self.wall_max = self.wall_max.max(self.wall);
    }
}
