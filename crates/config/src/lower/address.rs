//! Lines of addresses.

use std::net::IpAddr;

use super::context::{Context, NetworkError, Words, parse_network};
use super::names::NameKind;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Value, block, similar};
use crate::model::address::Broadcast;
use crate::model::{Address, Lifetime, Name};
use crate::tree::{Item, Token};

/// Where an address stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Static,
    Virtual,
}

impl Context<'_> {
    /// One line. What is wrong with an option drops the option, or the line where half of it
    /// would be another address.
    pub(super) fn address(&mut self, item: &Item, place: Place) -> Option<Address> {
        let mut words = Words::of(item);
        let first = words.next()?;
        let (network, prefix_written) = self.virtual_network(first)?;
        let mut address = Address::new(network, prefix_written, item.line_span);
        let mut wrong = false;
        while let Some(word) = words.next() {
            wrong |= self.address_option(&mut address, word, &mut words, place).is_none();
        }
        if wrong {
            return None;
        }
        if matches!(address.network.address, IpAddr::V6(_)) && address.label.is_some() {
            self.conflict(
                format!("IPv6 addresses have no labels: {}", address.network),
                Some(item.line_span),
                None,
                "the label is dropped",
            );
            address.label = None;
        }
        Some(address)
    }

    /// The address at the head of a line.
    fn virtual_network(&mut self, token: &Token) -> Option<(crate::model::Network, bool)> {
        match parse_network(token) {
            Ok(found) => Some(found),
            Err(NetworkError::Prefix { .. }) => self.network(token, "the address"),
            Err(NetworkError::Address) => {
                self.report(
                    Diagnostic::error(
                        Language::BadAddress,
                        format!("`{}` is not an IP address", &**token),
                    )
                    .at(token.span, "not an address")
                    .help("the line is ignored; host names are not looked up"),
                );
                None
            }
        }
    }

    /// `None`: the address cannot be used.
    fn address_option(
        &mut self,
        address: &mut Address,
        word: &Token,
        words: &mut Words<'_>,
        place: Place,
    ) -> Option<()> {
        let Some(keyword) = self.option(BlockId::AddressOptions, word) else {
            self.unknown_option(word, BlockId::AddressOptions, "an address");
            // What follows is probably its value, and not worth another word.
            let options = block(BlockId::AddressOptions);
            let meant = similar(options, word).and_then(|name| options.find(name));
            if meant.is_some_and(|keyword| keyword.value != Value::Flag) {
                words.next();
            }
            return Some(());
        };
        let wrong_place = match (keyword.name, place) {
            ("use_vmac", Place::Static) => Some("an address of a vrrp_instance"),
            ("track_group", Place::Virtual) => Some("a static address"),
            _ => None,
        };
        match keyword.name {
            "home" => address.home = true,
            "-nodad" => address.dad = true,
            "mngtmpaddr" => address.manage_temporary = true,
            "noprefixroute" => address.no_prefix_route = true,
            "autojoin" => address.autojoin = true,
            "no_track" => address.no_track = true,
            "use_vmac" => address.use_vmac = wrong_place.is_none(),
            "default6" => {}
            _ => {
                let Some(value) = self.option_value(words, keyword, word) else {
                    return Some(());
                };
                match keyword.name {
                    "brd" | "broadcast" => {
                        address.broadcast = self.broadcast(value, address.network.prefix);
                    }
                    "dev" => {
                        address.dev = self.interface(value, "dev");
                        address.interface = address.dev.as_ref().map(|n| n.text.clone());
                    }
                    "scope" => {
                        let scope = self.named_number(value, NameKind::Scope, 255);
                        address.scope = scope.and_then(|s| u8::try_from(s).ok());
                    }
                    "label" => {
                        if value.len() > 15 {
                            self.too_long(value, "label", 15);
                            return None;
                        }
                        address.label = Some(value.to_string());
                    }
                    "peer" => address.peer = Some(self.network(value, "peer")?.0),
                    "preferred_lft" => address.preferred = self.lifetime(value),
                    "track_group" if wrong_place.is_none() => {
                        address.track_group = Some(Name::new(&**value, value.span));
                    }
                    _ => {}
                }
            }
        }
        if let Some(right) = wrong_place {
            self.report(
                Diagnostic::error(
                    Language::UnknownOption,
                    format!("`{}` is an option of {right}", keyword.name),
                )
                .at(word.span, "ignored"),
            );
        }
        Some(())
    }

    fn broadcast(&mut self, token: &Token, prefix: u8) -> Option<Broadcast> {
        match &**token {
            "+" | "-" if prefix > 30 => {
                self.report(
                    Diagnostic::error(
                        Language::NoEffect,
                        format!("a /{prefix} has no broadcast address"),
                    )
                    .at(token.span, "ignored"),
                );
                None
            }
            "+" => Some(Broadcast::AllOnes),
            "-" => Some(Broadcast::AllZeros),
            _ => match self.ip_token(token, "brd", &[4])? {
                (IpAddr::V4(ip), _) => Some(Broadcast::Address(ip)),
                (IpAddr::V6(_), _) => None,
            },
        }
    }

    fn lifetime(&mut self, token: &Token) -> Option<Lifetime> {
        if &**token == "forever" {
            return Some(Lifetime::Forever);
        }
        let max = i64::from(u32::MAX);
        let (seconds, _) = self.integer_token(token, "preferred_lft", 0, max)?;
        match u32::try_from(seconds) {
            // The kernel's word for forever.
            Ok(u32::MAX) | Err(_) => Some(Lifetime::Forever),
            Ok(seconds) => Some(Lifetime::Seconds(seconds)),
        }
    }
}
