//! Bounded reading of little-endian bytes, shared by the channel codecs.
//!
//! A reader never looks past its slice, and `finish` refuses what is left over: a message has one
//! encoding and no hidden tail.

/// Why bytes are not one of our messages. All of them mean the same to a caller: count it against
/// the sender, apply nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends before its content does.
    #[error("message ends early")]
    Short,
    /// Bytes follow the content.
    #[error("message is longer than its content")]
    Long,
    /// The first byte is no message type of this channel in this direction.
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
    /// A count or length is above its limit.
    #[error("{0} is above its limit")]
    TooMany(&'static str),
    /// A field has a value that has no meaning.
    #[error("{0} has no such value")]
    BadValue(&'static str),
}

/// Reads little-endian fields from a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count that must not exceed `max`; `what` names it in the error.
    pub(crate) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, WireError> {
        let n = usize::from(self.u8()?);
        if n > max {
            Err(WireError::TooMany(what))
        } else {
            Ok(n)
        }
    }

    pub(crate) fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(WireError::Long)
        }
    }
}
