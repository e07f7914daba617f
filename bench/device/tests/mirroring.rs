//! A scrcpy client in the same process: what it sees and what its messages do, over the device's own sockets.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::time::Duration;

use bytes::BytesMut;
use device::abstract_sockets::Socket;
use device::android::{App, Dropped, Model, Segment};
use device::display::Display;
use device::scrcpy_server::{Launch, Output, Running, start};
use device::screen::app::paint::{PALETTE, PAPER, stroke_radius};
use device::screen::barcode::{self, Barcode};
use device::screen::canvas::{Canvas, Rgb};
use device::screen::{Moment, screenshot};
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
use scrcpy::version::{Framing, ServerVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Longer than the device takes to show that it has something to say: the repeat after 100 ms, and a tick.
const SILENCE: Duration = Duration::from_millis(700);

const WIDTH: u16 = 360;
const HEIGHT: u16 = 640;

/// A device and one server on it.
struct Rig {
    android: Android,
    userland: Userland,
    version: ServerVersion,
    server: Running,
    video: Video,
    control: Socket,
}

/// The client's end of a video socket.
struct Video {
    socket: Socket,
    demuxer: Demuxer,
    decoder: Decoder,
    config: Vec<u8>,
}

impl Rig {
    async fn new(version: &str, app: App) -> Self {
        Self::with(version, app, ServerOptions::default()).await
    }

    async fn with(version: &str, app: App, options: ServerOptions) -> Self {
        let userland = userland();
        let android = userland.android.clone();
        android.start(app.package()).unwrap();
        let version: ServerVersion = version.parse().unwrap();
        let options = ServerOptions {
            scid: Some(Scid::from_bits(7)),
            audio: false,
            tunnel_forward: true,
            video_bit_rate: 4_000_000,
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

    async fn send(&mut self, msg: ControlMsg) {
        let mut wire = BytesMut::new();
        control::encode(self.version, &msg, &mut wire).unwrap();
        self.control.write_all(&wire).await.unwrap();
    }

    async fn touch(&mut self, action: TouchAction, id: i64, x: i32, y: i32) {
        self.touch_in(action, id, (x, y), (WIDTH, HEIGHT)).await;
    }

    async fn touch_in(&mut self, action: TouchAction, id: i64, at: (i32, i32), size: (u16, u16)) {
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

    /// Waits until the server has read everything that was sent, by its answer to a last message.
    async fn settled(&mut self) {
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

    async fn device_msg(&mut self) -> DeviceMsg {
        let mut bytes = BytesMut::new();
        loop {
            if let Some((msg, _)) = device_msg::decode(&bytes).unwrap() {
                return msg;
            }
            let byte = timeout(DEADLINE, self.control.read_u8()).await.unwrap().unwrap();
            bytes.extend_from_slice(&[byte]);
        }
    }

    /// What the server printed, up to its exit code.
    async fn output(&mut self) -> (String, u8) {
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
    async fn event(&mut self) -> Event {
        timeout(DEADLINE, self.next())
            .await
            .expect("the device is silent")
            .expect("the socket ended")
    }

    async fn next(&mut self) -> Option<Event> {
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

    /// The next decoded picture: luma, its stride, width and height.
    async fn picture(&mut self) -> Picture {
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

    /// Reads until the device has been silent for a while; how many pictures came.
    async fn until_silent(&mut self) -> usize {
        let mut pictures = 0;
        while let Ok(event) = timeout(SILENCE, self.next()).await {
            pictures += usize::from(matches!(event, Some(Event::Frame { .. })));
        }
        pictures
    }
}

struct Picture {
    size: (usize, usize),
    strides: (usize, usize, usize),
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Picture {
    fn barcode(&self) -> Option<Barcode> {
        let (width, height) = self.size;
        let size = device::android::Size {
            width: u16::try_from(width).unwrap(),
            height: u16::try_from(height).unwrap(),
        };
        barcode::read(&self.y, self.strides.0, size)
    }

    fn yuv(&self, x: usize, y: usize) -> [i32; 3] {
        [
            self.y[y * self.strides.0 + x],
            self.u[y / 2 * self.strides.1 + x / 2],
            self.v[y / 2 * self.strides.2 + x / 2],
        ]
        .map(i32::from)
    }
}

fn userland() -> Userland {
    let model = Model {
        name: "Farglass Test".into(),
        width: WIDTH,
        height: HEIGHT,
    };
    let android = Android::new(model);
    let (display, _) = Display::spawn(android.clone(), 60).unwrap();
    Userland::new(android, display, 0)
}

fn launch(userland: &Userland, version: ServerVersion, options: &ServerOptions) -> Running {
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
async fn connect(userland: &Userland, options: &ServerOptions) -> Socket {
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

fn key(keycode: KeyCode) -> ControlMsg {
    ControlMsg::Key {
        action: KeyAction::DOWN,
        keycode,
        repeat: 0,
        metastate: MetaState::NONE,
    }
}

fn size_of(event: &Event) -> Option<(u16, u16)> {
    match event {
        Event::Size(Session { width, height, .. }) => Some((*width, *height)),
        _ => None,
    }
}

#[tokio::test]
async fn both_framings_open_with_name_codec_size_parameter_sets_and_a_key_frame() {
    for version in ["2.0", "3.3.4", "4.0", "4.1"] {
        let mut rig = Rig::new(version, App::Still).await;
        assert_eq!(rig.video.event().await, Event::DeviceName("Farglass Test".into()));
        assert!(matches!(
            rig.video.event().await,
            Event::Codec(scrcpy::VideoCodec::H264)
        ));
        assert_eq!(size_of(&rig.video.event().await), Some((WIDTH, HEIGHT)));
        let Event::Config(config) = rig.video.event().await else {
            panic!("no parameter sets in {version}")
        };
        assert_eq!(config[..4], [0, 0, 0, 1]);
        assert_eq!(config[4] & 0x1f, 7);
        let Event::Frame { key, data, .. } = rig.video.event().await else {
            panic!("no picture in {version}")
        };
        assert!(key);
        assert_eq!((&data[..4], data[4] & 0x1f), (&[0, 0, 0, 1][..], 5));
    }
}

#[tokio::test]
async fn a_still_page_repeats_its_picture_once_and_falls_silent() {
    let mut rig = Rig::new("4.1", App::Still).await;
    assert_eq!(rig.video.until_silent().await, 2);
    rig.send(key(KeyCode::HOME)).await;
    assert_eq!(rig.video.until_silent().await, 2);
}

#[tokio::test]
async fn a_reset_gives_a_session_parameter_sets_and_a_key_frame_on_a_still_page() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.until_silent().await;
    rig.send(ControlMsg::ResetVideo).await;
    assert_eq!(size_of(&rig.video.event().await), Some((WIDTH, HEIGHT)));
    assert!(matches!(rig.video.event().await, Event::Config(_)));
    assert!(matches!(rig.video.event().await, Event::Frame { key: true, .. }));

    let mut legacy = Rig::new("3.3.4", App::Still).await;
    legacy.video.until_silent().await;
    legacy.send(ControlMsg::ResetVideo).await;
    assert!(matches!(legacy.video.event().await, Event::Config(_)));
    assert!(matches!(
        legacy.video.event().await,
        Event::Frame { key: true, .. }
    ));
}

#[tokio::test]
async fn rotation_starts_a_session_with_the_sides_swapped() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.until_silent().await;
    rig.send(ControlMsg::RotateDevice).await;
    assert_eq!(size_of(&rig.video.event().await), Some((HEIGHT, WIDTH)));
    assert_eq!(
        rig.video.picture().await.size,
        (usize::from(HEIGHT), usize::from(WIDTH))
    );
}

#[tokio::test]
async fn max_size_and_alignment_make_the_video_smaller_and_input_follows_it() {
    let options = ServerOptions {
        max_size: Some(333),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("3.3.4", App::Paint, options).await;
    let size = loop {
        if let Some(size) = size_of(&rig.video.event().await) {
            break size;
        }
    };
    assert_eq!(size, (184, 328));
    rig.touch_in(TouchAction::DOWN, 1, (92, 164), size).await;
    rig.settled().await;
    let pointer = rig.android.pointers()[0];
    assert_eq!((pointer.x, pointer.y), (180, 320));
}

#[tokio::test]
async fn a_touch_for_another_size_is_dropped_before_it_becomes_a_pointer() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.picture().await;
    rig.touch_in(TouchAction::DOWN, 1, (10, 300), (HEIGHT, WIDTH))
        .await;
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
    assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
    rig.touch(TouchAction::DOWN, 1, 10, 300).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 1);
    assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
}

#[tokio::test]
async fn a_late_move_makes_a_ghost_and_only_up_removes_a_pointer() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 10).await;
    rig.touch(TouchAction::UP, 1, 20, 20).await;
    rig.touch(TouchAction::MOVE, 1, 30, 30).await;
    rig.touch(TouchAction::CANCEL, 1, 30, 30).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 1);
    for id in 2..14 {
        rig.touch(TouchAction::DOWN, id, 50, 50).await;
    }
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 10);
    assert_eq!(rig.android.dropped_count(Dropped::TooManyPointers), 3);
    for id in 1..14 {
        rig.touch(TouchAction::UP, id, 50, 50).await;
    }
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn two_fingers_paint_exactly_their_pixels() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.picture().await;
    for (id, y) in [(1, 200), (2, 400)] {
        rig.touch(TouchAction::DOWN, id, 60, y).await;
    }
    for x in [120, 200] {
        for (id, y) in [(1, 200), (2, 400)] {
            rig.touch(TouchAction::MOVE, id, x, y + x / 10).await;
        }
    }
    for (id, y) in [(1, 200), (2, 400)] {
        rig.touch(TouchAction::UP, id, 300, y).await;
    }
    rig.settled().await;

    let drawn = screenshot(&rig.android, Moment::default());
    let mut expected = Canvas::new(drawn.size());
    expected.fill(device::screen::layout::full(drawn.size()), PAPER);
    for (id, y) in [(1u8, 200), (2, 400)] {
        let colour = PALETTE[usize::from(id)];
        for [from, to] in [
            [(60, y), (120, y + 12)],
            [(120, y + 12), (200, y + 20)],
            [(200, y + 20), (300, y)],
        ] {
            let segment = Segment { colour: id, from, to };
            expected.stroke(segment.from, segment.to, stroke_radius(drawn.size()), colour);
        }
    }
    let below_title = 150 * usize::from(WIDTH);
    assert!(
        drawn.pixels()[below_title..] == expected.pixels()[below_title..],
        "pixels differ"
    );
    assert_eq!(drawn.pixel(60, 200), Some(PALETTE[1]));
    assert_eq!(drawn.pixel(300, 400), Some(PALETTE[2]));
    assert_eq!(drawn.pixel(180, 300), Some(PAPER));

    rig.video.until_silent().await;
    rig.send(ControlMsg::ResetVideo).await;
    let picture = rig.video.picture().await;
    for (at, colour) in [
        ((160, 216), PALETTE[1]),
        ((160, 416), PALETTE[2]),
        ((180, 300), PAPER),
    ] {
        assert_near(picture.yuv(at.0, at.1), colour, 12);
    }
}

/// A decoded pixel is that colour, but for what the encoder loses.
fn assert_near(yuv: [i32; 3], colour: Rgb, loss: i32) {
    let [r, g, b] = colour.parts().map(|part| f64::from(part) / 255.0);
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let wanted = [
        16.0 + 219.0 * y,
        128.0 + 224.0 * (b - y) / 1.8556,
        128.0 + 224.0 * (r - y) / 1.5748,
    ];
    for (got, wanted) in yuv.into_iter().zip(wanted) {
        assert!(
            (f64::from(got) - wanted).abs() <= f64::from(loss),
            "{yuv:?} is not {colour:?}"
        );
    }
}

#[tokio::test]
async fn the_latency_target_turns_over_on_a_touch_and_its_barcode_counts_it() {
    let mut rig = Rig::new("4.1", App::Latency).await;
    let before = rig.video.picture().await;
    let code = before.barcode().expect("no barcode");
    assert_eq!(code.touches, 0);
    rig.touch(TouchAction::DOWN, 1, 100, 300).await;
    let (after, turned) = loop {
        let picture = rig.video.picture().await;
        let code = picture.barcode().expect("no barcode");
        if code.touches == 1 {
            break (picture, code);
        }
    };
    assert!(turned.frame > code.frame);
    let elapsed_ms = turned.time.wrapping_sub(code.time) / 10;
    assert!(elapsed_ms < 60_000, "{elapsed_ms} ms");
    for (x, y) in [(40, 100), (320, 600), (40, 600)] {
        let (old, new) = (before.yuv(x, y)[0], after.yuv(x, y)[0]);
        assert!(new - old > 100, "the target at {x},{y} went from {old} to {new}");
    }
}

#[tokio::test]
async fn a_moving_page_counts_its_pictures_in_the_barcode() {
    let mut rig = Rig::new("3.3.4", App::Motion).await;
    let mut last = rig.video.picture().await.barcode().expect("no barcode").frame;
    for _ in 0..20 {
        let frame = rig.video.picture().await.barcode().expect("no barcode").frame;
        assert!(frame > last);
        last = frame;
    }
}

#[tokio::test]
async fn a_tap_on_an_icon_opens_its_app_and_home_and_back_return() {
    let mut rig = Rig::new("4.1", App::Launcher).await;
    rig.video.picture().await;
    let (x, y) = device::screen::layout::icon_centre(rig.android.size(), 1);
    rig.touch(TouchAction::DOWN, 1, x, y).await;
    rig.touch(TouchAction::UP, 1, x, y).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Echo.package());
    rig.send(key(KeyCode::HOME)).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Launcher.package());
    rig.send(key(KeyCode::APP_SWITCH)).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Echo.package());
    rig.send(ControlMsg::BackOrScreenOn(KeyAction::DOWN)).await;
    rig.send(ControlMsg::StartApp("?lat".into())).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Latency.package());
}

