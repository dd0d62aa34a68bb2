//! The verdict table: first, last, one before and one after of each range, under each policy.

use proptest::prelude::*;

use super::*;

/// Answers under `Public`, `Private`, `Loopback`, `PrivateAndLoopback`; `+` may, `-` may not.
const TABLE: &[(&str, &str)] = &[
    // 0/8
    ("0.0.0.0", "----"),
    ("0.0.0.1", "----"),
    ("0.255.255.255", "----"),
    ("1.0.0.0", "++++"),
    // 10/8
    ("9.255.255.255", "++++"),
    ("10.0.0.0", "-+-+"),
    ("10.255.255.255", "-+-+"),
    ("11.0.0.0", "++++"),
    // 100.64/10
    ("100.63.255.255", "++++"),
    ("100.64.0.0", "-+-+"),
    ("100.127.255.255", "-+-+"),
    ("100.128.0.0", "++++"),
    // 127/8
    ("126.255.255.255", "++++"),
    ("127.0.0.0", "--++"),
    ("127.0.0.1", "--++"),
    ("127.255.255.255", "--++"),
    ("128.0.0.0", "++++"),
    // 169.254/16
    ("169.253.255.255", "++++"),
    ("169.254.0.0", "----"),
    ("169.254.255.255", "----"),
    ("169.255.0.0", "++++"),
    // 172.16/12
    ("172.15.255.255", "++++"),
    ("172.16.0.0", "-+-+"),
    ("172.31.255.255", "-+-+"),
    ("172.32.0.0", "++++"),
    // 192.0.0/24 and 192.0.2/24
    ("191.255.255.255", "++++"),
    ("192.0.0.0", "----"),
    ("192.0.0.255", "----"),
    ("192.0.1.0", "++++"),
    ("192.0.1.255", "++++"),
    ("192.0.2.0", "----"),
    ("192.0.2.255", "----"),
    ("192.0.3.0", "++++"),
    // 192.88.99/24
    ("192.88.98.255", "++++"),
    ("192.88.99.0", "----"),
    ("192.88.99.255", "----"),
    ("192.88.100.0", "++++"),
    // 192.168/16
    ("192.167.255.255", "++++"),
    ("192.168.0.0", "-+-+"),
    ("192.168.255.255", "-+-+"),
    ("192.169.0.0", "++++"),
    // 198.18/15
    ("198.17.255.255", "++++"),
    ("198.18.0.0", "----"),
    ("198.19.255.255", "----"),
    ("198.20.0.0", "++++"),
    // 198.51.100/24
    ("198.51.99.255", "++++"),
    ("198.51.100.0", "----"),
    ("198.51.100.255", "----"),
    ("198.51.101.0", "++++"),
    // 203.0.113/24
    ("203.0.112.255", "++++"),
    ("203.0.113.0", "----"),
    ("203.0.113.255", "----"),
    ("203.0.114.0", "++++"),
    // 224/4, 240/4
    ("223.255.255.255", "++++"),
    ("224.0.0.0", "----"),
    ("239.255.255.255", "----"),
    ("240.0.0.0", "----"),
    ("255.255.255.254", "----"),
    ("255.255.255.255", "----"),
    // metadata, with neighbours
    ("169.254.169.253", "----"),
    ("169.254.169.254", "----"),
    ("169.254.170.2", "----"),
    ("169.254.170.23", "----"),
    ("100.100.100.199", "-+-+"),
    ("100.100.100.200", "----"),
    ("100.100.100.201", "-+-+"),
    ("168.63.129.15", "++++"),
    ("168.63.129.16", "----"),
    ("168.63.129.17", "++++"),
    ("192.0.0.192", "----"),
    // public
    ("8.8.8.8", "++++"),
    ("104.18.7.192", "++++"),
    // ::, ::1, ::/96
    ("::", "----"),
    ("::1", "--++"),
    ("::2", "----"),
    ("::127.0.0.1", "----"),
    ("::8.8.8.8", "----"),
    ("::ffff:ffff", "----"),
    ("::1:0:0", "++++"),
    // ::ffff:0:0/96
    ("::fffe:ffff:ffff", "++++"),
    ("::ffff:0.0.0.0", "----"),
    ("::ffff:7f00:1", "--++"),
    ("::ffff:127.0.0.1", "--++"),
    ("::ffff:10.0.0.1", "-+-+"),
    ("::ffff:169.254.169.254", "----"),
    ("::ffff:8.8.8.8", "++++"),
    ("::ffff:255.255.255.255", "----"),
    ("::1:0:0:0", "++++"),
    // the translated form ::ffff:0:0:0/96
    ("::ffff:0:127.0.0.1", "--++"),
    ("::ffff:0:8.8.8.8", "++++"),
    // 64:ff9b::/96
    ("64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("64:ff9b::", "----"),
    ("64:ff9b::7f00:1", "--++"),
    ("64:ff9b::a9fe:a9fe", "----"),
    ("64:ff9b::192.168.1.1", "-+-+"),
    ("64:ff9b::808:808", "++++"),
    ("64:ff9b::ffff:ffff", "----"),
    ("64:ff9b::1:0:0", "++++"),
    // 64:ff9b:1::/48
    ("64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("64:ff9b:1::", "----"),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "----"),
    ("64:ff9b:2::", "++++"),
    // 100::/64
    ("ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("100::", "----"),
    ("100::ffff:ffff:ffff:ffff", "----"),
    ("100:0:0:1::", "++++"),
    // 2001::/23
    ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("2001::", "----"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "----"),
    ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("2001:200::", "++++"),
    // 2001:db8::/32
    ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("2001:db8::", "----"),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("2001:db9::", "++++"),
    // 2002::/16
    ("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("2002::", "----"),
    ("2002:7f00:1::", "----"),
    ("2002:808:808::", "----"),
    ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("2003::", "++++"),
    // 3fff::/20
    ("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("3fff::", "----"),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("3fff:1000::", "++++"),
    // 5f00::/16
    ("5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("5f00::", "----"),
    ("5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("5f01::", "++++"),
    // fc00::/7
    ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("fc00::", "-+-+"),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "-+-+"),
    ("fe00::", "++++"),
    // fe80::/10, fec0::/10, ff00::/8
    ("fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "++++"),
    ("fe80::", "----"),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("fec0::", "----"),
    ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    ("ff00::", "----"),
    ("ff02::1", "----"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "----"),
    // metadata
    ("fd00:ec2::253", "-+-+"),
    ("fd00:ec2::254", "----"),
    ("fd00:ec2::255", "-+-+"),
    ("fd20:ce::253", "-+-+"),
    ("fd20:ce::254", "----"),
    // ISATAP
    ("2606:4700::5efe:7f00:1", "--++"),
    ("2606:4700:0:0:200:5efe:10.0.0.1", "-+-+"),
    ("2606:4700:0:0:0:5efe:8.8.8.8", "++++"),
    ("2606:4700:0:0:200:5efe:169.254.169.254", "----"),
    ("2606:4700:0:0:100:5efe:127.0.0.1", "++++"),
    ("fd12::5efe:127.0.0.1", "--++"),
    ("fd12::5efe:8.8.8.8", "-+-+"),
    ("fd12::200:5efe:169.254.169.254", "----"),
    ("fe80::5efe:8.8.8.8", "----"),
    // public
    ("2606:4700::6812:7c0", "++++"),
    ("2a00:1450:4001:80b::200e", "++++"),
];

const POLICIES: [NetworkPolicy; 4] = [
    NetworkPolicy::Public,
    NetworkPolicy::Private,
    NetworkPolicy::Loopback,
    NetworkPolicy::PrivateAndLoopback,
];

#[test]
fn t_out_01_verdict_table() {
    assert!(TABLE.len() >= 120);
    for (text, want) in TABLE {
        let address: IpAddr = text.parse().unwrap();
        let got: String = POLICIES
            .iter()
            .map(|policy| if judge(address, *policy).is_ok() { '+' } else { '-' })
            .collect();
        assert_eq!(got, *want, "{text}");
    }
}

#[test]
fn t_out_07_another_way_to_write_loopback_is_loopback() {
    for text in ["::ffff:7f00:1", "64:ff9b::7f00:1"] {
        assert_eq!(range_of(text.parse().unwrap()), Some(Range::Loopback), "{text}");
    }
    assert_eq!(range_of("2002:7f00:1::".parse().unwrap()), Some(Range::Reserved));
}

#[test]
fn a_refusal_names_the_policy_that_would_allow_it() {
    assert_eq!(Range::Private.opened_by(), Some(NetworkPolicy::Private));
    assert_eq!(Range::Loopback.opened_by(), Some(NetworkPolicy::Loopback));
    assert_eq!(Range::Metadata.opened_by(), None);
}

proptest! {
    #[test]
    fn a_wider_policy_never_closes(bits: u128) {
        let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
        if judge(address, NetworkPolicy::Public).is_ok() {
            for policy in POLICIES {
                prop_assert!(judge(address, policy).is_ok());
            }
        }
    }

    #[test]
    fn a_mapped_address_is_judged_as_what_it_maps(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        for policy in POLICIES {
            prop_assert_eq!(
                judge(IpAddr::V4(v4), policy),
                judge(IpAddr::V6(v4.to_ipv6_mapped()), policy)
            );
        }
    }

    #[test]
    fn std_agrees_on_what_is_not_public(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
            || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified() {
            prop_assert!(judge(IpAddr::V4(v4), NetworkPolicy::Public).is_err());
        }
    }
}
