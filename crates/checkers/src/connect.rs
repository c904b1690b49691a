//! Sockets as checks want them: bound to an address, a port or an interface, marked, within a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use crate::outcome::{Cause, Errno, Failure, Socket};
use crate::patience::within;
use crate::target::Target;

/// Connects, within the target's time-out.
///
/// # Errors
/// Refused, reset, unreachable, no answer; or what our own socket lacks.
pub async fn connect_tcp(target: &Target) -> Result<TcpStream, Failure> {
    let began = Instant::now();
    let fail = |cause: Cause| Failure::new(cause, target.to, began.elapsed());
    let socket = begin_tcp(target, Then::Talk).map_err(fail)?;
    let made =
        TcpStream::from_std(socket.into()).map_err(|error| fail(failed(Socket::Make)(error)))?;
    // A connection is writable when it stands, and when it has failed.
    match within(target.timeout, made.writable()).await {
        None => return Err(fail(Cause::NoAnswer { within: target.timeout })),
        Some(Err(error)) => return Err(fail(cause(&error, target.timeout))),
        Some(Ok(())) => {}
    }
    match made.take_error() {
        Ok(None) => Ok(made),
        Ok(Some(error)) | Err(error) => Err(fail(cause(&error, target.timeout))),
    }
}

/// What follows when a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// One of both sides says something.
    Talk,
    /// It is closed at once.
    Close,
}

/// A socket that has begun to connect.
///
/// # Errors
/// The network knows at once, or the step that failed.
pub(crate) fn begin_tcp(target: &Target, then: Then) -> Result<socket2::Socket, Cause> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = socket2::Socket::new(Domain::for_address(target.to), kind, Some(Protocol::TCP))
        .map_err(failed(Socket::Make))?;
    prepare(&SockRef::from(&socket), target)?;
    if target.bind_port.is_some() {
        // The port must be free for the next look. An orderly end would keep it for a minute
        // (TIME_WAIT), and the check with it; a reset does not.
        socket.set_linger(Some(Duration::ZERO)).map_err(failed(Socket::Bind))?;
    } else if then == Then::Close {
        // The ACK that ends the handshake waits a little and goes with our FIN: a packet less for
        // everybody. (A reset in its place would undo the connection before the server sees it.)
        // If this is refused, all is well too.
        let _ = socket.set_tcp_quickack(false);
    }
    match socket.connect(&target.to.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {
            Ok(socket)
        }
        Err(error) => Err(cause(&error, target.timeout)),
    }
}

/// A UDP socket that is connected to the target, so that ICMP errors reach it.
///
/// # Errors
/// No route, or what our own socket lacks.
pub fn connect_udp(target: &Target) -> Result<UdpSocket, Failure> {
    let fail = |cause: Cause| Failure::new(cause, target.to, Duration::ZERO);
    let socket = make(target, Type::DGRAM, Protocol::UDP).map_err(fail)?;
    socket.connect(&target.to.into()).map_err(|error| fail(Cause::of(&error)))?;
    UdpSocket::from_std(socket.into())
        .map_err(|error| fail(Cause::Socket { step: Socket::Make, error: Errno::of(&error) }))
}

/// A connection that the kernel gave up before our own time-out (its SYN retries were fewer) has
/// had no answer either.
pub(crate) fn cause(error: &io::Error, within: Duration) -> Cause {
    match error.kind() {
        io::ErrorKind::TimedOut => Cause::NoAnswer { within },
        _ => Cause::of(error),
    }
}

/// A socket for datagrams that does not block, prepared as the target says, not connected.
///
/// # Errors
/// The step that failed.
pub(crate) fn make(
    target: &Target,
    kind: Type,
    protocol: Protocol,
) -> Result<socket2::Socket, Cause> {
    let domain = Domain::for_address(target.to);
    let socket = socket2::Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))
        .map_err(failed(Socket::Make))?;
    // Otherwise most of what ICMP says about datagrams is kept from us: that nobody has the
    // neighbour's address, for one.
    match target.to {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    }
    .map_err(|errno| failed(Socket::Make)(errno.into()))?;
    prepare(&SockRef::from(&socket), target)?;
    Ok(socket)
}

/// Binds and marks. The interface comes before the address, so that the address is looked for on
/// that interface.
fn prepare(socket: &SockRef<'_>, target: &Target) -> Result<(), Cause> {
    if let Some(interface) = &target.interface {
        socket.bind_device(Some(interface.as_bytes())).map_err(failed(Socket::Interface))?;
    }
    if let Some(mark) = target.mark {
        socket.set_mark(mark).map_err(failed(Socket::Mark))?;
    }
    if let Some(from) = bound(target) {
        if target.bind_port.is_some() {
            // The last connection from this port may still be in TIME_WAIT.
            socket.set_reuse_address(true).map_err(failed(Socket::Bind))?;
        }
        socket.bind(&from.into()).map_err(failed(Socket::Bind))?;
    }
    Ok(())
}

fn failed(step: Socket) -> impl FnOnce(io::Error) -> Cause {
    move |error| Cause::Socket { step, error: Errno::of(&error) }
}

/// Our own address and port, if one of them is given.
fn bound(target: &Target) -> Option<SocketAddr> {
    let any = match target.to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    match (target.bind_address, target.bind_port) {
        (None, None) => None,
        (address, port) => Some(SocketAddr::new(address.unwrap_or(any), port.unwrap_or(0))),
    }
}
