//! `wm` and those services of `dumpsys` that tell what the display and the device are like now.
//!
//! ```text
//!   wm size | density | user-rotation [free | lock [0-3]]
//!   dumpsys window | display | power | activity activities | simulated
//! ```
//!
//! The words are those of Android 14, cut to the lines that tools read. They only print what [`Android`] says; what
//! this display cannot do, as another size, is refused and not pretended.

use super::Done;
use super::activity::ACTIVITY;
use crate::android::{Android, Rotation};

/// Dots per inch that the device claims; what redroid and many phones of its size have.
const DENSITY_DPI: u32 = 320;

pub(super) fn wm(android: &Android, args: &[&str]) -> Done {
    match args {
        ["size"] => {
            let size = android.natural_size();
            Done::ok(format!("Physical size: {}x{}\n", size.width, size.height))
        }
        ["density"] => Done::ok(format!("Physical density: {DENSITY_DPI}\n")),
        ["user-rotation"] if android.rotation_follows() => Done::ok("free\n"),
        ["user-rotation"] => Done::ok(format!("lock {}\n", android.rotation().quarters())),
        ["user-rotation", "free"] => {
            android.free_rotation();
            Done::default()
        }
        ["user-rotation", "lock"] => {
            android.lock_rotation(android.rotation());
            Done::default()
        }
        ["user-rotation", "lock", quarters] => match quarters.parse() {
            Ok(quarters @ 0..=3) => {
                android.lock_rotation(Rotation::from_quarters(quarters));
                Done::default()
            }
            _ => Done::fail(255, "Error: rotation is 0, 1, 2 or 3\n"),
        },
        // The panel has one size and one density; changing them is not simulated.
        ["size" | "density", ..] => Done::fail(255, "Error: the simulated display cannot be overridden\n"),
        _ => Done::fail(
            255,
            "usage: wm size | density | user-rotation [free | lock [0-3]]\n",
        ),
    }
}

pub(super) fn dumpsys(android: &Android, args: &[&str]) -> Done {
    match args {
        ["simulated"] => Done::ok(android.dumpsys() + "\n"),
        ["window", ..] => Done::ok(window(android)),
        ["activity", ..] => {
            let package = android.foreground();
            Done::ok(format!(
                "  topResumedActivity=ActivityRecord{{0 u0 {package}/{ACTIVITY} t1}}\n"
            ))
        }
        ["display", ..] => Done::ok(display(android)),
        ["power", ..] => {
            let state = if android.screen_on() { "Awake" } else { "Asleep" };
            Done::ok(format!("  mWakefulness={state}\n"))
        }
        ["package", ..] => Done::ok(packages(android)),
        [] | ["-l"] => Done::ok(super::services::list()),
        [service, ..] => Done::fail(1, format!("Can't find service: {service}\n")),
    }
}

fn packages(android: &Android) -> String {
    let named = android.packages().into_iter();
    let named = named.map(|package| format!("  Package [{package}]:\n"));
    format!("Packages:\n{}", named.collect::<String>())
}

fn window(android: &Android) -> String {
    let package = android.foreground();
    format!(
        "  mCurrentFocus=Window{{0 u0 {package}/{package}{ACTIVITY}}}\n  mFocusedApp=ActivityRecord{{0 u0 \
         {package}/{ACTIVITY} t1}}\n  mCurrentRotation=ROTATION_{}\n",
        u32::from(android.rotation().quarters()) * 90
    )
}

fn display(android: &Android) -> String {
    let (size, natural) = (android.size(), android.natural_size());
    let state = if android.screen_on() { "ON" } else { "OFF" };
    format!(
        "  mScreenState={state}\n  mViewports=[DisplayViewport{{type=INTERNAL, valid=true, isActive={}, displayId=0, \
         orientation={}, logicalFrame=Rect(0, 0 - {}, {}), deviceWidth={}, deviceHeight={}}}]\n",
        android.screen_on(),
        android.rotation().quarters(),
        size.width,
        size.height,
        natural.width,
        natural.height
    )
}
