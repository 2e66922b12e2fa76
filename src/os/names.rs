//! The addresses of a host, by the system's own resolver, and why there are none as far as it says.
//!
//! On Unix it is the C library's `getaddrinfo`, which can be told to look for one kind of address
//! alone; std asks for both, and keeps the error code to itself. A call takes as long as the C library
//! lets it: a caller with a deadline makes it in a thread.

use std::fmt;
use std::net::SocketAddr;

/// The addresses wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Any,
    V4,
    V6,
}

/// Why a name has no address; what says least about the name comes last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unresolved {
    /// The name does not exist (NXDOMAIN), or is not listed.
    NoSuchName,
    /// The name is there, without an address of the kind.
    NoAddress,
    /// In the resolver's own words.
    Other(String),
    /// No name server responded, or only with a failure of its own.
    NoResponse,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("there is no such name"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Other(words) => f.write_str(words),
            Self::NoResponse => f.write_str("no name server gave a usable response"),
        }
    }
}

/// Asks for the addresses of a host, each with this port.
pub fn addresses(host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>, Unresolved> {
    let addresses = system::addresses(host, port, family)?;
    if addresses.is_empty() { Err(Unresolved::NoAddress) } else { Ok(addresses) }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the C library's resolver")]
mod system {
    use super::{Family, Unresolved};
    use std::ffi::{CStr, CString};
    use std::io;
    use std::mem;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
    use std::ptr;

    use crate::terminal::reason;

    pub fn addresses(host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>, Unresolved> {
        let Ok(host) = CString::new(host) else { return Err(Unresolved::NoSuchName) };
        // SAFETY: all of it may be zero: numbers and null pointers.
        let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
        hints.ai_socktype = libc::SOCK_STREAM;
        hints.ai_family = match family {
            Family::Any => libc::AF_UNSPEC,
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        let mut list = ptr::null_mut();
        // SAFETY: a string and hints that outlive the call, and a place for the list.
        let code = unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &hints, &mut list) };
        if code != 0 {
            return Err(unresolved(code));
        }
        let mut addresses = Vec::new();
        let mut next = list;
        // SAFETY: the list ends with a null pointer, and its entries live until it is freed.
        while let Some(entry) = unsafe { next.as_ref() } {
            // SAFETY: as above; the address is as long as its family says.
            addresses.extend(unsafe { address(entry, port) });
            next = entry.ai_next;
        }
        // SAFETY: the list is getaddrinfo's, and nothing refers to it any more.
        unsafe { libc::freeaddrinfo(list) };
        Ok(addresses)
    }

    /// The address of an entry, which must be one of getaddrinfo's.
    unsafe fn address(entry: &libc::addrinfo, port: u16) -> Option<SocketAddr> {
        match entry.ai_family {
            libc::AF_INET => {
                // SAFETY: of this family it is this structure.
                let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
                Some((Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()), port).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, port, address.sin6_flowinfo, address.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    fn unresolved(code: libc::c_int) -> Unresolved {
        match code {
            libc::EAI_NONAME => Unresolved::NoSuchName,
            libc::EAI_NODATA => Unresolved::NoAddress,
            libc::EAI_AGAIN => Unresolved::NoResponse,
            libc::EAI_SYSTEM => Unresolved::Other(reason(&io::Error::last_os_error())),
            _ => {
                // SAFETY: it returns a string that nobody changes or frees, whatever the code.
                let words = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
                Unresolved::Other(words.to_string_lossy().to_ascii_lowercase())
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{Family, Unresolved};
    use std::net::{SocketAddr, ToSocketAddrs as _};

    use crate::terminal::reason;

    pub fn addresses(host: &str, port: u16, _any: Family) -> Result<Vec<SocketAddr>, Unresolved> {
        const WSAHOST_NOT_FOUND: i32 = 11001;
        const WSATRY_AGAIN: i32 = 11002;
        const WSANO_DATA: i32 = 11004;
        let addresses = (host, port).to_socket_addrs();
        addresses.map(Iterator::collect).map_err(|fault| match fault.raw_os_error() {
            Some(WSAHOST_NOT_FOUND) => Unresolved::NoSuchName,
            Some(WSANO_DATA) => Unresolved::NoAddress,
            Some(WSATRY_AGAIN) => Unresolved::NoResponse,
            _ => Unresolved::Other(reason(&fault)),
        })
    }
}
