//! `genhash`: prints the digest of a page, for `digest` of `HTTP_GET`.
//!
//! Options and output are those of Keepalived's program of that name. It differs in three things:
//! a failure ends with status 1 (Keepalived's ends with 0), a page that comes in chunks is hashed
//! without their framing, and an answer ends where its headers say.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use config::model::balancer::Ssl;
use config::model::checker::{Http as Settings, HttpProtocol};
use config::model::setting::Setting;
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::connect::connect_tcp;
use crate::http::response::{Piece, Progress, Response};
use crate::http::{self, Http, HttpFailure};
use crate::outcome::{Cause, Failure};
use crate::target::Target;
use crate::tls::{self, Clients, TlsFailure};

const USAGE: &str = "\
Usage: genhash COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Connect by TLS. The certificate is not verified.
   --use-sni         -I       Tell the virtual host (-V) in the TLS handshake.
   --server          -s       Address of the server.
   --port            -p       Its port.
   --url             -u       Path of the page.
   --use-virtualhost -V       Host header; without it the address.
   --verbose         -v       Print headers, page and time, too.
   --help            -h       Print this.
   --fwmark          -m       Firewall mark of our packets.
   --protocol        -P       Version of HTTP: '1.0', '1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Seconds that each step may take; 5 without it.
";

