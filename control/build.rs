//! Has the crate built anew when the viewer's files change, and lets it build before they exist.

use std::path::Path;

fn main() {
    let viewer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/viewer/dist");
    // A read-only checkout that has no viewer fails in the macro that wants the folder, with its name.
    let _ = std::fs::create_dir_all(&viewer);
    println!("cargo::rerun-if-changed={}", viewer.display());
}
