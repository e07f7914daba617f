//! Rate limits for what strangers may do.
//!
//! One token bucket per caller. A caller is an IPv4 address, an IPv6 /64 (one subscriber), or an
//! account. The number of buckets is bounded: when a table is full, everybody who is not in it yet
//! shares one bucket, so that an attack with many addresses slows strangers and not those who are here.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use signaling::error::{Code, Problem};

use crate::domain::token_bucket::{Bucket, Rate};

/// Sign-ins of one address: a person who mistypes, not a program that guesses.
const LOGIN: Rate = Rate {
    burst: 10,
    every: Duration::from_secs(6),
};
/// Sign-ins to one account, from wherever.
const ACCOUNT: Rate = Rate {
    burst: 20,
    every: Duration::from_secs(6),
};
/// Opened and described links of one address; many people may sit behind one.
const LAUNCH: Rate = Rate {
    burst: 120,
    every: Duration::from_millis(500),
};
/// Offers of one address.
const OFFER: Rate = Rate {
    burst: 60,
    every: Duration::from_millis(500),
};
/// Buckets in one table; each is some 60 bytes.
const CALLERS_MAX: usize = 20_000;

/// All limits.
pub(crate) struct Limits {
    login: Limiter<IpAddr>,
    account: Limiter<String>,
    launch: Limiter<IpAddr>,
    offer: Limiter<IpAddr>,
}

impl Limits {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            login: Limiter::new(LOGIN, now),
            account: Limiter::new(ACCOUNT, now),
            launch: Limiter::new(LAUNCH, now),
            offer: Limiter::new(OFFER, now),
        }
    }

    /// One sign-in.
    pub(crate) fn login(&self, ip: IpAddr, account: &str, now: Instant) -> Result<(), Problem> {
        self.login.take(subscriber(ip), now)?;
        self.account.take(account.to_lowercase(), now)
    }

    /// One link opened or described.
    pub(crate) fn launch(&self, ip: IpAddr, now: Instant) -> Result<(), Problem> {
        self.launch.take(subscriber(ip), now)
    }

    /// One offer.
    pub(crate) fn offer(&self, ip: IpAddr, now: Instant) -> Result<(), Problem> {
        self.offer.take(subscriber(ip), now)
    }

    /// Forgets callers whose bucket is full again.
    pub(crate) fn prune(&self, now: Instant) {
        self.login.prune(now);
        self.account.prune(now);
        self.launch.prune(now);
        self.offer.prune(now);
    }
}

struct Limiter<K: Eq + Hash> {
    rate: Rate,
    buckets: DashMap<K, Bucket>,
    strangers: Mutex<Bucket>,
}

impl<K: Eq + Hash> Limiter<K> {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            buckets: DashMap::new(),
            strangers: Mutex::new(Bucket::full(rate, now)),
        }
    }

    fn take(&self, key: K, now: Instant) -> Result<(), Problem> {
        let known = self.buckets.len() < CALLERS_MAX || self.buckets.contains_key(&key);
        let taken = if known {
            let mut bucket = self
                .buckets
                .entry(key)
                .or_insert_with(|| Bucket::full(self.rate, now));
            bucket.take(self.rate, now)
        } else {
            self.strangers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(self.rate, now)
        };
        taken.map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            let detail = "Too many tries from here. Wait a little and try again.";
            Problem::new(Code::RateLimited, detail).retry_after(seconds)
        })
    }

    fn prune(&self, now: Instant) {
        self.buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
    }
}

/// An IPv6 subscriber has a whole /64.
fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_held_back_and_another_is_not() {
        let now = Instant::now();
        let limits = Limits::new(now);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..LOGIN.burst {
            limits.login(a, "x", now).unwrap();
        }
        assert_eq!(limits.login(a, "x", now).unwrap_err().code(), Code::RateLimited);
        limits.login(b, "x", now).unwrap();
        let neighbours: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        assert_eq!(subscriber(neighbours[0]), subscriber(neighbours[1]));
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let now = Instant::now();
        let limits = Limits::new(now);
        limits.launch("192.0.2.1".parse().unwrap(), now).unwrap();
        limits.prune(now);
        assert_eq!(limits.launch.buckets.len(), 1);
        limits.prune(now + Duration::from_secs(1));
        assert_eq!(limits.launch.buckets.len(), 0);
    }
}
