//! The life of one device as its agent sees it: reached, filmed, lost, reached again.
//!
//! ```text
//!            due                arrived               due              first picture
//!   Absent ───────► Connecting ─────────► Ready ────────────► Starting ─────────────► Capturing
//!     ▲                 │ failed           ▲ ▲   failed          │                       │
//!     ├─────────────────┘                  │ └───────────────────┤     capture ended,    │
//!     │                                    └──────────────────── │ ──── restart asked ───┤
//!     └───────── the connection itself is gone ──────────────────┴───────────────────────┘
//! ```
//!
//! Deadlines: Absent and Ready wait by a backoff; Connecting is bounded by adb's handshake and
//! [`BOOT_TIMEOUT`], Starting by the capture's own limits, Capturing by its pulse.
//!
//! A device is filmed from the moment it is reached, leased or not: starting a server takes half a second to
//! several, which the next holder would wait for, while filming a screen at rest costs nothing (the encoder
//! says nothing), and a device without a holder shows its launcher at rest.
//!
//! It does not know leases, fences or requests; [`Life::happens`] waits, [`Life::turn`] is the only transition.

use std::sync::Arc;
use std::time::Duration;

use adb::Host;
use gateway::Gateway;
use protocol::DeviceId;
use protocol::agent::DeviceHealth;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::{self, Backoff};
use crate::capture::{Capture, CaptureEnd, CaptureError, Recipe};
use crate::custody::{Pass, Presence};
use crate::effects::Reached;
use crate::film::Seen;
use crate::hand::Order;
use crate::probe::{self, Facts, ProbeError};
use crate::recorder::Recording;
use crate::reset::baseline::{Baseline, BaselineError};
use crate::way::{Way, WayError};

/// First and longest wait before a device that is away is dialled again. It may boot for a minute.
const CONNECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// First and longest wait before a capture is started again.
const CAPTURE_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// A capture that held this long ends a row of failures.
const STEADY: Duration = Duration::from_secs(10);
/// How long a device that answers may still boot before it is dialled again.
const BOOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Failures in a row from which on a device counts as away and not as on its way.
const FAILURES_OF_THE_AWAY: u32 = 3;

enum State {
    Absent {
        due: Instant,
    },
    Connecting {
        task: AbortOnDropHandle<Result<(Host, Facts), ArrivalError>>,
    },
    Ready {
        host: Host,
        due: Instant,
    },
    Starting {
        host: Host,
        task: AbortOnDropHandle<Result<Capture, CaptureError>>,
    },
    Capturing {
        host: Host,
        capture: Capture,
        since: Instant,
    },
}

/// What happened to a device.
pub(crate) enum Happening {
    /// A wait is over.
    Due,
    /// It was reached, or not.
    Arrived(Result<(Host, Facts), ArrivalError>),
    /// Its capture started, or not.
    Started(Result<Capture, CaptureError>),
    /// Its capture ended.
    Ended(CaptureEnd),
    /// Somebody wants a new capture.
    Restart,
}

/// Why a device was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalError {
    #[error(transparent)]
    Way(#[from] WayError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("the device did not finish booting within {} s", BOOT_TIMEOUT.as_secs())]
    Boot,
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error("reaching the device failed: {0}")]
    Task(String),
}

/// What a life needs from outside.
pub(crate) struct Surroundings {
    pub(crate) device: DeviceId,
    pub(crate) way: Way,
    pub(crate) recording: Option<Recording>,
    pub(crate) recipe: Recipe,
    pub(crate) gateway: Gateway,
    pub(crate) seen: Arc<Seen>,
    pub(crate) pass: watch::Receiver<Pass>,
    /// Where others find the connection while there is one.
    pub(crate) host: watch::Sender<Option<Reached>>,
    /// Where others find the hand while there is one.
    pub(crate) orders: watch::Sender<Option<mpsc::Sender<Order>>>,
    /// Wakes for a new capture.
    pub(crate) restart: Arc<Notify>,
    /// Taken when the device is first reached, before it is of use to anybody.
    pub(crate) baseline: Baseline,
}

/// One device's life.
pub(crate) struct Life {
    around: Surroundings,
    state: State,
    connecting: Backoff,
    capturing: Backoff,
    facts: Facts,
    /// Whether this connection has shown a picture before.
    filmed: bool,
}

impl Life {
    pub(crate) fn new(around: Surroundings) -> Self {
        Self {
            around,
            state: State::Absent { due: Instant::now() },
            connecting: Backoff::new(CONNECT_BACKOFF.0, CONNECT_BACKOFF.1),
            capturing: Backoff::new(CAPTURE_BACKOFF.0, CAPTURE_BACKOFF.1),
            facts: Facts::default(),
            filmed: false,
        }
    }

    /// Waits for what happens next. Safe to cancel.
    pub(crate) async fn happens(&mut self) -> Happening {
        match &mut self.state {
            State::Absent { due } | State::Ready { due, .. } => {
                tokio::time::sleep_until(*due).await;
                Happening::Due
            }
            State::Connecting { task } => Happening::Arrived(
                task.await
                    .unwrap_or_else(|error| Err(ArrivalError::Task(error.to_string()))),
            ),
            State::Starting { task, .. } => {
                let failed = |error: tokio::task::JoinError| CaptureEnd::Task(error.to_string()).into();
                Happening::Started(task.await.unwrap_or_else(|error| Err(failed(error))))
            }
            State::Capturing { capture, .. } => tokio::select! {
                end = capture.ended() => Happening::Ended(end),
                () = self.around.restart.notified() => Happening::Restart,
            },
        }
    }

