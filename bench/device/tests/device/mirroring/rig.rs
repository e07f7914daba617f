//! A device, a server on it, and a client of that server.

use std::time::Duration;

use bytes::BytesMut;
use device::abstract_sockets::Socket;
use device::android::{App, Model};
use device::display::Display;
use device::fault::{Fault, Faults};
use device::scrcpy_server::{Launch, Output, Running, start};
use device::screen::barcode::{self, Barcode};
use device::{Android, Userland};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use scrcpy::control::{self, ControlMsg, KeyAction, PointerId, Position, Pressure, Touch, TouchAction};
use scrcpy::demux::{Demuxer, Event};
use scrcpy::device_msg::{self, DeviceMsg};
use scrcpy::handshake::{Scid, socket_name};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::options::ServerOptions;
use scrcpy::packet::Session;
use scrcpy::version::ServerVersion;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Longer than the device takes to show that it has something to say: the repeat after 100 ms, and a tick.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);

pub(crate) const WIDTH: u16 = 360;
pub(crate) const HEIGHT: u16 = 640;

/// A device and one server on it.
pub(crate) struct Rig {
    pub(crate) android: Android,
    pub(crate) userland: Userland,
    pub(crate) version: ServerVersion,
    pub(crate) server: Running,
    pub(crate) video: Video,
    pub(crate) control: Socket,
}

/// The client's end of a video socket.
pub(crate) struct Video {
    pub(crate) socket: Socket,
    pub(crate) demuxer: Demuxer,
    pub(crate) decoder: Decoder,
    pub(crate) config: Vec<u8>,
}

impl Rig {
    pub(crate) async fn new(version: &str, app: App) -> Self {
        Self::with(version, app, ServerOptions::default()).await
    }

    pub(crate) async fn with(version: &str, app: App, options: ServerOptions) -> Self {
        Self::on(userland(), version, app, options).await
    }

    /// On a device whose servers have this fault.
    pub(crate) async fn faulty(fault: Fault, seed: u64, app: App) -> Self {
        Self::on(faulty(fault, seed), "4.1", app, ServerOptions::default()).await
    }

    pub(crate) async fn on(userland: Userland, version: &str, app: App, options: ServerOptions) -> Self {
        let android = userland.android.clone();
        android.start(app.package()).unwrap();
        let version: ServerVersion = version.parse().unwrap();
        let options = ServerOptions {
            scid: Some(Scid::from_bits(7)),
            audio: false,
            tunnel_forward: true,
            video_bit_rate: match options.video_bit_rate {
                rate if rate == ServerOptions::default().video_bit_rate => 4_000_000,
                rate => rate,
            },
            ..options
        };
        let server = launch(&userland, version, &options);
        let mut video = connect(&userland, &options).await;
        assert_eq!(video.read_u8().await.unwrap(), 0);
        let control = connect(&userland, &options).await;
        Self {
            video: Video {
                socket: video,
                demuxer: Demuxer::new(options.video_start(version)),
                decoder: Decoder::new().unwrap(),
                config: Vec::new(),
            },
            android,
            userland,
            version,
            server,
            control,
        }
    }

    pub(crate) async fn send(&mut self, msg: ControlMsg) {
        let mut wire = BytesMut::new();
        control::encode(self.version, &msg, &mut wire).unwrap();
        self.control.write_all(&wire).await.unwrap();
    }

    pub(crate) async fn touch(&mut self, action: TouchAction, id: i64, x: i32, y: i32) {
        self.touch_in(action, id, (x, y), (WIDTH, HEIGHT)).await;
    }

    pub(crate) async fn touch_in(&mut self, action: TouchAction, id: i64, at: (i32, i32), size: (u16, u16)) {
        let touch = Touch {
            action,
            pointer: PointerId(id),
            position: Position {
                x: at.0,
                y: at.1,
                width: size.0,
                height: size.1,
            },
            pressure: Pressure::FULL,
            action_button: 0,
            buttons: 0,
        };
        self.send(ControlMsg::Touch(touch)).await;
    }

