//! An APK that somebody installs on the simulated device: the first byte picks the whole archive, or its manifest, which
//! the archive's check sum would keep out of reach.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use device::apk::{manifest, read};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let manifest = match pick % 2 {
        0 => read(rest).ok(),
        _ => manifest::parse(rest).ok(),
    };
    if let Some(manifest) = manifest {
        assert!(manifest.package.contains('.'), "a package name has two parts");
    }
});