#[tokio::test]
async fn typed_text_skips_what_the_keyboard_lacks_and_a_paste_does_not() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.send(ControlMsg::Text("Zoë 日本!".into())).await;
    rig.send(key(KeyCode::ENTER)).await;
    rig.send(key(KeyCode::DEL)).await;
    let paste = ControlMsg::SetClipboard {
        sequence: 5,
        paste: true,
        text: "日本é".into(),
    };
    rig.send(paste).await;
    assert_eq!(rig.device_msg_but_clipboard().await, DeviceMsg::AckClipboard(5));
    let dump: serde_json::Value = serde_json::from_str(&rig.android.dumpsys()).unwrap();
    assert_eq!(dump["text"], "Zoë !日本é");
    assert_eq!(rig.android.dropped_count(Dropped::UnmappableText), 2);
}

impl Rig {
    async fn device_msg_but_clipboard(&mut self) -> DeviceMsg {
        loop {
            match self.device_msg().await {
                DeviceMsg::Clipboard(_) => {}
                msg => return msg,
            }
        }
    }
}

#[tokio::test]
async fn the_clipboard_is_pushed_when_it_changes_on_the_device() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.video.picture().await;
    rig.settled().await;
    rig.android.set_clipboard("copied");
    assert_eq!(rig.device_msg().await, DeviceMsg::Clipboard("copied".into()));
}

