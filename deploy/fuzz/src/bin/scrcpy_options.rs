//! Arguments of a scrcpy server's command line: a version, then options, by spaces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut words = text.split(' ');
    let Some(Ok(version)) = words.next().map(str::parse) else {
        return;
    };
    let args: Vec<&str> = words.collect();
    let _ = scrcpy::options::parse(version, &args);
});
