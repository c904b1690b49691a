//! `lb_kind`, `lvs_method`: how packets reach real servers.

use super::context::{Context, Words, Written};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::Keyword;
use crate::model::balancer::{Forwarding, Tunnel, TunnelChecksum};
use crate::tree::{Item, Token};

impl Context<'_> {
    /// `NAT | DR | TUN …`.
    pub(super) fn forwarding(&mut self, item: &Item, keyword: &Keyword) -> Written<Forwarding> {
        let first = self.argument(item, keyword)?;
        let method = match &**first {
            "NAT" => Forwarding::Nat,
            "DR" => Forwarding::Dr,
            "TUN" => Forwarding::Tunnel(self.tunnel(item).unwrap_or_default()),
            _ => {
                let known = ["NAT", "DR", "TUN"];
                self.unknown_word(first, keyword.name, &known, "NAT is used");
                return None;
            }
        };
        Some((method, first.span))
    }

    /// What follows `TUN`. Whatever is wrong there, it is a tunnel still.
    fn tunnel(&mut self, item: &Item) -> Option<Tunnel> {
        let mut words = Words::after(item);
        words.next();
        let (mut kind, mut port) = ("ipip", None);
        let mut checksum: Option<(TunnelChecksum, &Token)> = None;
        while let Some(word) = words.next() {
            match &**word {
                "type" => match words.next().map(|t| (&**t, t)) {
                    Some(("ipip", _)) => kind = "ipip",
                    Some(("gue", _)) => kind = "gue",
                    Some(("gre", _)) => kind = "gre",
                    other => {
                        let token = other.map_or(word, |(_, token)| token);
                        let known = ["ipip", "gue", "gre"];
                        self.unknown_word(token, "type", &known, "a plain tunnel, ipip, is used");
                        return None;
                    }
                },
                "port" => {
                    // One that is missing is told below.
                    if let Some(token) = words.next() {
                        port = Some(self.port(token, 1)?);
                    }
                }
                "nocsum" => checksum = Some((TunnelChecksum::None, word)),
                "csum" => checksum = Some((TunnelChecksum::Full, word)),
                "remcsum" => checksum = Some((TunnelChecksum::Remote, word)),
                _ => {
                    let known = ["type", "port", "nocsum", "csum", "remcsum"];
                    self.unknown_word(word, "TUN", &known, "a plain tunnel, ipip, is used");
                    return None;
                }
            }
        }
        let chosen = checksum.map_or(TunnelChecksum::None, |(c, _)| c);
        let wrong = match (kind, chosen) {
            ("ipip", TunnelChecksum::Full | TunnelChecksum::Remote) => Some("ipip"),
            ("gre", TunnelChecksum::Remote) => Some("gre"),
            _ => None,
        };
        if let (Some(kind), Some((_, token))) = (wrong, checksum) {
            self.report(
                Diagnostic::error(
                    Language::Conflict,
                    format!("a tunnel of type {kind} has no `{}`", &**token),
                )
                .at(token.span, "a plain tunnel, ipip, is used"),
            );
            return None;
        }
        Some(match kind {
            "gue" => {
                let Some(port) = port else {
                    self.report(
                        Diagnostic::error(
                            Language::Incomplete,
                            "a tunnel of type gue needs a port",
                        )
                        .at(item.line_span, "a plain tunnel, ipip, is used"),
                    );
                    return None;
                };
                Tunnel::Gue { port, checksum: chosen }
            }
            "gre" => Tunnel::Gre { checksum: chosen },
            _ => Tunnel::Ipip,
        })
    }
}
