//! One packet of the adb transport: header, limits, encoding, decoding. Pure: no socket, no stream state.
//!
//! ```text
//!  0        4        8        12           16          20       24
//! ┌────────┬────────┬────────┬────────────┬───────────┬────────┬─────────────┐
//! │command │ arg0   │ arg1   │data_length │data_check │ magic  │ data …      │   all u32, little-endian
//! └────────┴────────┴────────┴────────────┴───────────┴────────┴─────────────┘
//!                                          byte sum,   command
//!                                          or 0        ^ 0xffffffff
//! ```
//!
//! Follows adb transport versions 0x01000000 (sums required) and 0x01000001 (sums ignored). Like today's
//! receivers this one checks magic and length only; sums are written where an old peer needs them.

use bytes::{Bytes, BytesMut};

/// Length of a packet's header in bytes.
pub const HEADER_LEN: usize = 24;
/// Largest payload in bytes that we announce and accept (what adb itself announces today). A longer one ends the connection.
pub const MAX_PAYLOAD: usize = 1024 * 1024;
/// Largest payload in bytes of CNXN and AUTH: what every version of adb accepts before anything is negotiated.
pub const MAX_HANDSHAKE_PAYLOAD: usize = 4096;
/// Transport version whose receivers need the byte sum.
pub const VERSION_WITH_SUM: u32 = 0x0100_0000;
/// Transport version that we speak: sums are ignored.
pub const VERSION: u32 = 0x0100_0001;

/// What a packet is for. `arg1` is always the receiver's own stream id, `arg0` the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// Says hello: version, maximum payload, banner.
    Cnxn = 0x4e58_4e43,
    /// Asks to go on under TLS.
    Stls = 0x534c_5453,
    /// Token, signature or public key.
    Auth = 0x4854_5541,
    /// Opens a stream to a named service.
    Open = 0x4e45_504f,
    /// Confirms an OPEN or consumed data.
    Okay = 0x5941_4b4f,
    /// Carries data of a stream.
    Wrte = 0x4554_5257,
    /// Closes or refuses a stream.
    Clse = 0x4553_4c43,
}

impl Command {
    fn from_wire(value: u32) -> Option<Self> {
        [
            Self::Cnxn,
            Self::Stls,
            Self::Auth,
            Self::Open,
            Self::Okay,
            Self::Wrte,
            Self::Clse,
        ]
        .into_iter()
        .find(|command| *command as u32 == value)
    }

    /// Largest payload in bytes that this command may carry.
    #[must_use]
    pub fn max_payload(self) -> usize {
        match self {
            Self::Cnxn | Self::Auth => MAX_HANDSHAKE_PAYLOAD,
            Self::Stls | Self::Open | Self::Okay | Self::Wrte | Self::Clse => MAX_PAYLOAD,
        }
    }
}

/// Why bytes are not an adb packet. The stream of packets cannot be followed after any of these: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Fewer than [`HEADER_LEN`] bytes were given.
    #[error("an adb header has {HEADER_LEN} bytes, not {0}")]
    Short(usize),
    /// The last word is not the command's complement: this is not adb, or bytes were lost.
    #[error("magic {magic:#010x} does not fit command {command:#010x}")]
    Magic {
        /// The first word.
        command: u32,
        /// The last word.
        magic: u32,
    },
    /// A well-formed header of a command that adb does not have (or no longer has).
    #[error("unknown command {0:#010x}")]
    UnknownCommand(u32),
    /// The payload is longer than the command allows.
    #[error("{command:?} with {length} bytes of payload; at most {limit} are allowed")]
    TooLong {
        /// The packet's command.
        command: Command,
        /// The announced length in bytes.
        length: u32,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A checked header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the packet is for.
    pub command: Command,
    /// First argument: mostly the sender's stream id.
    pub arg0: u32,
    /// Second argument: mostly the receiver's stream id.
    pub arg1: u32,
    /// Bytes of payload that follow, within the command's limit.
    pub length: usize,
    /// The sum of the payload's bytes, or 0. Nobody looks at it, see [`Sum`].
    pub check: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// [`PacketError`] when the bytes are too few, or are no packet that we would accept.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let words: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(PacketError::Short(bytes.len()))?;
        let word = |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        let (raw, length, magic) = (word(0), word(12), word(20));
        if magic != raw ^ u32::MAX {
            return Err(PacketError::Magic { command: raw, magic });
        }
        let command = Command::from_wire(raw).ok_or(PacketError::UnknownCommand(raw))?;
        let limit = command.max_payload();
        match usize::try_from(length) {
            Ok(length) if length <= limit => Ok(Self {
                command,
                arg0: word(4),
                arg1: word(8),
                length,
                check: word(16),
            }),
            _ => Err(PacketError::TooLong {
                command,
                length,
                limit,
            }),
        }
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let length = u32::try_from(self.length).expect("payloads are cut to MAX_PAYLOAD by the caller");
        let raw = self.command as u32;
        let mut bytes = [0; HEADER_LEN];
        let words = [raw, self.arg0, self.arg1, length, self.check, raw ^ u32::MAX];
        for (at, word) in bytes.chunks_exact_mut(4).zip(words) {
            at.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// A whole packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What the packet is for.
    pub command: Command,
    /// First argument.
    pub arg0: u32,
    /// Second argument.
    pub arg1: u32,
    /// The data.
    pub payload: Bytes,
}

impl Packet {
    /// Takes the next whole packet off the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`PacketError`] as soon as the header shows that the bytes cannot be followed.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, PacketError> {
        if buffer.len() < HEADER_LEN {
            return Ok(None);
        }
        let header = Header::parse(buffer)?;
        if buffer.len() < HEADER_LEN + header.length {
            return Ok(None);
        }
        let mut whole = buffer.split_to(HEADER_LEN + header.length);
        let payload = whole.split_off(HEADER_LEN).freeze();
        Ok(Some(Self {
            command: header.command,
            arg0: header.arg0,
            arg1: header.arg1,
            payload,
        }))
    }
}

