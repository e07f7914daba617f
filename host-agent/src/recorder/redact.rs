//! Takes what people type, copy and name out of a recording, message by message, with every length as it was.
//!
//! ```text
//!   stream to localabstract:scrcpy…   first to receive anything: video   passes as it is
//!                                     the others: control    sent     ► control messages ┐ text ► ****, keys ► unknown
//!                                                            received ► device messages  ┘ clipboard ► ****
//!   shells that are known to be harmless                     pass as they are (service.rs)
//!   any other stream                                         both ways ► ****
//!   adb's own packets                                        packets.rs
//! ```
//!
//! Of any other stream there is left when it opened and closed, which program it ran, and how much was said when.
//! A message that is cut over several writes is held back until it is whole, and written with the time of its end.
//!
//! It fails closed. Where a record is missing, or bytes are no messages, nothing tells any more what is text: from there
//! on a control socket is asterisks only. So is every stream whose opening was not seen, and every socket of a server
//! whose launch was not seen, because which of its sockets is the first could not be told. A later run is whole again.
//!
//! That the first socket is the video's is scrcpy's order, and that there is no audio between the two is the agent's
//! own (capture.rs). Versions: `scrcpy::control`.

use std::collections::{HashMap, HashSet, VecDeque};

use adb::recording::{Record, StreamId, What};
use bytes::{Buf as _, Bytes, BytesMut};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::{ControlMsg, DeviceMsg, ServerVersion, control, device_msg};

use super::BLANK;
use super::packets::without_words;
use super::service::{Service, without_text};

/// Runs of a server that are remembered; the agent has one at a time, and one that ends. The oldest is forgotten first,
/// and its sockets become asterisks.
const RUNS_MAX: usize = 4;
/// Keys that type nothing: HOME, BACK, the volume, POWER, MENU, MUTE, APP_SWITCH, SLEEP, WAKEUP.
const TYPES_NOTHING: [i32; 10] = [3, 4, 24, 25, 26, 82, 164, 187, 223, 224];

/// The redaction of one session.
#[derive(Debug)]
pub(super) struct Redaction {
    version: ServerVersion,
    /// Open streams in which nothing is a person's.
    harmless: HashSet<StreamId>,
    sockets: HashMap<StreamId, Socket>,
    runs: VecDeque<Run>,
}

/// One scrcpy server whose launch was seen.
#[derive(Debug)]
struct Run {
    scid: String,
    video_known: bool,
}

/// One of a scrcpy server's sockets.
#[derive(Debug)]
struct Socket {
    scid: String,
    role: Role,
    sent: BytesMut,
    received: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing was received yet.
    Open,
    Video,
    Control,
    /// What it carries cannot be told.
    Blind,
}

impl Redaction {
    pub(super) fn new(version: ServerVersion) -> Self {
        Self {
            version,
            harmless: HashSet::new(),
            sockets: HashMap::new(),
            runs: VecDeque::new(),
        }
    }

    /// A record is missing.
    pub(super) fn gap(&mut self) {
        self.runs.retain(|run| run.video_known);
        for socket in self.sockets.values_mut() {
            if socket.role != Role::Video {
                socket.role = Role::Blind;
            }
        }
    }

    /// Gives out what may be written of a record.
    pub(super) fn pass(&mut self, record: Record, mut out: impl FnMut(&Record)) {
        let at_us = record.at_us;
        match record.what {
            What::Opened(stream, ref service) => {
                self.opened(stream, service);
                let what = What::Opened(stream, without_text(service));
                out(&Record { at_us, what });
            }
            What::Sent(stream, bytes) => {
                let bytes = self.sent(stream, bytes);
                if !bytes.is_empty() {
                    let what = What::Sent(stream, bytes);
                    out(&Record { at_us, what });
                }
            }
            What::Received(stream, bytes) => {
                let bytes = self.received(stream, bytes);
                if !bytes.is_empty() {
                    let what = What::Received(stream, bytes);
                    out(&Record { at_us, what });
                }
            }
            What::Closed(stream) => {
                self.harmless.remove(&stream);
                if let Some(socket) = self.sockets.remove(&stream) {
                    for (rest, what) in [
                        (socket.sent, What::Sent as fn(StreamId, Bytes) -> What),
                        (socket.received, What::Received),
                    ] {
                        if !rest.is_empty() {
                            let what = what(stream, blanks(rest.len()));
                            out(&Record { at_us, what });
                        }
                    }
                }
                out(&record);
            }
            What::Packet(packet) => {
                let what = What::Packet(without_words(packet));
                out(&Record { at_us, what });
            }
            What::Carried(..) | What::Lost { .. } | What::Ended(_) => out(&record),
        }
    }

