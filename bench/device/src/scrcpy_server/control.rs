//! Reads control messages and does what they say; writes device messages.
//!
//! ```text
//!   socket ── decode ──► act on Android ── reset ──► capture
//!   socket ◄── encode ── acknowledgements, clipboard changes (at most 16 wait, more are dropped)
//! ```
//!
//! A position that does not name the video's present size is dropped before anything else happens. A message that
//! the version does not know, or that needs a camera or a flexible display, ends the server: with a word from 4.0,
//! before in silence. What is not followed is kept as [`DroppedInput`], with the values that decided.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use scrcpy::control::{self, ControlMsg, CopyKey, KeyAction, Position, Touch, TouchAction};
use scrcpy::device_msg::{self, DeviceMsg};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::options::{LogLevel, ServerOptions};
use scrcpy::version::ServerVersion;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::stage::Flex;
use super::{End, Injector};
use crate::android::{
    Android, Dropped, DroppedInput, HidInfo, KeyPress, Panel, PeripheralError, PointerKey, Size, TouchKind,
};
use crate::display::{Reset, VideoSize};
use crate::fault::Plan;

/// Device messages that wait for the socket; more are dropped, as by the real server.
const OUTGOING_MAX: usize = 16;

/// After the server has woken the screen it reads nothing for this time, so that a message that switches it off does
/// not come before it is on.
const WAKE_PAUSE: Duration = Duration::from_millis(500);

/// Bytes read from the socket at once.
const READ_LEN: usize = 16 * 1_024;

/// What input and resets need of the capture; neither is there without video.
pub(super) struct Screen<'a> {
    pub(super) size: Option<VideoSize>,
    pub(super) reset: Option<Reset>,
    /// Only with a flexible display.
    pub(super) flex: Option<&'a Flex>,
}

pub(super) async fn serve<S>(
    socket: S,
    injector: &Injector<'_>,
    version: ServerVersion,
    options: &ServerOptions,
    screen: &Screen<'_>,
    plan: &Plan,
) -> End
where
    S: AsyncRead + AsyncWrite,
{
    let android = injector.android;
    let (mut reader, mut writer) = tokio::io::split(socket);
    let (outgoing, mut waiting) = mpsc::channel::<DeviceMsg>(OUTGOING_MAX);
    let mut clipboard = android.watch_clipboard();
    let set_by_client = Mutex::new(None);
    let mut controller = Controller {
        android,
        source: injector.source,
        version,
        screen,
        outgoing,
        autosync: options.clipboard_autosync,
        says_all: options.log_level == LogLevel::Verbose,
        set_by_client: &set_by_client,
    };
    let read = controller.read(&mut reader, options.power_on);
    let write = async {
        let garbage = plan.control_garbage.as_ref();
        let garbage_at = Instant::now() + garbage.map_or(Duration::ZERO, |(after, _)| *after);
        let mut garbage = garbage.map(|(_, bytes)| bytes);
        loop {
            let mut wire = BytesMut::new();
            tokio::select! {
                msg = next_message(&mut waiting, &mut clipboard, options.clipboard_autosync, &set_by_client) => {
                    let Some(msg) = msg else { return End::Closed };
                    // A text that is too long for a message is not sent, as by the real server.
                    if let Err(error) = device_msg::encode(&msg, &mut wire) {
                        android.drop_input(undelivered(&msg, &error.to_string()));
                    }
                }
                () = sleep_until(garbage_at), if garbage.is_some() => {
                    wire.extend(garbage.take().into_iter().flatten());
                }
            }
            if writer.write_all(&wire).await.is_err() {
                return End::Closed;
            }
        }
    };
    tokio::select! {
        end = read => end,
        end = write => end,
    }
}

/// The next message for the client.
async fn next_message(
    waiting: &mut mpsc::Receiver<DeviceMsg>,
    clipboard: &mut watch::Receiver<String>,
    autosync: bool,
    set_by_client: &Mutex<Option<String>>,
) -> Option<DeviceMsg> {
    loop {
        tokio::select! {
            msg = waiting.recv() => return msg,
            changed = clipboard.changed(), if autosync => {
                changed.ok()?;
                let text = clipboard.borrow_and_update().clone();
                if set_by_client.lock().unwrap_or_else(PoisonError::into_inner).as_ref() != Some(&text) {
                    return Some(DeviceMsg::Clipboard(text));
                }
            }
        }
    }
}

struct Controller<'a> {
    android: &'a Android,
    source: u64,
    version: ServerVersion,
    screen: &'a Screen<'a>,
    outgoing: mpsc::Sender<DeviceMsg>,
    autosync: bool,
    /// Whether it logs what hardly matters.
    says_all: bool,
    /// The client's own text is not pushed back to it.
    set_by_client: &'a Mutex<Option<String>>,
}

