//! How the parts find each other: the link between control and its agents, and the SDP exchange
//! between a viewer and control.
//!
//! * [`link`]: QUIC, frames, certificates, both ends.
//! * [`whep`]: the HTTP rules of the SDP exchange, over any backend.
//! * [`offer`], [`sdpfrag`]: offers and trickled candidates, checked before anything acts on them.
//! * [`error`]: the one problem document that HTTP answers carry.
//! * [`origin`]: who may use a cookie.
//! * [`disk`]: how control, agents and `up` keep a small secret file.
//!
//! Invariant: no SQL, no Docker, no Android, no media. Who may do what is decided by the backends
//! that control passes in.

pub mod disk;
pub mod error;
pub mod link;
pub mod offer;
pub mod origin;
pub mod sdpfrag;
pub mod whep;
