//! How the picture is turned: by the settings, as Android does it, and by the hand that holds the device.
//!
//! ```text
//!   system accelerometer_rotation = 1   the picture follows the hand, at its next turn
//!   otherwise                           it is locked at system user_rotation, 0 to 3; anything else is 0
//! ```
//!
//! Who turns or locks the picture writes the settings, so that a turn is seen there and goes with them. A virtual
//! display has no settings: it is turned by itself.

use super::displays::MAIN;
use super::{Android, Rotation, State};

/// Whether the picture follows the hand.
const FOLLOWS: &str = "accelerometer_rotation";
/// Where it is locked.
const LOCKED_AT: &str = "user_rotation";

impl Android {
    /// How the picture is turned.
    pub fn rotation(&self) -> Rotation {
        self.lock().rotation
    }

    /// Whether the picture follows the hand.
    pub fn rotation_follows(&self) -> bool {
        self.on(MAIN).lock().rotation_follows()
    }

    /// Turns the picture and locks it there.
    pub fn lock_rotation(&self, rotation: Rotation) {
        let main = self.display == MAIN;
        self.change(|state| match main {
            true => {
                state.put_system(FOLLOWS, "0");
                state.put_system(LOCKED_AT, &rotation.0.to_string());
                state.turn_by_settings();
            }
            false => state.rotation = rotation,
        });
    }

    /// Lets the picture follow the hand again; it stays as it is until the next turn.
    pub fn free_rotation(&self) {
        self.on(MAIN).change(|state| state.put_system(FOLLOWS, "1"));
    }

    /// Turns the picture as scrcpy's ROTATE_DEVICE does: from either upright position to landscape and back, and
    /// whether it follows the hand stays as it was.
    pub fn rotate(&self) {
        let follows = self.rotation_follows();
        self.lock_rotation(Rotation((self.rotation().0 & 1) ^ 1));
        if follows {
            self.free_rotation();
        }
    }

    /// The hand turns the device by a quarter.
    pub fn turn_in_hand(&self) {
        self.on(MAIN).change(|state| {
            state.held = Rotation::from_quarters(state.held.0 + 1);
            if state.rotation_follows() {
                state.rotation = state.held;
            }
        });
    }
}

impl State {
    fn rotation_follows(&self) -> bool {
        self.system(FOLLOWS) == Some("1")
    }

    /// Turns the picture to where the settings have it.
    pub(super) fn turn_by_settings(&mut self) {
        if !self.rotation_follows() {
            let quarters = self.system(LOCKED_AT).and_then(|text| text.parse().ok());
            self.rotation = Rotation(quarters.filter(|quarters| *quarters < 4).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::android::Model;

    fn android() -> Android {
        Android::new(Model {
            name: "Turned".to_owned(),
            width: 360,
            height: 640,
        })
    }

    fn settings(android: &Android) -> (Option<String>, Option<String>) {
        (
            android.setting("system", FOLLOWS),
            android.setting("system", LOCKED_AT),
        )
    }

    fn has(follows: &str, locked_at: &str) -> (Option<String>, Option<String>) {
        (Some(follows.to_owned()), Some(locked_at.to_owned()))
    }

    #[test]
    fn a_turn_is_in_the_settings_and_goes_with_them() {
        let android = android();
        android.rotate();
        assert_eq!(
            (android.rotation().quarters(), settings(&android)),
            (1, has("0", "1"))
        );
        android.set_setting("system", LOCKED_AT, "0");
        assert_eq!(android.rotation().quarters(), 0);

        android.lock_rotation(Rotation::from_quarters(3));
        assert!(android.delete_setting("system", LOCKED_AT));
        assert_eq!(android.rotation().quarters(), 0);

        android.lock_rotation(Rotation::from_quarters(2));
        android.reset_settings("system");
        assert_eq!(android.rotation().quarters(), 0);

        android.lock_rotation(Rotation::from_quarters(1));
        android.factory_reset();
        assert_eq!(android.rotation().quarters(), 0);
        android.set_setting("system", LOCKED_AT, "9");
        assert_eq!(android.rotation().quarters(), 0);
    }

    #[test]
    fn a_picture_that_follows_the_hand_is_turned_by_either_and_goes_on_following() {
        let android = android();
        android.turn_in_hand();
        assert_eq!(android.rotation().quarters(), 0, "it is locked");
        android.free_rotation();
        android.set_setting("system", LOCKED_AT, "2");
        assert_eq!(android.rotation().quarters(), 0, "it is not locked");
        android.rotate();
        assert_eq!(
            (android.rotation().quarters(), settings(&android)),
            (1, has("1", "1"))
        );
        android.turn_in_hand();
        assert_eq!(android.rotation().quarters(), 2);
    }

    #[test]
    fn a_virtual_display_is_turned_by_itself() {
        let android = android();
        let other = android.add_display(android.size(), crate::android::displays::Content::Destroyed);
        let other = other.unwrap();
        other.android().rotate();
        assert_eq!(other.android().rotation().quarters(), 1);
        assert_eq!(
            (android.rotation().quarters(), settings(&android)),
            (0, has("0", "0"))
        );
    }
}
