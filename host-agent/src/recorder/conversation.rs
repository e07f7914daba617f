//! Whether the packets of a recording are a conversation that somebody could have had: a reader of its own that rebuilds
//! it, and holds the streams of the same recording against it. Only for tests.
//!
//! ```text
//!   CNXN ► · (AUTH ◄►)* · (STLS ◄►)? · CNXN ◄        then, for each number that the host has opened:
//!
//!   Asked ── OKAY ◄ ──► Open ── CLSE ► ──► Closing ── CLSE ◄ ──► Over
//!     └───── CLSE ◄ ──────│───────────────────────────────────────►│
//!                         └── CLSE ◄ ──► Left ── CLSE ► ──────────►│
//! ```
//!
//! Every packet belongs to an OPEN, none is sent without a window, and what the streams say they carried is what their
//! packets carried. It knows nothing of the machine that sent them (`adb::machine`).

use std::collections::{HashMap, HashSet};

use adb::banner;
use adb::daemon::Guard;
use adb::key::Key;
use adb::known_keys::{KnownKeys, NewKeys};
use adb::packet::Command;
use adb::recording::Direction;
use adb::{Host, recording};
use tokio::net::TcpSocket;

use super::tests::{SECRET, finished, has, only_file, recorder, typed};
use super::*;
use crate::rig::Phone;
use crate::way::{Way, WayError};

/// What may be sent one way before the other side says more.
#[derive(Debug, Clone, Copy)]
enum Room {
    /// One packet, then an OKAY.
    Packet(bool),
    Bytes(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asked,
    Open,
    /// The host has closed it.
    Closing,
    /// The device has.
    Left,
    Over,
}

/// One stream as its packets have it.
#[derive(Debug)]
struct Line {
    phase: Phase,
    name: Bytes,
    remote: u32,
    to_device: Room,
    from_device: Room,
    sent: u64,
    received: u64,
}

/// All of it so far.
#[derive(Debug, Default)]
struct Conversation {
    begun: Vec<Passed>,
    /// Once both have said hello: whether windows are counted in bytes.
    delayed_ack: Option<bool>,
    lines: HashMap<u32, Line>,
    /// The device's OPENs that are not answered.
    asked: HashSet<u32>,
    /// Streams that were read to their end.
    whole: usize,
}

impl Room {
    fn new(delayed_ack: bool, bytes: i64) -> Self {
        if delayed_ack {
            Self::Bytes(bytes)
        } else {
            Self::Packet(true)
        }
    }

    fn spend(&mut self, length: usize) {
        match self {
            Self::Packet(ready) => assert!(std::mem::take(ready), "a packet without an OKAY"),
            Self::Bytes(left) => {
                assert!(*left > 0, "{length} bytes into a window of {left}");
                *left -= length as i64;
            }
        }
    }

    fn grant(&mut self, more: i64) {
        match self {
            Self::Packet(ready) => assert!(!std::mem::replace(ready, true), "an OKAY for nothing"),
            Self::Bytes(left) => *left += more,
        }
    }
}

impl Conversation {
    fn take(&mut self, packet: &Passed) {
        let Some(delayed_ack) = self.delayed_ack else {
            return self.begin(packet);
        };
        let (arg0, arg1) = (packet.header.arg0, packet.header.arg1);
        match (packet.direction, packet.header.command) {
            (Direction::ToDevice, Command::Open) => {
                assert_eq!(arg1 > 0, delayed_ack, "{packet:?}");
                let line = Line {
                    phase: Phase::Asked,
                    name: packet.said.clone(),
                    remote: 0,
                    to_device: Room::Packet(false),
                    from_device: Room::new(delayed_ack, arg1.into()),
                    sent: 0,
                    received: 0,
                };
                let old = self.lines.insert(arg0, line);
                assert!(old.is_none() && arg0 != 0, "{arg0} is used twice");
            }
            (Direction::FromDevice, Command::Open) => assert!(self.asked.insert(arg0)),
            (Direction::ToDevice, Command::Clse) if arg0 == 0 => assert!(self.asked.remove(&arg1)),
            (Direction::ToDevice, _) => self.line(arg0, packet).host(packet),
            (Direction::FromDevice, _) => self.line(arg1, packet).device(packet, delayed_ack),
        }
    }

    fn line(&mut self, number: u32, packet: &Passed) -> &mut Line {
        self.lines
            .get_mut(&number)
            .unwrap_or_else(|| panic!("nothing was opened for {packet:?}"))
    }