impl Controller<'_> {
    /// Follows the client until it leaves, or sends what ends the server.
    async fn read(&mut self, reader: &mut (impl AsyncRead + Unpin), power_on: bool) -> End {
        if power_on && !self.android.screen_on() {
            self.android.set_screen_on(true);
            tokio::time::sleep(WAKE_PAUSE).await;
        }
        let mut bytes = BytesMut::new();
        loop {
            bytes.reserve(READ_LEN);
            match reader.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return End::Closed,
                Ok(_) => {}
            }
            if let Err(why) = self.take(&mut bytes) {
                return match self.version.at_least(4, 0, 0) {
                    true => End::Broken(why),
                    false => End::Closed,
                };
            }
        }
    }

    /// Acts on every message that is complete; an error ends the server.
    fn take(&mut self, bytes: &mut BytesMut) -> Result<(), String> {
        loop {
            match control::decode(self.version, bytes) {
                Ok(None) => return Ok(()),
                Ok(Some((msg, len))) => {
                    let _ = bytes.split_to(len);
                    self.act(msg)?;
                }
                Err(error) => return Err(format!("Controller error: {error}")),
            }
        }
    }

    fn act(&mut self, msg: ControlMsg) -> Result<(), String> {
        let android = self.android;
        match msg {
            ControlMsg::Key {
                action,
                keycode,
                metastate,
                ..
            } => android.key(KeyPress {
                down: action == KeyAction::DOWN,
                code: keycode,
                meta: metastate,
            }),
            ControlMsg::Text(text) => android.type_text(&text),
            ControlMsg::Touch(touch) => self.touch(touch),
            ControlMsg::Scroll {
                position,
                horizontal,
                vertical,
                ..
            } => {
                if let Some((x, y)) = self.place("scroll", json!({}), position) {
                    android.scroll(x, y, horizontal, vertical);
                }
            }
            ControlMsg::BackOrScreenOn(action) => android.back_or_screen_on(action == KeyAction::DOWN),
            ControlMsg::GetClipboard(copy) => self.get_clipboard(copy),
            ControlMsg::SetClipboard {
                sequence,
                paste,
                text,
            } => self.set_clipboard(sequence, paste, &text),
            ControlMsg::RotateDevice => android.rotate(),
            ControlMsg::StartApp(name) => start_app(android, &name),
            ControlMsg::ResetVideo => {
                if let Some(reset) = &self.screen.reset {
                    reset.request();
                }
            }
            ControlMsg::CameraSetTorch(_) | ControlMsg::CameraZoomIn | ControlMsg::CameraZoomOut => {
                return Err("Camera control without a camera".to_owned());
            }
            ControlMsg::ResizeDisplay { width, height } => match self.screen.flex {
                Some(flex) => flex.want(Size { width, height }),
                None => return Err("Resize without a flexible display".to_owned()),
            },
            ControlMsg::ExpandNotificationPanel => android.set_panel(Some(Panel::Notifications)),
            ControlMsg::ExpandSettingsPanel => android.set_panel(Some(Panel::Settings)),
            ControlMsg::CollapsePanels => android.set_panel(None),
            ControlMsg::SetDisplayPower(on) => android.set_panel_power(on),
            ControlMsg::UhidCreate { .. } | ControlMsg::UhidInput { .. } | ControlMsg::UhidDestroy(_) => {
                self.uhid(msg);
            }
            ControlMsg::OpenHardKeyboardSettings => android.open_keyboard_settings(),
            ControlMsg::ScanFile(path) => android.scan_file(path),
        }
        Ok(())
    }

    /// What the kernel would refuse is dropped; the server only warns of it.
    fn uhid(&self, msg: ControlMsg) {
        let (android, source) = (self.android, self.source);
        let (message, values) = match &msg {
            ControlMsg::UhidCreate { id, descriptor, .. } => (
                "uhid_create",
                json!({ "id": id, "descriptor_len": descriptor.len() }),
            ),
            ControlMsg::UhidInput { id, data } => ("uhid_input", json!({ "id": id, "len": data.len() })),
            ControlMsg::UhidDestroy(id) => ("uhid_destroy", json!({ "id": id })),
            _ => return,
        };
        let done = match msg {
            ControlMsg::UhidCreate {
                id,
                vendor,
                product,
                name,
                descriptor,
            } => {
                let info = HidInfo {
                    vendor,
                    product,
                    name,
                };
                android.attach_hid(source, id, info, &descriptor)
            }
            ControlMsg::UhidInput { id, data } => android.hid_report(source, id, &data).map(|output| {
                if let Some(data) = output {
                    self.tell(DeviceMsg::UhidOutput { id, data });
                }
            }),
            ControlMsg::UhidDestroy(id) => android.detach_hid(source, id),
            _ => Ok(()),
        };
        if let Err(error) = done {
            let mut values = values;
            values["error"] = error.to_string().into();
            android.drop_input(DroppedInput {
                message,
                why: match error {
                    PeripheralError::Unknown => Dropped::UnknownHid,
                    _ => Dropped::BadHid,
                },
                said: Some(format!("{message} failed: {error}")),
                values,
            });
        }
    }

    fn touch(&self, touch: Touch) {
        let values = json!({ "id": touch.pointer.0, "action": touch.action.0 });
        let Some((x, y)) = self.place("touch", values.clone(), touch.position) else {
            return;
        };
        let kind = match touch.action {
            TouchAction::DOWN => TouchKind::Down,
            TouchAction::UP => TouchKind::Up,
            TouchAction::MOVE => TouchKind::Move,
            TouchAction::CANCEL => TouchKind::Cancel,
            TouchAction::HOVER_MOVE => TouchKind::Hover,
            TouchAction(action) => {
                return self.android.drop_input(DroppedInput {
                    message: "touch",
                    why: Dropped::UnknownAction,
                    values,
                    said: Some(format!("Motion event has invalid action code 0x{action:x}")),
                });
            }
        };
        let key = PointerKey {
            source: self.source,
            id: touch.pointer.0,
        };
        self.android.touch(kind, key, x, y);
    }

    /// Pixels of the video become pixels of the display that it shows; without video they are that already.
    fn place(&self, message: &'static str, mut values: Value, position: Position) -> Option<(i32, i32)> {
        let Some(size) = &self.screen.size else {
            return Some((position.x, position.y));
        };
        let size = size.load();
        if let Some((video, display)) = size
            && (video.width, video.height) == (position.width, position.height)
        {
            let map = |at: i32, display: u16, video: u16| {
                let mapped = i64::from(at) * i64::from(display) / i64::from(video);
                i32::try_from(mapped).unwrap_or(i32::MAX)
            };
            return Some((
                map(position.x, display.width, video.width),
                map(position.y, display.height, video.height),
            ));
        }
        let (named, now) = (
            format!("{}x{}", position.width, position.height),
            size.map_or_else(
                || "none".to_owned(),
                |(video, _)| format!("{}x{}", video.width, video.height),
            ),
        );
        values["x"] = position.x.into();
        values["y"] = position.y.into();
        values["named"] = named.as_str().into();
        values["video"] = now.as_str().into();
        let says = self
            .says_all
            .then(|| format!("Ignore positional event generated for size {named} (current size is {now})"));
        self.android.drop_input(DroppedInput {
            message,
            why: Dropped::WrongSize,
            values,
            said: says,
        });
        None
    }

    /// With autosync the change itself is pushed, and the question is not answered.
    fn get_clipboard(&self, copy: CopyKey) {
        let code = match copy {
            CopyKey::COPY => Some(KeyCode::COPY),
            CopyKey::CUT => Some(KeyCode::CUT),
            _ => None,
        };
        if let Some(code) = code {
            press(self.android, code);
        }
        if !self.autosync {
            self.tell(DeviceMsg::Clipboard(self.android.clipboard()));
        }
    }

    fn set_clipboard(&self, sequence: u64, paste: bool, text: &str) {
        *self.set_by_client.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        self.android.set_clipboard(text);
        if paste {
            press(self.android, KeyCode::PASTE);
        }
        if sequence != 0 {
            self.tell(DeviceMsg::AckClipboard(sequence));
        }
    }

    fn tell(&self, msg: DeviceMsg) {
        if let Err(error) = self.outgoing.try_send(msg) {
            let (TrySendError::Full(msg) | TrySendError::Closed(msg)) = error;
            self.android.drop_input(undelivered(
                &msg,
                &format!("{OUTGOING_MAX} messages wait already"),
            ));
        }
    }
}