#[tokio::test]
async fn an_unknown_message_ends_the_server() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.control.write_all(&[23]).await.unwrap();
    let (text, code) = rig.output().await;
    assert!(
        text.contains("[server] ERROR: Controller error: unknown control message type 23"),
        "{text}"
    );
    assert_eq!(code, 0);
    while rig.video.next().await.is_some() {}
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_server_and_lifts_its_fingers() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 10).await;
    rig.settled().await;
    let (theirs, _) = tokio::io::duplex(1);
    drop(std::mem::replace(&mut rig.control, theirs));
    let (text, code) = rig.output().await;
    assert_eq!(
        text,
        "[server] INFO: Device: [Farglass] farglass Farglass Test (Android 14)\n"
    );
    assert_eq!(code, 0);
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn another_version_than_its_own_does_not_start() {
    let userland = userland();
    let args = vec!["4.0".to_owned()];
    let launch = Launch {
        own_version: "4.1".into(),
        args,
        remove_jar: Box::new(|| ()),
    };
    let mut server = start(&userland, launch);
    let error = "[server] ERROR: The server version (4.1) does not match the client (4.0)\n";
    assert_eq!(server.next().await, Some(Output::Stderr(error.into())));
    assert_eq!(server.next().await, Some(Output::Exit(1)));
    assert_eq!(server.next().await, None);
}

