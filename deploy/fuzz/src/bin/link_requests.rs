//! The JSON that an agent reads from control.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use protocol::agent::{Intent, Reply, Request, Response};
    fn same<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Ok(message) = serde_json::from_slice::<T>(bytes) {
            let again = serde_json::to_vec(&message).expect("what was read can be written");
            assert_eq!(serde_json::from_slice::<T>(&again).ok(), Some(message));
        }
    }
    same::<Intent>(bytes);
    same::<Request>(bytes);
    same::<Response>(bytes);
    same::<Reply>(bytes);
});
