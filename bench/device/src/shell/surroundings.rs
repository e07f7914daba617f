//! Those services of `dumpsys` that tell what is around the device: battery, location, sensors.
//!
//! ```text
//!   dumpsys battery [set level|status|ac|present N | unplug | reset]
//!   dumpsys location | sensorservice
//! ```
//!
//! The words are those of Android 14, cut to the lines that tools read. What sets the rest is an emulator's console.

use super::Done;
use crate::android::Android;
use crate::android::surroundings::{Battery, Sensor};

/// `None` for a service that is asked elsewhere.
pub(super) fn dumpsys(android: &Android, args: &[&str]) -> Option<Done> {
    Some(match args {
        ["battery"] => Done::ok(battery(android.battery())),
        ["battery", rest @ ..] => set_battery(android, rest),
        ["location", ..] => Done::ok(location(android)),
        ["sensorservice", ..] => Done::ok(sensors(android)),
        _ => return None,
    })
}

fn battery(battery: Battery) -> String {
    let Battery {
        ac,
        present,
        capacity,
        status,
        health,
    } = battery;
    format!(
        "Current Battery Service state:\n  AC powered: {ac}\n  USB powered: false\n  Wireless powered: false\n  status: \
         {status}\n  health: {health}\n  present: {present}\n  level: {capacity}\n  scale: 100\n"
    )
}

fn set_battery(android: &Android, args: &[&str]) -> Done {
    let mut battery = android.battery();
    match args {
        ["reset"] => battery = Battery::default(),
        ["unplug"] => battery.ac = false,
        ["set", key, value] => {
            let within = |most: u8| value.parse::<u8>().ok().filter(|value| *value <= most);
            let set = match *key {
                "level" => within(100).map(|level| battery.capacity = level),
                "status" => within(5).map(|status| battery.status = status),
                "ac" => within(1).map(|ac| battery.ac = ac == 1),
                "present" => within(1).map(|present| battery.present = present == 1),
                _ => return Done::fail(255, format!("Unknown set option: {key}\n")),
            };
            if set.is_none() {
                return Done::fail(255, format!("Bad value: {value}\n"));
            }
        }
        _ => return Done::fail(255, "usage: dumpsys battery [set KEY VALUE | unplug | reset]\n"),
    }
    android.set_battery(battery);
    Done::default()
}

fn location(android: &Android) -> String {
    let last = android.fix().map_or("null".to_owned(), |fix| {
        format!(
            "Location[gps {:.6},{:.6} alt={:.1} {{Bundle[{{satellites={}}}]}}]",
            fix.latitude, fix.longitude, fix.altitude, fix.satellites
        )
    });
    format!("Location Manager State:\n  gps provider:\n    last location={last}\n")
}

fn sensors(android: &Android) -> String {
    let lines = Sensor::ALL.into_iter().map(|sensor| {
        let values = android.sensor(sensor);
        let values: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
        format!("  {}: {}\n", sensor.name(), values.join(", "))
    });
    format!("Recent Sensor events:\n{}", lines.collect::<String>())
}
