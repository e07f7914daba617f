//! Dialling control, and how long to wait before dialling again.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::client::ClientError;
use super::tls::server_name;

/// First and longest wait before dialling again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How much a wait varies to either side, so that agents do not return in step.
const JITTER: f64 = 0.2;
/// Dialling, and each question of the greeting, must be answered within this.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn dial(
    control: &str,
    config: quinn::ClientConfig,
) -> Result<(quinn::Endpoint, quinn::Connection), ClientError> {
    let network = |error: &dyn std::fmt::Display| ClientError::Network(format!("{control}: {error}"));
    in_time(async {
        let mut addresses = tokio::net::lookup_host(control)
            .await
            .map_err(|error| network(&error))?;
        let address = addresses
            .next()
            .ok_or_else(|| network(&"the name has no address"))?;
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let endpoint = quinn::Endpoint::client(local).map_err(|error| network(&error))?;
        let connecting = endpoint
            .connect_with(config, address, server_name())
            .map_err(|error| network(&error))?;
        let connection = connecting.await.map_err(|error| network(&error))?;
        Ok((endpoint, connection))
    })
    .await
}

pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let timed_out = || Err(ClientError::Network("control did not answer in time".to_owned()));
    tokio::time::timeout(GREETING_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| timed_out())
}

/// The wait after so many failures in a row, `unit` (0 to 1) choosing within the jitter.
pub(super) fn backoff(failures: u32, unit: f64) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = first.saturating_mul(1u32 << failures.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
}

pub(super) fn random_unit() -> f64 {
    // Without randomness agents only lose their jitter.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tls::{Authority, join_config};
    use std::time::SystemTime;

    #[tokio::test]
    async fn a_host_does_not_show_its_token_to_a_control_that_did_not_make_it() {
        let now = SystemTime::now();
        let (wanted, _) = Authority::create(now).unwrap();
        let (other, _) = Authority::create(now).unwrap();
        let control =
            quinn::Endpoint::server(other.server_config(now).unwrap(), (Ipv4Addr::LOCALHOST, 0).into());
        let control = control.unwrap();
        let address = control.local_addr().unwrap().to_string();
        let accept = tokio::spawn(async move { control.accept().await.unwrap().await.map(drop) });

        let dialled = dial(&address, join_config(wanted.fingerprint()).unwrap()).await;
        assert!(matches!(&dialled, Err(ClientError::Network(why)) if why.contains("UnknownIssuer")));
        assert!(
            accept.await.unwrap().is_err(),
            "no handshake, so no stream and no token"
        );
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_vary_by_a_fifth() {
        let middle: Vec<_> = (0..8).map(|failures| backoff(failures, 0.5).as_secs()).collect();
        assert_eq!(middle, [1, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff(u32::MAX, 0.0), Duration::from_secs(24));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(36));
    }
}
