//! The engine and browsers' peers over a seeded network, in virtual time; and once over a real socket.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it was set up"
)]
#![expect(unreachable_pub, reason = "the modules of one test see one another")]

mod browser;
mod fencing;
mod joining;
mod negotiation;
mod network;
mod person;
mod rig;
mod socket;
mod touching;
mod watching;
