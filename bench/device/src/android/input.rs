//! Input as it reaches the device: fingers, keys, text; and what each app does with it.
//!
//! Pointers are kept as the platform's injector keeps them, ghosts included:
//!
//! ```text
//!              unknown pointer          known pointer
//!   DOWN       joins                    moves
//!   MOVE       joins (a ghost)          moves
//!   UP         joins, leaves, unseen    moves, leaves
//!   CANCEL     joins                    stays
//!   HOVER      joins (a ghost)          moves, draws nothing
//! ```
//!
//! A mouse without buttons leaves with whatever it does. At most ten; what an eleventh does is dropped and counted. So
//! is what a pointer does that came down beside the display, until it is lifted: there is no window. Where a message's position is checked against the size
//! of a video is the scrcpy server's business; positions here are pixels of the display as it is held.

use super::app::App;
use super::drops::{Dropped, DroppedInput};
use super::log::{self, InputEvent};
use super::packages::Segment;
use super::{Android, State};
use crate::screen::layout;

use scrcpy::keys::{KeyCode, MetaState};
use serde_json::{Value, json};

/// Pointers that the device tracks; what one more does is dropped.
pub const POINTERS_MAX: usize = scrcpy::control::POINTERS_MAX;

/// Who injects, and the pointer's number there: two servers may use the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PointerKey {
    /// 0 for the shell's `input`, else the number of a server.
    pub source: u64,
    /// The injector's number.
    pub id: i64,
}

/// A pointer that the device takes for down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// Which one.
    pub key: PointerKey,
    /// Pixels from the left.
    pub x: i32,
    /// Pixels from the top.
    pub y: i32,
    /// Where it came down, `None` for a ghost.
    pub down_at: Option<(i32, i32)>,
    /// Whether it came down beside the display, so that nobody gets what it does until it is lifted.
    pub outside: bool,
}

/// What a pointer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TouchKind {
    /// Touches.
    Down,
    /// Moves.
    Move,
    /// Leaves, at these coordinates.
    Up,
    /// The gesture is void; the pointer stays known.
    Cancel,
    /// A mouse moves with no button held.
    Hover,
}

impl TouchKind {
    fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Move => "move",
            Self::Up => "up",
            Self::Cancel => "cancel",
            Self::Hover => "hover",
        }
    }
}

/// A key that goes down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPress {
    /// Down, else up.
    pub down: bool,
    /// Which key.
    pub code: KeyCode,
    /// Modifiers held.
    pub meta: MetaState,
}

impl Android {
    /// A pointer event in pixels of the display.
    pub fn touch(&self, kind: TouchKind, key: PointerKey, x: i32, y: i32) {
        self.change(|state| state.touch(kind, key, (x, y), kind == TouchKind::Up));
    }

    /// As [`touch`](Self::touch), and the pointer is not down afterwards: a mouse without buttons.
    pub fn touch_and_leave(&self, kind: TouchKind, key: PointerKey, x: i32, y: i32) {
        self.change(|state| state.touch(kind, key, (x, y), true));
    }

    /// Forgets the pointers of an injector that is gone, as the platform does when it resets a broken gesture.
    pub fn forget_pointers(&self, source: u64) {
        self.change(|state| {
            let State { pointers, log, .. } = state;
            pointers.retain(|pointer| {
                let stays = pointer.key.source != source;
                if !stays {
                    log.event(InputEvent::Gone { id: pointer.key.id });
                }
                stays
            });
        });
    }

    /// The pointers that the device takes for down.
    pub fn pointers(&self) -> Vec<Pointer> {
        self.lock().pointers.clone()
    }

    /// A wheel turns; notches, positive is right and up.
    pub fn scroll(&self, x: i32, y: i32, horizontal: f32, vertical: f32) {
        self.change(|state| {
            state.lives += 1;
            state.log.event(InputEvent::Scroll {
                x,
                y,
                horizontal,
                vertical,
            });
        });
    }

