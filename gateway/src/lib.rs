//! The media engine of a host: devices' pictures go to browsers, hands come back.
//!
//! ```text
//!  capture ── SourceHandle ──► mailbox ──┐                  ┌──► Event (bounded) ──► agent
//!  agent ──── Gateway ───────► mailbox ──┤                  │
//!                                        ▼                  │
//!  browser ◄── one UDP socket ◄──► driver ◄──► engine ──────┘
//!              (clock, batches, GSO)       (sans-I/O: handle, poll, Timeout)
//! ```
//!
//! It knows RTP, ICE, DTLS, SCTP (through `rtc`) and H.264. It does not know Android, HTTP, JSON,
//! tokens, databases, or who may do what: an offer that arrives here has been authorised, and a fence
//! says until when.
//!
//! Latency rules: playout-delay 0/0 on every packet, an SPS that forbids reordering, the marker at
//! once, never a queue of pictures, no pacing, no waiting for candidates.

pub mod access_unit;
mod announcement;
mod bits;
mod broadcast;
pub mod bucket;
pub mod burst;
pub mod clock;
mod conversation;
mod departure;
pub mod engine;
pub mod error;
pub mod event;
mod events;
mod feedback;
pub mod fence;
mod handle;
mod held_keys;
pub mod input;
pub mod keyframe;
pub mod latest;
pub mod limits;
mod mailbox;
pub mod media;
pub mod mux;
pub mod packetize;
mod peer;
pub mod sdp;
pub mod source;
pub mod sps;
pub mod stats;
mod viewer;
mod wake;

mod driver;

pub use error::{OfferError, PatchError, StartError};
pub use event::{AccessUnit, Answer, Event, Gate, GatewayConfig, Offer, Role, SourceEvent, Timings};
pub use handle::{Gateway, SourceHandle, start};
