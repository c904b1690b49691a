//! Local time for people, without the C library's locale.

use crate::ffi::zeroed;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads the time zone, so that no later call has to open its file.
pub(super) fn prepare() {
    broken_down(0);
}

/// Seconds since 1970 in local time, as `Sat Nov 21 12:01:20 2026`.
pub fn local_time(seconds: u64) -> String {
    let time = broken_down(seconds);
    format!("{} {}", syslog_day(&time), time.tm_year + 1900)
}

/// Microseconds since 1970 in local time, as `Sat Nov 21 12:01:20.242479 2026`.
pub fn local_time_micros(micros: u64) -> String {
    let time = broken_down(micros / 1_000_000);
    format!("{}.{:06} {}", syslog_day(&time), micros % 1_000_000, time.tm_year + 1900)
}

/// As RFC 3164 wants it: `Nov 21 12:01:20`.
pub(super) fn syslog_time(seconds: u64) -> String {
    let time = broken_down(seconds);
    stamp(&time)
}

fn syslog_day(time: &libc::tm) -> String {
    format!("{} {}", name(&DAYS, time.tm_wday), stamp(time))
}

fn stamp(time: &libc::tm) -> String {
    let month = name(&MONTHS, time.tm_mon);
    let libc::tm { tm_mday, tm_hour, tm_min, tm_sec, .. } = time;
    format!("{month} {tm_mday:2} {tm_hour:02}:{tm_min:02}:{tm_sec:02}")
}

fn name(names: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).unwrap_or(&"???")
}

fn broken_down(seconds: u64) -> libc::tm {
    let seconds = libc::time_t::try_from(seconds).unwrap_or(0);
    // SAFETY: a struct of integers and a pointer, for which null is a value.
    let mut time: libc::tm = unsafe { zeroed() };
    // SAFETY: pointers to live locals. (The C library reads TZ: nobody here calls `setenv`.)
    unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_those_of_keepalived() {
        // 2026-11-01 00:00:00 UTC, whatever the time zone here is.
        let text = local_time(1_793_491_200);
        assert_eq!(text.len(), "Sat Nov 21 12:01:20 2026".len(), "{text}");
        assert!(text.ends_with(" 2026"));
        assert!(["Sat Oct 31 ", "Sun Nov  1 "].iter().any(|day| text.starts_with(day)), "{text}");
        let (day, rest) = text.split_once(' ').unwrap();
        let stamp = rest.strip_suffix(" 2026").unwrap();
        assert_eq!(syslog_time(1_793_491_200), stamp);
        assert_eq!(local_time_micros(1_793_491_200_000_042), format!("{day} {stamp}.000042 2026"));
    }
}
