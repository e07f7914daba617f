//! For fuzzing: records of any kind in any order through the redaction, as a device and the agent would cause them.
//!
//! ```text
//!   byte 0   the version
//!   then     kind and stream, length, bytes ─► opened · closed · lost · sent · received · packet
//! ```
//!
//! Nothing is lost and nothing is added: when all streams are closed, each has as many bytes in each direction as came, and
//! every packet says as much as it said.

use std::collections::HashMap;

use adb::packet::{Command, Header};
use adb::recording::{Direction, Passed};

use super::redact::Redaction;
use super::{Bytes, Record, StreamId, What};

const LAUNCHED: &str = "shell,v2,raw:CLASSPATH=/x app_process / x 4.1 scid=00000001 audio=false";
const SOCKET: &str = "localabstract:scrcpy_00000001";
/// Of a server whose launch nobody saw.
const STRANGER: &str = "localabstract:scrcpy_00000002";
const VERSIONS: [&str; 4] = ["2.0", "2.7", "3.3.4", "4.1"];

/// Bytes by stream and direction: those that came, less those that were given out.
type Held = HashMap<(StreamId, bool), usize>;

/// Any bytes as records.
pub fn fuzz(bytes: &[u8]) {
    let Some((&pick, mut rest)) = bytes.split_first() else {
        return;
    };
    let Ok(version) = VERSIONS[usize::from(pick) % VERSIONS.len()].parse() else {
        return;
    };
    let (mut redaction, mut held) = (Redaction::new(version), Held::new());
    let mut open = Vec::new();
    let mut next = 1;
    while let [kind, length, after @ ..] = rest {
        let (data, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let data = Bytes::copy_from_slice(data);
        let stream = match open.is_empty() {
            true => StreamId(0),
            false => open[usize::from(kind >> 4) % open.len()],
        };
        let what = match kind % 16 {
            0..=3 => {
                let stream = StreamId(next);
                next += 1;
                open.push(stream);
                let service = [LAUNCHED, SOCKET, STRANGER, &String::from_utf8_lossy(&data)];
                What::Opened(stream, service[usize::from(kind % 16)].to_owned())
            }
            4 => {
                open.retain(|other| *other != stream);
                What::Closed(stream)
            }
            5 => {
                redaction.gap();
                What::Lost { records: 1, bytes: 1 }
            }
            6..=10 => What::Sent(stream, data),
            15 => What::Packet(packet(*length, data)),
            _ => What::Received(stream, data),
        };
        pass(&mut redaction, &mut held, what);
    }
    for stream in open {
        pass(&mut redaction, &mut held, What::Closed(stream));
    }
    assert!(held.values().all(|held| *held == 0), "bytes are lost: {held:?}");
}

/// A packet of any kind that says this.
fn packet(pick: u8, said: Bytes) -> Passed {
    use Command::{Auth, Clse, Cnxn, Okay, Open, Stls, Wrte};
    let direction = match pick % 2 {
        0 => Direction::FromDevice,
        _ => Direction::ToDevice,
    };
    let header = Header {
        command: [Auth, Clse, Cnxn, Okay, Open, Stls, Wrte][usize::from(pick / 2) % 7],
        arg0: 1,
        arg1: 1,
        length: said.len(),
        check: 1,
    };
    Passed {
        direction,
        header,
        said,
    }
}

fn pass(redaction: &mut Redaction, held: &mut Held, what: What) {
    if let Some((place, length)) = place(&what) {
        *held.entry(place).or_default() += length;
    }
    let said = said(&what);
    redaction.pass(Record { at_us: 1, what }, |record| {
        assert_eq!(
            self::said(&record.what),
            said,
            "a packet says more or less than it did"
        );
        if let Some((place, length)) = place(&record.what) {
            let held = held.entry(place).or_default();
            *held = held.checked_sub(length).expect("no more is given out than came");
        }
    });
}

/// How much a packet says.
fn said(what: &What) -> Option<usize> {
    match what {
        What::Packet(packet) => Some(packet.said.len()),
        _ => None,
    }
}

fn place(what: &What) -> Option<((StreamId, bool), usize)> {
    match what {
        What::Sent(stream, bytes) => Some(((*stream, true), bytes.len())),
        What::Received(stream, bytes) => Some(((*stream, false), bytes.len())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use device::dice::Dice;

    #[test]
    fn no_record_is_longer_or_shorter_for_its_redaction() {
        let mut dice = Dice::new(1);
        let mut below = |n: usize| dice.index(n);
        for _ in 0..5_000 {
            // A server is launched and its sockets are there; what follows is anything, mostly short and small.
            let mut bytes = vec![below(256) as u8, 0, 0, 1, 0, 11, 1, 0, 1, 0];
            for _ in 0..40 {
                let length = below(24);
                bytes.extend([below(256) as u8, length as u8]);
                bytes.extend((0..length).map(|_| below(20) as u8));
            }
            super::fuzz(&bytes);
        }
    }
}
