//! `keepalived.json`, in both versions of its form. Written by hand rather than derived because
//! the key order, and which booleans are numbers, are part of the format.

use serde_json::{Value, json};

use crate::Snapshot;
use crate::snapshot::{Instance, Item};

/// A process tracker as `json_version 2` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs, reason = "each field is the key of the same name in keepalived.json")]
pub struct ProcessDump {
    pub process: String,
    pub parameters: String,
    pub param_match: String,
    pub min_processes: u32,
    pub max_processes: u32,
    pub current_processes: u32,
    pub have_quorum: bool,
    pub weight: i32,
    pub terminate_delay: u64,
    pub fork_delay: u64,
    pub fork_delay_timer_running: bool,
    pub terminate_delay_timer_running: bool,
    pub full_command: bool,
}

/// Version 1: an array of instances.
pub fn json(snapshot: &Snapshot) -> String {
    let mut out = instances(snapshot);
    out.push('\n');
    out
}

/// Version 2: an object; `track_process` only where there are any.
pub fn json_v2(snapshot: &Snapshot, processes: &[ProcessDump]) -> String {
    let mut out = String::from("{\"vrrp\":");
    out.push_str(&instances(snapshot));
    if !processes.is_empty() {
        out.push_str(",\"track_process\":");
        out.push_str(&serde_json::to_string(processes).unwrap_or_else(|_| "[]".to_owned()));
    }
    out.push_str("}\n");
    out
}

fn instances(snapshot: &Snapshot) -> String {
    let mut out = String::from("[");
    for (index, instance) in snapshot.instances.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        instance_json(instance, &mut out);
    }
    out.push(']');
    out
}

/// Appends `"key":value` pairs in the order in which they are pushed.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out.push_str(&value.into().to_string());
    }

    fn end(self) {
        self.out.push('}');
    }
}

fn instance_json(instance: &Instance, out: &mut String) {
    let s = &instance.settings;
    out.push_str("{\"data\":");
    let mut data = Object::begin(out);
    data.put("iname", instance.name.as_str());
    data.put("dont_track_primary", u8::from(s.dont_track_primary));
    data.put("skip_check_adv_addr", u8::from(s.skip_check_adv_addr));
    data.put("strict_mode", u8::from(s.strict));
    data.put("vmac_ifname", s.vmac_interface.as_str());
    data.put("ifp_ifname", instance.interface.as_deref().unwrap_or(""));
    data.put("master_priority", instance.master.as_ref().and_then(|m| m.priority).unwrap_or(0));
    data.put("last_transition", instance.since.micros as f64 / 1e6);
    data.put("garp_delay", number(s.garp_delay));
    data.put("garp_refresh", number(s.garp_refresh));
    data.put("garp_rep", s.garp_repeat);
    data.put("garp_refresh_rep", s.garp_refresh_repeat);
    data.put("garp_lower_prio_delay", number(s.garp_lower_prio_delay));
    data.put("garp_lower_prio_rep", s.garp_lower_prio_repeat);
    data.put("lower_prio_no_advert", u8::from(s.lower_prio_no_advert));
    data.put("higher_prio_send_advert", u8::from(s.higher_prio_send_advert));
    data.put("vrid", instance.vrid);
    data.put("base_priority", instance.priority.base);
    data.put("effective_priority", instance.priority.effective);
    data.put("vipset", instance.addresses.iter().any(|a| a.set));
    data.put("promote_secondaries", s.promote_secondaries);
    data.put("adver_int", number(instance.advert_interval));
    data.put("master_adver_int", number(instance.master_interval));
    data.put("accept", u8::from(s.accept));
    data.put("nopreempt", s.nopreempt);
    data.put("preempt_delay", number(s.preempt_delay));
    data.put("state", instance.state.number());
    data.put("wantstate", instance.wanted.number());
    data.put("version", instance.version);
    data.put("smtp_alert", s.smtp_alert);
    data.put("notify_deleted", s.notify_deleted);
    for (key, command) in &s.scripts {
        data.put(key, command.as_str());
    }
    data.put("vips", addresses(instance.addresses.iter().filter(|a| !a.excluded)));
    for (key, list) in [
        ("evips", addresses(instance.addresses.iter().filter(|a| a.excluded))),
        ("vroutes", items(&instance.routes)),
        ("vrules", items(&instance.rules)),
        ("track_ifp", strings(&s.track_interfaces)),
        ("track_script", strings(&s.track_scripts)),
        ("track_process", strings(&s.track_processes)),
    ] {
        if !list.is_empty() {
            data.put(key, list);
        }
    }
    data.put("auth_type", s.auth_type);
    if s.auth_type != 0 {
        // The secret itself stays ours (Keepalived masks it since 2.4).
        data.put("auth_data", "********");
    }
    data.end();
    out.push_str(",\"stats\":");
    let mut stats = serde_json::to_value(instance.counters)
        .ok()
        .and_then(|value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })
        .unwrap_or_default();
    let mut object = Object::begin(out);
    for key in STATS_KEYS {
        if let Some(value) = stats.remove(*key) {
            object.put(key, value);
        }
    }
    object.end();
    out.push('}');
}

