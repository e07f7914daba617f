//! Reads control messages and does what they say; writes device messages.
//!
//! ```text
//!   socket ── decode ──► act on Android ── reset ──► capture
//!   socket ◄── encode ── acknowledgements, clipboard changes (at most 16 wait, more are dropped)
//! ```
//!
//! A position that does not name the video's present size is dropped before anything else happens. A message that
//! the version does not know ends the server: with a word from 4.0, before in silence. So does one that needs a camera
//! or a flexible display, or that the kernel refuses, always with a word. What is not followed is kept as [`DroppedInput`], with the values that decided.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use scrcpy::control::{
    self, ControlError, ControlMsg, CopyKey, KeyAction, MESSAGE_LEN_MAX, Position, Touch, TouchAction,
};
use scrcpy::device_msg::{self, DeviceMsg};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::options::{LogLevel, ServerOptions};
use scrcpy::version::ServerVersion;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::cleanup::CleanUp;
use super::stage::Flex;
use super::{End, Injector};
use crate::android::displays::MAIN;
use crate::android::journal::{Buffer, Level};
use crate::android::{
    Android, Dropped, DroppedInput, HidInfo, KeyPress, Panel, PeripheralError, PointerKey, Size, TouchKind,
};
use crate::display::{Reset, Shown};
use crate::fault::Plan;
use crate::hid::DESCRIPTOR_LEN_MAX;

/// Device messages that wait for the socket; more are dropped, as by the real server.
const OUTGOING_MAX: usize = 16;

/// After the server has woken the screen it reads nothing for this time, so that a message that switches it off does
/// not come before it is on.
const WAKE_PAUSE: Duration = Duration::from_millis(500);

/// The pointer's number that may be a mouse.
const MOUSE: i64 = -1;

/// The only button that a finger has, too.
const PRIMARY_BUTTON: i32 = 1;

/// Bytes read from the socket at once.
const READ_LEN: usize = 16 * 1_024;

/// What input and resets need of the capture; neither is there without video.
pub(super) struct Screen<'a> {
    pub(super) shown: Option<Shown>,
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
        cleanup: injector.cleanup.as_ref(),
        has_uhid: !plan.no_uhid,
        stillborn: BTreeSet::new(),
        version,
        screen,
        outgoing,
        autosync: options.clipboard_autosync,
        says_all: options.log_level == LogLevel::Verbose,
        set_by_client: &set_by_client,
    };
    let read = controller.read(&mut reader, wakes(version, options));
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

/// Whether a dark screen is lit at the start: from 3.0 only for a server of the main display.
fn wakes(version: ServerVersion, options: &ServerOptions) -> bool {
    let mirrors_main = options.display_id == MAIN && options.new_display.is_none();
    options.power_on && (mirrors_main || !version.at_least(3, 0, 0))
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
                // Only the next change can be the client's own.
                let own = set_by_client.lock().unwrap_or_else(PoisonError::into_inner).take();
                if own.as_ref() != Some(&text) {
                    return Some(DeviceMsg::Clipboard(text));
                }
            }
        }
    }
}