    /// The transition; what does not belong to the state changes nothing.
    pub(crate) fn turn(&mut self, happening: Happening, now: Instant) {
        let state = std::mem::replace(&mut self.state, State::Absent { due: now });
        self.state = match (state, happening) {
            (State::Absent { .. }, Happening::Due) => self.connect(),
            (State::Connecting { .. }, Happening::Arrived(Ok((host, facts)))) => {
                self.arrive(host, facts, now)
            }
            (State::Connecting { .. }, Happening::Arrived(Err(error))) => {
                self.log_failure("cannot be reached", &error, self.connecting.failures());
                State::Absent {
                    due: now + self.connecting.failed(backoff::draw()),
                }
            }
            (State::Ready { host, .. }, Happening::Due) => self.start(host),
            (State::Starting { host, .. }, Happening::Started(Ok(capture))) => {
                tracing::info!(device.id = %self.around.device, "capturing");
                self.filmed = true;
                self.around.seen.trouble.send_replace(None);
                self.forget_restart();
                self.around.orders.send_replace(Some(capture.orders.clone()));
                State::Capturing {
                    host,
                    capture,
                    since: now,
                }
            }
            (State::Starting { host, .. }, Happening::Started(Err(error))) => {
                self.log_failure("cannot be captured", &error, self.capturing.failures());
                self.around.seen.trouble.send_replace(Some(error.to_string()));
                self.stay_or_leave(host, now)
            }
            (State::Capturing { host, since, capture }, Happening::Ended(end)) => {
                tracing::warn!(device.id = %self.around.device, error = %end, "the capture ended");
                drop(capture);
                self.settled(since, now);
                if matches!(end, CaptureEnd::NoPulse) {
                    host.clone().close();
                }
                self.stay_or_leave(host, now)
            }
            (State::Capturing { host, since, .. }, Happening::Restart) => {
                tracing::info!(device.id = %self.around.device, "the capture is started anew");
                self.settled(since, now);
                State::Ready { host, due: now }
            }
            (state, _) => state,
        };
        if !matches!(self.state, State::Capturing { .. }) {
            self.around.orders.send_replace(None);
        }
    }

    /// What is known of the device.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether there is a device to be seen and touched.
    pub(crate) fn presence(&self) -> Presence {
        match self.state {
            State::Absent { .. } | State::Connecting { .. } => Presence::Away,
            State::Ready { .. } | State::Starting { .. } => Presence::Between,
            State::Capturing { .. } => Presence::Filmed,
        }
    }

    /// Whether it can be leased and how well it does.
    pub(crate) fn health(&self) -> DeviceHealth {
        let failures = self.connecting.failures().max(self.capturing.failures());
        match self.state {
            State::Capturing { .. } => DeviceHealth::Healthy,
            _ if failures >= FAILURES_OF_THE_AWAY => DeviceHealth::Offline,
            State::Ready { .. } | State::Starting { .. } if self.filmed => DeviceHealth::Degraded,
            _ => DeviceHealth::Booting,
        }
    }

    fn connect(&self) -> State {
        let (way, baseline) = (self.around.way.clone(), self.around.baseline.clone());
        let recording = self.around.recording.clone();
        let task = tokio::spawn(async move {
            let witness = match recording {
                Some(recording) => recording.begin(way.packets()).await,
                None => None,
            };
            let host = way.connect_seen_by(witness).await?;
            let facts = tokio::time::timeout(BOOT_TIMEOUT, probe::probe(&host)).await;
            let facts = facts.map_err(|_| ArrivalError::Boot)??;
            baseline.take(&host).await?;
            Ok((host, facts))
        });
        State::Connecting {
            task: AbortOnDropHandle::new(task),
        }
    }

    fn arrive(&mut self, host: Host, facts: Facts, now: Instant) -> State {
        let (model, sdk) = (&facts.model, facts.sdk);
        tracing::info!(device.id = %self.around.device, device.model = %model, device.sdk = sdk, "reached");
        let boot = facts.boot.clone();
        self.facts = facts;
        self.connecting.succeeded();
        self.capturing.succeeded();
        self.filmed = false;
        self.around.host.send_replace(Some(Reached {
            host: host.clone(),
            boot,
        }));
        State::Ready { host, due: now }
    }

    fn start(&self, host: Host) -> State {
        let around = &self.around;
        let starting = Capture::start(
            host.clone(),
            around.recipe.clone(),
            around.gateway.source(around.device),
            Arc::clone(&around.seen),
            around.pass.clone(),
        );
        State::Starting {
            host,
            task: AbortOnDropHandle::new(tokio::spawn(starting)),
        }
    }

    /// Who wanted a new capture while one was starting has it now.
    fn forget_restart(&self) {
        let wish = std::pin::pin!(self.around.restart.notified());
        wish.enable();
    }

    fn settled(&mut self, since: Instant, now: Instant) {
        if now - since >= STEADY {
            self.capturing.succeeded();
        }
    }

    /// After a capture: on this connection if it still stands, else on a new one.
    fn stay_or_leave(&mut self, host: Host, now: Instant) -> State {
        match host.end() {
            None => State::Ready {
                host,
                due: now + self.capturing.failed(backoff::draw()),
            },
            Some(end) => {
                tracing::warn!(device.id = %self.around.device, error = %end, "the connection is lost");
                self.around.host.send_replace(None);
                State::Absent {
                    due: now + self.connecting.failed(backoff::draw()),
                }
            }
        }
    }

    /// The first failure of a row is news, the rest is not.
    fn log_failure(&self, what: &str, error: &dyn std::fmt::Display, failures: u32) {
        let device = self.around.device;
        if failures == 0 {
            tracing::warn!(device.id = %device, %error, "the device {what}");
        } else {
            tracing::debug!(device.id = %device, %error, failures, "the device {what}");
        }
    }
}
