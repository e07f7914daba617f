//! Work that outlives a request: preparing and releasing devices, and the clock's part.
//!
//! A job holds no truth. If control dies in the middle of one, the lease's row says what is owed, and
//! the agent's next Hello starts the job again.

pub(crate) mod prepare;
pub(crate) mod release;
pub(crate) mod reset;
pub(crate) mod sweep;
