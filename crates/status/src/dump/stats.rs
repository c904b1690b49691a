//! `keepalived.stats`.

use std::fmt::Write as _;

use crate::Snapshot;

/// The text of `keepalived.stats`.
pub fn stats(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(512 * snapshot.instances.len());
    for instance in &snapshot.instances {
        let c = &instance.counters;
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  \
             Became master: {}\n  Released master: {}\n  Packet Errors:\n    Length: {}\n    \
             TTL: {}\n    Invalid Type: {}\n    Advertisement Interval: {}\n    \
             Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
             Type Mismatch: {}\n    Failure: {}\n",
            instance.name,
            c.advert_rcvd,
            c.advert_sent,
            c.become_master,
            c.release_master,
            c.packet_len_err,
            c.ip_ttl_err,
            c.invalid_type_rcvd,
            c.advert_interval_err,
            c.addr_list_err,
            c.invalid_authtype,
            c.authtype_mismatch,
            c.auth_failure,
        );
        if instance.settings.auth_hmac {
            let _ = write!(
                out,
                "  Authentication Extension Errors:\n    Missing: {}\n    Malformed: {}\n    \
                 Unknown Key: {}\n    Invalid HMAC: {}\n    Stale: {}\n    Replay: {}\n",
                c.auth_ext_missing,
                c.auth_ext_malformed,
                c.auth_ext_unknown_key,
                c.auth_ext_invalid_hmac,
                c.auth_ext_stale,
                c.auth_ext_replay,
            );
        }
        let _ = write!(
            out,
            "  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            c.pri_zero_rcvd, c.pri_zero_sent,
        );
    }
    out
}
