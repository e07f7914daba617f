//! The device's adb daemon: takes hosts on a TCP port and serves what they open.
//!
//! ```text
//!   TcpListener ─► host task ─► OPEN ─┬─ shell… exec:      shell_service   a run of the device's shell
//!     (≤ MAX_HOSTS)    │              ├─ sync:             sync_service    the device's files
//!                      │              ├─ reverse:…         reverse         listens inside, opens towards this host
//!                      │              ├─ localabstract:N   bridge          a program that listens in the device
//!                      │              ├─ tcp:P             bridge          the same, on the device's own loopback
//!                      │              └─ anything else     refused
//!                      └─ ends: its streams, commands and reverses end with it
//! ```
//!
//! It does not know what commands do or what is spoken on sockets. Each host has its own connection and tasks, all of
//! which end when [`serve`] is cancelled, and when the daemon is told to [die](crate::fault) and to come back. Who may come in is [`Options::guard`]'s matter; a host that begins anew on its
//! connection has no streams and no reverses any more.

mod bridge;
mod fuzzing;
mod link;
mod reverse;
mod shell_service;
mod sync_service;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adb::IncomingOpen;
use adb::banner::{Banner, DELAYED_ACK, LS_V2, Product, SENDRECV_V2, STAT_V2};
use adb::daemon::{self, Guard};
use adb::window::Window;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fault::LifePlan;
use crate::userland::Userland;
use link::Link;
use reverse::Reverses;

#[doc(hidden)]
pub use fuzzing::{fuzz, fuzz_reverses};

/// Hosts that are connected at once. Reached: the next one's connection is closed at once.
pub const MAX_HOSTS: usize = 16;
/// What this daemon serves, and nothing that it does not.
const FEATURES: [&str; 6] = ["shell_v2", "cmd", STAT_V2, LS_V2, "fixed_push_mkdir", SENDRECV_V2];

/// How the daemon presents itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// What `adb devices -l` shows.
    pub product: Product,
    /// Whether hosts that list it get windows in bytes instead of one packet per OKAY.
    pub delayed_ack: DelayedAck,
    /// Who may come in: anyone, or hosts with a known key, shown in AUTH or in TLS.
    pub guard: Guard,
    /// What a host may send on each stream, with delayed ack.
    pub window: Window,
}

impl Options {
    /// A device for anyone, with all that it can do.
    #[must_use]
    pub fn open(product: Product) -> Self {
        Self {
            product,
            delayed_ack: DelayedAck::Listed,
            guard: Guard::Open,
            window: Window::default(),
        }
    }
}

/// Whether delayed ack is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayedAck {
    /// As Android 14 and later do.
    Listed,
    /// As older devices.
    Missing,
}

/// Serves hosts until cancelled. Starts a task per host and per stream; all of them end with this future.
pub async fn serve(listener: TcpListener, userland: Userland, options: &Options, cancel: CancellationToken) {
    let mut features = FEATURES.to_vec();
    if options.delayed_ack == DelayedAck::Listed {
        features.push(DELAYED_ACK);
    }
    let door = daemon::Options {
        banner: Banner::device(&options.product, &features),
        guard: options.guard.clone(),
        window: options.window,
    };
    let lives = async {
        let mut listener = listener;
        loop {
            let address = listener.local_addr();
            let plan = userland.faults.next_life();
            live(listener, &door, &userland, plan).await;
            tracing::info!("the adb daemon dies");
            let held = address.as_ref().ok().and_then(|address| hold(*address).ok());
            tokio::time::sleep(plan.map_or(Duration::ZERO, |plan| plan.away)).await;
            listener = match again(address).await {
                Ok(listener) => listener,
                Err(error) => return tracing::warn!(%error, "the adb daemon does not come back"),
            };
            drop(held);
        }
    };
    cancel.run_until_cancelled(lives).await;
}

/// Keeps the port of a daemon that is away: whoever calls is refused, and nobody else is given it.
fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens where the last life did.
async fn again(address: io::Result<SocketAddr>) -> io::Result<TcpListener> {
    TcpListener::bind(address?).await
}

/// One life of the daemon; without a plan it does not end.
async fn live(listener: TcpListener, door: &daemon::Options, userland: &Userland, plan: Option<LifePlan>) {
    let mut hosts = JoinSet::new();
    let mut death = None;
    loop {
        let dies = async {
            match death {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = dies => return,
            Some(_) = hosts.join_next(), if !hosts.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok(_) if hosts.len() >= MAX_HOSTS => tracing::warn!("too many adb hosts; one was turned away"),
                Ok((socket, _)) => {
                    let link = Link::new(socket, userland.faults.next_link());
                    hosts.spawn(serve_host(link, door.clone(), userland.clone()));
                    death = death.or(plan.map(|plan| tokio::time::Instant::now() + plan.dies_after));
                }
                // Out of file descriptors, mostly; what is connected goes on.
                Err(error) => {
                    tracing::warn!(%error, "an adb host could not be accepted");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

async fn serve_host(link: io::Result<Link>, door: daemon::Options, userland: Userland) {
    let accepted = match link {
        Ok(link) => door.accept_over(link).await,
        Err(error) => Err(error.into()),
    };
    let mut daemon = match accepted {
        Ok(daemon) => daemon,
        Err(error) => {
            tracing::debug!(%error, "no adb host, or none that may come in");
            return;
        }
    };
    let connection = daemon.connection().clone();
    let mut reverses = Reverses::new(connection.clone());
    let mut resets = connection.resets();
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
            open = daemon.next_open() => match open {
                Some(open) => {
                    if connection.resets() != resets {
                        resets = connection.resets();
                        reverses = Reverses::new(connection.clone());
                    }
                    serve_open(open, &userland, &mut reverses, &mut streams);
                }
                None => return,
            },
        }
    }
}

/// Starts a task for the stream, or refuses it. The number of tasks is bounded by the connection's streams.
fn serve_open(open: IncomingOpen, userland: &Userland, reverses: &mut Reverses, streams: &mut JoinSet<()>) {
    let service = open.service().to_owned();
    let (name, argument) = service.split_once(':').unwrap_or((&service, ""));
    let userland = userland.clone();
    match name {
        "localabstract" => bridge::spawn(streams, open, userland.sockets.connect(argument)),
        "tcp" => bridge::spawn(streams, open, userland.ports.connect(argument)),
        "sync" if argument.is_empty() => spawn(streams, open, move |stream| {
            sync_service::serve(stream, userland.files, userland.faults.next_sync())
        }),
        "reverse" => {
            let reply = reverses.request(argument, &userland);
            spawn(streams, open, move |stream| reverse::answer(stream, reply));
        }
        _ => match shell_service::Request::parse(&service) {
            Some(request) => {
                spawn(streams, open, move |stream| {
                    shell_service::serve(stream, request, userland, unix_now_s())
                });
            }
            None => open.refuse(),
        },
    }
}

fn spawn<F>(streams: &mut JoinSet<()>, open: IncomingOpen, serve: impl FnOnce(adb::Stream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // A host that gave up before the answer has nobody to serve.
    if let Ok(stream) = open.accept() {
        streams.spawn(serve(stream));
    }
}

fn unix_now_s() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
