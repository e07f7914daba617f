//! Frames of the shell v2 protocol: one stream that carries stdin, stdout, stderr and the exit code. Pure.
//!
//! ```text
//!  0    1            5
//! ┌────┬────────────┬─────────┐   id 0 stdin   1 stdout   2 stderr   3 exit (1 byte of data)
//! │ id │ u32 LE len │ data …  │      4 close stdin   5 window size (text "RxC,XxY" + NUL)
//! └────┴────────────┴─────────┘
//! ```
//!
//! Frames may be cut anywhere by WRTE packets. After `exit` the device closes the stream.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest frame in bytes that is accepted. Real peers stay below one WRTE; a longer one is [`FrameError::TooLong`].
pub const MAX_FRAME: usize = 1024 * 1024;
/// Bytes before a frame's data.
const PREFIX: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Input for the command (host to device).
    Stdin(Bytes),
    /// Output of the command.
    Stdout(Bytes),
    /// Error output of the command.
    Stderr(Bytes),
    /// The command ended with this code; signals are 128 + number.
    Exit(u8),
    /// No more input will come (host to device).
    CloseStdin,
    /// The terminal's size as text (host to device).
    WindowSize(Bytes),
}

/// Why bytes are no frame. The stream cannot be followed after it: close it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// An id that shell v2 does not have.
    #[error("unknown shell frame {0}")]
    UnknownId(u8),
    /// Longer than [`MAX_FRAME`].
    #[error("a shell frame of {0} bytes")]
    TooLong(u32),
    /// An exit frame without its code.
    #[error("an exit frame without a code")]
    NoExitCode,
}

impl Frame {
    /// Appends the frame to `out`. The caller keeps data within [`MAX_FRAME`].
    pub fn encode(&self, out: &mut BytesMut) {
        let code;
        let (id, data): (u8, &[u8]) = match self {
            Self::Stdin(data) => (0, data),
            Self::Stdout(data) => (1, data),
            Self::Stderr(data) => (2, data),
            Self::Exit(value) => {
                code = [*value];
                (3, &code)
            }
            Self::CloseStdin => (4, &[]),
            Self::WindowSize(data) => (5, data),
        };
        out.put_u8(id);
        out.put_u32_le(u32::try_from(data.len()).expect("frames are cut to MAX_FRAME by the caller"));
        out.put_slice(data);
    }
}

/// Cuts a stream of bytes into frames; holds at most one unfinished frame and what was pushed last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes cannot be followed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [id, length @ ..] = *prefix;
        let announced = u32::from_le_bytes(length);
        if id > 5 {
            return Err(FrameError::UnknownId(id));
        }
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(FrameError::TooLong(announced));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let data = self.buffer.split_to(length).freeze();
        Ok(Some(match id {
            0 => Frame::Stdin(data),
            1 => Frame::Stdout(data),
            2 => Frame::Stderr(data),
            3 => Frame::Exit(*data.first().ok_or(FrameError::NoExitCode)?),
            4 => Frame::CloseStdin,
            _ => Frame::WindowSize(data),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_has_its_golden_bytes_and_survives_any_cut() {
        let cases: [(Frame, &[u8]); 6] = [
            (Frame::Stdin(Bytes::from_static(b"ls\n")), b"\0\x03\0\0\0ls\n"),
            (Frame::Stdout(Bytes::from_static(b"hi")), b"\x01\x02\0\0\0hi"),
            (Frame::Stderr(Bytes::from_static(b"no")), b"\x02\x02\0\0\0no"),
            (
                Frame::WindowSize(Bytes::from_static(b"24x80,0x0\0")),
                b"\x05\x0a\0\0\x0024x80,0x0\0",
            ),
            (Frame::CloseStdin, b"\x04\0\0\0\0"),
            (Frame::Exit(127), b"\x03\x01\0\0\0\x7f"),
        ];
        let mut all = BytesMut::new();
        for (frame, golden) in &cases {
            let mut out = BytesMut::new();
            frame.encode(&mut out);
            assert_eq!(&out[..], *golden, "{frame:?}");
            all.extend_from_slice(&out);
        }
        for size in 1..all.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in all.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert!(
                frames.iter().eq(cases.iter().map(|(frame, _)| frame)),
                "cut into {size}"
            );
        }
    }

    #[test]
    fn bad_frames_are_refused_before_their_data_is_awaited() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.next_frame().unwrap_err()
        };
        assert_eq!(refused(b"\xff\0\0\0\0"), FrameError::UnknownId(255));
        assert_eq!(refused(b"\x01\x01\0\x10\0"), FrameError::TooLong(1024 * 1024 + 1));
        assert_eq!(refused(b"\x03\0\0\0\0"), FrameError::NoExitCode);
    }
}
