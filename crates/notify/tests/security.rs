//! The rules about scripts on an invented file system.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use standfast_notify::security::{
    FileSystem, Finding, Kind, Metadata, Policy, Resolved, UserEntry, UserName, Weakness, resolve,
};

/// A root-owned, well-kept system with `/usr/bin/check`, to be spoiled by each test.
struct Fake {
    entries: BTreeMap<PathBuf, Metadata>,
    denied: Option<PathBuf>,
    users: Vec<(&'static str, UserEntry)>,
    own: (u32, u32),
}

impl Fake {
    fn new() -> Self {
        let mut fake =
            Self { entries: BTreeMap::new(), denied: None, users: Vec::new(), own: (0, 0) };
        for dir in ["/", "/usr", "/usr/bin", "/etc", "/home"] {
            fake.add(dir, Kind::Directory, 0, 0o755);
        }
        fake.add("/tmp", Kind::Directory, 0, 0o1777);
        fake.add("/usr/bin/check", Kind::File, 0, 0o755);
        fake.create_user("nobody", 65_534);
        fake.create_user("keepalived_script", 990);
        fake
    }

    fn add(&mut self, path: &str, kind: Kind, uid: u32, mode: u32) {
        self.entries.insert(path.into(), Metadata { kind, uid, gid: 0, mode });
    }

    fn link(&mut self, path: &str, to: &str) {
        self.add(path, Kind::Link(to.into()), 0, 0o777);
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut Metadata)) {
        change(self.entries.get_mut(Path::new(path)).unwrap());
    }

    fn create_user(&mut self, name: &'static str, id: u32) {
        self.users.push((name, UserEntry { uid: id, gid: id, groups: vec![id, id + 1] }));
    }
}