#[tokio::test]
async fn cleanup_deletes_the_jar_unless_it_is_told_not_to() {
    for cleanup in [true, false] {
        let userland = userland();
        let (deleted, mut seen) = tokio::sync::oneshot::channel::<()>();
        let args = vec!["4.1".to_owned(), format!("cleanup={cleanup}")];
        let remove_jar = Box::new(move || deleted.send(()).unwrap());
        let mut server = start(
            &userland,
            Launch {
                own_version: "4.1".into(),
                args,
                remove_jar,
            },
        );
        // Nobody listens for a reverse connection: the server ends.
        while server.next().await.is_some() {}
        assert_eq!(seen.try_recv().is_ok(), cleanup);
    }
}

#[tokio::test]
async fn a_reverse_tunnel_carries_video_audio_and_control_in_this_order() {
    let userland = userland();
    let options = ServerOptions {
        scid: Some(Scid::from_bits(9)),
        ..ServerOptions::default()
    };
    let version = ServerVersion::NEWEST;
    let mut tunnel = userland.sockets.listen(&socket_name(options.scid)).unwrap();
    let _server = launch(&userland, version, &options);
    let mut video = tunnel.accept().await;
    let mut audio = tunnel.accept().await;
    let mut control = tunnel.accept().await;
    let mut start = [0; 68];
    video.read_exact(&mut start).await.unwrap();
    assert_eq!(&start[64..], b"h264");
    assert_eq!(audio.read_u32().await.unwrap(), 0);
    control.write_all(&[11]).await.unwrap();
    let mut demuxer = Demuxer::new(scrcpy::demux::Start {
        framing: Framing::Session,
        dummy_byte: false,
        device_name: false,
        stream_header: true,
    });
    demuxer.push(bytes::Bytes::from_static(b"h264"));
    let decoder = Decoder::new().unwrap();
    let mut video = Video {
        socket: video,
        demuxer,
        decoder,
        config: Vec::new(),
    };
    while size_of(&video.event().await) != Some((HEIGHT, WIDTH)) {}
}

