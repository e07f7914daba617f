//! Control's side of a world: its own store, rules and jobs, driven one transaction at a time.
//!
//! ```text
//!   a transaction ── dies here? ──► Owed::by(state) ──► a call ── answer, time-out, broken link ──► conclude
//! ```
//!
//! What is asked and what follows from the answer is `jobs::prepare`, `jobs::release` and `jobs::reset`; what a Hello means is `Store::adopt`. A dead control keeps its database and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::agent::{CloseConnection, Hello, PROTOCOL, Reply, Report, Request};
use protocol::{ConnectionId, Epoch};
use signaling::link::call::CallError;
use uuid::Uuid;

use super::mutants::Mutant;
use super::network::{CallId, Message, Seat};
use super::replicas::authority;
use super::violation::{Checked, Violation};
use super::world::World;
use crate::agents;
use crate::app::Owed;
use crate::domain::deadlines::{Deadlines, RECONNECT_WINDOW};
use crate::domain::device::Reset;
use crate::domain::session::Session;
use crate::domain::time::{Moment, Steady, UnixMs};
use crate::hosts::Said;
use crate::jobs::duty::{Duties, Duty};
use crate::jobs::{hang_up, prepare, release, reset};
use crate::store::StoreError;
use crate::store::connections::Adopted;
use crate::store::feed::News;

/// Results of a hundred that a job cannot write.
const UNWRITTEN: u64 = 4;

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Prepare(Session),
    Release(Session),
    Reset(Reset),
    /// That a viewer is let in.
    Offer(Session, ConnectionId),
    /// The end of a connection: asked for until the agent says so.
    Close(CloseConnection),
    /// That a quarantined device is cut off.
    CutOff(Reset),
    /// What the other control wants to know.
    Serve(CallId),
}

/// What a living control has in its memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) up: bool,
    /// When it started, monotonic milliseconds.
    pub(super) since: u64,
    /// Whether a Hello was accepted over the present link.
    pub(super) host_up: bool,
    pub(super) calls: BTreeMap<CallId, Call>,
    /// What the wall clock said when it started; only a mutant looks at it.
    wall_since: i64,
    pub(super) deadlines: Deadlines,
    /// What the agent said last of its devices over the present link.
    pub(super) said: Said,
    /// What it is at.
    pub(super) duties: Duties,
    /// Which of the two it is, and what the other one knows it by while it lives.
    pub(super) seat: Seat,
    pub(super) id: Uuid,
    /// Whether it hears what is told, and what it was told and has not heard.
    pub(super) listens: bool,
    pub(super) news: VecDeque<News>,
    /// Calls that another control makes for it, and which.
    pub(super) asked: BTreeMap<CallId, Uuid>,
    /// What its last look saw; only a mutant goes by it.
    pub(super) remembered: (Deadlines, Vec<Session>),
}

impl Memory {
    /// A control that is not there.
    pub(super) fn dead(seat: Seat) -> Self {
        Self {
            seat,
            ..Self::default()
        }
    }
}

impl From<StoreError> for Violation {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("the store failed: {error}"))
    }
}

