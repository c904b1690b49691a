//! The keywords of `global_defs` about mail.

use super::context::{Context, Written};
use super::global::{put, set};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::Keyword;
use crate::model::Secret;
use crate::model::global::{Mail, MailSecurity};
use crate::tree::Item;

/// The port of a mail server that speaks TLS from the first byte (RFC 8314 §3.3).
const SMTPS: u16 = 465;

/// What `global_defs` says about mail while it is being read.
#[derive(Default)]
pub(super) struct MailDraft {
    mail: Mail,
    /// Whether `smtp_server` has a port.
    port_written: bool,
}

impl MailDraft {
    /// A keyword; false if it is not about mail.
    pub(super) fn line(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let Self { mail, port_written } = self;
        let some = |w: Written<bool>| w.map(|(on, span)| (Some(on), span));
        match keyword.name {
            "notification_email" => {
                let lines = item.items();
                let words = lines.iter().flat_map(Item::words);
                mail.recipients.extend(words.map(|w| w.to_string()));
                if lines.is_empty() {
                    cx.report(
                        Diagnostic::warning(Language::NoEffect, "the list of recipients is empty")
                            .at(item.keyword.span, ""),
                    );
                }
            }
            "notification_email_from" => set(&mut mail.from, cx.text(item, keyword)),
            "smtp_server" => {
                *port_written = smtp_server(cx, item, keyword, &mut mail.server);
            }
            "smtp_security" => {
                let known = [
                    ("none", MailSecurity::None),
                    ("starttls", MailSecurity::StartTls),
                    ("tls", MailSecurity::Tls),
                ];
                let read = cx.choice(item, keyword, &known, "the line is ignored");
                mail.security = read.map_or(mail.security, |(security, _)| security);
            }
            "smtp_login" => match (cx.argument(item, keyword), item.args.get(1)) {
                (Some(user), Some(password)) => {
                    mail.login = Some((user.to_string(), Secret::new(password.as_bytes())));
                }
                (Some(_), None) => cx.missing(item, keyword),
                (None, _) => {}
            },
            "smtp_ca" => mail.ca = cx.argument(item, keyword).map(|t| t.to_string().into()),
            "smtp_helo_name" => set(&mut mail.helo, cx.text(item, keyword)),
            "smtp_connect_timeout" => put(&mut mail.timeout, cx.seconds(item, keyword)),
            "smtp_alert" => put(&mut mail.alert, some(cx.boolean(item, keyword))),
            "smtp_alert_vrrp" => put(&mut mail.alert_vrrp, some(cx.boolean(item, keyword))),
            "smtp_alert_checker" => {
                put(&mut mail.alert_checker, some(cx.boolean(item, keyword)));
            }
            "no_email_faults" => mail.no_faults = true,
            "no_checker_emails" => mail.no_checker = true,
            _ => return false,
        }
        true
    }

    /// Applies what depends on several keywords.
    pub(super) fn finish(mut self) -> Mail {
        if let Some((_, port)) = &mut self.mail.server
            && !self.port_written
            && self.mail.security == MailSecurity::Tls
        {
            *port = SMTPS;
        }
        self.mail
    }
}

/// Whether there is a port behind the host.
fn smtp_server(
    cx: &mut Context<'_>,
    item: &Item,
    keyword: &Keyword,
    place: &mut Option<(String, u16)>,
) -> bool {
    let Some(host) = cx.argument(item, keyword) else { return false };
    let port = match item.args.get(1) {
        None => 25,
        Some(token) => match cx.integer_token(token, "port of smtp_server", 1, 65_535) {
            Some((port, _)) => u16::try_from(port).unwrap_or(25),
            None => return false,
        },
    };
    *place = Some((host.to_string(), port));
    item.args.len() > 1
}