    /// As a mouse with buttons does it: the one that it is about, and those that are held then.
    pub(crate) async fn mouse(&mut self, action: TouchAction, action_button: i32, buttons: i32) {
        let touch = Touch {
            action,
            pointer: PointerId(-1),
            position: Position {
                x: 10,
                y: 20,
                width: WIDTH,
                height: HEIGHT,
            },
            pressure: Pressure::FULL,
            action_button,
            buttons,
        };
        self.send(ControlMsg::Touch(touch)).await;
    }

    /// The numbers of the pointers that the device takes for down, when all was read.
    pub(crate) async fn down(&mut self) -> Vec<i64> {
        self.settled().await;
        let pointers = self.android.pointers().into_iter();
        pointers.map(|pointer| pointer.key.id).collect()
    }

    /// Waits until the server has read everything that was sent, by its answer to a last message.
    pub(crate) async fn settled(&mut self) {
        self.send(ControlMsg::SetClipboard {
            sequence: 99,
            paste: false,
            text: self.android.clipboard(),
        })
        .await;
        loop {
            if self.device_msg().await == DeviceMsg::AckClipboard(99) {
                return;
            }
        }
    }

    pub(crate) async fn device_msg(&mut self) -> DeviceMsg {
        let mut bytes = BytesMut::new();
        loop {
            if let Some((msg, _)) = device_msg::decode(&bytes).unwrap() {
                return msg;
            }
            let byte = timeout(DEADLINE, self.control.read_u8()).await.unwrap().unwrap();
            bytes.extend_from_slice(&[byte]);
        }
    }

    /// As [`device_msg`](Self::device_msg), but skips pushed clipboards.
    pub(crate) async fn device_msg_but_clipboard(&mut self) -> DeviceMsg {
        loop {
            match self.device_msg().await {
                DeviceMsg::Clipboard(_) => {}
                msg => return msg,
            }
        }
    }

    /// What `dumpsys simulated` tells.
    pub(crate) fn dump(&self) -> serde_json::Value {
        serde_json::from_str(&self.android.dumpsys()).unwrap()
    }

    /// What the server printed, up to its exit code.
    pub(crate) async fn output(&mut self) -> (String, u8) {
        let mut text = String::new();
        loop {
            match timeout(DEADLINE, self.server.next()).await.unwrap().unwrap() {
                Output::Stdout(line) | Output::Stderr(line) => text += &line,
                Output::Exit(code) => return (text, code),
            }
        }
    }
}

impl Video {
    pub(crate) async fn event(&mut self) -> Event {
        timeout(DEADLINE, self.next())
            .await
            .expect("the device is silent")
            .expect("the socket ended")
    }

    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.demuxer.poll().unwrap() {
                return Some(event);
            }
            let mut bytes = BytesMut::with_capacity(65_536);
            if self.socket.read_buf(&mut bytes).await.unwrap() == 0 {
                return None;
            }
            self.demuxer.push(bytes.freeze());
        }
    }

    /// What comes until the socket ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.socket.read_to_end(&mut bytes);
        timeout(DEADLINE, read).await.expect("it goes on").unwrap();
        bytes
    }

    /// The next decoded picture: luma, its stride, width and height.
    pub(crate) async fn picture(&mut self) -> Picture {
        loop {
            match self.event().await {
                Event::Config(config) => self.config = config.to_vec(),
                Event::Frame { key, data, .. } => {
                    let mut unit = if key {
                        std::mem::take(&mut self.config)
                    } else {
                        Vec::new()
                    };
                    unit.extend_from_slice(&data);
                    if let Some(yuv) = self.decoder.decode(&unit).unwrap() {
                        let (width, height) = yuv.dimensions();
                        let (y, u, v) = yuv.strides();
                        return Picture {
                            size: (width, height),
                            strides: (y, u, v),
                            y: yuv.y().to_vec(),
                            u: yuv.u().to_vec(),
                            v: yuv.v().to_vec(),
                        };
                    }
                }
                Event::DeviceName(_) | Event::Codec(_) | Event::Size(_) => {}
            }
        }
    }

    /// Reads up to the next picture as it came.
    pub(crate) async fn frame(&mut self) -> Event {
        self.skip_to(|event| matches!(event, Event::Frame { .. })).await
    }

    /// Reads up to the next session; its size.
    pub(crate) async fn session(&mut self) -> (u16, u16) {
        let session = self.skip_to(|event| size_of(event).is_some()).await;
        size_of(&session).unwrap()
    }

    pub(crate) async fn skip_to(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.event().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        timeout(SILENCE, self.next()).await.is_err()
    }
}

