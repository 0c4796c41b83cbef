//! Landlock: a second fence around files, inside the mounts, and around what reaches other processes.
//!
//! TCP stays with the empty network namespace: Landlock knows ports but not addresses, and a title that
//! talks to itself over loopback does no harm.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};

use crate::error::SandboxError;
use crate::launch::{HOME, RUNTIME};

/// The newest rights that are asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;
/// Where a title may write files.
const WRITABLE: [&str; 5] = [HOME, "/tmp", "/dev/shm", RUNTIME, "/run"];

/// Restricts this process and all that come from it, as far as the kernel can.
pub(crate) fn restrict() -> Result<(), SandboxError> {
    apply().map_err(|error| SandboxError::Start(format!("Landlock: {error}")))
}

fn apply() -> Result<(), Error> {
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::from_read(NEWEST);
    let devices = read | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, read))?
        .add_rule(PathBeneath::new(PathFd::new("/dev")?, devices))?;
    // Never a device made by the title: mounts are `nodev`, and this is the second reason.
    let files = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    for path in WRITABLE {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, files))?;
    }
    rules.restrict_self()?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    #[error(transparent)]
    Path(#[from] PathFdError),
}

/// The version of Landlock that this kernel has, 0 for none.
pub(crate) fn version() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with no attributes, size 0 and this flag the call only returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    version.max(0)
}
