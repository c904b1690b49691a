//! The standfast program: command line and supervisor. This file is its table of contents.
//!
//! | called as | does |
//! |---|---|
//! | `standfast COMMAND` | [`modern`]: check, status, explain, run, … |
//! | `keepalived [OPTION…]` | [`keepalived`]: Keepalived's command line |
//! | `genhash OPTION…` | [`genhash`]: digests for HTTP_GET |
//! | `… role failover`, `… role balancer` | [`role`]: what the supervisor starts |
#![forbid(unsafe_code)]

mod check;
mod cli;
mod client;
mod laboratory;
mod logs;
mod machine;
mod reading;
mod role;
mod supervisor;
mod systemd;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use cli::keepalived::Action;
use cli::standfast::{BalancerSocket, Cli, Command, ServerAction, Which};
use status::api::ServerOrder;
use supervisor::kind::Kind;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = args.first().map_or("", String::as_str);
    let name = Path::new(name).file_name().map_or("", |name| name.to_str().unwrap_or(""));
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let role = match words.as_slice() {
        [supervisor::ROLE_WORD, kind] => Kind::called(kind),
        _ => None,
    };
    if let Some(kind) = role {
        return ExitCode::from(role::run(kind));
    }
    ExitCode::from(match name {
        "genhash" => genhash(&args[1..]),
        "keepalived" => keepalived(name, &args[1..]),
        _ => modern(),
    })
}

/// Keepalived's face.
fn keepalived(program: &str, args: &[String]) -> u8 {
    if let Some(place) = args.iter().position(|word| word == "-T" || word == "--genhash") {
        if place > 0 {
            eprintln!("{}: not the first option; those before it are ignored", args[place]);
        }
        return genhash(&args[place + 1..]);
    }
    match cli::keepalived::parse(args) {
        Ok(Action::Run(options)) => supervisor::run(*options),
        Ok(Action::Test { options, log }) => check::config_test(&options, log.as_deref()),
        Ok(Action::Signum(number)) => {
            println!("{number}");
            0
        }
        Ok(Action::Version) => {
            eprint!("{}", version());
            0
        }
        Ok(Action::Help) => print(&cli::keepalived::help(program)),
        Err(error) => {
            eprintln!("{error}\nTry '{program} --help'");
            1
        }
    }
}

/// Standfast's own face.
fn modern() -> u8 {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            let _ = error.print();
            return u8::from(error.use_stderr()) * 2;
        }
    };
    let told = |result: Result<String, client::Error>| match result {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("{error}");
            1
        }
    };
    match command {
        Command::Run { options } => keepalived("standfast run", &options),
        Command::Check { files, pair, format, strict, explain, config_id, elsewhere, color } => {
            check::run(&check::Request {
                files,
                pair,
                format,
                strict,
                explain,
                config_id,
                elsewhere,
                color,
            })
        }
        Command::Keywords { word } => check::keywords(word.as_deref()),
        Command::Status { role, json } => told(client::status(&role.sockets(), json)),
        Command::Explain { name, role, json } => {
            told(client::explain(&role.sockets(), &name, json))
        }
        Command::Handover { instance, undo, role } => {
            told(client::handover(&role.sockets(), &instance, undo))
        }
        Command::Events { name, follow, role, json } => {
            let out = &mut std::io::stdout().lock();
            let printed = client::events(&role.sockets(), name.as_deref(), follow, json, out);
            told(printed.map(|()| String::new()))
        }
        Command::Server { action } => told(server(action)),
        Command::Genhash { options } => genhash(&options),
        Command::Demo => laboratory::demo(),
        Command::Lab { action } => laboratory::lab(action.as_ref()),
    }
}

/// `standfast server`.
fn server(action: ServerAction) -> Result<String, client::Error> {
    let order = |role: &BalancerSocket, which: &Which, order: ServerOrder, wait: bool| {
        let order = client::Order {
            virtual_server: &which.virtual_server,
            real_server: &which.real_server,
            order,
            wait,
        };
        client::order(&role.sockets(), &order, &mut std::io::stdout().lock())
    };
    match action {
        ServerAction::List { virtual_server, role, json } => {
            client::list(&role.sockets(), virtual_server.as_deref(), json)
        }
        ServerAction::Weight { which, weight, role } => {
            order(&role, &which, ServerOrder::Weight { weight: weight.0 }, false)
        }
        ServerAction::Drain { which, deadline, wait, role } => {
            let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let deadline_ms = deadline.map(milliseconds);
            order(&role, &which, ServerOrder::Drain { deadline_ms }, wait)
        }
        ServerAction::Disable { which, role } => order(&role, &which, ServerOrder::Disable, false),
        ServerAction::Enable { which, role } => order(&role, &which, ServerOrder::Enable, false),
        ServerAction::Retry { role } => client::retry(&role.sockets()),
    }
}

/// The text of `keepalived -v`. Exporters and configuration management look for
/// `Keepalived v2.x.y` followed by a space in the first line, or for the first three numbers in
/// the text, to know which options and files there are; so that comes first.
fn version() -> String {
    format!(
        "Keepalived v{KEEPALIVED_VERSION} (compatible): Standfast v{}\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The version of Keepalived whose language, options and files these are.
const KEEPALIVED_VERSION: &str = "2.4.3";

/// Keepalived's genhash, under each of its names.
fn genhash(args: &[String]) -> u8 {
    checkers::genhash::genhash(args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) -> u8 {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("standard output: {error}");
            1
        }
        _ => 0,
    }
}
