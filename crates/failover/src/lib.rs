//! The failover role: joins vrrp, trackers, kernel and notifications.
#![forbid(unsafe_code)]
