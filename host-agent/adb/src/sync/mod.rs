//! The `sync:` service: file transfer over one stream. Messages only, both directions, pure; who has the files is
//! somebody else's matter.
//!
//! ```text
//!   host                                   device
//!   STAT path ───────────────────────────► STAT mode size mtime
//!   SEND "path,mode" · DATA… · DONE mtime ► OKAY | FAIL text
//!   RECV path ───────────────────────────► DATA… · DONE | FAIL text
//!   SND2 path · SND2 mode flags · DATA… · DONE mtime ► as SEND
//!   RCV2 path · RCV2 flags ──────────────► as RECV
//!   QUIT ────────────────────────────────► (closes the stream)
//! ```
//!
//! Every message is an id of four letters and a u32, little-endian. Requests may be pipelined in one packet, so both
//! sides parse a byte stream. Covers v1 (STAT LIST SEND RECV), stat_v2/ls_v2 (STA2 LST2 LIS2), and of sendrecv_v2
//! (SND2 RCV2) what needs no further feature: data as it is. Its compressions have features of their own, which are
//! not listed, so that no peer uses them; one that does is refused.

mod request;
mod response;

pub use request::{Request, RequestError, RequestParser};
pub use response::{Listing, Response, ResponseError, ResponseParser};

/// Longest path in bytes, adb's own limit. A longer one is refused.
pub const MAX_PATH: usize = 1024;
/// Most bytes in one DATA, adb's own limit.
pub const MAX_DATA: usize = 64 * 1024;
/// `stat` mode of a directory, and of a regular file, without permissions.
pub const S_IFDIR: u32 = 0o040_000;
/// See [`S_IFDIR`].
pub const S_IFREG: u32 = 0o100_000;
/// Type bits of a symbolic link.
pub const S_IFLNK: u32 = 0o120_000;
/// The bits of a mode that tell the type.
pub const S_IFMT: u32 = 0o170_000;

/// What SND2 and RCV2 want done with the data, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The data goes as it is.
    pub const PLAIN: Self = Self(0);
    /// Compressed by brotli (feature `sendrecv_v2_brotli`).
    pub const BROTLI: Self = Self(1);
    /// Compressed by LZ4 (feature `sendrecv_v2_lz4`).
    pub const LZ4: Self = Self(2);
    /// Compressed by Zstandard (feature `sendrecv_v2_zstd`).
    pub const ZSTD: Self = Self(4);
    /// Taken and not stored (feature `sendrecv_v2_dry_run_send`).
    pub const DRY_RUN: Self = Self(0x8000_0000);
}

/// What STAT and LIST (v1) tell about a file; all zero means missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Size in bytes, modulo 2^32.
    pub size: u32,
    /// Unix time of the last change in seconds, modulo 2^32.
    pub mtime_s: u32,
}

/// What STA2, LST2 and LIS2 tell about a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat2 {
    /// Linux error number: 0 none, 2 missing, 13 not allowed.
    pub error: u32,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Unix times in seconds: access, change of content, change of state.
    pub times_s: [i64; 3],
}
