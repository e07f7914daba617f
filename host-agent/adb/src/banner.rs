//! The banner of a CNXN packet: who speaks and what it can do. Pure text in, values out.
//!
//! ```text
//! device::ro.product.name=X;ro.product.model=Y;ro.product.device=Z;features=a,b,c
//! └kind─┘└serial (empty today)   └ properties, `key=value`, separated by `;`  ┘
//! ```
//!
//! Hosts split a banner on `:` and `;` without any escape, so a property that holds one of them would break it:
//! such characters become `_` when a banner is written.

use std::fmt;

use crate::packet::MAX_HANDSHAKE_PAYLOAD;

/// The name of the feature that lets a sender have more than one WRTE in flight.
pub const DELAYED_ACK: &str = "delayed_ack";

/// The name of the feature for SND2 and RCV2.
pub const SENDRECV_V2: &str = "sendrecv_v2";
/// The name of the feature for STA2 and LST2.
pub const STAT_V2: &str = "stat_v2";
/// The name of the feature for LIS2.
pub const LS_V2: &str = "ls_v2";

/// What kind of peer speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An adb server or a client that is its own server.
    Host,
    /// A running Android.
    Device,
    /// Anything else that adbd may say: `bootloader`, `recovery`, `sideload`, `rescue`…
    Other(String),
}

/// A parsed banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    /// Who speaks.
    pub kind: Kind,
    /// Properties in their order, without `features`.
    pub properties: Vec<(String, String)>,
    /// Features in their order.
    pub features: Vec<String>,
}

/// Why a banner is refused: the peer does not speak adb's banner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BannerError {
    /// Longer than a CNXN may be.
    #[error("a banner of {0} bytes is too long")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a banner is not text")]
    NotText,
    /// Nothing before the first colon.
    #[error("a banner does not say what kind of peer speaks")]
    NoKind,
}

impl Banner {
    /// The banner of a host with these features.
    #[must_use]
    pub fn host(features: &[&str]) -> Self {
        Self {
            kind: Kind::Host,
            properties: Vec::new(),
            features: owned(features),
        }
    }

    /// The banner of a device with these product properties and features.
    #[must_use]
    pub fn device(product: &Product, features: &[&str]) -> Self {
        let property = |key: &str, value: &str| (key.to_owned(), value.replace([':', ';', '=', ','], "_"));
        let properties = vec![
            property("ro.product.name", &product.name),
            property("ro.product.model", &product.model),
            property("ro.product.device", &product.device),
        ];
        Self {
            kind: Kind::Device,
            properties,
            features: owned(features),
        }
    }

    /// Whether the peer lists this feature.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|listed| listed == feature)
    }

    /// A property's value, e.g. `ro.product.model`.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// What `adb devices -l` shows of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `ro.product.name`.
    pub name: String,
    /// `ro.product.model`.
    pub model: String,
    /// `ro.product.device`.
    pub device: String,
}

/// Reads a banner as it stands in a CNXN packet. Trailing NULs are cut, parts without a `=` are skipped as adb does.
///
/// # Errors
/// [`BannerError`] when the bytes are no banner.
pub fn parse(bytes: &[u8]) -> Result<Banner, BannerError> {
    if bytes.len() > MAX_HANDSHAKE_PAYLOAD {
        return Err(BannerError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| BannerError::NotText)?
        .trim_end_matches('\0');
    let mut fields = text.splitn(3, ':');
    let kind = match fields.next().unwrap_or_default() {
        "" => return Err(BannerError::NoKind),
        "host" => Kind::Host,
        "device" => Kind::Device,
        other => Kind::Other(other.to_owned()),
    };
    let mut banner = Banner {
        kind,
        properties: Vec::new(),
        features: Vec::new(),
    };
    for part in fields.nth(1).unwrap_or_default().split(';') {
        match part.split_once('=') {
            Some(("features", list)) => {
                banner.features = list
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            Some((key, value)) => banner.properties.push((key.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Ok(banner)
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Host => "host",
            Kind::Device => "device",
            Kind::Other(other) => other,
        };
        write!(f, "{kind}::")?;
        for (key, value) in &self.properties {
            write!(f, "{key}={value};")?;
        }
        write!(f, "features={}", self.features.join(","))
    }
}

fn owned(features: &[&str]) -> Vec<String> {
    features.iter().map(|&name| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_banner_reads_as_it_was_written() {
        let product = Product {
            name: "sim".into(),
            model: "Far glass".into(),
            device: "sim_x86".into(),
        };
        let banner = Banner::device(&product, &["shell_v2", "cmd"]);
        let text = "device::ro.product.name=sim;ro.product.model=Far glass;ro.product.device=sim_x86;features=shell_v2,cmd";
        assert_eq!(banner.to_string(), text);
        assert_eq!(parse(format!("{text}\0").as_bytes()).unwrap(), banner);
        assert!(banner.has("cmd") && !banner.has("abb"));
        assert_eq!(banner.property("ro.product.model"), Some("Far glass"));
    }

    #[test]
    fn a_model_with_separators_cannot_break_the_banner() {
        let product = Product {
            name: "a:b".into(),
            model: "c;d=e".into(),
            device: "f,g".into(),
        };
        let again = parse(Banner::device(&product, &["cmd"]).to_string().as_bytes()).unwrap();
        assert_eq!(again.property("ro.product.model"), Some("c_d_e"));
        assert_eq!(again.features, ["cmd"]);
    }

    #[test]
    fn odd_banners_are_read_like_adb_reads_them() {
        assert_eq!(parse(b"host::").unwrap(), Banner::host(&[]));
        assert_eq!(
            parse(b"recovery:serial:ro.x=1;junk;features=").unwrap().kind,
            Kind::Other("recovery".into())
        );
        assert_eq!(parse(b""), Err(BannerError::NoKind));
        assert_eq!(parse(b"\xff\xfe"), Err(BannerError::NotText));
        assert_eq!(parse(&[b'a'; 4097]), Err(BannerError::TooLong(4097)));
    }
}
