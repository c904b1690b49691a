//! Users and groups by name or number.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// Looks a user up by name or, if there is no such name, by number.
///
/// # Errors
/// The user database cannot be read.
pub fn user(name: &str) -> io::Result<Option<UserEntry>> {
    let mut found = User::from_name(name)?;
    if let (None, Ok(uid)) = (&found, name.parse()) {
        found = User::from_uid(Uid::from_raw(uid))?;
    }
    Ok(found.map(|user| UserEntry {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    }))
}

/// Looks a group's id up by name or, if there is no such name, by number.
///
/// # Errors
/// The group database cannot be read.
pub fn group(name: &str) -> io::Result<Option<u32>> {
    let mut found = Group::from_name(name)?;
    if let (None, Ok(gid)) = (&found, name.parse()) {
        found = Group::from_gid(Gid::from_raw(gid))?;
    }
    Ok(found.map(|group| group.gid.as_raw()))
}

/// All groups that a user is a member of, `gid` among them.
///
/// # Errors
/// The group database cannot be read.
pub fn groups_of(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(getgrouplist(&name, Gid::from_raw(gid))?.into_iter().map(Gid::as_raw).collect())
}

/// The effective user and group id of this process.
pub fn own_ids() -> (u32, u32) {
    (Uid::effective().as_raw(), Gid::effective().as_raw())
}

/// The machine's name as `uname -n` prints it.
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(user("0").unwrap(), Some(root));
        assert_eq!(group("root").unwrap(), Some(0));
        assert_eq!(group("0").unwrap(), Some(0));
        assert!(groups_of("root", 0).unwrap().contains(&0));
    }

    #[test]
    fn strangers_are_not() {
        assert_eq!(user("no such user").unwrap(), None);
        assert_eq!(group("no such group").unwrap(), None);
        assert_eq!(user("4294967290").unwrap(), None);
        assert!(user("").unwrap().is_none());
    }
}
