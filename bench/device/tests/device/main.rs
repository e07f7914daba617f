//! The simulated device from outside: over adb by our own host and by Debian's, by a published scrcpy client, over the
//! sockets of its scrcpy server, and its display without any socket. One binary: a test is a module of it.
//!
//! What measures this process's memory is a binary of its own, `hostile`.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

mod belongings;
mod captures;
mod display;
mod encoder;
mod independent_client;
mod link_faults;
mod mirroring;
mod own_host;
mod phone;
mod replay;
mod reset;
mod reverse;
mod stock_adb;
