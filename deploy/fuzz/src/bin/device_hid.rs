//! A HID device that a client makes on the simulated device: the first byte is the length of its descriptor, the rest are
//! reports of eight bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((len, rest)) = bytes.split_first() else {
        return;
    };
    let (descriptor, reports) = rest.split_at(rest.len().min(usize::from(*len)));
    if let Ok(descriptor) = device::hid::Descriptor::parse(descriptor) {
        for report in reports.chunks(8) {
            let _ = descriptor.read(report);
        }
    }
});
