//! What is attached and pulled down: virtual HID devices, panels, the panel's power, media, one settings page.
//!
//! ```text
//!   create(source, id, descriptor) ──► HidDevice ── report ──► keyboard  keys that differ ──► Android::key
//!                                                              mouse     steps, buttons   ──► Android::touch, scroll
//!                                                              gamepad   axes and buttons ──► state, Android::key
//! ```
//!
//! A device lives as long as the server that made it, as one on /dev/uhid does. Nothing of this is drawn: that the
//! panel is open or off shows in `dumpsys simulated` only, under `peripherals`.

mod keys;

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use scrcpy::keys::{KeyCode, MetaState};
use serde_json::{Value, json};
use thiserror::Error;

use keys::{key_of, meta_of};

use super::{Android, KeyPress, PointerKey, TouchKind};
use crate::hid::{Descriptor, HidError, Usage};

/// Virtual HID devices at once; one more is refused. The stock client makes one keyboard, one mouse and 8 gamepads.
pub const HID_DEVICES_MAX: usize = 32;

/// Media files that are remembered; the oldest goes.
pub const SCANNED_MAX: usize = 64;

/// The pointer id of a mouse, as scrcpy's.
const MOUSE: i64 = -1;

/// What is pulled down over the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// The list of notifications.
    Notifications,
    /// The quick settings.
    Settings,
}

/// What a virtual HID device is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HidInfo {
    /// USB vendor.
    pub vendor: u16,
    /// USB product.
    pub product: u16,
    /// Its name, may be empty.
    pub name: String,
}

/// Why a HID message is not followed. The server goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeripheralError {
    /// No device of this number.
    #[error("no UHID device with this id")]
    Unknown,
    /// [`HID_DEVICES_MAX`] are there.
    #[error("too many UHID devices")]
    TooMany,
    /// Descriptor or report make no sense.
    #[error(transparent)]
    Hid(#[from] HidError),
}

/// All of it, for one device.
#[derive(Debug)]
pub(super) struct Peripherals {
    panel: Option<Panel>,
    panel_power: bool,
    keyboard_settings: bool,
    scanned: Vec<String>,
    hid: Vec<HidDevice>,
    /// Where the mouse points, `None` before it has moved.
    cursor: Option<(i32, i32)>,
    caps_lock: bool,
}

impl Default for Peripherals {
    fn default() -> Self {
        Self {
            panel: None,
            panel_power: true,
            keyboard_settings: false,
            scanned: Vec::new(),
            hid: Vec::new(),
            cursor: None,
            caps_lock: false,
        }
    }
}

#[derive(Debug)]
struct HidDevice {
    source: u64,
    id: u16,
    info: HidInfo,
    descriptor: Descriptor,
    /// The axes of the last report, and the keys and buttons that were down.
    held: Vec<(Usage, i32)>,
}

/// What a report asks of the device, done after the lock is released.
enum Effect {
    Key(KeyPress),
    Touch(TouchKind, PointerKey, i32, i32),
    Scroll(i32, i32, i32, i32),
}

impl Android {
    /// Pulls a panel down, or all up.
    pub fn set_panel(&self, panel: Option<Panel>) {
        self.peripherals().panel = panel;
    }

    /// Switches the panel's backlight; the picture goes on.
    pub fn set_panel_power(&self, on: bool) {
        self.peripherals().panel_power = on;
    }

    /// Opens the settings of hardware keyboards.
    pub fn open_keyboard_settings(&self) {
        self.peripherals().keyboard_settings = true;
    }

    /// Makes a file known to the media store.
    pub fn scan_file(&self, path: String) {
        let scanned = &mut self.peripherals().scanned;
        if scanned.len() == SCANNED_MAX {
            scanned.remove(0);
        }
        scanned.push(path);
    }

    /// Attaches a virtual HID device of an injector, in place of one with the same number.
    ///
    /// # Errors
    /// [`PeripheralError`].
    pub fn attach_hid(
        &self,
        source: u64,
        id: u16,
        info: HidInfo,
        descriptor: &[u8],
    ) -> Result<(), PeripheralError> {
        let descriptor = Descriptor::parse(descriptor)?;
        let hid = &mut self.peripherals().hid;
        hid.retain(|device| (device.source, device.id) != (source, id));
        if hid.len() == HID_DEVICES_MAX {
            return Err(PeripheralError::TooMany);
        }
        let held = Vec::new();
        hid.push(HidDevice {
            source,
            id,
            info,
            descriptor,
            held,
        });
        Ok(())
    }

    /// A report of a virtual HID device. The answer is an output report for it: a keyboard's lights, if they changed.
    ///
    /// # Errors
    /// [`PeripheralError`].
    pub fn hid_report(
        &self,
        source: u64,
        id: u16,
        report: &[u8],
    ) -> Result<Option<Vec<u8>>, PeripheralError> {
        let size = self.size();
        let mut peripherals = self.peripherals();
        let caps = peripherals.caps_lock;
        let effects = peripherals.report((source, id), report, (size.width.into(), size.height.into()))?;
        let lights = peripherals.caps_lock;
        drop(peripherals);
        self.follow(effects);
        const CAPS_LIGHT: u8 = 2;
        Ok((lights != caps).then(|| vec![if lights { CAPS_LIGHT } else { 0 }]))
    }