#[tokio::test]
async fn without_headers_only_the_stream_is_left() {
    let userland = userland();
    let version = ServerVersion::NEWEST;
    let mut tunnel = userland.sockets.listen("scrcpy").unwrap();
    let args = ["4.1", "raw_stream=true", "audio=false", "control=false"]
        .map(str::to_owned)
        .to_vec();
    let own_version = version.to_string();
    let _server = start(
        &userland,
        Launch {
            own_version,
            args,
            remove_jar: Box::new(|| ()),
        },
    );
    let mut start = [0; 5];
    tunnel.accept().await.read_exact(&mut start).await.unwrap();
    assert_eq!((&start[..4], start[4] & 0x1f), (&[0, 0, 0, 1][..], 7));
}

#[tokio::test]
async fn two_servers_capture_the_same_screen_side_by_side() {
    let mut rig = Rig::new("4.1", App::Latency).await;
    assert!(rig.video.picture().await.barcode().is_some());
    let options = ServerOptions {
        scid: Some(Scid::from_bits(8)),
        audio: false,
        control: false,
        tunnel_forward: true,
        ..ServerOptions::default()
    };
    let _second = launch(&rig.userland, rig.version, &options);
    let mut socket = connect(&rig.userland, &options).await;
    assert_eq!(socket.read_u8().await.unwrap(), 0);
    let demuxer = Demuxer::new(options.video_start(rig.version));
    let decoder = Decoder::new().unwrap();
    let mut second = Video {
        socket,
        demuxer,
        decoder,
        config: Vec::new(),
    };
    assert!(second.picture().await.barcode().is_some());
    rig.touch(TouchAction::DOWN, 1, 100, 300).await;
    for video in [&mut rig.video, &mut second] {
        while video.picture().await.barcode().unwrap().touches != 1 {}
    }
}
