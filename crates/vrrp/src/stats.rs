//! Counters of a virtual router: those of Keepalived's statistics, and some of our own.

use serde::{Deserialize, Serialize};

use crate::event::Rejection;

/// Counters of a virtual router since it was first configured. They only grow, except through
/// [`Engine::clear_statistics`](crate::Engine::clear_statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Adverts for this router that were examined, rejected ones included.
    pub advert_rcvd: u64,
    /// Adverts sent (one for each unicast peer).
    pub advert_sent: u64,
    /// Times it became MASTER.
    pub become_master: u64,
    /// Times it ceased to be MASTER.
    pub release_master: u64,
    /// Wrong length.
    pub packet_len_err: u64,
    /// v2 interval that is not ours, or v3 interval that differs.
    pub advert_interval_err: u64,
    /// TTL or hop limit outside the limits.
    pub ip_ttl_err: u64,
    /// Not an advertisement.
    pub invalid_type_rcvd: u64,
    /// Address list that is not ours (the advert still counts).
    pub addr_list_err: u64,
    /// Authentication type that does not exist.
    pub invalid_authtype: u64,
    /// Authentication type that is not ours.
    pub authtype_mismatch: u64,
    /// Wrong password, AH value or AH sequence.
    pub auth_failure: u64,
    /// `auth_hmac` trailer missing.
    pub auth_ext_missing: u64,
    /// `auth_hmac` trailer malformed.
    pub auth_ext_malformed: u64,
    /// `auth_hmac` key unknown.
    pub auth_ext_unknown_key: u64,
    /// `auth_hmac` code wrong.
    pub auth_ext_invalid_hmac: u64,
    /// `auth_hmac` stamp outside the window.
    pub auth_ext_stale: u64,
    /// `auth_hmac` stamp seen before.
    pub auth_ext_replay: u64,
    /// Adverts of priority 0 received.
    pub pri_zero_rcvd: u64,
    /// Adverts of priority 0 sent.
    pub pri_zero_sent: u64,
    /// Version that is not ours.
    pub version_err: u64,
    /// Wrong checksum.
    pub checksum_err: u64,
    /// Unicast where multicast is configured or the reverse, or from no configured peer.
    pub sender_err: u64,
}

impl Statistics {
    /// Counts a rejected advert.
    pub(crate) fn count(&mut self, reason: &Rejection) {
        let counter = match reason {
            Rejection::Length { .. } => &mut self.packet_len_err,
            Rejection::Ttl { .. } => &mut self.ip_ttl_err,
            Rejection::Version { .. } => &mut self.version_err,
            Rejection::HmacMissing => &mut self.auth_ext_missing,
            Rejection::HmacMalformed => &mut self.auth_ext_malformed,
            Rejection::HmacUnknownKey { .. } => &mut self.auth_ext_unknown_key,
            Rejection::HmacInvalid => &mut self.auth_ext_invalid_hmac,
            Rejection::HmacStale { .. } => &mut self.auth_ext_stale,
            Rejection::HmacReplay => &mut self.auth_ext_replay,
            Rejection::AuthTypeInvalid { .. } => &mut self.invalid_authtype,
            Rejection::UnexpectedAh | Rejection::MissingAh | Rejection::AuthTypeMismatch { .. } => {
                &mut self.authtype_mismatch
            }
            Rejection::Password
            | Rejection::AhMalformed
            | Rejection::AhInvalid
            | Rejection::AhReplay { .. } => &mut self.auth_failure,
            Rejection::Interval { .. } => &mut self.advert_interval_err,
            Rejection::Type { .. } => &mut self.invalid_type_rcvd,
            Rejection::Checksum { .. } => &mut self.checksum_err,
            Rejection::MulticastUnexpected
            | Rejection::UnicastUnexpected
            | Rejection::UnknownPeer
            | Rejection::Source => &mut self.sender_err,
        };
        *counter += 1;
    }
}