    /// A key goes down or up.
    pub fn key(&self, key: KeyPress) {
        let paste = match key.code {
            KeyCode::PASTE if key.down => Some(self.clipboard()),
            _ => None,
        };
        let copied = self.change(|state| {
            let copied = state.copied_by(key);
            state.key(key);
            copied
        });
        if let Some(text) = copied {
            self.set_clipboard(&text);
        }
        if let Some(text) = paste {
            self.paste(&text);
        }
    }

    /// BACK if the screen is on, otherwise POWER when the key goes down.
    pub fn back_or_screen_on(&self, down: bool) {
        let code = match self.screen_on() {
            true => KeyCode::BACK,
            false => KeyCode::POWER,
        };
        let meta = MetaState::NONE;
        match code {
            KeyCode::BACK => self.key(KeyPress { down, code, meta }),
            // All of a press at once.
            _ if down => {
                for down in [true, false] {
                    self.key(KeyPress { down, code, meta });
                }
            }
            _ => {}
        }
    }

    /// Text as the virtual keyboard types it: a character that it lacks is dropped and counted.
    pub fn type_text(&self, text: &str) {
        self.change(|state| {
            let typed: String = text.chars().filter(|&c| state.can_type(c)).collect();
            state.log.event(InputEvent::Text {
                text: log::excerpt(&typed),
            });
            state.insert(&typed);
        });
    }

    /// Text inserted from the clipboard: any characters.
    pub fn paste(&self, text: &str) {
        self.change(|state| {
            state.log.event(InputEvent::Paste {
                text: log::excerpt(text),
            });
            state.insert(text);
        });
    }
}

impl State {
    fn touch(&mut self, kind: TouchKind, key: PointerKey, (x, y): (i32, i32), leaves: bool) {
        let id = key.id;
        self.lives += 1;
        if !self.screen_on {
            let values = json!({ "id": id, "kind": kind.name(), "x": x, "y": y });
            return self.drop_in_the_dark("touch", values);
        }
        let Some((index, before)) = self.place(kind, key, x, y) else {
            return self.log.drops.add(DroppedInput {
                message: "touch",
                why: Dropped::TooManyPointers,
                values: json!({ "id": id, "kind": kind.name(), "x": x, "y": y, "down": self.pointers.len() }),
                said: Some("Too many pointers for touch event".to_owned()),
            });
        };
        if self.pointers[index].outside {
            self.drop_outside(kind, index);
            if leaves {
                self.pointers.remove(index);
            }
            return;
        }
        self.log.event(match kind {
            TouchKind::Down => InputEvent::Down { id, x, y },
            TouchKind::Move => InputEvent::Move { id, x, y },
            TouchKind::Up => InputEvent::Up { id, x, y },
            TouchKind::Cancel => InputEvent::Cancel { id },
            TouchKind::Hover => InputEvent::Hover { id, x, y },
        });
        match self.foreground {
            // The platform gives no app the lift of a finger that it never saw.
            _ if kind == TouchKind::Up && before.is_none() => {}
            _ if kind == TouchKind::Hover => {}
            App::Launcher => self.touch_launcher(kind, index),
            App::Paint => self.touch_paint(kind, index, before),
            App::Latency => self.touch_latency(kind),
            App::Echo | App::Still | App::Motion | App::Installed(_) => {}
        }
        if leaves {
            self.pointers.remove(index);
        }
    }

    /// The pointer's place in the table and where it was before; `None` if the table is full.
    fn place(
        &mut self,
        kind: TouchKind,
        key: PointerKey,
        x: i32,
        y: i32,
    ) -> Option<(usize, Option<(i32, i32)>)> {
        let down_at = (kind == TouchKind::Down).then_some((x, y));
        let beside = down_at.is_some_and(|at| !layout::full(self.size()).contains(at));
        if let Some(index) = self.pointers.iter().position(|pointer| pointer.key == key) {
            let pointer = &mut self.pointers[index];
            let before = (pointer.x, pointer.y);
            (pointer.x, pointer.y) = (x, y);
            pointer.down_at = down_at.or(pointer.down_at);
            if down_at.is_some() {
                pointer.outside = beside;
            }
            return Some((index, Some(before)));
        }
        if self.pointers.len() == POINTERS_MAX {
            return None;
        }
        self.pointers.push(Pointer {
            key,
            x,
            y,
            down_at,
            outside: beside,
        });
        Some((self.pointers.len() - 1, None))
    }

