//! host-agent
mod backoff;
pub mod fence;
pub mod fingers;
pub mod input;
pub mod typing;