impl FileSystem for Fake {
    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        if self.denied.as_deref() == Some(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.entries.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn user(&self, name: &str) -> Option<UserEntry> {
        self.users.iter().find(|(known, _)| *known == name).map(|(_, entry)| entry.clone())
    }
    fn group(&self, name: &str) -> Option<u32> {
        self.user(name).map(|entry| entry.gid)
    }
    fn own_ids(&self) -> (u32, u32) {
        self.own
    }
    fn current_dir(&self) -> PathBuf {
        "/usr".into()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        vec!["/sbin".into(), "relative".into(), "/usr/bin".into()]
    }
}

fn policy() -> Policy {
    Policy { script_security: true, ..Policy::default() }
}

fn root() -> UserName {
    UserName { user: Some("root".into()), group: None }
}

/// Resolves the line as root would run it.
fn as_root(fake: &mut Fake, line: &str, policy: &Policy) -> Resolved {
    fake.users.push(("root", UserEntry { uid: 0, gid: 0, groups: vec![0] }));
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    resolve(&words, Some(&root()), policy, fake)
}

fn program(resolved: &Resolved) -> &Path {
    &resolved.command.as_ref().unwrap().program
}

#[test]
fn a_safe_script_is_started_without_a_word() {
    let found = as_root(&mut Fake::new(), "/usr/bin/check a b", &policy());
    assert_eq!(found.findings, []);
    let command = found.command.unwrap();
    assert_eq!(command.args, ["a", "b"]);
    assert_eq!(command.name, None);
    assert_eq!(command.run_as.ids, None);
}

#[test]
fn the_default_user_runs_scripts_and_its_absence_is_told() {
    let mut fake = Fake::new();
    let words = ["/usr/bin/check".to_owned()];
    let found = resolve(&words, None, &policy(), &fake);
    assert_eq!(found.uid, 990);
    assert_eq!(found.command.unwrap().run_as.ids, Some((990, 990)));

    fake.users.clear();
    let found = resolve(&words, None, &Policy::default(), &fake);
    assert!(found.runs_as_root());
    assert_eq!(found.findings, [Finding::RunsAsRoot]);
    assert!(found.command.is_some());
}

#[test]
fn with_security_root_does_not_stand_in_for_the_default_user() {
    let mut fake = Fake::new();
    fake.users.clear();
    let words = ["/usr/bin/check".to_owned()];
    let found = resolve(&words, None, &policy(), &fake);
    assert_eq!(found.findings, [Finding::UnknownUser("keepalived_script".into())]);
    assert_eq!(found.command, None);
    assert!(as_root(&mut fake, "/usr/bin/check", &policy()).command.is_some());
}

#[test]
fn the_nearest_user_wins() {
    let fake = Fake::new();
    let words = ["/usr/bin/check".to_owned()];
    let name = |user: &str| UserName { user: Some(user.into()), group: None };
    let policy = Policy {
        script_user: Some(name("nobody")),
        supplementary_groups: true,
        ..Policy::default()
    };
    let found = resolve(&words, None, &policy, &fake);
    assert_eq!(found.command.as_ref().unwrap().run_as.ids, Some((65_534, 65_534)));
    assert_eq!(found.command.unwrap().run_as.groups, [65_534, 65_535]);
    let found = resolve(&words, Some(&name("keepalived_script")), &policy, &fake);
    assert_eq!(found.uid, 990);

    let group = UserName { user: None, group: Some("nobody".into()) };
    let found = resolve(&words, Some(&group), &Policy::default(), &fake);
    assert_eq!(found.command.unwrap().run_as.ids, Some((990, 65_534)));
}

#[test]
fn unknown_users_and_groups_refuse_the_script() {
    let fake = Fake::new();
    let words = ["/usr/bin/check".to_owned()];
    let user = UserName { user: Some("ghost".into()), group: Some("spirits".into()) };
    let found = resolve(&words, Some(&user), &Policy::default(), &fake);
    assert_eq!(found.command, None);
    assert_eq!(
        found.findings[..2],
        [Finding::UnknownUser("ghost".into()), Finding::UnknownGroup("spirits".into())]
    );
}

#[test]
fn each_weak_component_is_named_with_its_remedy() {
    let mut fake = Fake::new();
    fake.change("/usr", |m| m.mode = 0o777);
    fake.change("/usr/bin", |m| (m.mode, m.gid) = (0o775, 50));
    fake.change("/usr/bin/check", |m| m.uid = 1000);
    let found = as_root(&mut fake, "/usr/bin/check", &policy());
    assert_eq!(found.command, None);
    let told: Vec<_> = found.findings.iter().map(|f| (f.to_string(), f.remedy())).collect();
    let said = |text: &str, remedy: &str| (format!("{text}, and root would run it"), remedy.into());
    assert_eq!(
        told,
        [
            said("/usr may be written by everybody", "chmod o-w /usr"),
            said("/usr/bin may be written by group 50", "chmod g-w /usr/bin"),
            said("/usr/bin/check belongs to user 1000, not to root", "chown root /usr/bin/check"),
        ]
    );
}

#[test]
fn without_script_security_the_weakness_is_told_and_the_script_runs() {
    let mut fake = Fake::new();
    fake.change("/usr/bin/check", |m| m.mode = 0o757);
    let found = as_root(&mut fake, "/usr/bin/check", &Policy::default());
    assert!(found.command.is_some());
    assert_eq!(
        found.findings,
        [Finding::Unsafe {
            at: "/usr/bin/check".into(),
            why: Weakness::WorldWritable,
            refused: false
        }]
    );
}

#[test]
fn other_users_scripts_need_not_be_roots() {
    let mut fake = Fake::new();
    fake.change("/usr/bin/check", |m| (m.uid, m.mode) = (65_534, 0o777));
    let found = resolve(&["/usr/bin/check".into()], None, &policy(), &fake);
    assert_eq!(found.findings, []);
}

#[test]
fn root_group_and_sticky_directories_are_trusted() {
    let mut fake = Fake::new();
    fake.add("/tmp/check", Kind::File, 0, 0o775);
    let found = as_root(&mut fake, "/tmp/check", &policy());
    assert_eq!(found.findings, []);
    assert!(found.command.is_some());
}

#[test]
fn links_are_resolved_unless_told_otherwise() {
    let mut fake = Fake::new();
    fake.link("/etc/check", "../usr/./bin/check");
    fake.link("/bin", "/usr/bin");
    fake.add("/usr/bin/killall5", Kind::File, 0, 0o755);
    fake.link("/usr/bin/pidof", "killall5");
    assert_eq!(program(&as_root(&mut fake, "/etc/check", &policy())), "/usr/bin/check");
    let found = as_root(&mut fake, "/bin/pidof", &policy());
    assert_eq!(program(&found), "/usr/bin/killall5");
    assert_eq!(found.command.unwrap().name.unwrap(), "/bin/pidof");
    let kept = Policy { use_symlink_paths: true, ..policy() };
    assert_eq!(program(&as_root(&mut fake, "/bin/pidof", &kept)), "/bin/pidof");
}

/// A link in a directory of somebody else's matters only as long as it is followed at each start.
#[test]
fn directories_that_hold_links_matter_when_links_are_kept() {
    let mut fake = Fake::new();
    fake.add("/home/eve", Kind::Directory, 1000, 0o755);
    fake.link("/home/eve/check", "/usr/bin/check");
    assert_eq!(as_root(&mut fake, "/home/eve/check", &policy()).findings, []);
    let kept = Policy { use_symlink_paths: true, ..policy() };
    let found = as_root(&mut fake, "/home/eve/check", &kept);
    assert_eq!(
        found.refusal(),
        Some(&Finding::Unsafe {
            at: "/home/eve".into(),
            why: Weakness::OwnedBy(1000),
            refused: true
        })
    );
}

#[test]
fn link_loops_end() {
    let mut fake = Fake::new();
    fake.link("/etc/a", "b");
    fake.link("/etc/b", "a");
    let found = as_root(&mut fake, "/etc/a", &policy());
    assert!(matches!(found.refusal(), Some(Finding::LinkLoop(_))), "{found:?}");
}

#[test]
fn the_first_missing_component_is_named() {
    let mut fake = Fake::new();
    let found = as_root(&mut fake, "/usr/local/bin/check", &policy());
    assert_eq!(
        found.findings,
        [Finding::Missing { program: "/usr/local/bin/check".into(), at: "/usr/local".into() }]
    );
    assert!(matches!(
        as_root(&mut fake, "/usr/bin/check/x", &policy()).refusal(),
        Some(Finding::Missing { .. })
    ));
    assert_eq!(
        as_root(&mut fake, "/usr/bin", &policy()).refusal(),
        Some(&Finding::NotAFile("/usr/bin".into()))
    );
    fake.denied = Some("/usr".into());
    assert!(matches!(
        as_root(&mut fake, "/usr/bin/check", &policy()).refusal(),
        Some(Finding::Unreadable { .. })
    ));
}

#[test]
fn what_the_user_may_not_execute_is_not_run() {
    let mut fake = Fake::new();
    fake.change("/usr/bin/check", |m| m.mode = 0o644);
    let found = as_root(&mut fake, "/usr/bin/check", &policy());
    let refusal = found.refusal().unwrap();
    assert_eq!(refusal, &Finding::NotExecutable { at: "/usr/bin/check".into(), uid: 0 });
    assert_eq!(refusal.remedy(), "chmod u+x /usr/bin/check");

    fake.change("/usr/bin/check", |m| m.mode = 0o750);
    let found = resolve(&["/usr/bin/check".into()], None, &policy(), &fake);
    assert!(matches!(found.refusal(), Some(Finding::NotExecutable { uid: 990, .. })));
    fake.change("/usr/bin/check", |m| m.gid = 990);
    assert!(resolve(&["/usr/bin/check".into()], None, &policy(), &fake).command.is_some());
    fake.change("/usr", |m| m.mode = 0o700);
    let found = resolve(&["/usr/bin/check".into()], None, &policy(), &fake);
    assert_eq!(found.refusal(), Some(&Finding::NotExecutable { at: "/usr".into(), uid: 990 }));
}

#[test]
fn names_are_searched_and_relative_paths_are_told() {
    let mut fake = Fake::new();
    let found = as_root(&mut fake, "check", &policy());
    assert_eq!(program(&found), "/usr/bin/check");
    assert_eq!(
        found.findings,
        [Finding::FoundInPath { name: "check".into(), program: "/usr/bin/check".into() }]
    );
    let found = as_root(&mut fake, "chekc", &policy());
    assert!(matches!(found.refusal(), Some(Finding::NotInPath { .. })));
    let found = as_root(&mut fake, "bin/check", &policy());
    assert_eq!(program(&found), "/usr/bin/check");
    assert_eq!(found.findings, [Finding::Relative("bin/check".into())]);
    assert_eq!(resolve(&[], None, &policy(), &fake).refusal(), Some(&Finding::Empty));
}

#[test]
fn shell_syntax_without_a_shell_is_told() {
    let mut fake = Fake::new();
    let told = |fake: &mut Fake, line: &str| -> Vec<String> {
        let words = as_root(fake, line, &Policy::default()).findings;
        words
            .into_iter()
            .filter_map(|finding| match finding {
                Finding::ShellSyntax { word } => Some(word),
                _ => None,
            })
            .collect()
    };
    assert_eq!(told(&mut fake, "/usr/bin/check a | b && c"), ["|", "&&"]);
    assert_eq!(
        told(&mut fake, "/usr/bin/check 2>&1 >/dev/null $HOME ${X} $(id) `id` x; 2> f"),
        ["2>&1", ">/dev/null", "$HOME", "${X}", "$(id)", "`id`", "x;", "2>"]
    );
    assert_eq!(told(&mut fake, "/usr/bin/check -a --b=c x$ <tag> a|b 5 ;x"), [""; 0]);
    fake.add("/usr/bin/sh", Kind::File, 0, 0o755);
    assert_eq!(told(&mut fake, "/usr/bin/sh -c a | b"), [""; 0]);
    assert_eq!(told(&mut fake, "/usr/bin/sh script | b"), ["|"]);
}
