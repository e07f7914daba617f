//! Files that only root sees: every app's private folder, and the wallpaper.
//!
//! ```text
//!   /data/data/PACKAGE/files/…                                       what the app wrote
//!                     /shared_prefs/PACKAGE_preferences.xml          its preferences
//!                     /databases/state                               what its screen shows
//!   /data/system/users/0/wallpaper                                   the picture that a person chose
//!   /data/misc/user/0/cacerts-added/…                                authorities that a person trusts
//! ```
//!
//! They are a view of the state: clearing an app clears its folder. The adb daemon of a userdebug image runs as
//! shell, and `su 0` gets here; on a user image nobody does. Removing a file removes what it stands for.

use std::collections::BTreeMap;

use super::people::AUTHORITIES;
use super::{Android, PackageError, SETTINGS_MAX, State};

/// Where apps keep their files.
pub const APPS: &str = "/data/data";
/// The wallpaper.
pub const WALLPAPER: &str = "/data/system/users/0/wallpaper";
/// Bytes that an app may keep in one file; the rest is cut.
pub const PRIVATE_FILE_LEN_MAX: usize = 1 << 16;

impl Android {
    /// Writes a file below an app's private folder, as the app does. Beyond [`SETTINGS_MAX`] files it is ignored.
    ///
    /// # Errors
    /// The app is not installed.
    pub fn write_app_file(&self, package: &str, path: &str, content: &[u8]) -> Result<(), PackageError> {
        self.change(|state| {
            let files = &mut state.installed(package)?.data.files;
            if files.len() < SETTINGS_MAX {
                let content = content[..content.len().min(PRIVATE_FILE_LEN_MAX)].to_vec();
                files.insert(path.to_owned(), content);
            }
            Ok(())
        })
    }

    /// Chooses a wallpaper, as its app does.
    pub fn set_wallpaper(&self, picture: &[u8]) {
        let picture = picture[..picture.len().min(PRIVATE_FILE_LEN_MAX)].to_vec();
        self.change(|state| state.wallpaper = Some(picture));
    }

    /// Every private file with its content, by path.
    pub fn private_files(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().private_files()
    }

    /// Removes a private file of an app, or the wallpaper; whether it was there.
    pub fn remove_private_file(&self, path: &str) -> bool {
        self.change(|state| {
            if path == WALLPAPER {
                return state.wallpaper.take().is_some();
            }
            if let Some(name) = path
                .strip_prefix(AUTHORITIES)
                .and_then(|path| path.strip_prefix('/'))
            {
                return state.people.authorities.remove(name).is_some();
            }
            let inside = path.strip_prefix(APPS).and_then(|path| path.strip_prefix('/'));
            let Some((package, file)) = inside.and_then(|path| path.split_once('/')) else {
                return false;
            };
            let Some(package) = state.packages.get_mut(package) else {
                return false;
            };
            package.data.files.remove(file).is_some()
        })
    }
}

impl State {
    fn private_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (name, package) in &self.packages {
            let data = &package.data;
            let path = |file: &str| format!("{APPS}/{name}/{file}");
            let written = data.files.iter();
            files.extend(written.map(|(file, content)| (path(file), content.clone())));
            if !data.preferences.is_empty() {
                let lines = data.preferences.iter();
                let lines = lines.map(|(key, value)| format!("<string name=\"{key}\">{value}</string>\n"));
                let file = format!("shared_prefs/{name}_preferences.xml");
                files.insert(path(&file), lines.collect::<String>().into_bytes());
            }
            if !data.text.is_empty() || data.painting.strokes > 0 || data.touches > 0 {
                let state = format!("{}\n{}\n{}\n", data.text, data.painting.strokes, data.touches);
                files.insert(path("databases/state"), state.into_bytes());
            }
        }
        if let Some(picture) = &self.wallpaper {
            files.insert(WALLPAPER.to_owned(), picture.clone());
        }
        let authorities = self.people.authorities.iter();
        files.extend(authorities.map(|(name, content)| (format!("{AUTHORITIES}/{name}"), content.clone())));
        files
    }
}
