//! What of adb's packets may be written down: their order and their sizes, and no words that are a person's or a key's.
//!
//! ```text
//!   CNXN   banners                      kept: they name models and features
//!   AUTH   token, signature, key        ► ****   a public key names who made it
//!   OPEN   to the device                as the stream's own record (service.rs): shell…:rm ► ****
//!          from the device              ► ****
//!   OKAY   a window                     kept: four bytes
//!   WRTE   data                         not here: streams have it
//! ```
//!
//! A peer that needs sums of bytes gets one with every packet, and the sum of a touch of a key tells which key it was. So
//! the sum goes wherever the words go. It does not know in which order packets come.

use adb::packet::Command;
use adb::recording::{Direction, Passed, SUM_KEPT_BACK};
use bytes::Bytes;

use super::redact::blanks;
use super::service::without_text;

/// Bytes of the window that an OKAY carries. What is longer is something else.
const WINDOW_LEN: usize = 4;

/// What may be written of a packet.
pub(super) fn without_words(packet: Passed) -> Passed {
    let Passed {
        direction,
        mut header,
        said,
    } = packet;
    let told = match (header.command, direction) {
        (Command::Cnxn, _) => true,
        (Command::Okay, _) => header.length <= WINDOW_LEN,
        _ => header.length == 0,
    };
    let said = match (header.command, direction) {
        _ if told => said,
        (Command::Open, Direction::ToDevice) => name(&said),
        _ => blanks(said.len()),
    };
    if !told && header.check != 0 {
        header.check = SUM_KEPT_BACK;
    }
    Passed {
        direction,
        header,
        said,
    }
}

/// A service's name as its stream's record has it; the NUL behind it stays.
fn name(said: &Bytes) -> Bytes {
    let (name, end) = match said.split_last() {
        Some((0, name)) => (name, &said[name.len()..]),
        _ => (&said[..], &[][..]),
    };
    match std::str::from_utf8(name) {
        Ok(name) if !name.contains('\0') => [without_text(name).as_bytes(), end].concat().into(),
        _ => blanks(said.len()),
    }
}

#[cfg(test)]
mod tests {
    use adb::packet::Header;

    use super::*;

    fn packet(command: Command, direction: Direction, said: &'static [u8]) -> Passed {
        let header = Header {
            command,
            arg0: 1,
            arg1: 2,
            length: said.len(),
            check: said.iter().map(|byte| u32::from(*byte)).sum(),
        };
        Passed {
            direction,
            header,
            said: said.into(),
        }
    }

    #[test]
    fn words_go_and_with_them_the_sum_that_would_tell_them() {
        use Command::{Auth, Cnxn, Okay, Open, Wrte};
        use Direction::{FromDevice, ToDevice};
        let cases: [(Command, Direction, &[u8], &[u8]); 9] = [
            (Auth, FromDevice, b"token", b"*****"),
            (Auth, ToDevice, b"key me@home\0", b"************"),
            (Open, ToDevice, b"shell:rm hunter2\0", b"shell:rm *******\0"),
            (Open, ToDevice, b"shell:rm \xff\0", b"***********"),
            (Open, ToDevice, b"sync:\0hunter2\0", b"**************"),
            (Open, FromDevice, b"tcp:1\0", b"******"),
            (Okay, FromDevice, b"12345", b"*****"),
            (Okay, FromDevice, b"\x01\0\0\0", b"\x01\0\0\0"),
            (Cnxn, FromDevice, b"device::", b"device::"),
        ];
        for (command, direction, said, told) in cases {
            let before = packet(command, direction, said);
            let after = without_words(before.clone());
            assert_eq!(after.said, told, "{command:?}");
            let sum = if said == told {
                before.header.check
            } else {
                SUM_KEPT_BACK
            };
            let header = Header {
                check: sum,
                ..before.header
            };
            assert_eq!(after.header, header, "{command:?}");
        }
        // One letter, whose sum is the letter; and what has no sum goes on having none.
        let mut data = packet(Wrte, ToDevice, b"h");
        data.said = Bytes::new();
        assert_eq!(without_words(data.clone()).header.check, SUM_KEPT_BACK);
        data.header.check = 0;
        assert_eq!(without_words(data.clone()), data);
    }
}