    fn opened(&mut self, stream: StreamId, service: &str) {
        let scid = match Service::of(service) {
            Service::Socket(scid) => scid,
            Service::Launch(scid) => {
                self.runs.truncate(RUNS_MAX - 1);
                self.runs.push_front(Run {
                    scid: scid.to_owned(),
                    video_known: false,
                });
                return;
            }
            Service::Harmless => {
                self.harmless.insert(stream);
                return;
            }
            Service::Private => return,
        };
        let role = if self.runs.iter().any(|run| run.scid == scid) {
            Role::Open
        } else {
            Role::Blind
        };
        let socket = Socket {
            scid: scid.to_owned(),
            role,
            sent: BytesMut::new(),
            received: BytesMut::new(),
        };
        self.sockets.insert(stream, socket);
    }

    fn sent(&mut self, stream: StreamId, bytes: Bytes) -> Bytes {
        let Some(socket) = self.sockets.get_mut(&stream) else {
            return self.of_another(stream, bytes);
        };
        let version = self.version;
        whole_messages(&mut socket.sent, &bytes, &mut socket.role, |bytes| {
            let (message, length) = control::decode(version, bytes)
                .map_err(|_| Stop::Lost)?
                .ok_or(Stop::NotYet)?;
            let mut redacted = BytesMut::new();
            control::encode(version, &of_control(message), &mut redacted).map_err(|_| Stop::Lost)?;
            Ok((redacted, length))
        })
    }

    fn received(&mut self, stream: StreamId, bytes: Bytes) -> Bytes {
        let Some(socket) = self.sockets.get_mut(&stream) else {
            return self.of_another(stream, bytes);
        };
        if socket.role == Role::Open {
            let run = self.runs.iter_mut().find(|run| run.scid == socket.scid);
            let video_known = run.map(|run| std::mem::replace(&mut run.video_known, true));
            socket.role = match video_known {
                Some(false) => Role::Video,
                Some(true) => Role::Control,
                None => Role::Blind,
            };
        }
        if socket.role == Role::Video {
            return bytes;
        }
        whole_messages(&mut socket.received, &bytes, &mut socket.role, |bytes| {
            let (message, length) = device_msg::decode(bytes)
                .map_err(|_| Stop::Lost)?
                .ok_or(Stop::NotYet)?;
            let mut redacted = BytesMut::new();
            device_msg::encode(&of_device(message), &mut redacted).map_err(|_| Stop::Lost)?;
            Ok((redacted, length))
        })
    }

    fn of_another(&self, stream: StreamId, bytes: Bytes) -> Bytes {
        if self.harmless.contains(&stream) {
            bytes
        } else {
            blanks(bytes.len())
        }
    }
}

/// What keeps the next message from being given out.
enum Stop {
    /// It is not whole.
    NotYet,
    /// The bytes cannot be followed.
    Lost,
}

/// The whole messages of what was held and of what came, redacted; the rest is held.
fn whole_messages(
    held: &mut BytesMut,
    bytes: &[u8],
    role: &mut Role,
    mut next: impl FnMut(&[u8]) -> Result<(BytesMut, usize), Stop>,
) -> Bytes {
    held.extend_from_slice(bytes);
    let mut out = BytesMut::new();
    while *role != Role::Blind {
        match next(held) {
            Ok((message, length)) if message.len() == length => {
                held.advance(length);
                out.extend_from_slice(&message);
            }
            Err(Stop::NotYet) => return out.freeze(),
            Ok(_) | Err(Stop::Lost) => *role = Role::Blind,
        }
    }
    out.extend_from_slice(&blanks(held.len()));
    held.clear();
    out.freeze()
}

fn of_control(message: ControlMsg) -> ControlMsg {
    match message {
        ControlMsg::Text(text) => ControlMsg::Text(stars(&text)),
        ControlMsg::SetClipboard {
            sequence,
            paste,
            text,
        } => ControlMsg::SetClipboard {
            sequence,
            paste,
            text: stars(&text),
        },
        ControlMsg::Key {
            action,
            keycode,
            repeat,
            ..
        } if !TYPES_NOTHING.contains(&keycode.0) => ControlMsg::Key {
            action,
            keycode: KeyCode(0),
            repeat,
            metastate: MetaState(0),
        },
        ControlMsg::UhidInput { id, data } => ControlMsg::UhidInput {
            id,
            data: vec![0; data.len()],
        },
        other => other,
    }
}

fn of_device(message: DeviceMsg) -> DeviceMsg {
    match message {
        DeviceMsg::Clipboard(text) => DeviceMsg::Clipboard(stars(&text)),
        other => other,
    }
}

/// As many as the text has bytes.
fn stars(text: &str) -> String {
    char::from(BLANK).to_string().repeat(text.len())
}

pub(super) fn blanks(len: usize) -> Bytes {
    vec![BLANK; len].into()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