    /// Detaches a virtual HID device; what it held is released.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn detach_hid(&self, source: u64, id: u16) -> Result<(), PeripheralError> {
        let effects = self
            .peripherals()
            .detach(|device| (device.source, device.id) == (source, id));
        self.follow(effects.ok_or(PeripheralError::Unknown)?);
        Ok(())
    }

    /// Detaches all devices of an injector that is gone.
    pub fn detach_all_hid(&self, source: u64) {
        loop {
            let effects = self.peripherals().detach(|device| device.source == source);
            match effects {
                Some(effects) => self.follow(effects),
                None => return,
            }
        }
    }

    /// For `dumpsys simulated`.
    pub(super) fn peripherals_json(&self) -> Value {
        let peripherals = self.peripherals();
        json!({
            "panel": peripherals.panel.map(|panel| match panel {
                Panel::Notifications => "notifications",
                Panel::Settings => "settings",
            }),
            "panel_power": peripherals.panel_power,
            "keyboard_settings": peripherals.keyboard_settings,
            "scanned": peripherals.scanned,
            "cursor": peripherals.cursor,
            "hid": peripherals.hid.iter().map(HidDevice::json).collect::<Vec<_>>(),
        })
    }

    /// As if never touched; attached devices stay, they belong to servers.
    pub(super) fn reset_peripherals(&self) {
        let mut peripherals = self.peripherals();
        let hid = std::mem::take(&mut peripherals.hid);
        *peripherals = Peripherals {
            hid,
            ..Peripherals::default()
        };
    }

    fn peripherals(&self) -> MutexGuard<'_, Peripherals> {
        self.shared
            .peripherals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Key(press) => self.key(press),
                Effect::Touch(TouchKind::Hover, key, x, y) => {
                    self.touch_and_leave(TouchKind::Hover, key, x, y);
                }
                Effect::Touch(kind, key, x, y) => self.touch(kind, key, x, y),
                Effect::Scroll(x, y, horizontal, vertical) => {
                    self.scroll(x, y, horizontal as f32, vertical as f32);
                }
            }
        }
    }
}

impl Peripherals {
    fn report(
        &mut self,
        device: (u64, u16),
        report: &[u8],
        size: (i32, i32),
    ) -> Result<Vec<Effect>, PeripheralError> {
        let found = self
            .hid
            .iter_mut()
            .find(|known| (known.source, known.id) == device);
        let found = found.ok_or(PeripheralError::Unknown)?;
        let values = found.descriptor.read(report)?;
        let held = std::mem::take(&mut found.held);
        let application = found.descriptor.application;
        found.held = values
            .iter()
            .copied()
            .filter(|&(usage, value)| match application {
                // Steps count once.
                Usage::MOUSE => usage.page == BUTTON_PAGE && value != 0,
                _ => usage.page == DESKTOP_PAGE || value != 0,
            })
            .collect();
        let now = found.held.clone();
        Ok(match application {
            Usage::KEYBOARD if now.contains(&(ROLL_OVER, 1)) => {
                // Too many keys: which ones is not told, so nothing changes.
                if let Some(found) = self
                    .hid
                    .iter_mut()
                    .find(|known| (known.source, known.id) == device)
                {
                    found.held = held;
                }
                Vec::new()
            }
            Usage::KEYBOARD => self.keyboard(&held, &now),
            Usage::MOUSE => self.mouse(device.0, &held, &values, size),
            _ => button_keys(&held, &now),
        })
    }

    /// `None` if there is no such device.
    fn detach(&mut self, which: impl Fn(&HidDevice) -> bool) -> Option<Vec<Effect>> {
        let index = self.hid.iter().position(which)?;
        let gone = self.hid.remove(index);
        Some(match gone.descriptor.application {
            Usage::KEYBOARD => self.keyboard(&gone.held, &[]),
            // It stays where it points.
            Usage::MOUSE if !gone.held.is_empty() => {
                self.mouse(gone.source, &gone.held, &[], (i32::MAX, i32::MAX))
            }
            Usage::MOUSE => Vec::new(),
            _ => button_keys(&gone.held, &[]),
        })
    }

    fn keyboard(&mut self, before: &[(Usage, i32)], now: &[(Usage, i32)]) -> Vec<Effect> {
        let keys = |held: &[(Usage, i32)]| -> BTreeSet<u16> {
            held.iter()
                .filter(|(usage, _)| usage.page == KEYBOARD_PAGE)
                .map(|(usage, _)| usage.id)
                .collect()
        };
        let (before, now) = (keys(before), keys(now));
        if now.contains(&CAPS_LOCK) && !before.contains(&CAPS_LOCK) {
            self.caps_lock = !self.caps_lock;
        }
        let caps = if self.caps_lock { MetaState::CAPS_LOCK.0 } else { 0 };
        let meta = MetaState(now.iter().fold(caps, |meta, &id| meta | meta_of(id)));
        let press =
            |down: bool| move |&id: &u16| key_of(id).map(|code| Effect::Key(KeyPress { down, code, meta }));
        let released = before.difference(&now).filter_map(press(false));
        // Modifiers have the highest usages but count before the keys that come with them; their meta does.
        released
            .chain(now.difference(&before).filter_map(press(true)))
            .collect()
    }

