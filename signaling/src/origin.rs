//! Who may use a cookie: only pages of our own origin.
//!
//! A cookie is sent by the browser whoever asks, so a request that changes something and is
//! authenticated by a cookie must also come from a page of ours. `Origin` is compared exactly; a
//! missing one is refused unless the browser says `Sec-Fetch-Site: same-origin`. `SameSite=Strict`
//! stands in front of this; neither is relied on alone. Bearer tokens need none of it: no browser
//! adds them by itself.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, Method, Uri, header};

use crate::error::{Code, Problem};

/// An origin as browsers write it: scheme, host, and the port unless it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address like https://farglass.example.org or http://localhost:3000")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    /// Takes the origin of any http or https address; a path is not part of an origin and is refused.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| error())?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| ["http", "https"].contains(scheme))
            .ok_or_else(error)?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(error)?;
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(error());
        }
        let host = authority.host().to_ascii_lowercase();
        let default_port = if scheme == "https" { 443 } else { 80 };
        Ok(Self(match authority.port_u16() {
            Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        }))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a request that is authenticated by a cookie.
///
/// # Errors
/// [`Code::Forbidden`] when it changes something and does not come from one of `ours`.
pub fn check(method: &Method, headers: &HeaderMap, ours: &[Origin]) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let refused = || {
        Problem::new(
            Code::Forbidden,
            "This request does not come from a page of this site. Open the site itself.",
        )
    };
    let site = headers
        .get("sec-fetch-site")
        .map(axum::http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return Err(refused());
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, None) if site.is_some() => Ok(()),
        (Some(origin), None) if ours.iter().any(|ours| ours.0.as_bytes() == origin.as_bytes()) => Ok(()),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string());
        assert_eq!(origin("http://LocalHost:3000/").unwrap(), "http://localhost:3000");
        assert_eq!(
            origin("https://farglass.example.org:443").unwrap(),
            "https://farglass.example.org"
        );
        assert_eq!(origin("http://[::1]:3000").unwrap(), "http://[::1]:3000");
        for bad in [
            "",
            "localhost:3000",
            "ftp://a",
            "http://a/b",
            "http://a?b",
            "http://u@a",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_our_own_pages_may_use_a_cookie_to_change_something() {
        let ours = ["http://localhost:3000".parse().unwrap()];
        let allowed = |origins: &[&str], site: Option<&str>| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            check(&Method::POST, &headers, &ours).is_ok()
        };
        assert!(allowed(&["http://localhost:3000"], None));
        assert!(allowed(&["http://localhost:3000"], Some("same-origin")));
        assert!(allowed(&[], Some("same-origin")));

        assert!(!allowed(&[], None));
        assert!(!allowed(&["null"], None));
        assert!(!allowed(&["https://localhost:3000"], None));
        assert!(!allowed(&["http://localhost:3001"], None));
        assert!(!allowed(&["http://evil.localhost:3000"], None));
        assert!(!allowed(&["http://localhost:3000.evil.example"], None));
        assert!(!allowed(&["http://localhost:3000"], Some("same-site")));
        assert!(!allowed(&["http://localhost:3000"], Some("cross-site")));
        assert!(!allowed(
            &["http://localhost:3000", "http://localhost:3000"],
            None
        ));
    }

    #[test]
    fn reading_needs_no_origin() {
        assert!(check(&Method::GET, &HeaderMap::new(), &[]).is_ok());
    }
}
