//! Dialling control: every address that it has, again and again, until one of them answers.
//!
//! ```text
//!   a:3000,b:3000 ──► every address of every name ──► try 1 ─────────────────────────────► first handshake wins
//!                     from the one that is asked for   try 2   at once when try 1 is refused, else a second later
//!                                                      try 3 …                              nobody within 10 s: away
//! ```
//!
//! A QUIC handshake repeats its first packet after 1, 3 and 7 seconds. That is too seldom for a control that is
//! starting, so tries are made beside one another instead of waiting for one to fail. It does not know who is allowed
//! in, nor how long to wait between dials (`pace.rs`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::ClientError;
use super::socket::Ear;
use super::tls::server_name;

/// Dialling, and each question of the greeting, must be answered within this.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// While nobody answers, another try this often: at most ten stand at the same time.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// A connection that stands.
pub(super) struct Dialled {
    pub(super) endpoint: quinn::Endpoint,
    pub(super) connection: quinn::Connection,
    /// Cancelled when its host says that nobody listens there any more.
    pub(super) refused: CancellationToken,
    /// Which of the addresses it is.
    pub(super) place: usize,
}

/// Dials `control`: one `host:port`, or several separated by commas. Of all addresses the one at `first` is tried
/// first, counted from the front again where they end.
pub(super) async fn dial(
    control: &str,
    config: quinn::ClientConfig,
    first: usize,
) -> Result<Dialled, ClientError> {
    let away = |why: &dyn std::fmt::Display| ClientError::Away(format!("{control}: {why}"));
    let addresses = lookup(control).await.map_err(|error| away(&error))?;
    let mut next = turns(addresses.len(), first);
    let mut untried = addresses.len();
    let mut tries = JoinSet::new();
    let mut again = tokio::time::interval(TRY_EVERY);
    let deadline = tokio::time::sleep(GREETING_TIMEOUT);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            () = &mut deadline => return Err(away(&"it did not answer in time")),
            _ = again.tick() => {}
            Some(tried) = tries.join_next() => match tried {
                Ok(Ok(dialled)) => return Ok(dialled),
                Ok(Err(error)) if untried == 0 && tries.is_empty() => return Err(named(control, error)),
                Ok(Err(_)) if untried == 0 => continue,
                Ok(Err(_)) => {}
                Err(error) => return Err(away(&error)),
            },
        }
        let place = next.next().ok_or_else(|| away(&"the name has no address"))?;
        untried = untried.saturating_sub(1);
        tries.spawn(one_try(addresses[place], place, config.clone()));
    }
}

/// The places of so many addresses, again and again, from one of them on.
fn turns(many: usize, first: usize) -> impl Iterator<Item = usize> {
    let skipped = first.checked_rem(many).unwrap_or(0);
    (0..many).cycle().skip(skipped)
}

async fn lookup(control: &str) -> std::io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for name in control.split(',') {
        addresses.extend(tokio::net::lookup_host(name.trim()).await?);
    }
    Ok(addresses)
}

fn named(control: &str, error: ClientError) -> ClientError {
    match error {
        ClientError::Away(why) => ClientError::Away(format!("{control}: {why}")),
        ClientError::Network(why) => ClientError::Network(format!("{control}: {why}")),
        other => other,
    }
}

async fn one_try(
    address: SocketAddr,
    place: usize,
    config: quinn::ClientConfig,
) -> Result<Dialled, ClientError> {
    let network = |error: &dyn std::fmt::Display| ClientError::Network(error.to_string());
    let (ear, refused) = Ear::to(address).map_err(|error| network(&error))?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = quinn::Endpoint::new_with_abstract_socket(
        quinn::EndpointConfig::default(),
        None,
        Arc::new(ear),
        runtime,
    )
    .map_err(|error| network(&error))?;
    let connecting = endpoint
        .connect_with(config, address, server_name())
        .map_err(|error| network(&error))?;
    let connection = tokio::select! {
        () = refused.cancelled() => return Err(ClientError::nobody_listens()),
        connected = connecting => connected?,
    };
    Ok(Dialled {
        endpoint,
        connection,
        refused,
        place,
    })
}

pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let timed_out = || Err(ClientError::Network("control did not answer in time".to_owned()));
    tokio::time::timeout(GREETING_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| timed_out())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::SystemTime;

    use super::*;
    use crate::link::tls::{Authority, join_config};

    /// A control that accepts whoever comes, and its address.
    fn listening(authority: &Authority) -> (quinn::Endpoint, String) {
        let config = authority.server_config(SystemTime::now()).unwrap();
        let control = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = control.local_addr().unwrap().to_string();
        (control, address)
    }

    /// An address at which nobody listens.
    fn nobody() -> String {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.local_addr().unwrap().to_string()
    }

    fn authority() -> Authority {
        Authority::create(SystemTime::now()).unwrap().0
    }

    #[tokio::test]
    async fn a_host_does_not_show_its_token_to_a_control_that_did_not_make_it() {
        let (wanted, other) = (authority(), authority());
        let (control, address) = listening(&other);
        let accept = tokio::spawn(async move { control.accept().await.unwrap().await.map(drop) });

        let dialled = dial(&address, join_config(wanted.fingerprint()).unwrap(), 0).await;
        let said = dialled.err().unwrap();
        assert!(matches!(&said, ClientError::Network(why) if why.contains("UnknownIssuer")));
        assert!(
            accept.await.unwrap().is_err(),
            "no handshake, so no stream and no token"
        );
    }

    #[tokio::test]
    async fn where_nobody_listens_a_dial_ends_with_the_word_of_that_host_and_not_with_a_timeout() {
        let authority = authority();
        let dialled = dial(&nobody(), join_config(authority.fingerprint()).unwrap(), 0).await;
        let said = dialled.err().unwrap();
        assert!(
            matches!(&said, ClientError::Away(why) if why.ends_with("nobody listens there")),
            "{said:?}"
        );
    }

    #[tokio::test]
    async fn a_control_that_does_not_answer_is_tried_anew_while_the_first_try_still_waits() {
        let authority = authority();
        let silent = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let config = join_config(authority.fingerprint()).unwrap();
        let mut dialling = tokio::spawn(async move { dial(&address, config, 0).await });
        let mut first = None;
        let mut datagram = [0; 2048];
        loop {
            tokio::select! {
                _ = &mut dialling => panic!("it was given up before it was tried anew"),
                received = silent.recv_from(&mut datagram) => {
                    let (_, from) = received.unwrap();
                    if *first.get_or_insert(from) != from {
                        return;
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn of_several_controls_the_one_that_listens_is_found() {
        let authority = authority();
        let (control, address) = listening(&authority);
        let accept = tokio::spawn(async move { control.accept().await.unwrap().await.map(drop) });
        let several = format!("{}, {},{address}", nobody(), nobody());
        let dialled = dial(&several, join_config(authority.fingerprint()).unwrap(), 0).await;
        assert_eq!(
            dialled.ok().unwrap().connection.remote_address().to_string(),
            address
        );
        accept.await.unwrap().unwrap();
    }

    #[test]
    fn the_address_that_is_asked_for_is_the_first_and_after_the_last_comes_the_first_again() {
        let turns = |many, first| turns(many, first).take(4).collect::<Vec<_>>();
        assert_eq!(turns(3, 0), [0, 1, 2, 0]);
        assert_eq!(turns(3, 2), [2, 0, 1, 2]);
        assert_eq!(
            turns(3, 4),
            [1, 2, 0, 1],
            "a name has fewer addresses than it had"
        );
        assert!(turns(0, 1).is_empty());
    }
}