/// Carries out a command line, without the program's name. Returns the exit status: 0 if there is a
/// digest, otherwise 1.
pub fn genhash(args: &[String], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let result = match Order::parse(args) {
        Ok(Some(order)) => order.carry_out(out).map_err(|error| format!("{error}\n")),
        Ok(None) => out.write_all(USAGE.as_bytes()).map_err(|error| format!("{error}\n")),
        Err(complaint) if complaint.is_empty() => Err(USAGE.to_owned()),
        Err(complaint) => Err(format!("{complaint}\n{USAGE}")),
    };
    match result {
        Ok(()) => 0,
        Err(text) => {
            // Whoever does not listen is not told.
            let _ = err.write_all(text.as_bytes());
            1
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
struct Order {
    target: Target,
    url: String,
    virtualhost: Option<String>,
    tls: bool,
    sni: bool,
    verbose: bool,
    protocol: HttpProtocol,
}

/// The options: long name, letter, whether a value follows.
const OPTIONS: [(&str, char, bool); 11] = [
    ("use-ssl", 'S', false),
    ("use-sni", 'I', false),
    ("server", 's', true),
    ("port", 'p', true),
    ("url", 'u', true),
    ("use-virtualhost", 'V', true),
    ("verbose", 'v', false),
    ("help", 'h', false),
    ("fwmark", 'm', true),
    ("protocol", 'P', true),
    ("timeout", 't', true),
];

impl Order {
    /// `None` if help is asked for.
    ///
    /// # Errors
    /// A complaint; it is empty if the usage says it all.
    fn parse(args: &[String]) -> Result<Option<Self>, String> {
        let (mut server, mut port, mut url) = (None, None, None);
        let mut order = Self {
            target: Target::new(SocketAddr::from(([0, 0, 0, 0], 0))),
            url: String::new(),
            virtualhost: None,
            tls: false,
            sni: false,
            verbose: false,
            protocol: HttpProtocol::V10,
        };
        let options = options(args)?;
        if options.iter().any(|(letter, _)| *letter == 'h') {
            return Ok(None);
        }
        for (letter, value) in options {
            let invalid = |what: &str| Err(format!("invalid {what} '{value}'"));
            match letter {
                'S' => order.tls = true,
                'I' => order.sni = true,
                'v' => order.verbose = true,
                's' => match value.parse::<IpAddr>() {
                    Ok(address) => server = Some(address),
                    Err(_) => return Err(format!("server should be an IP, not {value}")),
                },
                'p' => match value.parse::<u16>() {
                    Ok(number @ 1..) => port = Some(number),
                    _ => return invalid("port number"),
                },
                'u' => url = Some(value),
                'V' => order.virtualhost = Some(value),
                'm' => match value.parse::<u32>() {
                    Ok(mark) => order.target.mark = Some(mark).filter(|mark| *mark != 0),
                    Err(_) => return invalid("fwmark"),
                },
                't' => match value.parse::<u32>() {
                    Ok(seconds @ 1..) => {
                        order.target.timeout = Duration::from_secs(seconds.into());
                    }
                    _ => return invalid("timeout"),
                },
                'P' => {
                    order.protocol = match &*value {
                        "1.0" => HttpProtocol::V10,
                        "1.0c" | "1.0C" => HttpProtocol::V10Close,
                        "1.1" => HttpProtocol::V11,
                        "1.1c" | "1.1C" => HttpProtocol::V11Close,
                        _ => return invalid("HTTP protocol version"),
                    };
                }
                _ => return Err(String::new()),
            }
        }
        let (Some(server), Some(port), Some(url)) = (server, port, url) else {
            return Err(String::new());
        };
        order.target.to = SocketAddr::new(server, port);
        order.url = url;
        Ok(Some(order))
    }

    fn carry_out(&self, out: &mut dyn Write) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let began = Instant::now();
        let mut page = Page { out, digest: Md5::new(), verbose: self.verbose, begun: false };
        runtime.block_on(self.fetch(&mut page))?;
        let digest: [u8; 16] = page.digest.finalize().into();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.verbose {
            writeln!(out)?;
            title(out, "   HTML hash resulting   ")?;
            dump(out, &digest)?;
            title(out, "HTML hash final resulting")?;
        }
        writeln!(out, "{hex}")?;
        if self.verbose {
            let time = began.elapsed().as_micros();
            writeln!(out, "\nGlobal response time for [{}] = {time} usecs", self.url)?;
        }
        Ok(out.flush()?)
    }

    async fn fetch(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let began = tokio::time::Instant::now();
        let to = self.target.to;
        let tcp = connect_tcp(&self.target).await?;
        let result = if self.tls {
            let host = self.virtualhost.as_deref();
            match tls::handshake(&self.check(), host, tcp, &Clients::default()).await {
                Ok(stream) => self.exchange(stream, page).await,
                Err(cause) => Err(Trouble::Cause(cause)),
            }
        } else {
            self.exchange(tcp, page).await
        };
        result.map_err(|trouble| match trouble {
            Trouble::Cause(cause) => Error::Failure(Failure::new(cause, to, began.elapsed())),
            Trouble::Output(error) => Error::Output(error),
        })
    }

    /// What the handshake wants to know.
    fn check(&self) -> Http {
        let settings = Settings {
            tls: true,
            virtualhost: self.virtualhost.clone(),
            protocol: self.protocol,
            enable_sni: self.sni,
            sni_name: None,
            fast_recovery: false,
            tls_compliant: false,
            verify: Setting::default(),
            ca: None,
            urls: Vec::new(),
        };
        Http { settings, target: self.target.clone(), ssl: Ssl::default() }
    }

    async fn exchange(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        page: &mut Page<'_>,
    ) -> Result<(), Trouble> {
        let within = self.target.timeout;
        let to = self.target.to;
        let request = http::request(self.protocol, &self.url, self.virtualhost.as_deref(), to);
        let send = async {
            stream.write_all(&request).await?;
            stream.flush().await
        };
        match timeout(within, send).await {
            Ok(sent) => sent.map_err(|error| cause(&error))?,
            Err(_) => return Err(Cause::NoAnswer { within }.into()),
        }
        let mut response = Response::new();
        let mut buffer = vec![0; 16 * 1024];
        let malformed = |error| Trouble::Cause(HttpFailure::from(error).into());
        loop {
            let count = match timeout(within, stream.read(&mut buffer)).await {
                Ok(Ok(count)) => count,
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                Ok(Err(error)) => return Err(cause(&error).into()),
                Err(_) if response.taken() == 0 => return Err(Cause::NoAnswer { within }.into()),
                Err(_) => {
                    let bytes = response.taken();
                    return Err(Cause::from(HttpFailure::Stalled { within, bytes }).into());
                }
            };
            if count == 0 {
                response.end().map_err(malformed)?;
                return Ok(());
            }
            let mut printed = Ok(());
            let progress = response
                .take(buffer.get(..count).unwrap_or_default(), &mut |piece| {
                    if printed.is_ok() {
                        printed = page.take(&piece);
                    }
                })
                .map_err(malformed)?;
            printed.map_err(Trouble::Output)?;
            if progress == Progress::Complete {
                return Ok(());
            }
        }
    }
}

enum Trouble {
    Cause(Cause),
    Output(io::Error),
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

fn cause(error: &io::Error) -> Cause {
    TlsFailure::within(error).map_or_else(|| Cause::of(error), Cause::from)
}

/// Splits a command line as getopt_long does: letters may be bundled, long names cut short.
fn options(args: &[String]) -> Result<Vec<(char, String)>, String> {
    let mut found = Vec::new();
    let mut extra = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            extra.extend(args.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let exact = OPTIONS.iter().find(|(long, ..)| *long == name);
            let mut begin = OPTIONS.iter().filter(|(long, ..)| long.starts_with(name));
            let option = match (exact, begin.next(), begin.next()) {
                (Some(option), ..) | (None, Some(option), None) => option,
                (None, None, _) => return Err(format!("unrecognized option '{arg}'")),
                _ => return Err(format!("option '{arg}' is ambiguous")),
            };
            let value = match (option.2, value) {
                (true, Some(value)) => value,
                (true, None) => args.next().cloned().ok_or_else(|| needs(arg))?,
                (false, None) => String::new(),
                (false, Some(_)) => return Err(format!("option '--{name}' takes no argument")),
            };
            found.push((option.1, value));
        } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                let Some(option) = OPTIONS.iter().find(|option| option.1 == letter) else {
                    return Err(format!("invalid option -- '{letter}'"));
                };
                let mut value = String::new();
                if option.2 {
                    value = letters.by_ref().collect();
                    if value.is_empty() {
                        value = args.next().cloned().ok_or_else(|| needs(arg))?;
                    }
                }
                found.push((letter, value));
            }
        } else {
            extra.push(arg.clone());
        }
    }
    if extra.is_empty() {
        Ok(found)
    } else {
        Err(format!("Unexpected argument(s): {}", extra.join(" ")))
    }
}

