//! Takes one file out of a zip archive, by its central directory. Pure.
//!
//! ```text
//!   … local header, name, data … │ central directory: one header per file │ end record │ comment
//!      ▲                            offset of the local header ─┘  ▲           │
//!      └────────────────────────────────────────────────────────── └───────────┘ offset of the directory
//! ```
//!
//! Follows PKWARE's APPNOTE 6.3 as far as Android does: stored or deflated, one disk, not encrypted, no ZIP64.

/// Why the file cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// There is no end record, or the directory does not stand where it says.
    #[error("not a zip archive")]
    NotZip,
    /// No such file.
    #[error("the archive does not hold the file")]
    Missing,
    /// Two of the name: which one counts would depend on the reader.
    #[error("the archive holds the file twice")]
    Twice,
    /// Encrypted, or compressed in a way that Android does not read.
    #[error("the file is packed in an unknown way")]
    Method,
    /// Larger than the caller allows.
    #[error("the file is too large")]
    TooLarge,
    /// The data is not what the directory announces.
    #[error("the file is damaged")]
    Damaged,
}

const END_LEN: usize = 22;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
/// Longest comment behind the end record, in bytes.
const MAX_COMMENT: usize = 0xffff;

/// The content of the file `name`, of at most `limit` bytes.
///
/// # Errors
/// [`ZipError`].
pub fn entry(archive: &[u8], name: &str, limit: usize) -> Result<Vec<u8>, ZipError> {
    let (count, mut at) = directory(archive)?;
    let mut found = None;
    for _ in 0..count {
        let header = Central::parse(archive, at).ok_or(ZipError::NotZip)?;
        if header.name == name.as_bytes() && found.replace(header).is_some() {
            return Err(ZipError::Twice);
        }
        at = header.next;
    }
    found.ok_or(ZipError::Missing)?.content(archive, limit)
}

/// How many files there are, and where the directory begins.
fn directory(archive: &[u8]) -> Result<(u16, usize), ZipError> {
    let last = archive.len().checked_sub(END_LEN).ok_or(ZipError::NotZip)?;
    let candidates = (last.saturating_sub(MAX_COMMENT)..=last).rev();
    let is_end = |at: &usize| {
        archive[*at..].starts_with(b"PK\x05\x06")
            && short(archive, at + 20)
                .is_some_and(|comment| at + END_LEN + usize::from(comment) == archive.len())
    };
    let end = candidates.into_iter().find(is_end).ok_or(ZipError::NotZip)?;
    let (count, offset) = (short(archive, end + 10), long(archive, end + 16));
    match (count, offset) {
        (Some(count), Some(offset)) if offset <= end => Ok((count, offset)),
        _ => Err(ZipError::NotZip),
    }
}

/// One header of the central directory.
#[derive(Clone, Copy)]
struct Central<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    sum: u32,
    packed: usize,
    unpacked: usize,
    local: usize,
    next: usize,
}

impl<'a> Central<'a> {
    fn parse(archive: &'a [u8], at: usize) -> Option<Self> {
        if !archive.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let field = |offset: usize| short(archive, at + offset);
        let name = at + CENTRAL_LEN;
        let extra = name + usize::from(field(28)?);
        Some(Self {
            name: archive.get(name..extra)?,
            flags: field(8)?,
            method: field(10)?,
            sum: u32::try_from(long(archive, at + 16)?).ok()?,
            packed: long(archive, at + 20)?,
            unpacked: long(archive, at + 24)?,
            local: long(archive, at + 42)?,
            next: extra + usize::from(field(30)?) + usize::from(field(32)?),
        })
    }

    fn content(&self, archive: &[u8], limit: usize) -> Result<Vec<u8>, ZipError> {
        const ENCRYPTED: u16 = 1;
        if self.unpacked > limit {
            return Err(ZipError::TooLarge);
        }
        if self.flags & ENCRYPTED != 0 {
            return Err(ZipError::Method);
        }
        let data = self.data(archive).ok_or(ZipError::Damaged)?;
        let content = match self.method {
            0 => data.to_vec(),
            8 => miniz_oxide::inflate::decompress_to_vec_with_limit(data, self.unpacked)
                .map_err(|_| ZipError::Damaged)?,
            _ => return Err(ZipError::Method),
        };
        if content.len() != self.unpacked || crc32(&content) != self.sum {
            return Err(ZipError::Damaged);
        }
        Ok(content)
    }

    /// The packed data behind the local header, whose own name and extra field may be longer than the directory's.
    fn data(&self, archive: &'a [u8]) -> Option<&'a [u8]> {
        if !archive.get(self.local..)?.starts_with(b"PK\x03\x04") {
            return None;
        }
        let name = usize::from(short(archive, self.local + 26)?);
        let extra = usize::from(short(archive, self.local + 28)?);
        let start = self.local + LOCAL_LEN + name + extra;
        archive.get(start..start.checked_add(self.packed)?)
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// The check sum of zip (CRC-32, reflected). Bit by bit: a manifest is short.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}
