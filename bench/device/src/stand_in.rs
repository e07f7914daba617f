//! The file that is pushed to a simulated device in place of a scrcpy server's jar.
//!
//! Its first line is `farglass-scrcpy-stand-in VERSION`. The device takes VERSION as the server's own and compares it
//! with the first argument of the command line, as a real server does; a file without that line does not start.

const MAGIC: &str = "farglass-scrcpy-stand-in ";

/// The content of a stand-in for the server of this version.
pub fn stand_in_server(version: &str) -> Vec<u8> {
    format!("{MAGIC}{version}\n").into_bytes()
}

/// The version that a pushed file stands in for, `None` if it is no stand-in.
pub fn stand_in_version(file: &[u8]) -> Option<&str> {
    let line = file.split(|&b| b == b'\n').next()?;
    std::str::from_utf8(line).ok()?.strip_prefix(MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_tells_its_version() {
        assert_eq!(stand_in_version(&stand_in_server("3.3.4")), Some("3.3.4"));
        assert_eq!(stand_in_version(b"PK\x03\x04"), None);
        assert_eq!(stand_in_version(b""), None);
    }
}
