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
use device::encode::Habit;
use device::screen::scale::Rounding;
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const OPTIONS: CaptureOptions = CaptureOptions {
    bit_rate: 1_000_000,
    max_size: None,
    rounding: Rounding::Down(2),
    max_fps: None,
    encoder: Habit::Usual,
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
