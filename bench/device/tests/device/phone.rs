//! Devices for tests that reach them over adb.
//!
//! ```text
//!   plain() ── changed? ──► start ──► its address, and what stops it when it is dropped
//! ```
//!
//! Each listens on a port that the system chose. It does not know who connects.

use std::net::SocketAddr;

use device::{Boot, Config, Traits};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A small device that is booted. Its address is decided when it starts.
pub(crate) fn plain() -> Config {
    Config {
        adb: ([127, 0, 0, 1], 0).into(),
        name: "Farglass Test".to_owned(),
        width: 360,
        height: 640,
        fps: 30,
        boot: Boot::default(),
    }
}

/// Starts a device.
pub(crate) async fn start(config: Config, traits: Traits) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind(config.adb).await.unwrap();
    let adb = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(device::serve_as(listener, config, traits, stop.clone()));
    (adb, stop.drop_guard())
}
