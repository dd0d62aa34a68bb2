//! What the machine says about itself: host name, cores, container, its networks.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;

/// Most HTTP workers started by default.
const MOST_WORKERS: usize = 8;

/// Host name, or `ninerouter` when the system names none.
#[must_use]
pub fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = String::new();
    if name.is_empty() { "ninerouter".into() } else { name.chars().take(80).collect() }
}

/// Default number of HTTP workers: cores this process may use, at most 8.
#[must_use]
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
}

/// True inside a container: the marker files of the common engines, or the variables they set.
#[must_use]
pub fn is_container(variable_set: &dyn Fn(&str) -> bool) -> bool {
    Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || variable_set("container")
        || variable_set("KUBERNETES_SERVICE_HOST")
}

/// Networks of this machine's own interfaces (SEC-IP-4: admitted inside a container).
#[must_use]
pub fn own_networks() -> Vec<IpNet> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut nets = routes_v4(&read("/proc/net/route"));
    nets.extend(interfaces_v6(&read("/proc/net/if_inet6")));
    nets
}

/// Directly connected networks in `/proc/net/route`: no gateway, and not the default route.
fn routes_v4(text: &str) -> Vec<IpNet> {
    let hex = |field: Option<&str>| u32::from_str_radix(field?, 16).ok().map(u32::swap_bytes);
    let route = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let destination = hex(fields.next())?;
        let gateway = hex(fields.next())?;
        let mask = hex(fields.nth(4))?;
        if gateway != 0 || mask == 0 {
            return None;
        }
        let bits = u8::try_from(mask.leading_ones()).ok()?;
        IpNet::new(Ipv4Addr::from(destination).into(), bits).ok()
    };
    text.lines().skip(1).filter_map(route).map(|net| net.trunc()).collect()
}

/// Networks of the addresses in `/proc/net/if_inet6`, without loopback and link-local ones.
fn interfaces_v6(text: &str) -> Vec<IpNet> {
    let interface = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
        let bits = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
        if ip.is_loopback() || ip.is_unicast_link_local() {
            return None;
        }
        IpNet::new(IpAddr::V6(ip), bits).ok()
    };
    text.lines().filter_map(interface).map(|net| net.trunc()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_networks_are_read() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
            eth1\tjunk\n";
        let nets: Vec<String> = routes_v4(routes).iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["172.17.0.0/16"]);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fe80000000000000004222fffe000001 02 40 20 80     eth0\n\
            fd001234000000000000000000000005 02 40 00 80     eth0\n";
        let nets: Vec<String> = interfaces_v6(inet6).iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["fd00:1234::/64"]);
    }
}
