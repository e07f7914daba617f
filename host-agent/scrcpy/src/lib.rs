//! scrcpy
