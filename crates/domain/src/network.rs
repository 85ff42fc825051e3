//! The networks that clients come from.

use std::{
    fmt,
    net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// The network of a client: 24 bits of an IPv4 address, or 48 of an IPv6 address, which is what one site gets at most
/// (RFC 6177). An IPv4 address in IPv6 form is the IPv4 address.
///
/// ```
/// use boxoffice_domain::Network;
///
/// let network = Network::of("192.0.2.7".parse()?);
/// assert_eq!(network, Network::of("::ffff:192.0.2.200".parse()?));
/// assert_eq!(network.to_string(), "192.0.2.0/24");
/// assert_eq!(Network::of("2001:db8:1:2::3".parse()?).to_string(), "2001:db8:1::/48");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Network(IpAddr);

impl Network {
    /// The network that an address is in.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
        })
    }
}

/// As in the notation of RFC 4632 and RFC 4291.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{bits}", self.0)
    }
}

/// From the same notation. The number of bits is not read: there is one for each kind of address.
impl FromStr for Network {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('/').map_or(text, |(address, _)| address).parse().map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_share_a_network() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("198.51.100.0"), of("198.51.100.255"));
        assert_ne!(of("198.51.100.0"), of("198.51.101.0"));
        assert_eq!(of("2001:db8:7::"), of("2001:db8:7:ffff::1"));
        assert_ne!(of("2001:db8:7::"), of("2001:db8:8::"));
        assert_ne!(of("0.0.0.0"), of("::1"));
        assert_eq!(of("::1").to_string(), "::/48");
        for network in [of("198.51.100.7"), of("2001:db8:7::1")] {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert!("somewhere/24".parse::<Network>().is_err());
    }
}
