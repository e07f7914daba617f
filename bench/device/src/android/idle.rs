//! The screen goes off when nobody has used the device for a while.
//!
//! ```text
//!   touch, key, wheel, the screen comes on ──► a sign of life
//!   the last one is system screen_off_timeout ago ──► off, unless plugged in as global stay_on_while_plugged_in says
//! ```
//!
//! The time goes on while the device is kept awake: when that ends, a screen that nobody touched goes off at once.
//! Whoever looks says what time it is. It does not know what a dark screen shows or lets through.

use std::time::{Duration, Instant};

use super::displays::MAIN;
use super::{Android, State};

/// A shorter time counts as this, as in the platform.
const TIMEOUT_MIN: Duration = Duration::from_secs(10);
/// When the setting is no number: that of a new device.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The bit of `stay_on_while_plugged_in` for mains, all that this device is ever plugged into.
const AC: u32 = 1;

/// Since when nobody has used a device.
#[derive(Debug)]
pub(crate) struct Idle {
    lives: u64,
    since: Instant,
}

impl Idle {
    /// From now on.
    pub(crate) fn new(now: Instant) -> Self {
        Self { lives: 0, since: now }
    }

    /// Switches the screen off if it is time.
    pub(crate) fn look(&mut self, android: &Android, now: Instant) {
        let android = android.on(MAIN);
        let state = android.lock();
        let (lives, on) = (state.lives, state.screen_on);
        let (timeout, stays) = (state.screen_off_timeout(), state.stay_on());
        drop(state);
        if lives != self.lives {
            *self = Self { lives, since: now };
        }
        let kept_awake = stays & AC != 0 && android.battery().ac;
        if on && !kept_awake && now.saturating_duration_since(self.since) >= timeout {
            android.set_screen_on(false);
        }
    }
}

impl Android {
    /// Somebody uses the device, or does as if.
    pub fn live(&self) {
        self.on(MAIN).lock().lives += 1;
    }
}

impl State {
    fn screen_off_timeout(&self) -> Duration {
        let timeout = self.system("screen_off_timeout");
        let timeout_ms = timeout.and_then(|text| text.parse::<i64>().ok());
        timeout_ms.map_or(TIMEOUT, |ms| {
            Duration::from_millis(ms.try_into().unwrap_or(0)).max(TIMEOUT_MIN)
        })
    }

    fn stay_on(&self) -> u32 {
        let key = ("global".to_owned(), "stay_on_while_plugged_in".to_owned());
        let plugs = self.settings.get(&key);
        plugs.and_then(|plugs| plugs.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::android::surroundings::Battery;
    use crate::android::{Model, PointerKey, TouchKind};

    fn android() -> Android {
        Android::new(Model {
            name: "Idle".to_owned(),
            width: 360,
            height: 640,
        })
    }

    /// Whether the screen is on at these seconds, one after the other.
    fn shows<const N: usize>(
        android: &Android,
        idle: &mut Idle,
        start: Instant,
        at_s: [u64; N],
    ) -> [bool; N] {
        at_s.map(|at| {
            idle.look(android, start + Duration::from_secs(at));
            android.screen_on()
        })
    }

    #[test]
    fn an_unused_screen_goes_off_and_every_use_puts_it_off() {
        let (android, start) = (android(), Instant::now());
        let mut idle = Idle::new(start);
        assert_eq!(shows(&android, &mut idle, start, [0, 59]), [true, true]);
        android.touch(TouchKind::Down, PointerKey { source: 0, id: 1 }, 1, 1);
        assert_eq!(
            shows(&android, &mut idle, start, [60, 119, 120]),
            [true, true, false]
        );
        android.set_screen_on(true);
        assert_eq!(
            shows(&android, &mut idle, start, [121, 180, 181]),
            [true, true, false]
        );

        android.set_screen_on(true);
        android.set_setting("system", "screen_off_timeout", "1000");
        assert_eq!(
            shows(&android, &mut idle, start, [200, 209, 210]),
            [true, true, false]
        );
    }

    #[test]
    fn a_device_that_is_plugged_in_may_be_kept_awake_and_sleeps_at_once_when_that_ends() {
        let (android, start) = (android(), Instant::now());
        let mut idle = Idle::new(start);
        android.set_setting("global", "stay_on_while_plugged_in", "7");
        assert_eq!(shows(&android, &mut idle, start, [0, 600]), [true, true]);
        android.set_setting("global", "stay_on_while_plugged_in", "0");
        assert_eq!(shows(&android, &mut idle, start, [601]), [false]);

        android.set_screen_on(true);
        android.set_setting("global", "stay_on_while_plugged_in", "7");
        assert_eq!(shows(&android, &mut idle, start, [602, 900]), [true, true]);
        android.set_battery(Battery {
            ac: false,
            ..android.battery()
        });
        assert_eq!(shows(&android, &mut idle, start, [901]), [false]);
    }
}
