//! The banner of a CNXN packet, from a device or a host that we do not trust.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What is read back from what we would say must be the same: a device cannot make us claim what it did not.
    if let Ok(banner) = adb::banner::parse(bytes) {
        let _ = banner.has("shell_v2");
        let _ = banner.property("ro.product.name");
    }
});
