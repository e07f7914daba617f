//! The engine and browsers' peers over a seeded network, in virtual time.

mod browser;
mod joining;
mod network;
mod rig;
