//! `vrrp_script`, `vrrp_track_process`, `track_file`, and the lists that refer to them.

use super::BlockId as B;
use super::Role::{Bfd, Failover};
use super::Value::{Command, Flag, Path};
use super::{Block, Content, Keyword, LONG, U32, Value, int, micros, special};

const fn kw(
    name: &'static str,
    value: Value,
    default: &'static str,
    role: super::Role,
    doc: &'static str,
) -> Keyword {
    Keyword::new(name, value, default, role, doc)
}

const LONG_MICROS: u64 = LONG * 1_000_000;
const PROCESS_DELAY: Value = micros(1, 3_600_000_000);

/// A list of references with weights.
const fn references(id: B, title: &'static str, doc: &'static str, good: &'static str) -> Block {
    Block {
        id,
        title,
        doc,
        content: Content::Lines {
            grammar: "NAME [weight NUMBER] [reverse | noreverse]",
            options: Some(B::TrackOptions),
            good,
            bad: "nothing_of_this_name weight 500",
        },
    }
}

pub(super) const BLOCKS: &[Block] = &[
    Block {
        id: B::VrrpScript,
        title: "vrrp_script",
        doc: "A script that is run again and again; its exit status counts.",
        content: Content::Keywords(&[&[
            kw("script", Command, "", Failover, "What to run. Without it the block is void.").lenient(),
            kw("interval", micros(1, LONG_MICROS), "1", Failover, "From start to start."),
            kw(
                "timeout",
                micros(1, LONG_MICROS),
                "interval",
                Failover,
                "After which it is terminated and counts as failed.",
            ),
            kw(
                "weight",
                special("NUMBER [reverse]", "-20 reverse", "254"),
                "0",
                Failover,
                "−253 to 253. 0: failure is FAULT; positive: added while it succeeds; negative: subtracted while it fails.",
            ),
            kw("rise", int(1, U32), "1", Failover, "Successes in a row that make it good."),
            kw("fall", int(1, U32), "1", Failover, "Failures in a row that make it bad."),
            kw(
                "user",
                special("USER [GROUP]", "root root", ""),
                "script_user",
                Failover,
                "Who runs it.",
            ),
            kw("init_fail", Flag, "", Failover, "It counts as failed until it succeeds."),
        ]]),
    },
    Block {
        id: B::VrrpTrackProcess,
        title: "vrrp_track_process",
        doc: "Processes that are counted.",
        content: Content::Keywords(&[&[
            kw(
                "process",
                special("NAME [ARGUMENT …]", "sleep 10", ""),
                "",
                Failover,
                "The program's name, and arguments if `param_match` is to compare them.",
            ),
            kw(
                "param_match",
                special("[initial | partial]", "initial", "final"),
                "",
                Failover,
                "Compare arguments: all; the leading ones; the last may be cut short.",
            ),
            kw(
                "weight",
                special("NUMBER [reverse]", "20", "255"),
                "0",
                Failover,
                "−254 to 254, as for a script.",
            ).lenient(),
            kw("quorum", int(1, 65_535), "1", Failover, "Least number of processes."),
            kw(
                "quorum_max",
                int(0, 65_535),
                "no limit",
                Failover,
                "Greatest number of processes; 0: none may run.",
            ),
            kw("delay", PROCESS_DELAY, "0", Failover, "Sets both delays."),
            kw("terminate_delay", PROCESS_DELAY, "0", Failover, "How long a loss must last."),
            kw("fork_delay", PROCESS_DELAY, "0", Failover, "How long a gain must last."),
            kw("full_command", Flag, "", Failover, "Compare the whole path."),
        ]]),
    },
    Block {
        id: B::TrackFile,
        title: "track_file",
        doc: "A file whose number counts.",
        content: Content::Keywords(&[&[
            kw("file", Path, "", Failover, "The file. Without it the block is void.").lenient(),
            kw(
                "weight",
                special("NUMBER [reverse]", "2 reverse", "255"),
                "1",
                Failover,
                "−254 to 254: multiplies the number; −254 or less is FAULT. 0: any number but 0 is FAULT.",
            ).lenient(),
            kw(
                "init_file",
                special("[NUMBER] [overwrite]", "1 overwrite", "x"),
                "",
                Failover,
                "Write this number (0) at start if the file does not exist, or in any case.",
            ),
        ]]),
    },
    references(B::TrackInterfaceList, "track_interface", "Interfaces.", "eth1 weight -10"),
    references(
        B::TrackScriptList,
        "track_script",
        "Scripts that are defined above.",
        "chk weight 5",
    ),
    references(
        B::TrackFileList,
        "track_file (list)",
        "Files that are defined above.",
        "file weight 5",
    ),
    references(
        B::TrackProcessList,
        "track_process",
        "Processes that are defined above.",
        "proc weight 5 reverse",
    ),
    references(
        B::TrackBfdList,
        "track_bfd",
        "BFD sessions that are defined above.",
        "bfd weight 5",
    ),
    Block {
        id: B::TrackOptions,
        title: "options of a tracked thing",
        doc: "Words after the name.",
        content: Content::Options(&[
            kw("weight", int(-254, 254), "its own", Failover, "Weight here instead of its own."),
            kw("reverse", Flag, "", Failover, "Swap up and down."),
            kw("noreverse", Flag, "", Failover, "Do not swap up and down.").since("2.3"),
            kw("no_reverse", Flag, "", Failover, "The same as `noreverse`.")
                .alias("noreverse")
                .since("2.3"),
        ]),
    },
];

/// Role of `track_bfd`, which needs sessions.
pub(super) const TRACK_BFD_ROLE: super::Role = Bfd;