/// A message that the client does not get.
fn undelivered(msg: &DeviceMsg, why: &str) -> DroppedInput {
    let (message, values) = match msg {
        DeviceMsg::Clipboard(text) => ("clipboard", json!({ "len": text.len(), "error": why })),
        DeviceMsg::AckClipboard(sequence) => ("ack_clipboard", json!({ "sequence": sequence, "error": why })),
        DeviceMsg::UhidOutput { id, .. } => ("uhid_output", json!({ "id": id, "error": why })),
    };
    DroppedInput {
        message,
        why: Dropped::DeviceMessage,
        values,
        said: Some(format!("Could not send {message}: {why}")),
    }
}

fn press(android: &Android, code: KeyCode) {
    for down in [true, false] {
        let meta = MetaState::NONE;
        android.key(KeyPress { down, code, meta });
    }
}

/// `+` stops the app first, `?` searches by label; what is not found is ignored, as the real server only logs it.
fn start_app(android: &Android, name: &str) {
    let (stop, name) = match name.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    let package = match name.strip_prefix('?') {
        Some(label) => android.package_by_label(label),
        None => Some(name.to_owned()),
    };
    let Some(package) = package else {
        return;
    };
    if stop {
        let _ = android.force_stop(&package);
    }
    let _ = android.start(&package);
}
