//! seccomp: the system calls that no game needs and that attacks on a kernel begin with.
//!
//! A list of what is refused, not of what is allowed: games, their engines and Wine call nearly
//! everything else. What would leave the sandbox is already impossible without these filters; they keep
//! the title away from the kernel's least tested doors.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use crate::bwrap::data;
use crate::error::SandboxError;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Calls newer than the oldest `libc` crate allowed; one number on every architecture.
const SYS_OPEN_TREE_ATTR: i64 = 467;
const SYS_QUOTACTL_FD: i64 = 443;
const SYS_MEMFD_SECRET: i64 = 447;
const SYS_PROCESS_MRELEASE: i64 = 448;

/// Refused with EPERM, as a kernel without the privilege would.
const FORBIDDEN: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    SYS_PROCESS_MRELEASE,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Keyrings are not namespaced.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Programs inside the kernel, and looking into it.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_syslog,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_fanotify_init,
    // Files by handle go around paths.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    SYS_QUOTACTL_FD,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// Only where the architecture has them.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_kexec_file_load,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
const FORBIDDEN_HERE: &[i64] = &[libc::SYS_kexec_file_load];

/// Refused as unknown: programs then take the older way.
const UNKNOWN: &[i64] = &[
    // Its flags lie in memory, where a filter cannot read them; C libraries fall back to `clone`.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    SYS_MEMFD_SECRET,
];

/// Flags of `clone` and `unshare` that would make a namespace. CLONE_NEWTIME is for `unshare` alone: in
/// `clone` its bit is part of the exit signal.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// ioctls that put words into a terminal's mouth, or change how it is read.
const TERMINAL: [u64; 3] = [0x5412, 0x541c, 0x5423]; // TIOCSTI, TIOCLINUX, TIOCSETD
/// PER_LINUX, and the question which one holds.
const PERSONALITIES: [u64; 2] = [0, 0xffff_ffff];

/// Applies all filters to this process and what comes from it.
pub(crate) fn restrict() -> Result<(), SandboxError> {
    let filters = filters().map_err(|error| SandboxError::Start(format!("seccomp: {error}")))?;
    for filter in filters {
        seccompiler::apply_filter(&filter)
            .map_err(|error| SandboxError::Start(format!("seccomp: {error}")))?;
    }
    Ok(())
}

/// All filters as open files in the form that bubblewrap reads.
pub(crate) fn as_files() -> Result<Vec<OwnedFd>, SandboxError> {
    let filters = filters().map_err(|error| SandboxError::Start(format!("seccomp: {error}")))?;
    filters.iter().map(|filter| data(&bytes(filter))).collect()
}

/// `struct sock_filter`, one after the other.
fn bytes(filter: &[sock_filter]) -> Vec<u8> {
    let step = |step: &sock_filter| {
        let [c, d] = step.code.to_ne_bytes();
        let [k, l, m, n] = step.k.to_ne_bytes();
        [c, d, step.jt, step.jf, k, l, m, n]
    };
    filter.iter().flat_map(step).collect()
}

fn filters() -> Result<Vec<BpfProgram>, BackendError> {
    let forbidden = FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new()));
    let unknown = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let conditional = [
        (libc::SYS_clone, any_flag(&NAMESPACES)?),
        (libc::SYS_unshare, any_flag(&[&NAMESPACES[..], &[libc::CLONE_NEWTIME]].concat())?),
        (libc::SYS_ioctl, any_of(1, &TERMINAL)?),
        (libc::SYS_personality, vec![none_of(0, &PERSONALITIES)?]),
    ];
    let forbidden = forbidden.chain(conditional).collect();
    let mut filters = vec![
        compile(forbidden, libc::EPERM)?,
        compile(unknown, libc::ENOSYS)?,
        compile(families()?, libc::EAFNOSUPPORT)?,
    ];
    // Installed last, it answers first for calls that the others do not know.
    if cfg!(target_arch = "x86_64") {
        filters.push(without_x32());
    }
    Ok(filters)
}

/// Sockets: Unix, IP (the network namespace is empty) and what libudev and getifaddrs ask the kernel.
fn families() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let word = |value: i32| u64::from(value.cast_unsigned());
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(word);
    let protocols = [libc::NETLINK_ROUTE, libc::NETLINK_KOBJECT_UEVENT].map(word);
    let mut netlink = vec![SeccompCondition::new(0, Len::Dword, Op::Eq, word(libc::AF_NETLINK))?];
    for protocol in protocols {
        netlink.push(SeccompCondition::new(2, Len::Dword, Op::Ne, protocol)?);
    }
    let pairs = none_of(0, &[word(libc::AF_UNIX)])?;
    Ok(BTreeMap::from([
        (libc::SYS_socket, vec![none_of(0, &families)?, SeccompRule::new(netlink)?]),
        (libc::SYS_socketpair, vec![pairs]),
    ]))
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH)?.try_into()
}

/// Matches when argument `index` is one of `values`. The kernel reads 32 bits of it, and so must we.
fn any_of(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values
        .iter()
        .map(|value| SeccompRule::new(vec![SeccompCondition::new(index, Len::Dword, Op::Eq, *value)?]))
        .collect()
}

/// Matches when argument `index` is none of `values`.
fn none_of(index: u8, values: &[u64]) -> Result<SeccompRule, BackendError> {
    let conditions = values.iter().map(|value| SeccompCondition::new(index, Len::Dword, Op::Ne, *value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Matches when any of `flags` is set in the first argument.
fn any_flag(flags: &[i32]) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |flag: &i32| {
        let flag = u64::from(flag.cast_unsigned());
        SeccompRule::new(vec![SeccompCondition::new(0, Len::Dword, Op::MaskedEq(flag), flag)?])
    };
    flags.iter().map(rule).collect()
}

/// Refuses the x32 calls: the same kernel functions under numbers that the other filters do not name.
fn without_x32() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32: u32 = 0x4000_0000;
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_NOT_LESS, jt: 0, jf: 1, k: X32 },
        sock_filter {
            code: RETURN,
            jt: 0,
            jf: 0,
            k: u32::from(SeccompAction::Errno(libc::ENOSYS.cast_unsigned())),
        },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: u32::from(SeccompAction::Allow) },
    ]
}
