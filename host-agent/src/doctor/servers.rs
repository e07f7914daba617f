//! The scrcpy servers that were released, by the SHA-256 of their files.
//!
//! From the project's own build instructions (`doc/build.md` of github.com/Genymobile/scrcpy, section "Prebuilt server",
//! as it stood at each release from 2.0 to 4.1), which name the file and its sum. A file that is not in here may be a
//! build of one's own or a newer release; what its version is only the server itself can say, on a device.

/// Version and SHA-256 in hexadecimal, oldest first.
pub const KNOWN_SERVERS: [(&str, &str); 23] = [
    (
        "2.0",
        "9e241615f578cd690bb43311000debdecf6a9c50a7082b001952f18f6f21ddc2",
    ),
    (
        "2.1",
        "5b8bf1940264b930c71a1c614c57da2247f52b2d4240bca865cc6d366dff6688",
    ),
    (
        "2.1.1",
        "9558db6c56743a1dc03b38f59801fb40e91cc891f8fc0c89e5b0b067761f148e",
    ),
    (
        "2.2",
        "c85c4aa84305efb69115cd497a120ebdd10258993b4cf123a8245b3d99d49874",
    ),
    (
        "2.3",
        "8daed514d7796fca6987dc973e201bd15ba51d0f7258973dec92d9ded00dbd5f",
    ),
    (
        "2.3.1",
        "f6814822fc308a7a532f253485c9038183c6296a6c5df470a9e383b4f8e7605b",
    ),
    (
        "2.4",
        "93c272b7438605c055e127f7444064ed78fa9ca49f81156777fd201e79ce7ba3",
    ),
    (
        "2.5",
        "1488b1105d6aff534873a26bf610cd2aea06ee867dd7a4d9c6bb2c091396eb15",
    ),
    (
        "2.6",
        "7b723ff79a27f14e6ebaaaae7ef9548c40651c94e64d178612b13adf7158eb2e",
    ),
    (
        "2.6.1",
        "ca7ab50b2e25a0e5af7599c30383e365983fa5b808e65ce2e1c1bba5bfe8dc3b",
    ),
    (
        "2.7",
        "a23c5659f36c260f105c022d27bcb3eafffa26070e7baa9eda66d01377a1adba",
    ),
    (
        "3.0",
        "800044c62a94d5fc16f5ab9c86d45b1050eae3eb436514d1b0d2fe2646b894ea",
    ),
    (
        "3.0.1",
        "86c4ef31f5acb060a24d5d63d8dd262ef83384e19ae5f9ad78e6408a50743d17",
    ),
    (
        "3.0.2",
        "e19fe024bfa3367809494407ad6ca809a6f6e77dac95e99f85ba75144e0ba35d",
    ),
    (
        "3.1",
        "958f0944a62f23b1f33a16e9eb14844c1a04b882ca175a738c16d23cb22b86c0",
    ),
    (
        "3.2",
        "b920e0ea01936bf2482f4ba2fa985c22c13c621999e3d33b45baa5acfc1ea3d0",
    ),
    (
        "3.3",
        "351cb2edc7e4c2c75f09a7933fdabcf137be52e2602df154f24ec02db46e9e51",
    ),
    (
        "3.3.1",
        "a0f70b20aa4998fbf658c94118cd6c8dab6abbb0647a3bdab344d70bc1ebcbb8",
    ),
    (
        "3.3.2",
        "2ee5ca0863ef440f5b7c75856bb475c5283d0a8359cb370b1c161314fd29dfd9",
    ),
    (
        "3.3.3",
        "7e70323ba7f259649dd4acce97ac4fefbae8102b2c6d91e2e7be613fd5354be0",
    ),
    (
        "3.3.4",
        "8588238c9a5a00aa542906b6ec7e6d5541d9ffb9b5d0f6e1bc0e365e2303079e",
    ),
    (
        "4.0",
        "84924bd564a1eb6089c872c7521f968058977f91f5ff02514a8c74aff3210f3a",
    ),
    (
        "4.1",
        "deacb991ed2509715160ffdc7907e47b4160eb30d1566217e9047fd5b8850cae",
    ),
];

/// The version of the release with this sum.
#[must_use]
pub fn known_version(sha256: &str) -> Option<&'static str> {
    KNOWN_SERVERS
        .iter()
        .find(|(_, sum)| *sum == sha256)
        .map(|(version, _)| *version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_version_that_we_speak_and_a_sum_of_its_own() {
        let mut sums: Vec<&str> = KNOWN_SERVERS.iter().map(|(_, sum)| *sum).collect();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), KNOWN_SERVERS.len());
        for (version, sum) in KNOWN_SERVERS {
            assert!(version.parse::<scrcpy::ServerVersion>().is_ok(), "{version}");
            assert!(
                sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{sum}"
            );
            assert_eq!(known_version(sum), Some(version));
        }
        assert_eq!(known_version(""), None);
    }
}
