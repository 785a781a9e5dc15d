//! Addresses that no model server has, and that must not be asked in one's name: a base URL, or a
//! name that somebody else answers for, must not reach what only this machine may ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses at which clouds and platforms keep their machines' credentials, outside of the ranges
/// below: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same: AWS, Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// What an address is that is refused; `None` for one that may be a model server's. Loopback and
/// private networks are where most model servers are.
pub(crate) fn reserved(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => reserved_v4(ip),
        IpAddr::V6(ip) => reserved_v6(ip),
    }
}

fn reserved_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        _ if METADATA_V4.contains(&ip) => Some("a metadata service's"),
        [169, 254, ..] => Some("link-local, where metadata services are"),
        [0, ..] => Some("unspecified"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn reserved_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if METADATA_V6.contains(&ip) {
        return Some("a metadata service's");
    }
    if let Some(inside) = inside(ip) {
        return reserved_v4(inside);
    }
    match ip.segments()[0] {
        _ if ip.is_unspecified() => Some("unspecified"),
        0xfe80..=0xfebf => Some("link-local"),
        0xfec0..=0xfeff => Some("site-local"),
        0xff00..=0xffff => Some("multicast"),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64, 6to4.
fn inside(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // `::` and `::1` are addresses of IPv6.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, _, _, _, _, _] => of(high, low),
        _ => None,
    }
}

/// What the host of a URL is where it is an address that is refused.
pub(crate) fn reserved_host(url: &str) -> Option<&'static str> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    reserved(host.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_refused() {
        for refused in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(reserved(refused.parse().unwrap()).is_some(), "{refused}");
        }
        for served in [
            "127.0.0.1",
            "10.0.0.7",
            "172.16.3.4",
            "192.168.1.9",
            "100.64.0.1",
            "8.8.8.8",
            "::1",
            "fd12:3456::1",
            "2606:4700::1111",
            "::ffff:127.0.0.1",
            "64:ff9b::808:808",
        ] {
            assert_eq!(reserved(served.parse().unwrap()), None, "{served}");
        }
    }

    #[test]
    fn hosts_of_urls() {
        assert!(reserved_host("http://169.254.169.254/v1").is_some());
        assert!(reserved_host("http://[fe80::1]:80/v1").is_some());
        assert_eq!(reserved_host("http://127.0.0.1:8000/v1"), None);
        assert_eq!(reserved_host("http://metadata.google.internal/v1"), None);
    }

    proptest! {
        /// However an IPv4 address is dressed, it is what it is.
        #[test]
        fn a_dressed_address_is_judged_as_what_it_is(octets in any::<[u8; 4]>()) {
            let ip = Ipv4Addr::from(octets);
            prop_assume!(u32::from(ip) > 1);
            let [a, b, c, d] = octets;
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for dressed in [
                ip.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(reserved(dressed.into()), reserved(ip.into()), "{}", dressed);
            }
        }
    }
}
