//! What std can't do to a socket: end a connection by a reset, and be an address that never responds.
#![expect(unsafe_code, reason = "std has neither SO_LINGER nor the length of a listener's queue")]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// Makes closing this socket a reset, whatever was sent or read before.
pub fn close_by_reset(socket: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open, and the option's value is a `linger` of the given size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An address where nobody responds: not with a connection, not with a refusal. The queue of its
/// listener is full, so that the kernel drops whatever comes.
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub fn at(address: SocketAddr) -> io::Result<BlackHole> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        // SAFETY: the descriptor is a listening socket; listening again only changes the queue.
        if unsafe { libc::listen(listener.as_raw_fd(), 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut queue = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(socket);
        }
        Ok(BlackHole { address, _listener: listener, _queue: queue })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
