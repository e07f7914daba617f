//! Whose datagram is this: one socket, many peers.
//!
//! ```text
//! first byte   0..=3 STUN │ 20..=63 DTLS │ 128..=191 RTP, RTCP │ else nobody's      (RFC 7983)
//! STUN request with USERNAME "ours:theirs"  → the viewer with our user fragment, if any
//! everything else                           → the viewer that we have sent to at this address
//! ```
//!
//! An address is learned only from what *we* send to it: `rtc` answers a check only after it has
//! verified its integrity, so nobody can claim an address by sending from it, and the first answer to
//! our own check is not lost either. A request goes by its user fragment even from a known address:
//! a page that reloads may come back from the same port.
//!
//! Pure: STUN is RFC 8489; integrity is checked elsewhere.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;

/// What a datagram is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// RTP or RTCP.
    Rtp,
    /// None of ours.
    Unknown,
}

impl Kind {
    /// The kind of a datagram.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            Some(128..=191) => Self::Rtp,
            _ => Self::Unknown,
        }
    }
}

/// What a STUN message says that routing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stun<'a> {
    /// Request, success or another class.
    pub class: StunClass,
    /// The receiver's half of USERNAME.
    pub ufrag: Option<&'a str>,
    /// Whether the sender nominates the pair.
    pub use_candidate: bool,
}

/// The class of a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StunClass {
    /// A check.
    Request,
    /// Its good answer.
    Success,
    /// Indication or error.
    Other,
}

impl<'a> Stun<'a> {
    /// Reads a STUN binding message; `None` when the bytes are not one.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
        const USERNAME: u16 = 0x0006;
        const USE_CANDIDATE: u16 = 0x0025;
        let (head, mut attributes) = datagram.split_at_checked(20)?;
        let class = match u16::from_be_bytes([head[0], head[1]]) {
            0x0001 => StunClass::Request,
            0x0101 => StunClass::Success,
            0x0011 | 0x0111 => StunClass::Other,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[4..8] != MAGIC_COOKIE || length != attributes.len() {
            return None;
        }
        let mut stun = Self {
            class,
            ufrag: None,
            use_candidate: false,
        };
        while let Some((&[t0, t1, l0, l1], rest)) = attributes.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = rest.get(..length)?;
            match u16::from_be_bytes([t0, t1]) {
                USERNAME => stun.ufrag = str::from_utf8(value).ok()?.split(':').next(),
                USE_CANDIDATE => stun.use_candidate = true,
                _ => {}
            }
            attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(stun)
    }
}

/// The part of an RTP header that stays readable under SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtp {
    /// The last packet of a frame.
    pub marker: bool,
    /// What the payload is.
    pub payload_type: u8,
    /// Of the frame.
    pub timestamp: u32,
}

impl Rtp {
    /// Reads it; `None` for RTCP (RFC 5761, section 4) and everything else.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let head = datagram.first_chunk::<12>()?;
        if Kind::of(datagram) != Kind::Rtp || (192..=223).contains(&head[1]) {
            return None;
        }
        let timestamp = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        Some(Self {
            marker: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7f,
            timestamp,
        })
    }
}

/// Who is where. `K` names a viewer.
#[derive(Debug)]
pub struct Mux<K> {
    by_address: HashMap<SocketAddr, K>,
    by_ufrag: HashMap<String, K>,
}

impl<K> Default for Mux<K> {
    fn default() -> Self {
        Self {
            by_address: HashMap::new(),
            by_ufrag: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Mux<K> {
    /// Expects checks that name `ufrag`.
    pub fn expect(&mut self, ufrag: String, viewer: K) {
        self.by_ufrag.insert(ufrag, viewer);
    }

    /// Remembers an address that we have sent to.
    pub fn learn(&mut self, address: SocketAddr, viewer: K) {
        self.by_address.insert(address, viewer);
    }

    /// Whose datagram this is.
    #[must_use]
    pub fn route(&self, from: SocketAddr, datagram: &[u8]) -> Option<K> {
        match Kind::of(datagram) {
            Kind::Stun => match Stun::parse(datagram)? {
                Stun {
                    class: StunClass::Request,
                    ufrag: Some(ufrag),
                    ..
                } => self.by_ufrag.get(ufrag),
                _ => self.by_address.get(&from),
            },
            Kind::Dtls | Kind::Rtp => self.by_address.get(&from),
            Kind::Unknown => None,
        }
        .copied()
    }

    /// Forgets a viewer and every address of it.
    pub fn forget(&mut self, viewer: K) {
        self.by_address.retain(|_, owner| *owner != viewer);
        self.by_ufrag.retain(|_, owner| *owner != viewer);
    }

    /// Addresses and user fragments that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_address.len() + self.by_ufrag.len()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (attribute, value) in attributes {
            body.extend(attribute.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut out = kind.to_be_bytes().to_vec();
        out.extend((body.len() as u16).to_be_bytes());
        out.extend([0x21, 0x12, 0xa4, 0x42]);
        out.extend([7; 12]);
        out.extend(body);
        out
    }

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn a_check_goes_by_our_user_fragment() {
        let mut mux = Mux::default();
        mux.expect("ours".into(), 1);
        let check = message(0x0001, &[(6, b"ours:theirs"), (0x25, b"")]);
        assert_eq!(mux.route(address(1), &check), Some(1));
        assert!(Stun::parse(&check).unwrap().use_candidate);
        assert_eq!(
            mux.route(address(1), &message(0x0001, &[(6, b"other:theirs")])),
            None
        );
    }

    #[test]
    fn a_reloaded_page_is_told_apart_on_the_same_port() {
        let mut mux = Mux::default();
        mux.expect("old".into(), 1);
        mux.expect("new".into(), 2);
        mux.learn(address(1), 1);
        assert_eq!(mux.route(address(1), &message(0x0001, &[(6, b"new:x")])), Some(2));
        assert_eq!(mux.route(address(1), &[128, 0]), Some(1));
    }

    #[test]
    fn answers_and_media_go_by_the_address_that_we_sent_to() {
        let mut mux = Mux::default();
        mux.learn(address(5), 3);
        assert_eq!(mux.route(address(5), &message(0x0101, &[])), Some(3));
        assert_eq!(mux.route(address(5), &[22, 254, 253]), Some(3));
        assert_eq!(mux.route(address(5), &[144, 96]), Some(3));
        assert_eq!(mux.route(address(5), &[255]), None);
        assert_eq!(mux.route(address(6), &[144, 96]), None);
    }

    #[test]
    fn a_forgotten_viewer_leaves_nothing_behind() {
        let mut mux = Mux::default();
        mux.expect("a".into(), 1);
        mux.learn(address(1), 1);
        mux.learn(address(2), 1);
        mux.forget(1);
        assert!(mux.is_empty());
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(mut datagram in prop::collection::vec(any::<u8>(), 0..120), like_stun in any::<bool>()) {
            if like_stun && datagram.len() >= 20 {
                let length = (datagram.len() as u16 - 20).to_be_bytes();
                datagram[..8].copy_from_slice(&[0, 1, length[0], length[1], 0x21, 0x12, 0xa4, 0x42]);
            }
            let mux = Mux::<u8>::default();
            prop_assert_eq!(mux.route(address(1), &datagram), None);
        }
    }
}