    fn mouse(
        &mut self,
        source: u64,
        before: &[(Usage, i32)],
        values: &[(Usage, i32)],
        (width, height): (i32, i32),
    ) -> Vec<Effect> {
        const PRIMARY: Usage = Usage {
            page: BUTTON_PAGE,
            id: 1,
        };
        let step = |wanted: Usage| {
            values
                .iter()
                .find(|(usage, _)| *usage == wanted)
                .map_or(0, |&(_, value)| value)
        };
        let (dx, dy) = (step(STEP_X), step(STEP_Y));
        let (x, y) = self.cursor.unwrap_or((width / 2, height / 2));
        let (x, y) = ((x + dx).clamp(0, width - 1), (y + dy).clamp(0, height - 1));
        self.cursor = Some((x, y));
        let was_down = before.contains(&(PRIMARY, 1));
        let kind = match (was_down, step(PRIMARY) != 0) {
            (false, true) => Some(TouchKind::Down),
            (true, false) => Some(TouchKind::Up),
            (true, true) if (dx, dy) != (0, 0) => Some(TouchKind::Move),
            (false, false) if (dx, dy) != (0, 0) => Some(TouchKind::Hover),
            _ => None,
        };
        let key = PointerKey { source, id: MOUSE };
        let touch = kind.map(|kind| Effect::Touch(kind, key, x, y));
        let (horizontal, vertical) = (step(PAN), step(WHEEL));
        let scroll = ((horizontal, vertical) != (0, 0)).then_some(Effect::Scroll(x, y, horizontal, vertical));
        touch.into_iter().chain(scroll).collect()
    }
}

impl HidDevice {
    fn json(&self) -> Value {
        let kind = match self.descriptor.application {
            Usage::KEYBOARD => "keyboard",
            Usage::MOUSE => "mouse",
            Usage::GAMEPAD => "gamepad",
            _ => "other",
        };
        let of_page = |page: u16, value: fn(&(Usage, i32)) -> Value| -> Vec<Value> {
            self.held
                .iter()
                .filter(|(usage, _)| usage.page == page)
                .map(value)
                .collect()
        };
        json!({
            "id": self.id,
            "kind": kind,
            "vendor": self.info.vendor,
            "product": self.info.product,
            "name": self.info.name,
            "buttons": of_page(BUTTON_PAGE, |(usage, _)| usage.id.into()),
            "axes": of_page(DESKTOP_PAGE, |(usage, value)| json!([axis(usage.id), value])),
        })
    }
}

const DESKTOP_PAGE: u16 = 1;
const KEYBOARD_PAGE: u16 = 7;
const BUTTON_PAGE: u16 = 9;
const STEP_X: Usage = Usage { page: 1, id: 0x30 };
const STEP_Y: Usage = Usage { page: 1, id: 0x31 };
const WHEEL: Usage = Usage { page: 1, id: 0x38 };
const PAN: Usage = Usage { page: 12, id: 0x238 };
const ROLL_OVER: Usage = Usage { page: 7, id: 1 };
const CAPS_LOCK: u16 = 0x39;

/// The name of a generic desktop axis.
fn axis(id: u16) -> String {
    match id {
        0x30 => "x".to_owned(),
        0x31 => "y".to_owned(),
        0x32 => "z".to_owned(),
        0x33 => "rx".to_owned(),
        0x34 => "ry".to_owned(),
        0x35 => "rz".to_owned(),
        0x39 => "hat".to_owned(),
        other => other.to_string(),
    }
}

/// Buttons that changed, as the keys that Android makes of them.
fn button_keys(before: &[(Usage, i32)], now: &[(Usage, i32)]) -> Vec<Effect> {
    /// From button 1: A B C X Y Z L1 R1 L2 R2 SELECT START MODE THUMBL THUMBR.
    const KEYS: [i32; 15] = [
        96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 109, 108, 110, 106, 107,
    ];
    let changed = |from: &[(Usage, i32)], to: &[(Usage, i32)], down: bool| -> Vec<Effect> {
        let new = from
            .iter()
            .filter(|held| held.0.page == BUTTON_PAGE && !to.contains(held));
        let codes = new.filter_map(|(usage, _)| KEYS.get(usize::from(usage.id).checked_sub(1)?));
        codes
            .map(|&code| {
                let (code, meta) = (KeyCode(code), MetaState::NONE);
                Effect::Key(KeyPress { down, code, meta })
            })
            .collect()
    };
    let mut effects = changed(before, now, false);
    effects.extend(changed(now, before, true));
    effects
}