impl World<'_> {
    pub(super) fn now(&self) -> UnixMs {
        UnixMs(self.wall)
    }

    pub(super) async fn control_starts(&mut self) -> Checked {
        self.note(|| format!("control {:?} starts", self.control.seat));
        self.controls_made += 1;
        let id = Uuid::from_u128(self.controls_made);
        if !self.is_pair {
            self.ground
                .store
                .replica_starts(id, authority(), self.now())
                .await?;
        }
        self.ground.store.settle_devices(self.now()).await?;
        if self.mutant == Some(Mutant::EpochReset) {
            self.sql("UPDATE generation SET since = 0").await;
        }
        self.stays.control_starts();
        self.control = Memory {
            up: true,
            since: self.monotonic,
            wall_since: self.wall,
            id,
            listens: true,
            ..Memory::dead(self.control.seat)
        };
        Ok(())
    }

    pub(super) fn control_dies(&mut self) {
        self.note(|| format!("control {:?} dies", self.control.seat));
        if self.network.at == self.control.seat {
            self.network.cut();
        }
        self.control = Memory::dead(self.control.seat);
    }

    /// Something was committed; true if control dies before anything follows from it.
    pub(super) fn control_dies_here(&mut self) -> bool {
        let dies = self.dies_here();
        if dies {
            self.control_dies();
        }
        dies
    }

    /// What follows from a changed lease, as `App::set_about`.
    pub(super) async fn follow(&mut self, session: &Session) -> Checked {
        let mut session = session.clone();
        if self.mutant == Some(Mutant::RevokeWithoutEpoch) {
            session.release_epoch = session.release_epoch.and(Some(session.epoch));
        }
        let session = &session;
        match Owed::by(session.state) {
            Owed::Prepare => {
                let duty = Duty::Prepare(session.lease);
                if self.takes_up(duty) {
                    match prepare::still_asked(&self.ground.store, session).await? {
                        Some(now) => {
                            let request = Request::Prepare(prepare::request(&now));
                            self.call(Call::Prepare(now), request);
                        }
                        None => self.control.duties.lay_down(duty),
                    }
                }
            }
            Owed::Release => {
                if let Some(request) = release::request(session)
                    && self.takes_up(Duty::Release(session.lease))
                {
                    self.call(Call::Release(session.clone()), Request::Release(request));
                }
            }
            Owed::Nothing => {}
        }
        Ok(())
    }

    /// What an operator's order asks for, as `reset::spawn`.
    pub(super) fn follow_order(&mut self, order: Reset) {
        if self.takes_up(Duty::Reset(order.device, order.epoch)) {
            self.call(Call::Reset(order), Request::Release(reset::request(&order)));
        }
    }

    /// A duty is taken up, unless control is at it or has no link.
    pub(super) fn takes_up(&mut self, duty: Duty) -> bool {
        self.control.host_up && self.control.duties.take_up(duty)
    }

    /// A job ended, whatever it came to.
    fn lays_down(&mut self, call: &Call, answered: &Result<(), CallError>) {
        let (duty, once) = match call {
            Call::Prepare(session) => (Duty::Prepare(session.lease), None),
            Call::Release(session) => (Duty::Release(session.lease), Some(Mutant::ReleaseAskedOnce)),
            Call::Reset(order) => (
                Duty::Reset(order.device, order.epoch),
                Some(Mutant::ResetAskedOnce),
            ),
            Call::CutOff(order) => (Duty::CutOff(order.device, order.epoch), None),
            Call::Offer(..) | Call::Close(_) | Call::Serve(_) => return,
        };
        if answered.is_ok() || once.is_none() || self.mutant != once {
            self.control.duties.lay_down(duty);
        }
    }

    pub(super) fn call(&mut self, call: Call, request: Request) {
        if self.control.host_up {
            self.calls_made += 1;
            self.control.calls.insert(self.calls_made, call);
            // Where every release arrives, nobody would miss a word to those who were not cut off.
            let is_release = matches!(request, Request::Release(_));
            if self.mutant == Some(Mutant::QuarantineNotCut) && is_release && self.dice.percent(60) {
                return;
            }
            if self.network.at == self.control.seat {
                self.network.send(Message::Request(self.calls_made, request));
            }
        }
    }

    /// The agent dialled and said Hello.
    pub(super) async fn on_hello(&mut self, mut hello: Hello) -> Checked {
        if self.mutant == Some(Mutant::EpochReset) {
            hello.devices.iter_mut().for_each(|fact| fact.fence = Epoch(0));
        }
        // A link that is still thought to stand is replaced.
        self.calls_break().await?;
        self.control
            .deadlines
            .greeted(hello.devices.iter().map(|fact| fact.id));
        let living = self.living().await?;
        let (store, id) = (&self.ground.store, self.control.id);
        store
            .link_host(self.ground.host, id, authority(), self.now())
            .await?;
        if self.control_dies_here() {
            return Ok(());
        }
        let Adopted { mut live, mut strays } = self
            .ground
            .store
            .adopt(self.ground.host, &hello, self.now())
            .await?;
        if self.mutant == Some(Mutant::FreeAboveTheFence) {
            self.sql("UPDATE devices SET occupancy = 'free' WHERE occupancy = 'quarantined'")
                .await;
        }
        if self.control_dies_here() {
            return Ok(());
        }
        self.control.host_up = true;
        self.control.said.remember(&hello.devices);
        // The rows come in the order of random ids; a world must not know it.
        live.sort_by_key(|session| self.at(session.device));
        for session in live {
            self.follow(&session).await?;
        }
        strays.sort_by_key(|stray| self.at(stray.device));
        for stray in strays {
            self.hang_up(stray).await?;
        }
        self.none_was_given_up(&living).await
    }

    pub(super) async fn on_report(&mut self, mut report: Report, sent: u64) -> Checked {
        if self.mutant == Some(Mutant::EpochReset) {
            report.devices.iter_mut().for_each(|fact| fact.fence = Epoch(0));
        }
        if self.control.host_up {
            let (now, steady) = (self.now(), self.moment().steady);
            agents::hear(&mut self.control.deadlines, &report, steady);
            self.stays.reported(sent);
            if !self.control.said.remember(&report.devices) {
                return Ok(());
            }
            let store = &self.ground.store;
            let mut over = store.report(self.ground.host, &report.devices, now).await?;
            if self.control_dies_here() {
                return Ok(());
            }
            over.sort_by_key(|session| self.at(session.device));
            for session in over {
                self.follow(&session).await?;
            }
        }
        Ok(())
    }

    /// A message of the agent arrives.
    pub(super) async fn control_hears(&mut self, message: Message) -> Checked {
        match message {
            Message::Hello(hello) => self.on_hello(hello).await,
            Message::Report(report, sent) => self.on_report(report, sent).await,
            Message::Connection(event) => self.on_connection(&event).await,
            Message::Answer(call, reply) => self.on_answer(call, reply).await,
            Message::Request(..) => Ok(()),
        }
    }

    pub(super) async fn committed(&mut self, changed: Option<Session>) -> Checked {
        match changed {
            Some(changed) if !self.control_dies_here() => self.follow(&changed).await,
            _ => Ok(()),
        }
    }

    async fn on_answer(&mut self, id: CallId, reply: Reply) -> Checked {
        let call = match self.control.calls.remove(&id) {
            Some(call) => call,
            None if self.mutant == Some(Mutant::WipeOfAnotherEpoch) && reply == Reply::Released => {
                let awaited = |call: &Call| matches!(call, Call::Release(_) | Call::Reset(..));
                let found = self.control.calls.iter().find(|(_, call)| awaited(call));
                let Some(other) = found.map(|(id, _)| *id) else {
                    return Ok(());
                };
                self.control.calls.remove(&other).expect("it was found")
            }
            None => return Ok(()),
        };
        if let Call::Serve(asked) = call {
            return self.serves_with(asked, Ok(reply)).await;
        }
        let answered = match reply {
            Reply::Refused(refusal) => Err(CallError::Refused(refusal)),
            _ => Ok(()),
        };
        self.conclude(call, answered, true).await
    }

    /// An answer came, or will not come.
    pub(super) async fn conclude(
        &mut self,
        call: Call,
        answered: Result<(), CallError>,
        up: bool,
    ) -> Checked {
        self.lays_down(&call, &answered);
        self.hears_of_a_fence(&call, &answered);
        if self.unwritten(&call) {
            return Ok(());
        }
        let (now, store) = (self.now(), &self.ground.store);
        let changed = match call {
            Call::Prepare(session) => prepare::conclude(store, &session, answered, up, now).await?,
            Call::Release(session) => release::conclude(store, &session, answered, up, now).await?,
            Call::Reset(order) => {
                reset::conclude(store, &order, answered, up, now).await?;
                None
            }
            Call::Offer(session, connection) if answered.is_err() => {
                store.drop_connection(connection, session.lease, now).await?
            }
            Call::Offer(session, connection) => {
                self.offer_is_answered(&session, connection).await?;
                None
            }
            Call::Close(close) => {
                if up && answered.is_err_and(|error| hang_up::may_stay(&error)) {
                    self.hang_up(close).await?;
                }
                None
            }
            Call::Serve(asked) => {
                if let Err(error) = answered {
                    self.serves_with(asked, Err(error)).await?;
                }
                None
            }
            Call::CutOff(_) => None,
        };
        self.committed(changed).await
    }

    /// The agent answered a release, whatever came of it.
    fn hears_of_a_fence(&mut self, call: &Call, answered: &Result<(), CallError>) {
        let (device, epoch) = match call {
            Call::Release(session) => match session.release_epoch {
                Some(epoch) => (session.device, epoch),
                None => return,
            },
            Call::Reset(order) | Call::CutOff(order) => (order.device, order.epoch),
            Call::Prepare(_) | Call::Offer(..) | Call::Close(_) | Call::Serve(_) => return,
        };
        self.control.said.answered(device, epoch, answered);
    }

    /// The database is away just when a job would write what it came to.
    fn unwritten(&mut self, call: &Call) -> bool {
        let is_job = matches!(call, Call::Prepare(_) | Call::Release(_) | Call::Reset(_));
        let away = self.faults && is_job && self.dice.percent(UNWRITTEN);
        if away {
            self.note(|| format!("what came of {call:?} cannot be written"));
        }
        away
    }

    /// What control knows of a link that is gone: every call over it breaks, and the host's devices are marked.
    pub(super) async fn link_is_lost(&mut self) -> Checked {
        if !self.control.up {
            return Ok(());
        }
        let was_up = std::mem::take(&mut self.control.host_up);
        self.control.said = Said::default();
        self.calls_break().await?;
        if was_up && self.control.up {
            let id = self.control.id;
            self.ground.store.host_lost(self.ground.host, id).await?;
        }
        Ok(())
    }

    /// Every call over a link that is gone breaks.
    async fn calls_break(&mut self) -> Checked {
        let Memory { calls, asked, .. } = &self.control;
        let over_it: Vec<CallId> = calls
            .keys()
            .filter(|id| !asked.contains_key(id))
            .copied()
            .collect();
        for id in over_it {
            if let Some(call) = self.control.calls.remove(&id) {
                self.conclude(call, Err(CallError::Lost("cut".to_owned())), false)
                    .await?;
            }
        }
        Ok(())
    }

    /// The agent dials a control that is there; it says Hello first.
    pub(super) fn link_rises(&mut self) {
        self.network.at = self.dials();
        self.network.linked = true;
        self.network.had = self.taken_in();
        let hello = Hello {
            protocol: vec![PROTOCOL],
            agent_version: String::new(),
            name: "host".to_owned(),
            devices: self.facts(),
            connections: self.live_connections(),
        };
        self.network.send(Message::Hello(hello));
    }

    /// A call's time is over.
    pub(super) async fn call_times_out(&mut self) -> Checked {
        match self.control.calls.pop_first() {
            Some((id, call)) if self.control.asked.contains_key(&id) => {
                self.control.calls.insert(id, call);
                self.is_answered(id, false).await
            }
            Some((_, call)) => self.conclude(call, Err(CallError::TimedOut), true).await,
            None => Ok(()),
        }
    }

    /// Now, as control's clocks show it.
    pub(super) fn moment(&self) -> Moment {
        let mut up = self.monotonic - self.control.since;
        if self.mutant == Some(Mutant::WallClockAtControl) {
            up = u64::try_from(self.wall - self.control.wall_since).unwrap_or(0);
        }
        if self.mutant == Some(Mutant::ExpireRightAfterRestart) {
            up += RECONNECT_WINDOW.as_millis() as u64;
        }
        Moment {
            steady: Steady(Duration::from_millis(up)),
            wall: self.now(),
        }
    }

    pub(super) async fn sql(&self, sql: &str) {
        let done = self.ground.store.run(sql.to_owned()).await;
        done.expect("the world's own statement is good");
    }
}
