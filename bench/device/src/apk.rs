//! What an APK says of itself: package, version, label. Bounded at every step, for anybody may send one.
//!
//! ```text
//!   APK (zip) ─ zip::entry ─► AndroidManifest.xml (binary) ─ manifest::parse ─► Manifest
//! ```
//!
//! It does not look at signatures, resources or code: nothing of an APK runs here. A label or a version name that
//! stands in the resources is unknown.

pub mod manifest;
pub mod zip;

pub use manifest::{Manifest, ManifestError};
pub use zip::ZipError;

/// Largest APK in bytes that is taken: half of what the device stores. A larger one fails as a full storage does.
pub const MAX_APK: usize = crate::files::MAX_TOTAL_BYTES / 2;
/// Largest manifest in bytes, unpacked; real ones stay below a tenth.
const MAX_MANIFEST: usize = 1024 * 1024;

/// Why an APK cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApkError {
    /// No archive, or one without a manifest that could be taken out.
    #[error("{0}")]
    Zip(#[from] ZipError),
    /// The manifest is no manifest.
    #[error("AndroidManifest.xml: {0}")]
    Manifest(#[from] ManifestError),
}

/// Reads what an APK says of itself.
///
/// # Errors
/// [`ApkError`] when it is none.
pub fn read(apk: &[u8]) -> Result<Manifest, ApkError> {
    let bytes = zip::entry(apk, "AndroidManifest.xml", MAX_MANIFEST)?;
    Ok(manifest::parse(&bytes)?)
}

#[cfg(test)]
#[path = "../tests/device/stock_adb/apk.rs"]
mod writer;

#[cfg(test)]
mod tests;
