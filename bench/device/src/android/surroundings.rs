//! What is around the device, as an emulator's console sets it: what its sensors feel, where it is, and its battery.
//!
//! ```text
//!   console (sensor, geo, power) ──┐                  ┌──► dumpsys battery | location | sensorservice
//!   dumpsys battery set … ─────────┴──► Surroundings ─┴──► getprop, dumpsys simulated
//! ```
//!
//! None of it is drawn, and no app of this device looks at it. Units are the console's, which are Android's.

use std::sync::{MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Android;

/// A sensor of the emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the console's")]
pub enum Sensor {
    Acceleration,
    Gyroscope,
    MagneticField,
    Orientation,
    Temperature,
    Proximity,
    Light,
    Pressure,
    Humidity,
}

impl Sensor {
    /// All of them, in the console's order.
    pub const ALL: [Self; 9] = [
        Self::Acceleration,
        Self::Gyroscope,
        Self::MagneticField,
        Self::Orientation,
        Self::Temperature,
        Self::Proximity,
        Self::Light,
        Self::Pressure,
        Self::Humidity,
    ];

    /// As the console has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acceleration => "acceleration",
            Self::Gyroscope => "gyroscope",
            Self::MagneticField => "magnetic-field",
            Self::Orientation => "orientation",
            Self::Temperature => "temperature",
            Self::Proximity => "proximity",
            Self::Light => "light",
            Self::Pressure => "pressure",
            Self::Humidity => "humidity",
        }
    }

    /// From its name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sensor| sensor.name() == name)
    }

    /// How many values it has.
    #[must_use]
    pub fn values(self) -> usize {
        match self {
            Self::Acceleration | Self::Gyroscope | Self::MagneticField | Self::Orientation => 3,
            Self::Temperature | Self::Proximity | Self::Light | Self::Pressure | Self::Humidity => 1,
        }
    }
}

/// Where the device is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Degrees, −180 to 180.
    pub longitude: f64,
    /// Degrees, −90 to 90.
    pub latitude: f64,
    /// Metres.
    pub altitude: f64,
    /// 1 to 12.
    pub satellites: u8,
}

/// The battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Battery {
    /// Whether it is on mains.
    pub ac: bool,
    /// Whether there is one.
    pub present: bool,
    /// 0 to 100.
    pub capacity: u8,
    /// What it does, by Android's number: 1 unknown, 2 charging, 3 discharging, 4 not charging, 5 full.
    pub status: u8,
    /// How it is, by Android's number: 1 unknown, 2 good, 3 overheat, 4 dead, 5 overvoltage, 6 failure.
    pub health: u8,
}

impl Default for Battery {
    fn default() -> Self {
        Self {
            ac: true,
            present: true,
            capacity: 100,
            status: 5,
            health: 2,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    sensors: [[f32; 3]; Sensor::ALL.len()],
    fix: Option<Fix>,
    battery: Battery,
}

impl Default for Surroundings {
    /// Upright and at rest in a room, nowhere in particular.
    fn default() -> Self {
        let mut sensors = [[0.0; 3]; Sensor::ALL.len()];
        sensors[Sensor::Acceleration as usize] = [0.0, 9.81, 0.0];
        sensors[Sensor::Temperature as usize] = [25.0, 0.0, 0.0];
        sensors[Sensor::Proximity as usize] = [1.0, 0.0, 0.0];
        Self {
            sensors,
            fix: None,
            battery: Battery::default(),
        }
    }
}

impl Android {
    /// What a sensor feels: as many values as it has.
    #[must_use]
    pub fn sensor(&self, sensor: Sensor) -> Vec<f32> {
        self.surroundings().sensors[sensor as usize][..sensor.values()].to_vec()
    }

    /// Sets what a sensor feels. Values that are not given are 0, and those that it does not have are nothing.
    pub fn set_sensor(&self, sensor: Sensor, values: &[f32]) {
        let felt = &mut self.surroundings().sensors[sensor as usize];
        *felt = [0.0; 3];
        for (felt, value) in felt.iter_mut().zip(values).take(sensor.values()) {
            *felt = *value;
        }
    }

    /// Where it is, if it was told.
    #[must_use]
    pub fn fix(&self) -> Option<Fix> {
        self.surroundings().fix
    }

    /// Puts it somewhere.
    pub fn set_fix(&self, fix: Fix) {
        self.surroundings().fix = Some(fix);
    }

    /// Its battery.
    #[must_use]
    pub fn battery(&self) -> Battery {
        self.surroundings().battery
    }

    /// Changes its battery.
    pub fn set_battery(&self, battery: Battery) {
        self.surroundings().battery = battery;
    }

    /// For `dumpsys simulated`.
    pub(super) fn surroundings_json(&self) -> Value {
        let all = *self.surroundings();
        let sensors = Sensor::ALL.into_iter().map(|sensor| {
            let values = &all.sensors[sensor as usize][..sensor.values()];
            (sensor.name().to_owned(), json!(values))
        });
        json!({
            "sensors": sensors.collect::<serde_json::Map<_, _>>(),
            "location": all.fix.map(|fix| json!({
                "longitude": fix.longitude,
                "latitude": fix.latitude,
                "altitude": fix.altitude,
                "satellites": fix.satellites,
            })),
            "battery": {
                "ac": all.battery.ac,
                "present": all.battery.present,
                "capacity": all.battery.capacity,
                "status": all.battery.status,
                "health": all.battery.health,
            },
        })
    }

    /// As in the box.
    pub(super) fn reset_surroundings(&self) {
        *self.surroundings() = Surroundings::default();
    }

    fn surroundings(&self) -> MutexGuard<'_, Surroundings> {
        let surroundings = self.shared.surroundings.lock();
        surroundings.unwrap_or_else(PoisonError::into_inner)
    }
}
