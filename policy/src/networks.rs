//! Ranges of addresses, and whether one is in them: two look-ups in sorted lists, however many there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Whom an operator names by address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Networks {
    /// First and last address of each range, sorted, none touching another.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
    /// Whether peers of Unix sockets, which have no address, are meant as well.
    unix: bool,
}

/// One range, as people write it: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// Bits that all of its addresses have in common.
    prefix: u8,
}

impl Network {
    /// The range of this address and so many bits. The error is the range that was meant if other bits are set in the address as
    /// well; `None` if there are not so many bits.
    pub fn new(first: IpAddr, prefix: u8) -> Result<Network, Option<Network>> {
        let (bits, most) = match first {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
            IpAddr::V6(ip) => (ip.to_bits(), 128),
        };
        if prefix > most {
            return Err(None);
        }
        let others = others(most, prefix);
        let meant = match first {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((bits & !others) as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits & !others)),
        };
        let network = Network { first: meant, prefix };
        if meant == first { Ok(network) } else { Err(Some(network)) }
    }

    /// Whether every address of its family is in it.
    pub const fn is_everybody(self) -> bool {
        self.prefix == 0
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The bits behind a prefix.
fn others(most: u8, prefix: u8) -> u128 {
    1_u128.checked_shl(u32::from(most - prefix)).map_or(u128::MAX, |bit| bit - 1)
}

impl Networks {
    /// All of these.
    pub fn new(networks: impl IntoIterator<Item = Network>, unix: bool) -> Networks {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Network { first, prefix } in networks {
            match first {
                IpAddr::V4(ip) => v4.push((ip.to_bits(), ip.to_bits() | others(32, prefix) as u32)),
                IpAddr::V6(ip) => v6.push((ip.to_bits(), ip.to_bits() | others(128, prefix))),
            }
        }
        Networks { v4: joined(v4), v6: joined(v6), unix }
    }

    /// Whether nobody is meant.
    pub const fn is_empty(&self) -> bool {
        !self.has_addresses() && !self.unix
    }

    /// Whether peers of Unix sockets are meant.
    pub const fn has_unix(&self) -> bool {
        self.unix
    }

    /// Whether some addresses are meant.
    pub const fn has_addresses(&self) -> bool {
        !self.v4.is_empty() || !self.v6.is_empty()
    }

    /// Whether this address is in one of them; an IPv4 address in the clothes of an IPv6 one counts as what it is. `None`: a peer of
    /// a Unix socket.
    pub fn contain(&self, ip: Option<IpAddr>) -> bool {
        match ip.map(|ip| ip.to_canonical()) {
            None => self.unix,
            Some(IpAddr::V4(ip)) => is_in(&self.v4, ip.to_bits()),
            Some(IpAddr::V6(ip)) => is_in(&self.v6, ip.to_bits()),
        }
    }
}

/// Sorted, and those together that overlap.
fn joined<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut all: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match all.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => all.push((first, last)),
        }
    }
    all.into()
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], one: T) -> bool {
    let place = ranges.partition_point(|(first, _)| *first <= one);
    place > 0 && one <= ranges[place - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        let (ip, prefix) = text.split_once('/').expect("a range");
        Network::new(ip.parse().expect("an address"), prefix.parse().expect("bits")).expect("a range")
    }

    fn networks(list: &[&str]) -> Networks {
        Networks::new(list.iter().map(|text| network(text)), false)
    }

    #[test]
    fn ranges_end_where_they_end() {
        let list = networks(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128", "10.1.0.0/16"]);
        for (ip, is) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("9.255.255.255", false),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("192.0.2.8", false),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("2001:db7:ffff::", false),
            ("::1", true),
            ("::2", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
        ] {
            assert_eq!(list.contain(Some(ip.parse().expect("an address"))), is, "{ip}");
        }
        assert!(!list.contain(None));
        assert!(Networks::new([], true).contain(None));
        assert!(networks(&["0.0.0.0/0"]).contain(Some(Ipv4Addr::BROADCAST.into())));
        assert!(!networks(&["0.0.0.0/0"]).contain(Some(Ipv6Addr::LOCALHOST.into())), "the other family is not meant");
        assert!(!networks(&["::/0"]).contain(Some(Ipv4Addr::LOCALHOST.into())));
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        let meant = |ip: &str, bits| {
            Network::new(ip.parse().expect("an address"), bits).map_err(|meant| meant.map(|meant| meant.to_string()))
        };
        assert_eq!(meant("10.1.2.3", 8), Err(Some("10.0.0.0/8".into())));
        assert_eq!(meant("2001:db8::1", 32), Err(Some("2001:db8::/32".into())));
        assert_eq!(meant("10.0.0.0", 33), Err(None));
        assert!(meant("::", 0).is_ok() && meant("::1", 128).is_ok() && meant("::", 129).is_err());
    }

    proptest! {
        #[test]
        fn whoever_is_in_one_is_in_all(list in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..8), ip: u32, near: prop::sample::Index) {
            let list: Vec<Network> = list.into_iter().map(|(ip, prefix)| {
                let ip = Ipv4Addr::from_bits(ip).into();
                Network::new(ip, prefix).unwrap_or_else(|meant| meant.expect("few bits"))
            }).collect();
            let has = |network: &Network, ip: u32| {
                let IpAddr::V4(first) = network.first else { unreachable!("they are all IPv4") };
                network.prefix == 0 || (first.to_bits() ^ ip) >> (32 - u32::from(network.prefix)) == 0
            };
            let all = Networks::new(list.iter().copied(), false);
            let mut ips = vec![ip];
            if !list.is_empty() {
                let IpAddr::V4(first) = list[near.index(list.len())].first else { unreachable!("they are all IPv4") };
                ips.extend([first.to_bits(), first.to_bits().wrapping_sub(1), first.to_bits() | ip >> 16]);
            }
            for ip in ips {
                let expected = list.iter().any(|network| has(network, ip));
                prop_assert_eq!(all.contain(Some(Ipv4Addr::from_bits(ip).into())), expected);
            }
        }
    }
}