/// Whether the peer needs the byte sum in `data_check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// The sum is written.
    Written,
    /// The field is zero.
    Zero,
}

/// Appends one packet to `out`. The caller keeps `payload` within the peer's limit.
pub fn encode(out: &mut BytesMut, command: Command, (arg0, arg1): (u32, u32), payload: &[u8], sum: Sum) {
    let check = match sum {
        Sum::Written => payload
            .iter()
            .fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte))),
        Sum::Zero => 0,
    };
    let header = Header {
        command,
        arg0,
        arg1,
        length: payload.len(),
        check,
    };
    out.reserve(HEADER_LEN + payload.len());
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn each_command_has_its_golden_bytes() {
        type Case = (Command, (u32, u32), &'static [u8], &'static str);
        let cases: [Case; 11] = [
            // Signature and public key, each cut short; a window with delayed ack, and what of it was read.
            (
                Command::Auth,
                (2, 0),
                b"\xff\xff",
                "41555448 02000000 00000000 02000000 fe010000 beaaabb7 ffff",
            ),
            (
                Command::Auth,
                (3, 0),
                b"k\0",
                "41555448 03000000 00000000 02000000 6b000000 beaaabb7 6b00",
            ),
            (
                Command::Open,
                (7, 0x0200_0000),
                b"shell:\0",
                "4f50454e 07000000 00000002 07000000 52020000 b0afbab1 7368656c6c3a00",
            ),
            (
                Command::Okay,
                (9, 7),
                &[0, 0x80, 0, 0],
                "4f4b4159 09000000 07000000 04000000 80000000 b0b4bea6 00800000",
            ),
            (
                Command::Cnxn,
                (VERSION, 0x10_0000),
                b"host::",
                "434e584e 01000001 00001000 06000000 32020000 bcb1a7b1 686f73743a3a",
            ),
            (
                Command::Stls,
                (0x0100_0000, 0),
                b"",
                "53544c53 00000001 00000000 00000000 00000000 acabb3ac",
            ),
            (
                Command::Auth,
                (1, 0),
                b"\x01\x02",
                "41555448 01000000 00000000 02000000 03000000 beaaabb7 0102",
            ),
            (
                Command::Open,
                (7, 0),
                b"sync:\0",
                "4f50454e 07000000 00000000 06000000 f7010000 b0afbab1 73796e633a00",
            ),
            (
                Command::Okay,
                (9, 7),
                b"",
                "4f4b4159 09000000 07000000 00000000 00000000 b0b4bea6",
            ),
            (
                Command::Wrte,
                (7, 9),
                b"QUIT",
                "57525445 07000000 09000000 04000000 43010000 a8adabba 51554954",
            ),
            (
                Command::Clse,
                (0, 7),
                b"",
                "434c5345 00000000 07000000 00000000 00000000 bcb3acba",
            ),
        ];
        for (command, args, payload, golden) in cases {
            let mut out = BytesMut::new();
            encode(&mut out, command, args, payload, Sum::Written);
            assert_eq!(&out[..], hex(golden), "{command:?}");
            let packet = Packet::decode(&mut out).unwrap().unwrap();
            assert_eq!(
                (packet.command, (packet.arg0, packet.arg1), &packet.payload[..]),
                (command, args, payload)
            );
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_packet_in_pieces_is_decoded_only_when_whole() {
        let mut bytes = BytesMut::new();
        encode(&mut bytes, Command::Wrte, (1, 2), b"data", Sum::Zero);
        let mut buffer = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(Packet::decode(&mut buffer).unwrap(), None, "after {at} bytes");
            buffer.extend_from_slice(&[*byte]);
        }
        assert_eq!(
            &Packet::decode(&mut buffer).unwrap().unwrap().payload[..],
            b"data"
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused_from_the_header_alone() {
        assert_eq!(Header::parse(&[0; 23]), Err(PacketError::Short(23)));
        assert!(matches!(
            Header::parse(b"GET / HTTP/1.1\r\nHost: x\r\n"),
            Err(PacketError::Magic { .. })
        ));
        let header = |command: u32, length: u32| {
            let words = [command, 0, 0, length, 0, command ^ u32::MAX];
            words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        assert_eq!(
            Header::parse(&header(0x434e_5953, 0)),
            Err(PacketError::UnknownCommand(0x434e_5953))
        );
        assert!(Header::parse(&header(Command::Cnxn as u32, 4096)).is_ok());
        assert!(matches!(
            Header::parse(&header(Command::Cnxn as u32, 4097)),
            Err(PacketError::TooLong {
                limit: MAX_HANDSHAKE_PAYLOAD,
                ..
            })
        ));
        assert!(Header::parse(&header(Command::Wrte as u32, 1024 * 1024)).is_ok());
        assert!(Header::parse(&header(Command::Wrte as u32, 1024 * 1024 + 1)).is_err());
        assert!(Header::parse(&header(Command::Wrte as u32, u32::MAX)).is_err());
    }
}
