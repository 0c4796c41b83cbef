//! Probes that reach for other processes, for rights, and for namespaces.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use crate::probe::Control::{Inside, Outside, OutsideAsRoot};
use crate::probe::{Facts, Outcome, Probe, call, done, reached};

const PIDS: &str = "PID namespace";
const SECCOMP: &str = "seccomp";
const RIGHTS: &str = "no capabilities";

pub(crate) const PROBES: fn() -> Vec<Probe> = || {
    let probe = |name, layer, control, attempt| Probe { name, layer, control, attempt };
    vec![
        probe("see_a_process_of_the_host", PIDS, Outside, |aim| of_victim(aim, "cmdline")),
        probe("read_the_environment_of_a_process", PIDS, Outside, |aim| of_victim(aim, "environ")),
        probe("open_the_memory_of_a_process", PIDS, OutsideAsRoot, |aim| {
            done("open", File::open(format!("/proc/{}/mem", aim.text("VICTIM"))))
        }),
        // Signal 0 asks whether a signal would be allowed, and harms nobody.
        probe("signal_a_process_of_the_host", PIDS, Outside, |aim| kill(aim.number("VICTIM"))),
        probe("signal_the_first_process", "Landlock", OutsideAsRoot, |_| kill(1)),
        probe("open_the_memory_of_the_first_process", "Landlock", OutsideAsRoot, |aim| {
            done(
                "open",
                File::options().read(true).write(true).open(format!("/proc/{}/mem", aim.text("FIRST"))),
            )
        }),
        probe("read_the_environment_of_the_first_process", "environment cleared", OutsideAsRoot, |aim| {
            match fs::read(format!("/proc/{}/environ", aim.text("FIRST"))) {
                Ok(text) if text.is_empty() => Err("it is empty".into()),
                Ok(text) => Ok(format!("{} bytes", text.len())),
                Err(error) => Err(error.to_string()),
            }
        }),
        probe("trace_its_parent", SECCOMP, Outside, |_| {
            // SAFETY: no memory is named; only this process's own state changes.
            call("traced", unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) })
        }),
        probe("attach_to_another_process", SECCOMP, Outside, |_| {
            with_child(|child| {
                // SAFETY: as above; the child is this process's own.
                call("attached", unsafe { libc::ptrace(libc::PTRACE_SEIZE, child.id(), 0, 0) })
            })
        }),
        probe("read_another_processes_memory", SECCOMP, Outside, |_| copy_memory(libc::SYS_process_vm_readv)),
        probe("write_another_processes_memory", SECCOMP, Outside, |_| {
            copy_memory(libc::SYS_process_vm_writev)
        }),
        probe("take_a_file_of_another_process", SECCOMP, Outside, |_| {
            with_child(|child| {
                // SAFETY: both calls take numbers only.
                unsafe {
                    let process = libc::syscall(libc::SYS_pidfd_open, child.id(), 0);
                    call("taken", libc::syscall(libc::SYS_pidfd_getfd, process, 0, 0))
                }
            })
        }),
        probe("compare_kernel_objects", SECCOMP, Outside, |_| {
            // SAFETY: numbers only.
            call("compared", unsafe {
                libc::syscall(libc::SYS_kcmp, std::process::id(), std::process::id(), 1, 0, 0)
            })
        }),
        probe("run_before_everybody", RIGHTS, OutsideAsRoot, |_| {
            let urgent = libc::sched_param { sched_priority: 1 };
            // SAFETY: the parameter lives on this stack.
            call(
                "real-time",
                unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const urgent) }.into(),
            )
        }),
        probe("raise_its_priority", RIGHTS, OutsideAsRoot, |_| {
            // SAFETY: numbers only.
            call("raised", unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) }.into())
        }),
        probe("read_disks_before_everybody", RIGHTS, OutsideAsRoot, |_| {
            // SAFETY: numbers only; class 1 is real-time, of this process.
            call("real-time", unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, 1 << 13) })
        }),
        probe("become_root", RIGHTS, OutsideAsRoot, |_| {
            // SAFETY: numbers only.
            call("root", unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) })
        }),
        probe("join_other_groups", RIGHTS, OutsideAsRoot, |_| {
            // SAFETY: the list has one entry, on this stack.
            call("joined", unsafe { libc::syscall(libc::SYS_setgroups, 1, [0_u32].as_ptr()) })
        }),
        probe("keep_a_capability_to_gain", RIGHTS, Outside, |_| {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim();
            let none = bounds.chars().all(|digit| digit == '0');
            if none { Err("the bounding set is empty".into()) } else { Ok(bounds.to_owned()) }
        }),
        probe("raise_a_hard_limit", RIGHTS, Inside(lower_a_limit), |_| limit(libc::RLIMIT_NOFILE, 1_000_000)),
        probe("leave_core_dumps", "prlimit", Inside(lower_a_limit), |_| limit(libc::RLIMIT_CORE, 1 << 20)),
        probe("lock_much_memory", "prlimit", OutsideAsRoot, |_| {
            let bytes = vec![0_u8; 80 << 20];
            // SAFETY: the range is the vector's own.
            call("locked", unsafe { libc::mlock(bytes.as_ptr().cast(), bytes.len()) }.into())
        }),
        probe("make_a_user_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWUSER)),
        probe("make_a_mount_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWNS)),
        probe("make_a_network_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWNET)),
        probe("make_a_pid_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWPID)),
        probe("make_a_uts_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWUTS)),
        probe("make_an_ipc_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWIPC)),
        probe("make_a_cgroup_namespace", SECCOMP, OutsideAsRoot, |_| unshare(libc::CLONE_NEWCGROUP)),
        probe("clone_into_a_user_namespace", SECCOMP, OutsideAsRoot, |_| {
            // SAFETY: without CLONE_VM this is a fork; the child leaves at once.
            let child =
                unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0) };
            if child == 0 {
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(0) };
            }
            call("cloned", child)
        }),
        probe("clone_past_the_filter", SECCOMP, Outside, |_| {
            // SAFETY: no arguments are given, which the call refuses.
            reached("clone3", unsafe { libc::syscall(libc::SYS_clone3, 0, 0) })
        }),
        probe("enter_a_namespace", SECCOMP, OutsideAsRoot, |_| {
            let own = File::open("/proc/self/ns/net").map_err(|error| error.to_string())?;
            // SAFETY: numbers only.
            call("entered", unsafe { libc::setns(own.as_raw_fd(), libc::CLONE_NEWNET) }.into())
        }),
    ]
};

fn of_victim(aim: &Facts, what: &str) -> Outcome {
    let text = fs::read(format!("/proc/{}/{what}", aim.text("VICTIM"))).map_err(|error| error.to_string())?;
    Ok(format!("{} bytes", text.len()))
}

fn kill(pid: i32) -> Outcome {
    // SAFETY: numbers only; signal 0 is not delivered.
    call("allowed", unsafe { libc::kill(pid, 0) }.into())
}

fn unshare(what: i32) -> Outcome {
    // SAFETY: only this process's own namespaces change, and it ends next.
    call("a namespace", unsafe { libc::unshare(what) }.into())
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> Outcome {
    let most = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit lives on this stack.
    call("set", unsafe { libc::setrlimit(resource, &raw const most) }.into())
}

fn lower_a_limit(_: &Facts) -> Outcome {
    limit(libc::RLIMIT_NOFILE, 64)
}

fn with_child(attempt: impl FnOnce(&Child) -> Outcome) -> Outcome {
    let mut child = Command::new("/usr/bin/sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let outcome = attempt(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    outcome
}

/// From this process to itself, by the call that works on any process.
fn copy_memory(number: libc::c_long) -> Outcome {
    let (mut here, mut there) = ([0_u8; 8], [1_u8; 8]);
    let here = libc::iovec { iov_base: here.as_mut_ptr().cast(), iov_len: 8 };
    let there = libc::iovec { iov_base: there.as_mut_ptr().cast(), iov_len: 8 };
    // SAFETY: both ranges are arrays on this stack of the length given.
    call("copied", unsafe {
        libc::syscall(number, std::process::id(), &raw const here, 1, &raw const there, 1, 0)
    })
}
