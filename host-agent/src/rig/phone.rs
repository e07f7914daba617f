//! The simulated device of a trial, and the wire to it, which a test can cut, freeze, or lead to another device.
//!
//! ```text
//!   agent ══ adb ══ wire (cut, freeze, vanish) ══ guarded door ─┐
//!   test  ══ adb ═══════════════════════════════ direct door  ──┴─ simulated device
//! ```
//!
//! The test's own connection never passes the wire, so that it sees what happens while the agent is cut off. It does not
//! know the agent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adb::Host;
use adb::banner::Product;
use adb::daemon::Guard;
use device::android::Model;
use device::display::Display;
use device::fault::Faults;
use device::{Android, Boot, Manner, Traits, Userland, adbd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the wire waits for a daemon that is gone without a word before it lets go of the host, whose own probes end at
/// the wire: two such losses are far within any test's patience.
const GONE_AFTER: Duration = Duration::from_secs(4);

/// The simulated device and the wire to it.
pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    /// Where the wire leads, which is not where it led before the device was started again.
    guarded: watch::Sender<SocketAddr>,
    direct: SocketAddr,
    cut: Arc<Notify>,
    frozen: watch::Sender<bool>,
    stop: DropGuard,
    lives: Vec<DropGuard>,
}

impl Phone {
    pub(crate) async fn start() -> Self {
        Self::with(Traits::default()).await
    }

    /// A device that is not as usual.
    pub(crate) async fn with(traits: Traits) -> Self {
        Self::sized((360, 640), 30, traits).await
    }

    /// As [`Self::with`], with a screen of this size in pixels that has so many ticks a second.
    pub(crate) async fn sized(size: (u16, u16), fps: u32, traits: Traits) -> Self {
        Self::made(size, fps, Boot::default(), traits).await
    }

    /// A device that is still to boot, or never will have.
    pub(crate) async fn booting(boot: Boot) -> Self {
        Self::made((360, 640), 30, boot, Traits::default()).await
    }

    async fn made((width, height): (u16, u16), fps: u32, boot: Boot, traits: Traits) -> Self {
        let cancel = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let direct = listener.local_addr().unwrap();
        let config = device::Config {
            adb: direct,
            name: "Trial".to_owned(),
            width,
            height,
            fps,
            boot,
        };
        tokio::spawn(device::serve_as(listener, config, traits, cancel.clone()));
        Self::wired(direct, direct, cancel).await
    }

    /// Another device at the end of the same wire, as one that has booted anew is.
    pub(crate) async fn reboot(&mut self) {
        let Self { direct, stop, .. } = Self::start().await;
        self.guarded.send_replace(direct);
        self.direct = direct;
        self.cut();
        self.lives.push(stop);
    }

    /// A device that lets hosts in as `guard` says. Tests look at it through a door of their own.
    pub(crate) async fn behind(guard: Guard) -> Self {
        Self::doors(guard, (360, 640), Faults::default(), Manner::default()).await
    }

    /// A device with faults and a screen of this size in pixels. Tests look at it through a door that has no faults.
    pub(crate) async fn faulty(size: (u16, u16), faults: Faults) -> Self {
        Self::doors(Guard::Open, size, faults, Manner::default()).await
    }

    /// A device whose shell is like this for its agent. Tests look at it as root and at once.
    pub(crate) async fn of_manner(manner: Manner) -> Self {
        Self::doors(Guard::Open, (360, 640), Faults::default(), manner).await
    }

    async fn doors(guard: Guard, (width, height): (u16, u16), faults: Faults, manner: Manner) -> Self {
        let cancel = CancellationToken::new();
        let android = Android::new(Model {
            name: "Trial".to_owned(),
            width,
            height,
        });
        let (display, _) = Display::spawn(android.clone(), 30).unwrap();
        let userland = Userland::new(android, display, 1);
        let mut doors = Vec::new();
        let plain = (Guard::Open, Faults::default(), Manner::default());
        for (guard, faults, manner) in [(guard, faults, manner), plain] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            doors.push(listener.local_addr().unwrap());
            let options = adbd::Options {
                guard,
                ..adbd::Options::open(Product {
                    name: "trial".to_owned(),
                    model: "Trial".to_owned(),
                    device: "trial".to_owned(),
                })
            };
            let (mut userland, cancel) = (userland.clone(), cancel.clone());
            userland.faults = faults;
            userland.manner = manner;
            tokio::spawn(async move { adbd::serve(listener, userland, &options, cancel).await });
        }
        Self::wired(doors[0], doors[1], cancel).await
    }

    async fn wired(guarded: SocketAddr, direct: SocketAddr, cancel: CancellationToken) -> Self {
        let wire = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = wire.local_addr().unwrap();
        let cut = Arc::new(Notify::new());
        let (frozen, ice) = watch::channel(false);
        let (guarded, to) = watch::channel(guarded);
        let (stop, cuts) = (cancel.clone(), Arc::clone(&cut));
        tokio::spawn(async move { stop.run_until_cancelled(carry(wire, to, cuts, ice)).await });
        Self {
            address,
            guarded,
            direct,
            cut,
            frozen,
            stop: cancel.drop_guard(),
            lives: Vec::new(),
        }
    }

    /// Cuts every connection that passes the wire at this moment.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Carries nothing any more, without a word, as a network does that lost its way; or carries on.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Ends the wire for good: connections end and new ones are refused.
    pub(crate) fn vanish(&self) {
        self.stop.token().cancel();
    }

    pub(crate) async fn host(&self) -> Host {
        Host::connect(self.direct).await.unwrap()
    }
}

async fn carry(
    wire: TcpListener,
    to: watch::Receiver<SocketAddr>,
    cuts: Arc<Notify>,
    ice: watch::Receiver<bool>,
) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            Ok((near, _)) = wire.accept() => {
                let (ice, to) = (ice.clone(), *to.borrow());
                carried.spawn(async move {
                    // A daemon that is away refuses; then this end goes too.
                    let Ok(far) = TcpStream::connect(to).await else { return };
                    near.set_nodelay(true).unwrap();
                    adb::socket::prepare(&far, GONE_AFTER).unwrap();
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::select! {
                        () = copy(near_in, far_out, ice.clone()) => {}
                        () = copy(far_in, near_out, ice) => {}
                    }
                });
            }
            () = cuts.notified() => carried.abort_all(),
        }
    }
}

/// Copies until either side ends; holds back what it has read while the wire is frozen.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ice: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if ice.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
