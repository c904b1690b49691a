//! `authentication` and `auth_hmac`.

use super::context::Context;
use super::instance::{AuthDraft, HmacDraft, nonzero};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::Secret;
use crate::model::vrrp::{AntiReplay, HmacKey, HmacMode, HmacSecret};
use crate::tree::{Item, Token};

impl Context<'_> {
    pub(super) fn authentication(&mut self, block: &Item) -> AuthDraft {
        let mut auth = AuthDraft { ah: None, password: None, span: block.keyword.span };
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::Authentication, item) else { continue };
            let Some(token) = self.argument(item, keyword) else { continue };
            match keyword.name {
                "auth_type" => match &**token {
                    "PASS" => auth.ah = Some(false),
                    "AH" => auth.ah = Some(true),
                    _ => {
                        let known = ["PASS", "AH"];
                        let consequence = "there is no authentication then";
                        self.unknown_word(token, keyword.name, &known, consequence);
                    }
                },
                "auth_pass" => auth.password = Some(self.password(token)),
                _ => self.unhandled(keyword, item),
            }
        }
        auth
    }

    fn password(&mut self, token: &Token) -> Secret {
        let bytes = token.as_bytes();
        if bytes.len() > 8 {
            self.report(
                Diagnostic::error(
                    Language::PasswordTruncated,
                    format!("only 8 of the {} bytes of `auth_pass` count", bytes.len()),
                )
                .at(token.span, "cut after the eighth byte")
                .help("give every node of the group the same first eight bytes"),
            );
        }
        Secret::new(&bytes[..bytes.len().min(8)])
    }

    pub(super) fn hmac(&mut self, block: &Item) -> Option<HmacDraft> {
        let mut draft = HmacDraft {
            keys: Vec::new(),
            active: None,
            time_window: None,
            anti_replay: AntiReplay::default(),
            mode: HmacMode::default(),
            span: block.keyword.span,
        };
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::AuthHmac, item) else { continue };
            match keyword.name {
                "key" => {
                    if let Some(key) = self.hmac_key(item, keyword) {
                        if draft.keys.iter().any(|k| k.id == key.id) {
                            self.report(
                                Diagnostic::error(
                                    Language::DuplicateEntry,
                                    format!("there is a key {} already", key.id),
                                )
                                .at(item.keyword.span, "ignored"),
                            );
                        } else {
                            draft.keys.push(key);
                        }
                    }
                }
                "active_key" => {
                    if let Some((id, span)) = self.integer(item, keyword) {
                        draft.active = nonzero(id).map(|id| (id, span));
                    }
                }
                "time_window" => {
                    draft.time_window = self.seconds(item, keyword).or(draft.time_window);
                }
                "anti_replay" => {
                    let known = [("time", AntiReplay::Time), ("monotonic", AntiReplay::Monotonic)];
                    let read = self.choice(item, keyword, &known, "`time` is used");
                    draft.anti_replay = read.map_or(draft.anti_replay, |(value, _)| value);
                }
                "mode" => {
                    let known = [
                        ("enforce", HmacMode::Enforce),
                        ("permissive", HmacMode::Permissive),
                        ("receive-only", HmacMode::ReceiveOnly),
                    ];
                    let read = self.choice(item, keyword, &known, "`enforce` is used");
                    draft.mode = read.map_or(draft.mode, |(value, _)| value);
                }
                _ => self.unhandled(keyword, item),
            }
        }
        Some(draft)
    }

    fn hmac_key(&mut self, item: &Item, keyword: &Keyword) -> Option<HmacKey> {
        let id = self.argument(item, keyword)?;
        let (id, _) = self.integer_token(id, "key", 1, 255)?;
        let Some(token) = item.args.get(1) else {
            self.missing(item, keyword);
            return None;
        };
        let secret = if let Some(path) = token.strip_prefix("file:") {
            HmacSecret::File(path.into())
        } else {
            let bytes = match token.strip_prefix("hex:") {
                Some(digits) => hex_bytes(digits),
                None => Some(token.as_bytes().to_vec()),
            };
            let range = HmacSecret::MIN..=HmacSecret::MAX;
            match bytes.filter(|b| range.contains(&b.len())) {
                Some(bytes) => HmacSecret::Bytes(Secret::new(bytes)),
                None => {
                    self.report(
                        Diagnostic::error(
                            Language::OutOfRange,
                            "a key has 32 to 64 bytes, as text or as hex: and digits",
                        )
                        .at(token.span, "not such a key")
                        .help("the line is ignored"),
                    );
                    return None;
                }
            }
        };
        nonzero(id).map(|id| HmacKey { id, secret })
    }
}

/// Pairs of hexadecimal digits.
fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    digits.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
