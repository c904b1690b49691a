//! The bytes of a request, as Keepalived sends them.

use std::net::SocketAddr;

use config::model::checker::HttpProtocol;

/// The request for a path. Without a virtual host the `Host` header is the address that is asked.
///
/// The path is sent as it is configured, byte for byte. HTTP/1.1 always says `Connection: close`,
/// as Keepalived does: each check is a connection of its own.
pub fn request(protocol: HttpProtocol, path: &str, host: Option<&str>, to: SocketAddr) -> Vec<u8> {
    let (version, close) = match protocol {
        HttpProtocol::V10 => ("1.0", ""),
        HttpProtocol::V10Close => ("1.0", "Connection: close\r\n"),
        HttpProtocol::V11 | HttpProtocol::V11Close => ("1.1", "Connection: close\r\n"),
    };
    // Without the scope of a link-local address, which means nothing to the server.
    let to = SocketAddr::new(to.ip(), to.port());
    let host = host.map_or_else(|| to.to_string(), str::to_owned);
    format!(
        "GET {path} HTTP/{version}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(protocol: HttpProtocol, host: Option<&str>, to: &str) -> String {
        let to = to.parse().expect("an address");
        String::from_utf8(request(protocol, "/h", host, to)).expect("text")
    }

    // Captured from Keepalived 2.2.7.
    #[test]
    fn is_byte_for_byte_keepalived_s() {
        assert_eq!(
            text(HttpProtocol::V10, None, "198.51.100.1:80"),
            "GET /h HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 198.51.100.1:80\r\n\r\n"
        );
        assert_eq!(
            text(HttpProtocol::V10, None, "[2001:db8::1]:8050"),
            "GET /h HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: [2001:db8::1]:8050\r\n\r\n"
        );
        assert_eq!(
            text(HttpProtocol::V10Close, Some("rs.example"), "198.51.100.1:80"),
            "GET /h HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n\
             Host: rs.example\r\n\r\n"
        );
        for protocol in [HttpProtocol::V11, HttpProtocol::V11Close] {
            assert_eq!(
                text(protocol, None, "198.51.100.1:8003"),
                "GET /h HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n\
                 Host: 198.51.100.1:8003\r\n\r\n"
            );
        }
    }
}