    /// An app starts when a finger comes down and leaves on the same icon.
    fn touch_launcher(&mut self, kind: TouchKind, index: usize) {
        let Pointer { x, y, down_at, .. } = self.pointers[index];
        let (TouchKind::Up, Some(down_at)) = (kind, down_at) else {
            return;
        };
        let (apps, size) = (self.launchable(), self.size());
        let icon = layout::icon_at(size, apps.len(), (x, y));
        let app = icon.and_then(|icon| apps.get(icon));
        if let Some(&app) = app
            && icon == layout::icon_at(size, apps.len(), down_at)
        {
            self.show(app);
        }
    }

    fn touch_paint(&mut self, kind: TouchKind, index: usize, before: Option<(i32, i32)>) {
        let Pointer { key, x, y, .. } = self.pointers[index];
        let Some(package) = self.packages.get_mut(App::Paint.package()) else {
            return;
        };
        let painting = &mut package.data.painting;
        let begins = kind == TouchKind::Down || before.is_none();
        let from = match before {
            Some(before) if !begins => before,
            _ => (x, y),
        };
        painting.strokes += u32::from(begins);
        // UP mostly repeats the last place: nothing new to draw.
        if begins || from != (x, y) {
            painting.add(Segment {
                colour: layout::colour_of_pointer(key.id),
                from,
                to: (x, y),
            });
        }
    }

    fn touch_latency(&mut self, kind: TouchKind) {
        if kind == TouchKind::Down
            && let Some(package) = self.packages.get_mut(App::Latency.package())
        {
            package.data.touches += 1;
        }
    }

