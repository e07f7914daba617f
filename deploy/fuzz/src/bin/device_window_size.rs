//! The size of a host's window, as it tells the simulated device's terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use device::shell::terminal::Size;
    if let Some(size) = Size::parse(bytes) {
        let told = format!("{}x{},0x0", size.rows, size.columns);
        assert_eq!(Size::parse(told.as_bytes()), Some(size));
    }
});
