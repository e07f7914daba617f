//! The rules: what a link, a lease and a device may do next, at a given time.
//!
//! Everything here is a pure function of its arguments: no clock, no database, no network. The store
//! applies these rules inside its transactions, the routes turn refusals into problems, and a
//! simulation can run them millions of times a second.

pub mod absence;
pub mod connection;
pub mod deadlines;
pub mod device;
pub mod labels;
pub mod lease;
pub mod link;
pub mod policy;
pub mod session;
pub mod time;
pub mod token_bucket;