struct Controller<'a> {
    android: &'a Android,
    source: u64,
    cleanup: Option<&'a CleanUp>,
    /// Whether there is a `/dev/uhid`.
    has_uhid: bool,
    /// HID devices that the kernel did not make of what it was given.
    stillborn: BTreeSet<u16>,
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
    async fn read(&mut self, reader: &mut (impl AsyncRead + Unpin), wakes: bool) -> End {
        if wakes && !self.android.screen_on() {
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
            if let Err(end) = self.take(&mut bytes) {
                return end;
            }
        }
    }

    /// Acts on every message that is complete; an error ends the server.
    fn take(&mut self, bytes: &mut BytesMut) -> Result<(), End> {
        loop {
            match control::decode(self.version, bytes) {
                Ok(None) => return Ok(()),
                Ok(Some((msg, len))) => {
                    let _ = bytes.split_to(len);
                    self.act(msg).map_err(End::Broken)?;
                }
                Err(ControlError::UnknownType(kind)) if !self.version.at_least(2, 7, 0) => {
                    return self.stall(kind, bytes.len());
                }
                Err(error) if self.version.at_least(4, 0, 0) => {
                    return Err(End::Broken(format!("Controller error: {error}")));
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// A reader before 2.7 never gets over what it does not know, and ends when its buffer is full.
    fn stall(&self, kind: u8, waiting: usize) -> Result<(), End> {
        let what = format!("Unknown event type: {kind}");
        self.android.write_log(Buffer::Main, Level::Warn, "scrcpy", &what);
        match waiting < MESSAGE_LEN_MAX {
            true => Ok(()),
            false => Err(End::Closed),
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
            ControlMsg::SetDisplayPower(on) => {
                android.set_panel_power(on);
                if let Some(cleanup) = self.cleanup {
                    cleanup.panel(on);
                }
            }
            ControlMsg::UhidCreate { .. } | ControlMsg::UhidInput { .. } | ControlMsg::UhidDestroy(_) => {
                return self.uhid(msg).map_err(|why| format!("Controller error: {why}"));
            }
            ControlMsg::OpenHardKeyboardSettings => android.open_keyboard_settings(),
            ControlMsg::ScanFile(path) => android.scan_file(path),
        }
        Ok(())
    }

    /// An unknown number is only warned of; what the kernel refuses ends the server. It looks at a descriptor after
    /// the server has gone on, so that one without sense shows at the first input.
    fn uhid(&mut self, msg: ControlMsg) -> Result<(), String> {
        let (android, source) = (self.android, self.source);
        match msg {
            ControlMsg::UhidCreate {
                id,
                vendor,
                product,
                name,
                descriptor,
            } => {
                if !self.has_uhid {
                    return Err("open failed: ENOENT (No such file or directory)".to_owned());
                }
                if descriptor.is_empty() || descriptor.len() > DESCRIPTOR_LEN_MAX {
                    return Err("write failed: EINVAL (Invalid argument)".to_owned());
                }
                let info = HidInfo {
                    vendor,
                    product,
                    name,
                };
                // One of this number goes, whatever becomes of the new one.
                let _ = android.detach_hid(source, id);
                self.stillborn.remove(&id);
                if let Err(error) = android.attach_hid(source, id, info, &descriptor) {
                    self.stillborn.insert(id);
                    let values = json!({ "id": id, "descriptor_len": descriptor.len() });
                    self.drop_uhid("uhid_create", values, error);
                }
            }
            ControlMsg::UhidInput { id, .. } if self.stillborn.contains(&id) => {
                return Err("write failed: EINVAL (Invalid argument)".to_owned());
            }
            ControlMsg::UhidInput { id, data } => match android.hid_report(source, id, &data) {
                Ok(Some(data)) => self.tell(DeviceMsg::UhidOutput { id, data }),
                Ok(None) => {}
                Err(error) => self.drop_uhid("uhid_input", json!({ "id": id, "len": data.len() }), error),
            },
            ControlMsg::UhidDestroy(id) if self.stillborn.remove(&id) => {}
            ControlMsg::UhidDestroy(id) => {
                if let Err(error) = android.detach_hid(source, id) {
                    self.drop_uhid("uhid_destroy", json!({ "id": id }), error);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn drop_uhid(&self, message: &'static str, mut values: Value, error: PeripheralError) {
        values["error"] = error.to_string().into();
        self.android.drop_input(DroppedInput {
            message,
            why: match error {
                PeripheralError::Unknown => Dropped::UnknownHid,
                _ => Dropped::BadHid,
            },
            said: Some(format!("{message} failed: {error}")),
            values,
        });
    }

    /// A mouse is one only while it hovers or has another button than the first; else it is a finger.
    fn touch(&self, touch: Touch) {
        let values = json!({ "id": touch.pointer.0, "action": touch.action.0 });
        let Some((x, y)) = self.place("touch", values.clone(), touch.position) else {
            return;
        };
        let others = (touch.action_button | touch.buttons) & !PRIMARY_BUTTON != 0;
        let hovers = touch.action == TouchAction::HOVER_MOVE;
        let mouse = touch.pointer.0 == MOUSE && (hovers || others);
        let kind = match touch.action {
            TouchAction::DOWN => TouchKind::Down,
            // One button of several: the mouse stays down.
            TouchAction::UP if mouse && touch.buttons != 0 => TouchKind::Move,
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
        match mouse && touch.buttons == 0 {
            true => self.android.touch_and_leave(kind, key, x, y),
            false => self.android.touch(kind, key, x, y),
        }
    }

    /// Pixels of the video become pixels of the display that it shows; without video they are that already.
    fn place(&self, message: &'static str, mut values: Value, position: Position) -> Option<(i32, i32)> {
        let Some(shown) = &self.screen.shown else {
            return Some((position.x, position.y));
        };
        let look = shown.load();
        if let Some(look) = look
            && (look.video.width, look.video.height) == (position.width, position.height)
        {
            return Some(look.lands((position.x, position.y)));
        }
        let (named, now) = (
            format!("{}x{}", position.width, position.height),
            look.map_or_else(
                || "none".to_owned(),
                |look| format!("{}x{}", look.video.width, look.video.height),
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