const STATS_KEYS: &[&str] = &[
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "auth_ext_missing",
    "auth_ext_malformed",
    "auth_ext_unknown_key",
    "auth_ext_invalid_hmac",
    "auth_ext_stale",
    "auth_ext_replay",
    "pri_zero_rcvd",
    "pri_zero_sent",
];

/// A number without a fraction where it has none, as Keepalived prints it.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

/// Addresses carry the mark `set` while they are in the kernel; routes and rules never do.
fn addresses<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<Value> {
    items.map(|item| Value::from(super::address_text(item))).collect()
}

fn items(items: &[Item]) -> Vec<Value> {
    items.iter().map(|item| Value::from(item.text.as_str())).collect()
}

fn strings(list: &[String]) -> Vec<Value> {
    list.iter().map(|name| Value::from(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut instance =
            Instance { name: "V \"4\"".into(), vrid: 51, version: 2, ..Instance::default() };
        instance.advert_interval = 0.5;
        instance.settings.auth_type = 1;
        instance.addresses.push(Item {
            text: "198.51.100.100/24 dev k0 scope global".into(),
            set: true,
            ..Item::default()
        });
        Snapshot { instances: vec![instance], ..Snapshot::default() }
    }

    #[test]
    fn the_keys_stand_in_keepaliveds_order_and_the_secret_is_masked() {
        let text = json(&snapshot());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["data"]["iname"], "V \"4\"");
        assert_eq!(value[0]["data"]["adver_int"], 0.5);
        assert_eq!(value[0]["data"]["garp_delay"], 0);
        assert_eq!(value[0]["data"]["vips"][0], "198.51.100.100/24 dev k0 scope global set");
        assert_eq!(value[0]["data"]["auth_data"], "********");
        assert!(
            text.starts_with("[{\"data\":{\"iname\":\"V \\\"4\\\"\",\"dont_track_primary\":0,")
        );
        let at = |key: &str| text.find(&format!("\"{key}\"")).unwrap();
        assert!(
            at("vrid") < at("state") && at("state") < at("vips") && at("vips") < at("auth_type")
        );
        assert!(at("stats") < at("advert_rcvd") && at("auth_failure") < at("pri_zero_sent"));
    }

    #[test]
    fn version_2_wraps_the_same_list() {
        let value: Value = serde_json::from_str(&json_v2(&snapshot(), &[])).unwrap();
        assert_eq!(value["vrrp"][0]["data"]["vrid"], 51);
        assert!(value.get("track_process").is_none());
        let with =
            json_v2(&snapshot(), &[ProcessDump { process: "x".into(), ..Default::default() }]);
        let value: Value = serde_json::from_str(&with).unwrap();
        assert_eq!(value["track_process"][0]["process"], "x");
    }
}