    fn begin(&mut self, packet: &Passed) {
        let is_hello = packet.header.command == Command::Cnxn;
        match packet.direction {
            Direction::ToDevice => assert_eq!(is_hello, self.begun.is_empty(), "{packet:?}"),
            Direction::FromDevice => assert!(!self.begun.is_empty(), "the device says hello first"),
        }
        if is_hello && packet.direction == Direction::FromDevice {
            let has = |said: &Bytes| banner::parse(said).unwrap().has("delayed_ack");
            self.delayed_ack = Some(has(&packet.said) && has(&self.begun[0].said));
        } else {
            let allowed = [Command::Cnxn, Command::Auth, Command::Stls];
            assert!(allowed.contains(&packet.header.command), "{packet:?}");
        }
        self.begun.push(packet.clone());
    }
}

impl Line {
    fn host(&mut self, packet: &Passed) {
        let length = packet.header.length;
        assert_eq!(self.remote, packet.header.arg1, "{packet:?}");
        match (packet.header.command, self.phase) {
            // What the host had said already when it read that the device closed it is on its way.
            (Command::Wrte, Phase::Open | Phase::Left) => {
                self.to_device.spend(length);
                self.sent += length as u64;
            }
            (Command::Okay, Phase::Open | Phase::Left) => self.from_device.grant(window(packet)),
            (Command::Clse, Phase::Open) => self.phase = Phase::Closing,
            (Command::Clse, Phase::Left) => self.phase = Phase::Over,
            (_, phase) => panic!("{packet:?} while {phase:?}"),
        }
    }

    fn device(&mut self, packet: &Passed, delayed_ack: bool) {
        let length = packet.header.length;
        match (packet.header.command, self.phase) {
            (Command::Okay, Phase::Asked) => {
                (self.phase, self.remote) = (Phase::Open, packet.header.arg0);
                self.to_device = Room::new(delayed_ack, window(packet));
            }
            (Command::Okay, Phase::Open) => self.to_device.grant(window(packet)),
            (Command::Wrte, Phase::Open | Phase::Closing) => {
                self.from_device.spend(length);
                self.received += length as u64;
            }
            (Command::Clse, Phase::Open) => self.phase = Phase::Left,
            (Command::Clse, Phase::Asked | Phase::Closing) => self.phase = Phase::Over,
            // It has not heard yet that the host closed it.
            (Command::Okay, Phase::Closing) => {}
            (_, phase) => panic!("{packet:?} while {phase:?}"),
        }
    }
}

/// What an OKAY grants, in bytes.
fn window(packet: &Passed) -> i64 {
    match packet.said[..] {
        [] => 0,
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        _ => panic!("{packet:?} has no window"),
    }
}

/// Reads a file, follows its packets, and holds its streams against them.
fn followed(file: &Path) -> Conversation {
    let (head, records) = recording::parse(fs::read(file).unwrap().into()).unwrap();
    assert!(head.packets);
    let mut conversation = Conversation::default();
    let mut carriers: HashMap<StreamId, Carrier> = HashMap::new();
    let mut streams: HashMap<StreamId, (String, u64, u64)> = HashMap::new();
    for record in records.map(Result::unwrap) {
        match record.what {
            What::Packet(packet) => conversation.take(&packet),
            What::Opened(id, name) => assert!(streams.insert(id, (name, 0, 0)).is_none()),
            What::Carried(id, carrier) => assert!(carriers.insert(id, carrier).is_none()),
            What::Sent(id, bytes) => streams.get_mut(&id).unwrap().1 += bytes.len() as u64,
            What::Received(id, bytes) => streams.get_mut(&id).unwrap().2 += bytes.len() as u64,
            What::Closed(_) | What::Ended(_) => {}
            What::Lost { .. } => panic!("records are missing"),
        }
    }
    for (id, (name, sent, received)) in &streams {
        let line = &conversation.lines[&carriers[id].0];
        assert_eq!(line.name, [name.as_bytes(), b"\0"].concat(), "{name}");
        // Nobody reads what comes behind the last that somebody wanted, and what was written in the connection's last moment
        // may not have left.
        assert!(*received <= line.received, "more than came from {name}");
        assert!(line.sent <= *sent, "more than was sent to {name}");
        let is_closed = matches!(line.phase, Phase::Closing | Phase::Over);
        assert!(line.sent == *sent || !is_closed, "to {name}");
        conversation.whole += usize::from(line.sent == *sent && line.received == *received);
    }
    conversation
}

/// Goes a way that is recorded.
async fn gone(recorder: &Recorder, way: &str) -> Result<Host, WayError> {
    let way: Way = way.parse().unwrap();
    let recording = recorder.of(&"trial".parse().unwrap(), ServerVersion::NEWEST);
    let witness = recording.begin(way.packets()).await;
    way.connect_seen_by(witness).await
}

/// A device that asks for a key in this manner is asked for its size; gives the file.
async fn keyed(guard: Guard, text: Text) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), text);
    let phone = Phone::behind(guard).await;
    let way = format!("{},key={}", phone.address, folder.path().join("key").display());
    let host = gone(&recorder, &way).await.unwrap();
    let said = host.shell("wm size").await.unwrap().stdout;
    assert!(has(&said, "360x640"));
    drop(host);
    finished(&recorder).await;
    let file = only_file(folder.path());
    (folder, file)
}

