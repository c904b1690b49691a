//! The checkers of a `real_server`.

use super::BlockId as B;
use super::Role::Balancer;
use super::Value::{Block as Blk, Bool, Flag, Interface, Path};
use super::{
    Block, Content, IP, Keyword, LONG, TEXT, U32, Value, count, int, micros, seconds, special,
};

const fn kw(name: &'static str, value: Value, default: &'static str, doc: &'static str) -> Keyword {
    Keyword::new(name, value, default, Balancer, doc)
}

const PERIOD: Value = micros(1, LONG * 1_000_000);
const PORT: Value = int(1, 65_535);

const CONNECTION: &[Keyword] = &[
    kw("connect_ip", IP, "the server's", "Where to connect."),
    kw("connect_port", PORT, "the server's", "Where to connect."),
    kw("bindto", IP, "the kernel's choice", "Our address."),
    kw("bind_port", PORT, "the kernel's choice", "Our port."),
    kw("bind_if", Interface, "", "Our interface."),
    kw("connect_timeout", PERIOD, "5", "How long a connection may take."),
    kw("fwmark", int(0, U32), "0: none", "Mark of our packets."),
];

const SCHEDULE: &[Keyword] = &[
    kw("delay_loop", PERIOD, "the server's", "From the end of one check to the start of the next."),
    kw("retry", int(0, U32), "1; DNS 3; MISC 0", "Failures that are forgiven."),
    kw(
        "delay_before_retry",
        seconds(0, LONG),
        "1; HTTP 3; DNS delay_loop",
        "How long to wait before trying again.",
    ),
    kw("warmup", seconds(0, LONG), "delay_loop", "The first check is at a random time up to this."),
    kw("alpha", Bool, "the server's", "Down until it has succeeded."),
    kw("log_all_failures", Bool, "checker_log_all_failures", "Log every failed attempt."),
];

const HTTP: &[Keyword] = &[
    kw("nb_get_retry", int(0, U32), "", "The same as `retry`.").deprecated("retry"),
    kw("virtualhost", TEXT, "the server's", "Host header.").lenient(),
    kw("http_protocol", special("1.0 | 1.0C | 1.1", "1.1", "2"), "1.0", "Version; C: close.")
        .lenient(),
    kw("fast_recovery", Bool, "off", "No delay between pages while coming up."),
    kw("url", Blk(B::Url), "", "A page to fetch; at least one."),
];

const TLS: &[Keyword] = &[
    kw("enable_sni", Bool, "off", "Tell the server's name in the handshake."),
    kw("sni_name", special("[NAME]", "example.net", ""), "virtualhost", "Which name to tell.")
        .since("2.4.4"),
    kw("tls_compliant", Bool, "off", "Insist on an orderly end of TLS.").since("2.3"),
];

const VERIFICATION: &[Keyword] = &[
    kw("verify", Bool, "whether there is a `ca`", "The server's certificate must be good.").ours(),
    kw("ca", Path, "that of `SSL`", "File of certificate authorities.").ours(),
];

const fn checker(
    id: B,
    title: &'static str,
    doc: &'static str,
    keywords: &'static [&'static [Keyword]],
) -> Block {
    Block { id, title, doc, content: Content::Keywords(keywords) }
}

