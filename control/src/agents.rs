//! Control's side of the agent link: who may join, what a Hello means, what follows from events.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use protocol::agent::{ConnectionEvent, DeviceFact, Hello, Refusal, RefusalCode, Report, Touched};
use protocol::{CloseReason, HostId};
use signaling::link::server::{Backend, Host, Join, close_code};

use crate::app::{App, Shared};
use crate::domain::deadlines::Deadlines;
use crate::domain::session::Presence;
use crate::domain::time::{Steady, UnixMs};
use crate::doubt;
use crate::jobs::hang_up;
use crate::secret::Hash;
use crate::store::StoreError;
use crate::store::audit::{Actor, ActorKind};
use crate::store::connections::{Adopted, Noted};
use crate::store::hosts::{JoinRefused, NewHost};

/// Wait before a connection's change is written again: a server that was restarted is back within half a second.
const WRITE_RETRY: Duration = Duration::from_millis(250);

/// The backend of the link's server.
pub(crate) struct Agents(pub(crate) Shared);

impl Backend for Agents {
    async fn join(&self, join: Join) -> Result<HostId, Refusal> {
        let host = NewHost {
            token: Hash::of(&join.secret),
            key: join.key,
            name: &join.name,
            certificate_ends: join.certificate_ends.into(),
        };
        let joined = self.0.store.join(host, &by_host(join.peer), UnixMs::now()).await;
        joined.map_err(|error| failed(&error))?.map_err(|refused| {
            let detail = match refused {
                JoinRefused::Unknown => "the join token is unknown or expired; make a new one",
                JoinRefused::Used => {
                    tracing::error!(peer = %join.peer, "ALARM: a join token was used a second time");
                    "the join token was used before; make a new one, and find out who used it"
                }
                JoinRefused::Retired => "this host was retired",
            };
            unauthorised(detail)
        })
    }

    async fn renew(&self, host: &Host, ends: SystemTime) -> Result<(), Refusal> {
        match self
            .0
            .store
            .renew_host(host.id(), ends.into())
            .await
            .map_err(|error| failed(&error))?
        {
            true => Ok(()),
            false => Err(unauthorised("this host is not enrolled any more")),
        }
    }

    async fn up(&self, host: Host, hello: Hello) -> Result<(), Refusal> {
        if self.0.replica.sight.is_lost() {
            return Err(out_of_sight());
        }
        let _turn = self.0.hosts.turn(host.id()).await;
        let now = UnixMs::now();
        if !self
            .0
            .store
            .greet_host(host.id(), host.certificate.key, now)
            .await
            .map_err(|error| failed(&error))?
        {
            return Err(unauthorised(
                "this host is not enrolled here; join again with a new token",
            ));
        }
        if let Some(older) = self.0.hosts.get(host.id())
            && older.peer.ip() != host.peer.ip()
        {
            return Err(second(&host, &older.peer));
        }
        let elsewhere = doubt::still_answers(&self.0, host.id()).await;
        if let Some(other) = elsewhere.map_err(|error| failed(&error))? {
            return Err(second(&host, &format_args!("at the control {other}")));
        }
        self.0
            .deadlines()
            .greeted(hello.devices.iter().map(|fact| fact.id));
        // First: a device that this Hello shows as healthy must not look as if nobody were linked to it.
        let App {
            replica, authority, ..
        } = &*self.0;
        self.0
            .store
            .link_host(host.id(), replica.id, *authority, now)
            .await
            .map_err(|error| failed(&error))?;
        let Adopted { live, strays } = self
            .0
            .store
            .adopt(host.id(), &hello, now)
            .await
            .map_err(|error| failed(&error))?;
        tracing::info!(host.id = %host.id(), peer = %host.peer, devices = hello.devices.len(), leases = live.len(), "a host is up");
        let linked = host.id();
        if let Some(older) = self.0.hosts.insert(host) {
            older.close(close_code::REPLACED, "replaced");
        }
        // It was noted just now: a report that says the same is no news.
        self.0.hosts.remember(linked, &hello.devices);
        for session in live {
            App::changed(&self.0, session);
        }
        for stray in strays {
            tracing::warn!(connection.id = %stray.connection, host.id = %linked, "a host has a connection that is over here");
            hang_up::spawn(&self.0, linked, stray);
        }
        self.attend(linked, &hello.devices);
        Ok(())
    }

