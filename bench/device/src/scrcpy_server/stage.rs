//! What a server mirrors: the main display, another one that is there, or a virtual one that it makes for itself.
//!
//! ```text
//!   display_id=0                    the main display, and its picture that everybody shares
//!   display_id=N                    the display of that number
//!   new_display=[WxH][/DPI]         a virtual one, as large as the main one if not said
//!   … and flex_display=true         one that its client resizes ─► Flex: the last size of 300 ms wins
//! ```
//!
//! A virtual display goes with its server. This device draws every display in the same density and with a launcher, so
//! a DPI and `vd_system_decorations` have no effect.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scrcpy::options::ServerOptions;
use tokio::sync::watch;
use tokio::time::timeout;

use super::lists;
use crate::android::displays::{Content, MAIN, VirtualDisplay};
use crate::android::{Android, Size};
use crate::display::Display;
use crate::screen::lens::Lens;
use crate::userland::Userland;

/// What a flexible display measures before its client says so.
const FLEX_SIZE: Size = Size {
    width: 1_280,
    height: 960,
};
/// Sizes that follow each other within this time are one: the last.
const SETTLES: Duration = Duration::from_millis(300);

/// What a server mirrors.
pub(super) struct Stage {
    /// The device, through the display that is mirrored.
    pub(super) userland: Userland,
    /// Where the client's sizes go, if it may say any.
    pub(super) flex: Option<Flex>,
    _display: Option<VirtualDisplay>,
}

impl Stage {
    /// Why not is what ends the server.
    pub(super) fn new(userland: &Userland, options: &ServerOptions, lens: Lens) -> Result<Self, String> {
        let Some(wanted) = options.new_display.filter(|_| options.video) else {
            let android = display(&userland.android, options)?;
            if android.display() != MAIN {
                return Self::on(userland, android, None, None);
            }
            return Ok(Self {
                userland: userland.clone(),
                flex: None,
                _display: None,
            });
        };
        if options.flex_display && options.crop.is_some() {
            let thread = "Exception on thread Thread[video,5,main]";
            let why = "Flex display does not support cropping";
            return Err(format!("{thread}\njava.lang.IllegalArgumentException: {why}"));
        }
        let size = match wanted.size {
            Some((width, height)) => Size { width, height },
            None if options.flex_display => FLEX_SIZE,
            None => userland.android.size(),
        };
        let content = match options.vd_destroy_content {
            true => Content::Destroyed,
            false => Content::Moved,
        };
        let display = userland.android.add_display(size, content);
        let display = display.ok_or("Could not create display")?;
        let android = display.android().clone();
        let flex = options
            .flex_display
            .then(|| Flex::new(android.clone(), lens.swaps()));
        Self::on(userland, android, Some(display), flex)
    }

    /// A picture of its own; its thread ends soon after the stage.
    fn on(
        userland: &Userland,
        android: Android,
        display: Option<VirtualDisplay>,
        flex: Option<Flex>,
    ) -> Result<Self, String> {
        let spawned = Display::spawn(android.clone(), userland.display.fps());
        let (picture, _) = spawned.map_err(|error| error.to_string())?;
        Ok(Self {
            userland: Userland {
                android,
                display: picture,
                ..userland.clone()
            },
            flex,
            _display: display,
        })
    }
}

/// The device, looked at through the display that is there already; why not.
pub(super) fn display(android: &Android, options: &ServerOptions) -> Result<Android, String> {
    let wanted = options.display_id;
    match android.displays().iter().any(|(there, _)| *there == wanted) || !options.video {
        true => Ok(android.on(wanted)),
        false => Err(format!(
            "Display {wanted} not found\n{}",
            lists::displays(android)
        )),
    }
}

/// A display that its client resizes.
pub(super) struct Flex {
    android: Android,
    /// Whether the picture lies on its side, and with it the client's sides.
    swapped: bool,
    wanted: watch::Sender<Option<Size>>,
    /// The next session is the client's doing.
    resized: AtomicBool,
}

impl Flex {
    fn new(android: Android, swapped: bool) -> Self {
        Self {
            android,
            swapped,
            wanted: watch::Sender::new(None),
            resized: AtomicBool::new(false),
        }
    }

    /// The client wants another size.
    pub(super) fn want(&self, size: Size) {
        let Size { width, height } = size;
        self.wanted.send_replace(Some(match self.swapped {
            true => Size {
                width: height,
                height: width,
            },
            false => size,
        }));
    }

    /// Whether a session that begins now is the client's doing; asked once for each.
    pub(super) fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::AcqRel)
    }

    /// Follows the client's sizes, for ever.
    pub(super) async fn follow(&self) -> Infallible {
        let mut wanted = self.wanted.subscribe();
        loop {
            // The sender is in `self`, so there is always another one to wait for.
            let _ = wanted.changed().await;
            while timeout(SETTLES, wanted.changed()).await.is_ok() {}
            let size = *wanted.borrow_and_update();
            if let Some(size) = size {
                // Set first: the picture's thread may be quicker than this one.
                self.resized.store(true, Ordering::Release);
                if !self.android.resize_display(size) {
                    self.resized.store(false, Ordering::Release);
                }
            }
        }
    }
}