/// Records a way through an adb server: what streams carry is there, and of packets only that there are none.
pub(crate) async fn streams_alone_are_recorded(way: &str) {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), Text::Redacted);
    let host = gone(&recorder, way).await.unwrap();
    let said = host.shell("wm size").await.unwrap().stdout;
    drop(host);
    finished(&recorder).await;
    let bytes = fs::read(only_file(folder.path())).unwrap();
    assert!(has(&bytes, std::str::from_utf8(&said).unwrap().trim_end()));
    let (head, records) = recording::parse(bytes.into()).unwrap();
    assert!(!head.packets);
    for record in records.map(Result::unwrap) {
        assert!(
            !matches!(record.what, What::Packet(_) | What::Carried(..)),
            "{record:?}"
        );
    }
}

fn commands(packets: &[Passed]) -> Vec<(Direction, Command, u32)> {
    let told = |packet: &Passed| match packet.header.command {
        Command::Auth => (packet.direction, Command::Auth, packet.header.arg0),
        other => (packet.direction, other, 0),
    };
    packets.iter().map(told).collect()
}

#[tokio::test]
async fn the_packets_of_a_recorded_session_are_a_conversation_and_its_streams_are_what_they_carry() {
    let (_folder, file) = typed(Text::Redacted).await;
    let conversation = followed(&file);
    let bytes = fs::read(&file).unwrap();
    for word in SECRET.split(' ') {
        assert!(!has(&bytes, word));
    }
    let carried = |prefix: &str| {
        let lines = conversation.lines.values();
        lines
            .filter(|line| line.name.starts_with(prefix.as_bytes()) && line.phase != Phase::Asked)
            .fold((0, 0), |sum, line| (sum.0 + line.sent, sum.1 + line.received))
    };
    let (touched, seen) = carried("localabstract:scrcpy_");
    assert!(touched > 0 && seen > 10_000, "{touched} and {seen} bytes");
    assert!(carried("sync:").0 > 0 && carried("shell").1 > 0);
    assert!(conversation.whole > 3, "{} streams", conversation.whole);
}

#[tokio::test]
async fn of_a_key_there_is_when_it_was_shown_and_nothing_that_it_said() {
    use Direction::{FromDevice, ToDevice};
    const HELLO: (Direction, Command, u32) = (ToDevice, Command::Cnxn, 0);
    const LET_IN: (Direction, Command, u32) = (FromDevice, Command::Cnxn, 0);
    let known = || KnownKeys::new(Vec::new(), NewKeys::Accept);
    let (folder, file) = keyed(Guard::Keys(known()), Text::Redacted).await;
    let begun = followed(&file).begun;
    let auth = |direction, kind| (direction, Command::Auth, kind);
    let (asked, again) = (auth(FromDevice, 1), auth(FromDevice, 1));
    let (signed, shown) = (auth(ToDevice, 2), auth(ToDevice, 3));
    assert_eq!(commands(&begun), [HELLO, asked, signed, again, shown, LET_IN]);
    for packet in &begun[1..5] {
        assert_eq!(packet.said.len(), packet.header.length);
        assert!(packet.said.iter().all(|byte| *byte == BLANK));
        assert_eq!(packet.header.check, recording::SUM_KEPT_BACK);
    }
    let public = fs::read_to_string(folder.path().join("key.pub")).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert!(!has(&bytes, &public[..40]) && !has(&bytes, "@host-agent"));

    let (folder, file) = keyed(Guard::Keys(known()), Text::Kept).await;
    let public = fs::read_to_string(folder.path().join("key.pub")).unwrap();
    assert!(
        has(&fs::read(&file).unwrap(), &public[..40]),
        "the operator wanted it"
    );

    let key = Key::generate("device").unwrap();
    let (_folder, file) = keyed(Guard::Tls { key, known: known() }, Text::Redacted).await;
    let conversation = followed(&file);
    let stls = |direction| (direction, Command::Stls, 0);
    assert_eq!(
        commands(&conversation.begun),
        [HELLO, stls(FromDevice), stls(ToDevice), LET_IN]
    );
    assert!(!conversation.lines.is_empty(), "what is inside of TLS is seen");
}

#[tokio::test]
async fn a_handshake_that_fails_is_recorded_and_a_device_that_is_not_there_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), Text::Redacted);
    // A port that nobody else can have, and where nobody listens.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    assert!(gone(&recorder, &address.to_string()).await.is_err());
    finished(&recorder).await;
    assert_eq!(fs::read_dir(folder.path().join("trial")).unwrap().count(), 0);
    assert_eq!(recorder.0.used.load(Ordering::Relaxed), 0);

    let none = KnownKeys::new(Vec::new(), NewKeys::Refuse);
    let phone = Phone::behind(Guard::Keys(none)).await;
    assert!(gone(&recorder, &phone.address.to_string()).await.is_err());
    finished(&recorder).await;
    let conversation = followed(&only_file(folder.path()));
    let asked = (Direction::FromDevice, Command::Auth, 1);
    assert_eq!(commands(&conversation.begun)[1..], [asked]);
    assert_eq!(conversation.delayed_ack, None);
}
