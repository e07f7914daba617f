//! The link between control and the agents: QUIC, dialled by the agent.
//!
//! ```text
//!  agent (client.rs)                                   control (server.rs)
//!   identity.rs ── key, certificate                     tls::Authority ── signs hosts and itself
//!        │  first time: ALPN farglass-join/1, pinned to the authority's hash by token.rs
//!        ▼
//!   ALPN farglass-agent/1, both sides show certificates
//!   stream 1   Hello, Report, Connection ─────────────► Backend::up, Backend::message
//!   stream n   ◄──────── Request · Progress* · Reply ── Host::call (call.rs)
//!   stream m   RenewRequest ──────────────────────────► tls::Authority
//! ```
//!
//! An agent dials by dial.rs over a socket.rs, as often as pace.rs says, for the reasons in failure.rs.
//! Frames are in codec.rs, windows and timeouts in transport.rs. The messages themselves are
//! `protocol::agent`. Nothing here knows what a device, a lease or a database is.

pub mod call;
pub mod client;
pub mod codec;
mod dial;
mod failure;
pub mod identity;
mod pace;
pub mod server;
mod socket;
pub mod tls;
pub mod token;
mod transport;

pub use transport::{IDLE_TIMEOUT, KEEP_ALIVE, REQUESTS_MAX};
