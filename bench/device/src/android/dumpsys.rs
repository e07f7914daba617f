//! `dumpsys simulated`: the whole device as one JSON object, for tests to read over adb.
//!
//! ```text
//!   {"foreground":"dev.farglass.paint","width":720,"height":1280,"rotation":0,"screen_on":true,
//!    "pointers":[{"id":1,"x":10,"y":20}],"events":[{"seq":1,"at_us":…,"kind":"down","id":1,"x":10,"y":20},…],
//!    "text":"…","strokes":2,"touches":0,"clipboard":"…","dropped":[{"why":"wrong_size","n":3}],
//!    "drops":[{"seq":1,"at_us":…,"message":"touch","why":"wrong_size","values":{"id":1,"x":10,…}},…],
//!    "packages":{"dev.farglass.echo":{"preferences":{}},…}}
//! ```

use serde_json::{Value, json};

use super::app::App;
use super::packages::AppData;
use super::{Android, State};

impl Android {
    /// The JSON text, one line without a line feed.
    pub fn dumpsys(&self) -> String {
        let clipboard = self.clipboard();
        let mut dump = self.lock().dump();
        dump["clipboard"] = clipboard.into();
        dump["peripherals"] = self.peripherals_json();
        dump["displays"] = self
            .displays()
            .into_iter()
            .map(|(display, size)| {
                let foreground = self.on(display).foreground();
                json!({ "id": display, "width": size.width, "height": size.height, "foreground": foreground })
            })
            .collect();
        dump["surroundings"] = self.surroundings_json();
        dump.to_string()
    }
}

impl State {
    fn dump(&self) -> Value {
        let size = self.size();
        let data = |app: App| self.packages.get(app.package()).map(|package| &package.data);
        let fresh = AppData::default();
        json!({
            "foreground": self.foreground.package(),
            "width": size.width,
            "height": size.height,
            "rotation": self.rotation.quarters(),
            "screen_on": self.screen_on,
            "pointers": self.pointers.iter()
                .map(|pointer| json!({ "id": pointer.key.id, "x": pointer.x, "y": pointer.y }))
                .collect::<Vec<_>>(),
            "events": self.log.events_json(),
            "text": data(App::Echo).unwrap_or(&fresh).text,
            "strokes": data(App::Paint).unwrap_or(&fresh).painting.strokes,
            "touches": data(App::Latency).unwrap_or(&fresh).touches,
            "dropped": self.log.drops.counts_json(),
            "drops": self.log.drops.entries_json(),
            "packages": self.packages.iter()
                .map(|(name, package)| (name.clone(), json!({ "preferences": package.data.preferences })))
                .collect::<serde_json::Map<_, _>>(),
        })
    }
}