    fn key(&mut self, key: KeyPress) {
        self.lives += 1;
        self.log.event(InputEvent::Key {
            action: u8::from(!key.down),
            keycode: key.code.0,
            metastate: key.meta.0,
        });
        if !key.down {
            return;
        }
        match key.code {
            KeyCode::POWER => self.screen_on = !self.screen_on,
            KeyCode::WAKEUP => self.screen_on = true,
            KeyCode::SLEEP => self.screen_on = false,
            _ if !self.screen_on => self.drop_in_the_dark("key", json!({ "keycode": key.code.0 })),
            KeyCode::HOME => self.show(App::Launcher),
            KeyCode::BACK => self.back(),
            KeyCode::APP_SWITCH => {
                if let Some(app) = self.recent.last().copied() {
                    self.show(app);
                }
            }
            KeyCode::DEL => {
                if let Some(text) = self.focused_text() {
                    text.pop();
                }
            }
            code => {
                if let Some(c) = char_of_key(code, key.meta) {
                    self.insert(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
    }

    /// What COPY or CUT puts on the clipboard: all of the focused text, since there is no selection.
    fn copied_by(&mut self, key: KeyPress) -> Option<String> {
        if !key.down || !self.screen_on {
            return None;
        }
        match key.code {
            KeyCode::COPY => self.focused_text().cloned(),
            KeyCode::CUT => self.focused_text().map(std::mem::take),
            _ => None,
        }
    }

    /// Leaves the app; unlike HOME it is not among the recent ones afterwards.
    fn back(&mut self) {
        let app = self.foreground;
        self.show(App::Launcher);
        self.recent.retain(|&recent| recent != app);
    }

    fn can_type(&mut self, c: char) -> bool {
        let can = typeable(c);
        if !can {
            let code = u32::from(c);
            self.log.drops.add(DroppedInput {
                message: "text",
                why: Dropped::UnmappableText,
                values: json!({ "char": format!("U+{code:04X}") }),
                said: Some(format!("Could not inject char u+{code:04x}")),
            });
        }
        can
    }

    /// Inserts at the cursor, if there is one.
    fn insert(&mut self, text: &str) {
        if self.foreground == App::Echo
            && let Some(package) = self.packages.get_mut(App::Echo.package())
        {
            package.data.type_text(text);
        }
    }

    /// With the screen off the policy lets nothing through but what wakes it.
    fn drop_in_the_dark(&mut self, message: &'static str, values: Value) {
        self.log.drops.add(DroppedInput {
            message,
            why: Dropped::ScreenOff,
            values,
            said: Some(format!("Dropped event because the screen is off: {message}")),
        });
    }

    /// Beside the display there is no window.
    fn drop_outside(&mut self, kind: TouchKind, index: usize) {
        let Pointer { key, x, y, .. } = self.pointers[index];
        let said = match kind {
            TouchKind::Down => {
                format!("Dropping event because there is no touchable window at ({x}.0, {y}.0) in display")
            }
            _ => "Dropping event because the pointer is not down".to_owned(),
        };
        self.log.drops.add(DroppedInput {
            message: "touch",
            why: Dropped::Outside,
            values: json!({ "id": key.id, "kind": kind.name(), "x": x, "y": y }),
            said: Some(said),
        });
    }

    /// The text under the cursor, if the app in front has one.
    fn focused_text(&mut self) -> Option<&mut String> {
        if self.foreground != App::Echo {
            return None;
        }
        let package = self.packages.get_mut(App::Echo.package())?;
        Some(&mut package.data.text)
    }
}

/// The virtual keyboard types ASCII, and letters with one of five dead accents.
fn typeable(c: char) -> bool {
    const DEAD_ACCENTS: [char; 5] = ['\u{300}', '\u{301}', '\u{302}', '\u{303}', '\u{308}'];
    if c.is_ascii() {
        return !c.is_ascii_control() || c == '\n' || c == '\t';
    }
    let mut parts = ['\0'; 2];
    let mut count = 0;
    unicode_normalization::char::decompose_canonical(c, |part| {
        if let Some(slot) = parts.get_mut(count) {
            *slot = part;
        }
        count += 1;
    });
    count == 2 && parts[0].is_ascii_alphabetic() && DEAD_ACCENTS.contains(&parts[1])
}

/// What a key types on a US keyboard.
fn char_of_key(code: KeyCode, meta: MetaState) -> Option<char> {
    if meta.has(MetaState(
        MetaState::CTRL.0 | MetaState::ALT.0 | MetaState::META.0,
    )) {
        return None;
    }
    let shift = meta.has(MetaState::SHIFT);
    let offset = |first: char, from: KeyCode| {
        u8::try_from(code.0 - from.0)
            .ok()
            .map(|offset| char::from(first as u8 + offset))
    };
    match code {
        KeyCode(n) if (KeyCode::A.0..=KeyCode::Z.0).contains(&n) => {
            let upper = shift != meta.has(MetaState::CAPS_LOCK);
            offset(if upper { 'A' } else { 'a' }, KeyCode::A)
        }
        KeyCode(n) if (KeyCode::DIGIT_0.0..=KeyCode::DIGIT_9.0).contains(&n) && shift => ")!@#$%^&*("
            .chars()
            .nth(usize::try_from(n - KeyCode::DIGIT_0.0).ok()?),
        KeyCode(n) if (KeyCode::DIGIT_0.0..=KeyCode::DIGIT_9.0).contains(&n) => offset('0', KeyCode::DIGIT_0),
        KeyCode::SPACE => Some(' '),
        KeyCode::ENTER => Some('\n'),
        KeyCode::TAB => Some('\t'),
        KeyCode::COMMA => Some(if shift { '<' } else { ',' }),
        KeyCode::PERIOD => Some(if shift { '>' } else { '.' }),
        KeyCode::MINUS => Some(if shift { '_' } else { '-' }),
        _ => None,
    }
}
