//! The hosts file (hosts(5)), read as leniently as glibc does: the last line may lack its newline, lines
//! may be long, and upper and lower case are the same. musl accepts none of these.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::os::names::Unresolved;
use crate::terminal::reason;

const PATH: &str = "/etc/hosts";

/// Without a line for it, and in a root directory without the file (RFC 6761, section 6.3).
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

pub fn addresses(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let host = host.trim_end_matches('.');
    let text = match fs::read(PATH) {
        Err(why) if why.kind() == ErrorKind::NotFound => Vec::new(),
        text => text.map_err(|why| Unresolved::Other(format!("{PATH}: {}", reason(&why))))?,
    };
    match addresses_in(&String::from_utf8_lossy(&text), host) {
        none if none.is_empty() && host.eq_ignore_ascii_case("localhost") => Ok(LOCALHOST.into()),
        none if none.is_empty() => Err(Unresolved::NoSuchName),
        addresses => Ok(addresses),
    }
}

fn addresses_in(text: &str, host: &str) -> Vec<IpAddr> {
    let address_in = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(address_in).collect()
}
