//! What a capture gives, for tests of the display and of what is shown in its place.
//!
//! ```text
//!   display, film ── capture(OPTIONS) ──► packet · packet · packet   each within DEADLINE
//! ```
//!
//! It does not know sockets or framings.

use std::time::Duration;

use device::Android;
use device::android::{App, Model};
use device::display::{CaptureHandle, CaptureOptions, Display, FirstSize, Packet};
use device::encode::{Habit, Wishes};
use device::screen::lens::Lens;
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const OPTIONS: CaptureOptions = CaptureOptions {
    bit_rate: 1_000_000,
    lens: Lens::WHOLE,
    max_fps: None,
    encoder: Habit::Usual,
    wishes: Wishes::USUAL,
    first_size: FirstSize::Works,
};

pub(crate) async fn packet(capture: &mut CaptureHandle) -> Packet {
    timeout(DEADLINE, capture.packets.recv()).await.unwrap().unwrap()
}

/// A display on which something moves all the time.
pub(crate) fn moving(width: u16, height: u16) -> Display {
    let android = Android::new(Model {
        name: "Display".into(),
        width,
        height,
    });
    android.start(App::Motion.package()).unwrap();
    Display::spawn(android, 60).unwrap().0
}
