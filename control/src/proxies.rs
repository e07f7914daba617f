//! The proxies in front of control: whose word about a person's address counts.
//!
//! ```text
//!   person ──► proxy (we listed it) ──► control
//!              X-Forwarded-For: what the person wrote, person's address
//!                               ignored                └── the last entry that no proxy of ours has
//! ```
//!
//! Limits and the audit log go by a person's address. Behind a proxy every connection is the proxy's own, so that one
//! stranger's guesses would lock everybody out; and whoever may write the header himself would never be held back. So
//! the header counts only on a connection from a listed network, and is read from its end: each proxy appends whom it
//! talked to, and what stands before that is the person's own claim. Without a list the connection's own address counts.
//! It does not know what addresses are used for.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Header in which proxies say whom they talked to (de facto; RFC 7239, section 1 tells its history).
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Proxies behind each other, at most: more entries than that are not looked at.
const HOPS_MAX: usize = 8;

/// Networks from which only our own proxies connect.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those whose address is in one of these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Who is at the other end of a connection from `connected`, of a request with these headers.
    #[must_use]
    pub fn person(&self, connected: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut person = connected.ip().to_canonical();
        // Several headers of one name are one list, in their order (RFC 9110, section 5.3).
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let told = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for entry in told.take(HOPS_MAX) {
            if !self.is_one(person) {
                break;
            }
            let Some(before) = address(entry.trim()) else {
                break;
            };
            person = before;
        }
        person
    }

    fn is_one(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, which some proxies give a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.parse::<IpAddr>().ok();
    let with_port = || Some(entry.parse::<SocketAddr>().ok()?.ip());
    Some(bare.or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(connected: &str, told: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        Proxies::new(networks.into())
            .person(connected.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn the_last_entry_that_is_no_proxy_of_ours_is_the_person() {
        assert_eq!(person("10.0.0.1:5", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(person("10.0.0.1:5", &["203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(person("10.0.0.1:5", &["203.0.113.7", "10.0.0.2"]), "203.0.113.7");
        assert_eq!(person("[fd00::1]:5", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(
            person("[::ffff:10.0.0.1]:5", &["203.0.113.7:4711"]),
            "203.0.113.7"
        );
    }

    #[test]
    fn what_a_person_claims_does_not_count() {
        assert_eq!(
            person("203.0.113.7:5", &["198.51.100.1"]),
            "203.0.113.7",
            "no proxy of ours"
        );
        assert_eq!(
            person("10.0.0.1:5", &["198.51.100.1, 203.0.113.7"]),
            "203.0.113.7"
        );
        assert_eq!(person("10.0.0.1:5", &["10.0.0.9, 203.0.113.7"]), "203.0.113.7");
    }

    #[test]
    fn a_header_that_says_nothing_leaves_the_nearest_that_is_known() {
        assert_eq!(person("10.0.0.1:5", &[]), "10.0.0.1");
        assert_eq!(person("10.0.0.1:5", &["unknown"]), "10.0.0.1");
        assert_eq!(
            person("10.0.0.1:5", &["203.0.113.7, _hidden, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(person("10.0.0.1:5", &[&"10.0.0.2,".repeat(5000)]), "10.0.0.1");
        assert_eq!(person("10.0.0.1:5", &[&["10.0.0.2"; 5000].join(",")]), "10.0.0.2");
    }

    #[test]
    fn without_a_list_the_connection_counts() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "203.0.113.7".parse().unwrap());
        let person = Proxies::default().person("127.0.0.1:5".parse().unwrap(), &headers);
        assert_eq!(person.to_string(), "127.0.0.1");
    }
}
