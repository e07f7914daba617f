//! Hosts whose link is up, and what they said last.
//!
//! ```text
//!   Host (a link) ──► Hosts: one per host, and its turn
//!   Hello, Report ──► Said: news, or not? ──► fences, for whoever is to be cut off
//! ```

use std::sync::Arc;

use dashmap::DashMap;
use protocol::agent::{DeviceFact, RefusalCode};
use protocol::{DeviceId, Epoch, HostId};
use signaling::link::call::CallError;
use signaling::link::server::{Host, close_code};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The registry. At most one link per host.
#[derive(Default)]
pub(crate) struct Hosts {
    links: DashMap<HostId, Host>,
    /// The last report of each host, so that one that says nothing new costs no transaction; it tells of fences.
    said: DashMap<HostId, Said>,
    /// Coming and going of one host, one after the other. One small entry per enrolled host.
    turns: DashMap<HostId, Arc<Mutex<()>>>,
}

/// What a host said last of its devices, over the link that it has now.
#[derive(Debug, Default)]
pub(crate) struct Said(Vec<DeviceFact>);

impl Said {
    /// Remembers it. Whether it is something new.
    pub(crate) fn remember(&mut self, facts: &[DeviceFact]) -> bool {
        let is_news = self.0 != facts;
        if is_news {
            self.0 = facts.to_vec();
        }
        is_news
    }

    /// Whether it was that a device's fence is below this epoch.
    pub(crate) fn is_below(&self, device: DeviceId, epoch: Epoch) -> bool {
        let below = |fact: &DeviceFact| fact.id == device && fact.fence < epoch;
        self.0.iter().any(below)
    }

    /// A device's agent answered a release: its fence has risen that far, whatever came of the cleaning. Its own word of
    /// it may still be on its way.
    pub(crate) fn answered(&mut self, device: DeviceId, epoch: Epoch, answer: &Result<(), CallError>) {
        let has_risen = match answer {
            Ok(()) => true,
            Err(CallError::Refused(refusal)) => matches!(
                refusal.code,
                RefusalCode::StaleEpoch | RefusalCode::SetupFailed | RefusalCode::DeviceOffline
            ),
            Err(_) => false,
        };
        let known = self.0.iter_mut().find(|fact| fact.id == device);
        if let Some(fact) = known.filter(|_| has_risen) {
            fact.fence = fact.fence.max(epoch);
        }
    }
}

impl Hosts {
    /// The link to a host, if it is up.
    pub(crate) fn get(&self, host: HostId) -> Option<Host> {
        self.links.get(&host).map(|link| link.clone())
    }

    /// Those that are up.
    pub(crate) fn here(&self) -> Vec<HostId> {
        self.links.iter().map(|link| *link.key()).collect()
    }

    /// Their links.
    pub(crate) fn links(&self) -> Vec<Host> {
        self.links.iter().map(|link| link.clone()).collect()
    }

    /// Has every host dial again, and say in its Hello everything that it has.
    pub(crate) fn dial_again(&self) {
        for link in self.links() {
            link.close(close_code::STOPPING, "say it all again");
        }
    }

    /// Links that are registered and stand no more.
    pub(crate) fn broken(&self) -> Vec<Host> {
        let broken = self.links.iter().filter(|link| !link.is_up());
        broken.map(|link| link.clone()).collect()
    }

    /// Whether a host is up.
    pub(crate) fn is_online(&self, host: HostId) -> bool {
        self.links.contains_key(&host)
    }

    /// Waits for a host's turn: its link's coming and going must not overtake one another.
    pub(crate) async fn turn(&self, host: HostId) -> OwnedMutexGuard<()> {
        let turn = self.turns.entry(host).or_default().clone();
        turn.lock_owned().await
    }

    /// A host's turn, unless its link is just coming or going.
    pub(crate) fn try_turn(&self, host: HostId) -> Option<OwnedMutexGuard<()>> {
        let turn = self.turns.entry(host).or_default().clone();
        turn.try_lock_owned().ok()
    }

    /// Registers a link; returns the one that it replaces.
    pub(crate) fn insert(&self, link: Host) -> Option<Host> {
        self.said.remove(&link.id());
        self.links.insert(link.id(), link)
    }

    /// Removes exactly this link. False when a newer one has taken its place.
    pub(crate) fn remove(&self, link: &Host) -> bool {
        self.links
            .remove_if(&link.id(), |_, current| current.is_same_link(link))
            .is_some()
    }

    /// Forgets what a host said last, because it could not be noted.
    pub(crate) fn forget_facts(&self, host: HostId) {
        self.said.remove(&host);
    }

    /// Forgets what every host said: the database may have been put back to before it.
    pub(crate) fn forget_all_facts(&self) {
        self.said.clear();
    }

    /// Whether a host that is up says that a device's fence is below this epoch.
    pub(crate) fn is_below(&self, host: HostId, device: DeviceId, epoch: Epoch) -> bool {
        let said = self.said.get(&host);
        self.is_online(host) && said.is_some_and(|said| said.is_below(device, epoch))
    }

    /// A device's agent answered a release (see [`Said::answered`]).
    pub(crate) fn answered(
        &self,
        host: HostId,
        device: DeviceId,
        epoch: Epoch,
        answer: &Result<(), CallError>,
    ) {
        self.said.entry(host).or_default().answered(device, epoch, answer);
    }

    /// Remembers what a host said last. Whether it is something new.
    pub(crate) fn remember(&self, host: HostId, facts: &[DeviceFact]) -> bool {
        self.said.entry(host).or_default().remember(facts)
    }
}
