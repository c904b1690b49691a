//! Surroundings: mail, secrets, strict mode, an empty configuration.

use std::collections::HashMap;

use super::Subject;
use crate::diagnostic::{Diagnostic, Setup};
use crate::model::Model;
use crate::model::vrrp::{Auth, HmacSecret, Version};
use crate::source::Span;
use crate::tree::{Item, Tree};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    mail(subject, found);
    secrets(subject, found);
    strict(subject.model, found);
    empty(subject, found);
}

/// The first item of that name, depth first.
pub(crate) fn first<'a>(items: &'a [Item], keyword: &str) -> Option<&'a Item> {
    items.iter().find_map(|item| {
        if item.keyword.as_str() == keyword { Some(item) } else { first(item.items(), keyword) }
    })
}

fn mail(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let (model, mail) = (subject.model, &subject.model.global.mail);
    let asked = model
        .vrrp
        .iter()
        .map(|i| &i.smtp_alert)
        .chain(model.sync_groups.iter().map(|g| &g.smtp_alert))
        .chain(model.virtual_servers.iter().map(|v| &v.smtp_alert))
        .find(|alert| alert.value);
    // Real servers send mail by default, so only what somebody wrote asks for it.
    let real = model.virtual_servers.iter().flat_map(|v| &v.real_servers).any(|r| r.smtp_alert);
    let missing = match (mail.recipients.is_empty(), mail.server.is_none()) {
        (true, true) => "neither recipients nor a server are named",
        (true, false) => "no recipients are named",
        (false, true) => "no server is named",
        (false, false) => "",
    };
    if let (Some(alert), false) = (asked, missing.is_empty())
        && let Some(span) = alert.span()
    {
        found.push(
            Diagnostic::warning(Setup::NoRecipients, format!("mail is asked for, and {missing}"))
                .unnoticed()
                .at(span, "asked for here")
                .help("in global_defs: `notification_email { ADDRESS }` and `smtp_server HOST`"),
        );
    }
    if asked.is_none()
        && !real
        && !mail.recipients.is_empty()
        && (!model.vrrp.is_empty() || !model.virtual_servers.is_empty())
        && let Some(item) = first(&subject.tree.items, "notification_email")
    {
        found.push(
            Diagnostic::advice(Setup::MailUnused, "no mail will be sent")
                .at(item.keyword.span, "recipients are named, and nothing asks for mail")
                .help("write `smtp_alert` in the instances whose changes are to be mailed, or in global_defs for all"),
        );
    }
}

/// Passwords of tutorials.
const COMMON: [&str; 16] = [
    "1111",
    "11111111",
    "1234",
    "12345",
    "123456",
    "12345678",
    "password",
    "passw0rd",
    "secret",
    "keepalived",
    "k@l!ve1",
    "qwerty",
    "pass",
    "test",
    "admin",
    "root",
];

fn secrets(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut holds: Option<Span> = None;
    // There can be thousands of instances: each is looked up, not searched for.
    let items: HashMap<&str, &Item> = subject
        .tree
        .items
        .iter()
        .filter(|item| item.keyword.as_str() == "vrrp_instance")
        .filter_map(|item| Some((item.arg(0)?.as_str(), item)))
        .collect();
    for instance in &subject.model.vrrp {
        let secret = match &instance.auth {
            Auth::None => continue,
            Auth::Pass(secret) | Auth::Ah(secret) => secret,
            Auth::Hmac(hmac) => {
                if hmac.keys.iter().any(|key| matches!(key.secret, HmacSecret::Bytes(_))) {
                    holds = holds.or(Some(instance.name.span));
                }
                continue;
            }
        };
        let block = items.get(&*instance.name);
        let Some(item) = block.and_then(|item| first(item.items(), "auth_pass")) else { continue };
        let span = item.arg(0).map_or(item.keyword.span, |word| word.span);
        holds = holds.or(Some(span));
        if COMMON.iter().any(|common| common.as_bytes() == secret.bytes()) {
            found.push(
                Diagnostic::advice(
                    Setup::WeakPassword,
                    format!("the password of `{}` is in every tutorial", instance.name),
                )
                .at(span, "")
                .help("a group nearby with the same router id may have it too")
                .help("it is sent in clear: what protects is auth_hmac, or a network of its own"),
            );
        }
    }
    let Some(at) = holds else { return };
    let path = subject.sources.file(at.file).path();
    if let Some(mode) = subject.environment.mode(path).filter(|mode| mode & 0o004 != 0) {
        found.push(
            Diagnostic::advice(
                Setup::ReadableSecret,
                format!("everybody may read {} (mode {mode:04o})", path.display()),
            )
            .at(at, "it holds a password")
            .help(format!("chmod 640 {}", path.display())),
        );
    }
}

/// The `auth_pass` line of an instance.
pub(crate) fn password_item<'a>(tree: &'a Tree, instance: &str) -> Option<&'a Item> {
    tree.items
        .iter()
        .find(|item| {
            item.keyword.as_str() == "vrrp_instance"
                && item.arg(0).is_some_and(|name| name.as_str() == instance)
        })
        .and_then(|item| first(item.items(), "auth_pass"))
}

fn strict(model: &Model, found: &mut Vec<Diagnostic>) {
    let affected: Vec<_> = model
        .vrrp
        .iter()
        .filter(|i| i.strict.value && !i.is_owner() && !i.accept.value && !i.vips.is_empty())
        .collect();
    let Some(first) = affected.first() else { return };
    let Some(span) = first.strict.span() else { return };
    let names: Vec<String> = affected.iter().take(3).map(|i| format!("`{}`", i.name)).collect();
    let more = if affected.len() > 3 { " and others" } else { "" };
    let mut diagnostic = Diagnostic::warning(
        Setup::StrictSurprise,
        format!("the addresses of {}{more} will not answer", names.join(", ")),
    )
    .unnoticed()
    .at(span, "strict mode drops what is sent to them, ping included");
    if let Some(vip) = first.vips.first() {
        diagnostic = diagnostic.also(vip.span, "for example this one");
    }
    diagnostic = if first.version.value == Version::V3 {
        diagnostic.help("write `accept` in the instance, or remove vrrp_strict")
    } else {
        diagnostic.help("remove vrrp_strict, or use version 3 with `accept`")
    };
    found.push(diagnostic);
}

fn empty(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let m = subject.model;
    let runs = m.vrrp.is_empty()
        && m.virtual_servers.is_empty()
        && m.bfd_instances.is_empty()
        && m.static_addresses.is_empty()
        && m.static_routes.is_empty()
        && m.static_rules.is_empty();
    // Blocks that could not be used were reported.
    let tried = subject.tree.items.iter().any(|item| {
        matches!(item.keyword.as_str(), "vrrp_instance" | "virtual_server" | "bfd_instance")
    });
    if runs && !tried {
        found.push(Diagnostic::advice(
            Setup::NothingToRun,
            "the configuration holds nothing to run",
        ));
    }
}