pub(super) const BLOCKS: &[Block] = &[
    checker(B::TcpCheck, "TCP_CHECK", "A connection succeeds.", &[CONNECTION, SCHEDULE]),
    checker(
        B::HttpGet,
        "HTTP_GET",
        "Pages have the right status, digest or text.",
        &[HTTP, TLS, CONNECTION, SCHEDULE],
    ),
    checker(
        B::SslGet,
        "SSL_GET",
        "The same by TLS; certificates are verified if a `ca` or `verify` says so.",
        &[HTTP, TLS, VERIFICATION, CONNECTION, SCHEDULE],
    ),
    checker(
        B::Url,
        "url",
        "A page, and what is expected of it.",
        &[&[
            kw("path", TEXT, "/", "Path."),
            kw(
                "digest",
                special(
                    "32 HEX DIGITS",
                    "9b3a0c85a887a256d6939da88aabd8cd",
                    "9b3a0c85a887a256d6939da88aabd8c",
                ),
                "",
                "MD5 of the body, as genhash prints it.",
            ),
            kw("status_code", special("N[-M] …", "200 301-303", "99"), "200-299", "100 to 599.")
                .lenient(),
            kw("virtualhost", TEXT, "the checker's", "Host header.").lenient(),
            kw("regex", TEXT, "", "Expression that the answer must match.").lenient(),
            kw("regex_no_match", Flag, "", "The answer must not match."),
            kw(
                "regex_options",
                special("OPTION …", "caseless", "sideways"),
                "",
                "Options of PCRE2.",
            )
            .lenient(),
            kw("regex_min_offset", int(0, U32), "0", "A match may begin here.").lenient(),
            kw("regex_max_offset", int(0, U32), "none", "A match must begin before this.")
                .lenient(),
            kw("regex_stack", special("START MAX", "32768 524288", "2 1"), "", "Bytes of stack.")
                .lenient()
                .ignored("expressions need no stack here"),
            kw("tls_compliant", Bool, "the checker's", "Insist on an orderly end of TLS.")
                .since("2.3"),
        ]],
    ),
    checker(
        B::SmtpCheck,
        "SMTP_CHECK",
        "The server says 220, and 250 to HELO.",
        &[
            &[
                kw("helo_name", TEXT, "smtpchecker.keepalived.org", "How we greet.").lenient(),
                kw("host", Blk(B::SmtpHost), "", "Another place to connect to.")
                    .deprecated("connect_ip, connect_port and bindto in SMTP_CHECK itself"),
            ],
            CONNECTION,
            SCHEDULE,
        ],
    ),
    checker(B::SmtpHost, "SMTP_CHECK host", "Another place to connect to.", &[CONNECTION]),
    checker(
        B::DnsCheck,
        "DNS_CHECK",
        "A question by UDP is answered without an error.",
        &[
            &[
                kw(
                    "type",
                    special(
                        "A | NS | CNAME | SOA | MX | TXT | AAAA | RRSIG | DNSKEY",
                        "AAAA",
                        "HINFO",
                    ),
                    "SOA",
                    "What to ask.",
                ),
                kw("name", TEXT, ".", "Which name to ask about."),
                kw("expect", TEXT, "any answer", "Data that the answer must hold; repeatable.")
                    .ours(),
            ],
            CONNECTION,
            SCHEDULE,
        ],
    ),
    checker(
        B::MiscCheck,
        "MISC_CHECK",
        "A script exits with 0.",
        &[
            &[
                kw("misc_path", Value::Command, "", "What to run. Without it the checker is void.")
                    .lenient(),
                kw("misc_timeout", count(1, U32, "s"), "delay_loop", "How long it may run."),
                kw("misc_dynamic", Flag, "", "Exit status 2 to 255 sets the weight to 0 to 253."),
                kw("user", special("USER [GROUP]", "root root", ""), "script_user", "Who runs it.")
                    .lenient(),
            ],
            SCHEDULE,
        ],
    ),
    checker(
        B::UdpCheck,
        "UDP_CHECK",
        "A packet is not refused, or is answered.",
        &[
            &[
                kw("payload", special("HEX …", "ab 12 f", "zz"), "32 bytes", "What to send.")
                    .lenient(),
                kw(
                    "require_reply",
                    special("[HEX …]", "ab Xf", "zz"),
                    "",
                    "An answer is needed, with this content; X matches any digit.",
                ),
                kw("min_reply_length", int(0, 65_535), "0", "Least length of the answer."),
                kw("max_reply_length", int(0, 65_535), "255", "Greatest length of the answer."),
            ],
            CONNECTION,
            SCHEDULE,
        ],
    ),
    checker(B::PingCheck, "PING_CHECK", "An echo is answered.", &[CONNECTION, SCHEDULE]),
    checker(
        B::FileCheck,
        "FILE_CHECK",
        "The number in a tracked file changes the weight.",
        &[&[
            kw("track_file", TEXT, "", "Name of a `track_file` that is defined above."),
            kw(
                "weight",
                special("NUMBER [reverse | noreverse]", "2 reverse", "2147483648"),
                "the file's",
                "Multiplies the number; the product is added to the server's weight.",
            )
            .lenient(),
        ]],
    ),
    checker(
        B::BfdCheck,
        "BFD_CHECK",
        "A BFD session is up.",
        &[&[
            kw("name", TEXT, "", "Name of a `bfd_instance` that is defined above.").lenient(),
            kw("alpha", Bool, "the server's", "Down until it has succeeded."),
        ]],
    ),
];
