//! The hosts file (hosts(5)), read as leniently as glibc does: the last line may lack its newline, lines
//! may be long, and upper and lower case are the same. musl accepts none of these.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;

use crate::os::names::Unresolved;
use crate::terminal::reason;

const PATH: &str = "/etc/hosts";

pub fn addresses(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let text = fs::read(PATH).map_err(|why| match why.kind() {
        ErrorKind::NotFound => Unresolved::NoSuchName,
        _ => Unresolved::Other(format!("{PATH}: {}", reason(&why))),
    })?;
    let addresses = addresses_in(&String::from_utf8_lossy(&text), host.trim_end_matches('.'));
    if addresses.is_empty() { Err(Unresolved::NoSuchName) } else { Ok(addresses) }
}

fn addresses_in(text: &str, host: &str) -> Vec<IpAddr> {
    let address_in = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(address_in).collect()
}
