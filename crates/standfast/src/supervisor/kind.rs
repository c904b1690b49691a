//! What distinguishes the roles from each other, as far as the supervisor sees it.

use config::passing::Share;
use sys::event_loop::Token;

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Virtual routers, static addresses, routes and rules.
    Failover,
    /// Virtual servers and their checks.
    Balancer,
}

/// Tokens of the roles begin here; each role has two.
const FIRST_TOKEN: u64 = 16;

/// What happened to a role's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It said something.
    Message,
    /// It has ended.
    End,
}

impl Kind {
    /// Every one, in the order in which they are started and told things: addresses are more
    /// urgent than tables.
    pub(crate) const ALL: [Self; 2] = [Self::Failover, Self::Balancer];

    /// The role whose [`Self::word`] this is.
    pub(crate) fn called(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its name, for people and as an argument of the hidden command.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Balancer => "balancer",
        }
    }

    /// The name under which it logs: Keepalived's, for filters that exist.
    pub(crate) const fn ident(self) -> &'static str {
        match self {
            Self::Failover => "Keepalived_vrrp",
            Self::Balancer => "Keepalived_healthcheckers",
        }
    }

    /// What Keepalived calls this child process in the log.
    pub(super) const fn child_name(self) -> &'static str {
        match self {
            Self::Failover => "VRRP",
            Self::Balancer => "Healthcheck",
        }
    }

    /// Whether the daemon ends, so that another node takes over, when this role cannot be kept
    /// alive. The balancer never takes the addresses of the failover role along.
    pub(super) const fn is_essential(self) -> bool {
        matches!(self, Self::Failover)
    }

    /// What of a configuration it gets.
    pub(super) const fn share(self) -> Share {
        match self {
            Self::Failover => Share::Failover,
            Self::Balancer => Share::Balancer,
        }
    }

    /// The token by which the event loop tells of this sign.
    pub(super) const fn token(self, sign: Sign) -> Token {
        Token(FIRST_TOKEN + 2 * self as u64 + sign as u64)
    }

    /// Of which role a token tells what.
    pub(super) fn told_by(token: Token) -> Option<(Self, Sign)> {
        let all = Self::ALL.into_iter();
        all.flat_map(|kind| [(kind, Sign::Message), (kind, Sign::End)])
            .find(|(kind, sign)| kind.token(*sign) == token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_words_lead_back_to_their_role() {
        for kind in Kind::ALL {
            assert_eq!(Kind::called(kind.word()), Some(kind));
            for sign in [Sign::Message, Sign::End] {
                assert_eq!(Kind::told_by(kind.token(sign)), Some((kind, sign)));
            }
        }
        assert_eq!(Kind::called("console"), None);
        assert_eq!(Kind::told_by(Token(1)), None);
    }
}
