//! The terminal that a shell runs on, as far as commands can tell: its size.
//!
//! A host tells the size when it connects and whenever its window changes; until then a terminal has none, which
//! is 0 by 0. It does not do line endings, echo or Ctrl-C: those are the service's and the interactive shell's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Call, Done};

/// One terminal, for the service that hears of its size and the commands that ask.
#[derive(Debug, Clone, Default)]
pub struct Terminal(Arc<AtomicU32>);

/// Characters down and across.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Size {
    /// Reads what a host sends: `ROWSxCOLUMNS,WIDTHxHEIGHT`, the latter in pixels and of no use here, with a NUL or
    /// without (AOSP, adb's `shell_service_protocol.h`). `None` when it is anything else; adbd ignores that.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let (characters, pixels) = std::str::from_utf8(text).ok()?.split_once(',')?;
        let pair = |text: &str| -> Option<(u16, u16)> {
            let (first, second) = text.split_once('x')?;
            Some((first.parse().ok()?, second.parse().ok()?))
        };
        pair(pixels)?;
        let (rows, columns) = pair(characters)?;
        Some(Self { rows, columns })
    }
}

impl Terminal {
    /// The window has this size now.
    pub fn resize(&self, size: Size) {
        let packed = u32::from(size.rows) << 16 | u32::from(size.columns);
        self.0.store(packed, Ordering::Relaxed);
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> Size {
        let packed = self.0.load(Ordering::Relaxed);
        Size {
            rows: (packed >> 16) as u16,
            columns: packed as u16,
        }
    }
}

/// `stty size`, in the words of Android's toybox.
pub(super) fn stty(call: &Call<'_>, args: &[&str]) -> Done {
    match (call.terminal, args) {
        (None, _) => Done::fail(1, "stty: tcgetattr standard input: Not a typewriter\n"),
        (Some(terminal), ["size"]) => {
            let Size { rows, columns } = terminal.size();
            Done::ok(format!("{rows} {columns}\n"))
        }
        (Some(_), _) => Done::fail(1, "stty: only 'stty size' is known\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_its_pixels_or_not_at_all() {
        let size = Size {
            rows: 24,
            columns: 80,
        };
        for text in ["24x80,0x0", "24x80,640x480\0"] {
            assert_eq!(Size::parse(text.as_bytes()), Some(size), "{text:?}");
        }
        for text in [
            "",
            "24x80",
            "24x,0x0",
            "24x80,0",
            "-1x80,0x0",
            "65536x80,0x0",
            "24x80,0x0\0\0",
        ] {
            assert_eq!(Size::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Size::parse(b"\xff24x80,0x0"), None);
    }
}