    async fn report(&self, host: &Host, report: Report) {
        let now = self.0.now().steady;
        hear(&mut self.0.deadlines(), &report, now);
        if !self.0.hosts.remember(host.id(), &report.devices) {
            return;
        }
        let noted = self.0.store.report(host.id(), &report.devices, UnixMs::now());
        match noted.await {
            Ok(over) => {
                for session in over {
                    App::changed(&self.0, session);
                }
            }
            Err(error) => {
                tracing::error!(host.id = %host.id(), %error, "a host's report could not be noted; the next one is");
                self.0.hosts.forget_facts(host.id());
            }
        }
        self.attend(host.id(), &report.devices);
    }

    /// What happened is written before anything later of this host is looked at. While the database is away its link
    /// waits; what cannot be written at all is told anew by the Hello of its next link.
    async fn connection(&self, host: &Host, event: ConnectionEvent) {
        loop {
            let written = self
                .0
                .store
                .connection_changed(host.id(), &event, UnixMs::now())
                .await;
            match written {
                Ok(Noted::Known(changed)) => {
                    if let Some(changed) = changed {
                        App::changed(&self.0, changed);
                    }
                    return;
                }
                Ok(Noted::Stray(reason)) => return self.hang_up(host, &event, reason),
                Err(error) if error.is_away() && host.is_up() => {
                    tracing::warn!(connection.id = %event.connection, %error, "a connection's change waits for the database");
                    tokio::time::sleep(WRITE_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(connection.id = %event.connection, %error, "a connection's change could not be noted; its host says all of them again");
                    host.close(close_code::STOPPING, "say it all again");
                    return;
                }
            }
        }
    }

    async fn down(&self, host: &Host) {
        let _turn = self.0.hosts.turn(host.id()).await;
        if !self.0.hosts.remove(host) {
            return;
        }
        tracing::info!(host.id = %host.id(), "a host is down");
        self.0.watches.attend(host.id(), |_| Some(Presence::Unlinked));
        let App { store, replica, .. } = &*self.0;
        if let Err(error) = store.host_lost(host.id(), replica.id).await {
            tracing::error!(host.id = %host.id(), %error, "a host's absence could not be noted; it is tried again");
        }
    }
}

impl Agents {
    /// A connection came up that is over here.
    fn hang_up(&self, host: &Host, event: &ConnectionEvent, reason: CloseReason) {
        tracing::warn!(connection.id = %event.connection, reason = reason.as_str(), "a connection came up that is over here");
        hang_up::spawn(&self.0, host.id(), hang_up::stray(event, reason));
    }

    /// Whoever watches a session learns how its device is.
    fn attend(&self, host: HostId, facts: &[DeviceFact]) {
        let health = |device| {
            facts
                .iter()
                .find(|fact| fact.id == device)
                .map(|fact| fact.health)
        };
        self.0.watches.attend(host, |device| {
            let lost = Presence::Lost;
            Some(health(device).map_or(lost, Presence::from))
        });
    }
}

/// Takes in when people last acted on a host's devices.
pub(crate) fn hear(deadlines: &mut Deadlines, report: &Report, now: Steady) {
    for fact in &report.devices {
        // What was done under an older epoch was somebody else.
        let of_now = |touched: &&Touched| touched.device == fact.id && touched.epoch == fact.fence;
        let touched = report.touched.iter().find(of_now);
        let quiet = touched.map(|touched| Duration::from_millis(touched.ago_ms));
        deadlines.heard(fact.id, fact.fence, quiet, now);
    }
}

fn by_host(ip: IpAddr) -> Actor {
    Actor {
        kind: ActorKind::Host,
        id: None,
        ip: Some(ip),
    }
}

fn unauthorised(detail: &str) -> Refusal {
    Refusal {
        code: RefusalCode::Unauthorised,
        detail: detail.to_owned(),
    }
}

/// Two at once have this host's certificate: one of them is a thief, and nobody knows which.
fn second(newer: &Host, older: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(host.id = %newer.id(), %older, newer = %newer.peer,
        "ALARM: a host's certificate is used a second time; the newer link is refused");
    Refusal {
        code: RefusalCode::Busy,
        detail: "this host is linked already, and its link answers".to_owned(),
    }
}

/// Another control may see what this one does not.
fn out_of_sight() -> Refusal {
    Refusal {
        code: RefusalCode::Internal,
        detail: "this control does not see its database".to_owned(),
    }
}

fn failed(error: &StoreError) -> Refusal {
    tracing::error!(%error, "a host could not be served");
    Refusal {
        code: RefusalCode::Internal,
        detail: "control's database failed".to_owned(),
    }
}
