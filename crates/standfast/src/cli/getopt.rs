//! Options in the manner of getopt_long: bundled short options, attached or separate arguments,
//! unambiguous prefixes of long names. Keepalived's users have all of these in their unit files,
//! and no argument parser of ours takes an optional argument only when it is attached.

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Never.
    Nothing,
    /// Always: attached or as the next word.
    Argument,
    /// Only when attached: `-tFILE`, `--config-test=FILE`.
    MaybeAttached,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// The short letter, if it has one.
    pub(crate) short: Option<char>,
    /// The long name without dashes.
    pub(crate) long: &'static str,
    /// Its argument.
    pub(crate) takes: Takes,
    /// What it does, for `--help`; empty hides it.
    pub(crate) help: &'static str,
    /// How help names the argument.
    pub(crate) value: &'static str,
}

/// One option found on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its long name.
    pub(crate) long: &'static str,
    /// Its argument.
    pub(crate) value: Option<String>,
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// No such option.
    #[error("Unknown option {0}")]
    Unknown(String),
    /// A prefix that fits several long options.
    #[error("Option {0} is ambiguous: {1}")]
    Ambiguous(String, String),
    /// An argument is missing.
    #[error("Missing parameter for option {0}")]
    Missing(String),
    /// An argument where none belongs.
    #[error("Option --{0} takes no parameter")]
    Unwanted(&'static str),
}

/// Splits `args` (without the program's name) into options and the remaining words.
pub(crate) fn parse(
    specs: &'static [Spec],
    args: &[String],
) -> Result<(Vec<Found>, Vec<String>), UsageError> {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            rest.extend(args.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let spec = long_option(specs, name)?;
            let value = match (spec.takes, attached) {
                (Takes::Nothing, Some(_)) => return Err(UsageError::Unwanted(spec.long)),
                (Takes::Argument, None) => {
                    Some(args.next().cloned().ok_or_else(|| UsageError::Missing(arg.clone()))?)
                }
                (_, attached) => attached,
            };
            found.push(Found { long: spec.long, value });
        } else if arg.len() > 1 && arg.starts_with('-') {
            let mut letters = arg[1..].chars();
            while let Some(letter) = letters.next() {
                let spec = specs
                    .iter()
                    .find(|s| s.short == Some(letter))
                    .ok_or_else(|| UsageError::Unknown(format!("-{letter}")))?;
                if spec.takes == Takes::Nothing {
                    found.push(Found { long: spec.long, value: None });
                    continue;
                }
                let attached = letters.as_str();
                let value = match (spec.takes, attached.is_empty()) {
                    (_, false) => Some(attached.to_owned()),
                    (Takes::Argument, true) => {
                        let next = args.next().cloned();
                        Some(next.ok_or_else(|| UsageError::Missing(format!("-{letter}")))?)
                    }
                    _ => None,
                };
                found.push(Found { long: spec.long, value });
                break;
            }
        } else {
            rest.push(arg.clone());
        }
    }
    Ok((found, rest))
}

fn long_option(specs: &'static [Spec], name: &str) -> Result<&'static Spec, UsageError> {
    if let Some(exact) = specs.iter().find(|s| s.long == name) {
        return Ok(exact);
    }
    let fits: Vec<_> = specs.iter().filter(|s| s.long.starts_with(name)).collect();
    match fits.as_slice() {
        [one] => Ok(one),
        [] => Err(UsageError::Unknown(format!("--{name}"))),
        many => {
            let names: Vec<_> = many.iter().map(|s| format!("--{}", s.long)).collect();
            Err(UsageError::Ambiguous(format!("--{name}"), names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spec(short: char, long: &'static str, takes: Takes) -> Spec {
        Spec { short: Some(short), long, takes, help: "", value: "" }
    }

    static SPECS: &[Spec] = &[
        spec('n', "dont-fork", Takes::Nothing),
        spec('l', "log-console", Takes::Nothing),
        spec('f', "use-file", Takes::Argument),
        spec('t', "config-test", Takes::MaybeAttached),
        spec('i', "config-id", Takes::Argument),
    ];

    fn run(line: &str) -> Result<(Vec<Found>, Vec<String>), UsageError> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        parse(SPECS, &args)
    }

    fn words(line: &str) -> String {
        let (found, rest) = run(line).unwrap();
        let mut text: Vec<_> = found
            .into_iter()
            .map(|f| f.value.map_or(f.long.to_owned(), |v| format!("{}={v}", f.long)))
            .collect();
        text.extend(rest.into_iter().map(|r| format!("[{r}]")));
        text.join(" ")
    }

    #[test]
    fn short_options_bundle_and_take_what_is_attached_or_next() {
        assert_eq!(words("-nlf a.conf"), "dont-fork log-console use-file=a.conf");
        assert_eq!(words("-fa.conf -nl"), "use-file=a.conf dont-fork log-console");
        assert_eq!(words("-t -f x"), "config-test use-file=x");
        assert_eq!(words("-t/tmp/log -n"), "config-test=/tmp/log dont-fork");
    }

    #[test]
    fn long_options_may_be_shortened_while_they_are_unambiguous() {
        assert_eq!(words("--use a --dont-fork"), "use-file=a dont-fork");
        assert_eq!(words("--config-t=log"), "config-test=log");
        assert!(matches!(run("--config"), Err(UsageError::Ambiguous(..))));
        assert_eq!(run("--nope"), Err(UsageError::Unknown("--nope".into())));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        assert_eq!(run("-f"), Err(UsageError::Missing("-f".into())));
        assert_eq!(run("--use-file"), Err(UsageError::Missing("--use-file".into())));
        assert_eq!(run("--dont-fork=1"), Err(UsageError::Unwanted("dont-fork")));
        assert_eq!(run("-nZ"), Err(UsageError::Unknown("-Z".into())));
        assert_eq!(words("a -n -- -l"), "dont-fork [a] [-l]");
    }
}