pub(crate) struct Picture {
    pub(crate) size: (usize, usize),
    pub(crate) strides: (usize, usize, usize),
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

impl Picture {
    pub(crate) fn barcode(&self) -> Option<Barcode> {
        let (width, height) = self.size;
        let size = device::android::Size {
            width: u16::try_from(width).unwrap(),
            height: u16::try_from(height).unwrap(),
        };
        barcode::read(&self.y, self.strides.0, size)
    }

    pub(crate) fn yuv(&self, x: usize, y: usize) -> [i32; 3] {
        [
            self.y[y * self.strides.0 + x],
            self.u[y / 2 * self.strides.1 + x / 2],
            self.v[y / 2 * self.strides.2 + x / 2],
        ]
        .map(i32::from)
    }
}

pub(crate) fn faulty(fault: Fault, seed: u64) -> Userland {
    Userland {
        faults: Faults::new(vec![fault], seed),
        ..userland()
    }
}

pub(crate) fn userland() -> Userland {
    userland_of(WIDTH, HEIGHT)
}

pub(crate) fn userland_of(width: u16, height: u16) -> Userland {
    let model = Model {
        name: "Farglass Test".into(),
        width,
        height,
    };
    let android = Android::new(model);
    let (display, _) = Display::spawn(android.clone(), 60).unwrap();
    Userland::new(android, display, 0)
}

pub(crate) fn launch(userland: &Userland, version: ServerVersion, options: &ServerOptions) -> Running {
    let mut args = vec![version.to_string()];
    args.extend(options.to_args(version).unwrap());
    let own_version = version.to_string();
    start(
        userland,
        Launch {
            own_version,
            args,
            remove_jar: Box::new(|| ()),
        },
    )
}

/// Connects as adb does on behalf of a client: again and again until the server listens.
pub(crate) async fn connect(userland: &Userland, options: &ServerOptions) -> Socket {
    let name = socket_name(options.scid);
    let connected = async {
        loop {
            match userland.sockets.connect(&name) {
                Ok(socket) => return socket,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    timeout(DEADLINE, connected)
        .await
        .expect("the server does not listen")
}

pub(crate) fn key(keycode: KeyCode) -> ControlMsg {
    ControlMsg::Key {
        action: KeyAction::DOWN,
        keycode,
        repeat: 0,
        metastate: MetaState::NONE,
    }
}

pub(crate) fn size_of(event: &Event) -> Option<(u16, u16)> {
    match event {
        Event::Size(Session { width, height, .. }) => Some((*width, *height)),
        _ => None,
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("it never came: {what}"));
}

/// What the device dropped: which message, why, and the values that decided.
pub(crate) fn drops(android: &Android) -> Vec<(String, String, Value)> {
    let dump: Value = serde_json::from_str(&android.dumpsys()).unwrap();
    let entries = dump["drops"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut before = 0;
    let entry = |entry: &Value| {
        let seq = entry["seq"].as_u64().unwrap();
        assert!(seq > before && entry["at_us"].as_u64().unwrap() > 0, "{entry}");
        before = seq;
        (
            text(&entry["message"]),
            text(&entry["why"]),
            entry["values"].clone(),
        )
    };
    entries.map(entry).collect()
}

/// The lines of the system's log with this tag: level and message.
pub(crate) fn logged(android: &Android, tag: &str) -> Vec<(char, String)> {
    let lines = android.log_after(0).into_iter().filter(|line| line.tag == tag);
    lines.map(|line| (line.level.letter(), line.message)).collect()
}