fn needs(option: &str) -> String {
    format!("option '{option}' requires an argument")
}

/// The page: hashed, and printed if somebody wants to see it.
struct Page<'a> {
    out: &'a mut dyn Write,
    digest: Md5,
    verbose: bool,
    begun: bool,
}

impl Page<'_> {
    fn take(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        match piece {
            Piece::Head(head) if self.verbose => {
                title(self.out, "   HTTP Header Buffer   ")?;
                dump(self.out, head)?;
                title(self.out, "HTTP Header Ascii Buffer")?;
                self.out.write_all(head)?;
                writeln!(self.out)
            }
            Piece::Body(part) => {
                self.digest.update(part);
                if !self.verbose {
                    return Ok(());
                }
                if !std::mem::replace(&mut self.begun, true) {
                    title(self.out, "       HTML Buffer       ")?;
                }
                dump(self.out, part)
            }
            _ => Ok(()),
        }
    }
}

fn title(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let line = "-----------------------";
    writeln!(out, "{line}[ {text} ]{line}")
}

/// Sixteen bytes a line: where they are (in decimal), their numbers, and as text.
fn dump(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for (line, bytes) in bytes.chunks(16).enumerate() {
        write!(out, "{:04}  ", line * 16)?;
        for place in 0..16 {
            if place == 8 {
                write!(out, "- ")?;
            }
            match bytes.get(place) {
                Some(byte) => write!(out, "{byte:02x} ")?,
                None => write!(out, "   ")?,
            }
        }
        let text: String = bytes
            .iter()
            .map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        writeln!(out, "  {text:16}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
