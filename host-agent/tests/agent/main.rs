//! A whole agent between a control that does as the test says and simulated devices, over real QUIC, real adb and
//! real WebRTC on loopback; in one binary, for a link of all of it takes long.
//!
//! ```text
//!   control.rs ══ QUIC ══ agent ══ adb ══ rig/phone.rs: wire, simulated device
//!                           └ gateway ══ UDP ══ chromium.rs: real Chromium · viewer.rs: a plain RTP receiver
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![allow(unreachable_pub, reason = "the modules of one test see one another")]

mod aims;
mod chromium;
mod control;
mod encoders;
mod ffmpeg;
mod finger;
mod flood;
mod hostile;
mod meddler;
#[path = "../../../gateway/tests/gateway/network.rs"]
#[allow(dead_code, reason = "only its dice are thrown here")]
mod network;
#[path = "../../../gateway/tests/gateway/browser.rs"]
#[allow(dead_code, reason = "the gateway's own tests do more with it")]
mod peer;
#[path = "../../../gateway/tests/gateway/person.rs"]
#[allow(dead_code, reason = "the gateway's own tests do more with it")]
mod person;
#[path = "../../src/rig/phone.rs"]
#[allow(dead_code, reason = "the agent's inner tests do more with it")]
mod phone;
mod rig;
mod show;
mod viewer;
mod whole;
mod x264;
