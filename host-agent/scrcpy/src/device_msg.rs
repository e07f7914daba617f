//! Device messages: what the device tells the client on the control socket. Big-endian, a type byte in front.
//!
//! ```text
//!   0 clipboard     len u32 · UTF-8             pushed on every change while clipboard_autosync is on
//!   1 clipboard ack sequence u64                only for a sequence other than 0
//!   2 UHID output   id u16 · len u16 · data     e.g. keyboard lights (from 2.4)
//! ```
//!
//! The stock client disconnects on any other type; so do we.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use crate::control::MESSAGE_LEN_MAX;
use crate::reader::Reader;

/// Longest clipboard text in bytes: what is left of the longest message.
pub const CLIPBOARD_LEN_MAX: usize = MESSAGE_LEN_MAX - 5;

/// A message from the device to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceMsg {
    /// The clipboard's new text.
    Clipboard(String),
    /// A clipboard set with this sequence is in place.
    AckClipboard(u64),
    /// An output report of a virtual HID device.
    UhidOutput {
        /// The client's number for the device.
        id: u16,
        /// The report.
        data: Vec<u8>,
    },
}

/// Why bytes are no device message, or a message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceMsgError {
    /// A type byte that means nothing.
    #[error("unknown device message type {0}")]
    UnknownType(u8),
    /// Content beyond its limit.
    #[error("{len} bytes are above the limit of {max}")]
    TooLong {
        /// What was asked.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
}

const CLIPBOARD: u8 = 0;
const ACK_CLIPBOARD: u8 = 1;
const UHID_OUTPUT: u8 = 2;

/// Appends a message to `out`, which is left as it was on an error.
///
/// # Errors
/// The content is too long.
pub fn encode(msg: &DeviceMsg, out: &mut BytesMut) -> Result<(), DeviceMsgError> {
    match msg {
        DeviceMsg::Clipboard(text) => {
            let len = limited(text.len(), CLIPBOARD_LEN_MAX)?;
            out.put_u8(CLIPBOARD);
            out.put_u32(u32::try_from(len).expect("limited to CLIPBOARD_LEN_MAX"));
            out.put_slice(text.as_bytes());
        }
        DeviceMsg::AckClipboard(sequence) => {
            out.put_u8(ACK_CLIPBOARD);
            out.put_u64(*sequence);
        }
        DeviceMsg::UhidOutput { id, data } => {
            let len = limited(data.len(), usize::from(u16::MAX))?;
            out.put_u8(UHID_OUTPUT);
            out.put_u16(*id);
            out.put_u16(u16::try_from(len).expect("limited to u16::MAX"));
            out.put_slice(data);
        }
    }
    Ok(())
}

/// Reads one message from the front of `bytes`, with its length; `None` until it is complete.
///
/// # Errors
/// The bytes are no message; nothing tells where the next one begins, so the socket has to be closed.
pub fn decode(bytes: &[u8]) -> Result<Option<(DeviceMsg, usize)>, DeviceMsgError> {
    let mut reader = Reader::new(bytes);
    match read(&mut reader) {
        Some(Ok(msg)) => Ok(Some((msg, reader.position()))),
        Some(Err(error)) => Err(error),
        None => Ok(None),
    }
}

/// `None`: not complete yet.
fn read(r: &mut Reader<'_>) -> Option<Result<DeviceMsg, DeviceMsgError>> {
    Some(match r.u8()? {
        CLIPBOARD => {
            let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
            match limited(len, CLIPBOARD_LEN_MAX) {
                Err(error) => Err(error),
                Ok(len) => String::from_utf8(r.take(len)?.to_vec())
                    .map(DeviceMsg::Clipboard)
                    .map_err(|_| DeviceMsgError::NotUtf8),
            }
        }
        ACK_CLIPBOARD => Ok(DeviceMsg::AckClipboard(r.u64()?)),
        UHID_OUTPUT => {
            let (id, len) = (r.u16()?, r.u16()?);
            let data = r.take(len.into())?.to_vec();
            Ok(DeviceMsg::UhidOutput { id, data })
        }
        unknown => Err(DeviceMsgError::UnknownType(unknown)),
    })
}

fn limited(len: usize, max: usize) -> Result<usize, DeviceMsgError> {
    if len > max {
        return Err(DeviceMsgError::TooLong { len, max });
    }
    Ok(len)
}
