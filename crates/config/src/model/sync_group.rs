//! `vrrp_sync_group`.

use serde::{Deserialize, Serialize};

use super::setting::{Name, Setting};
use super::track::Tracks;
use super::vrrp::NotifyScripts;

/// Instances that are MASTER together or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Its name.
    pub name: Name,
    /// Instances that exist and belong to no earlier group.
    pub members: Vec<Name>,
    /// What the whole group depends on.
    pub tracks: Tracks,
    /// `sync_group_tracking_weight`: weights of the members' tracks count.
    pub tracking_weight: bool,
    /// Scripts; `deleted` and `master_rx_lower_pri` are never set here.
    pub notify: NotifyScripts,
    /// `notify_priority_changes`, default from `vrrp_notify_priority_changes`.
    pub notify_priority_changes: Setting<bool>,
    /// `smtp_alert`, default from `smtp_alert_vrrp`, `smtp_alert`, off.
    pub smtp_alert: Setting<bool>,
}
