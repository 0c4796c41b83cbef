//! Probes of the kernel's own doors: mounts, keyrings, programs in the kernel, clocks, modules.

use std::ffi::CStr;
use std::ptr::null;

use crate::probe::Control::{Outside, OutsideAsRoot, OutsideWhereBuilt};
use crate::probe::{Outcome, Probe, call, reached};

const SECCOMP: &str = "seccomp";
/// What no call can read: a call that got this far looks for its arguments and fails.
const NOWHERE: usize = 8;

pub(crate) const PROBES: fn() -> Vec<Probe> = || {
    let probe = |name, control, attempt| Probe { name, layer: SECCOMP, control, attempt };
    // Calls whose arguments cannot work, so that they are harmless where they are let through.
    let root = |name, attempt| probe(name, OutsideAsRoot, attempt);
    let built = |name, attempt| probe(name, OutsideWhereBuilt, attempt);
    vec![
        root("mount_a_file_system", |_| mount(c"tmpfs", 0)),
        root("mount_an_overlay", |_| mount(c"overlay", 0)),
        root("mount_by_fuse", |_| mount(c"fuse", 0)),
        root("make_the_system_writable", |_| mount(c"", libc::MS_REMOUNT | libc::MS_BIND)),
        root("bind_another_folder", |_| mount(c"", libc::MS_BIND)),
        root("unmount_proc", |_| {
            // SAFETY: the path is a constant; nothing is mounted there.
            reached("umount", unsafe { libc::umount2(c"/nowhere".as_ptr(), 0) }.into())
        }),
        root("turn_the_root", |_| bad("pivot_root", libc::SYS_pivot_root, [NOWHERE, NOWHERE, 0, 0, 0])),
        root("change_the_root", |_| {
            // SAFETY: the path is a constant; it is the root already.
            call("changed", unsafe { libc::chroot(c"/".as_ptr()) }.into())
        }),
        root("open_a_file_system", |_| {
            // SAFETY: the name is a constant.
            call("open", unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0) })
        }),
        root("clone_a_mount", |_| {
            // SAFETY: the path is a constant.
            call("cloned", unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), 1) })
        }),
        root("move_a_mount", |_| {
            bad("move_mount", libc::SYS_move_mount, [usize::MAX, NOWHERE, usize::MAX, NOWHERE, 0])
        }),
        root("change_a_mount", |_| {
            bad("mount_setattr", libc::SYS_mount_setattr, [usize::MAX, NOWHERE, 0, NOWHERE, 32])
        }),
        built("watch_all_files", |_| bad("fanotify_init", libc::SYS_fanotify_init, [0, 0, 0, 0, 0])),
        probe("add_a_key", Outside, |_| {
            const PROCESS_KEYRING: i32 = -2;
            // SAFETY: names are constants and the payload has the length given.
            call("added", unsafe {
                libc::syscall(
                    libc::SYS_add_key,
                    c"user".as_ptr(),
                    c"nearframe".as_ptr(),
                    c"x".as_ptr(),
                    1,
                    PROCESS_KEYRING,
                )
            })
        }),
        probe("read_the_session_keyring", Outside, |_| {
            bad("keyctl", libc::SYS_keyctl, [0, usize::MAX - 2, 1, 0, 0])
        }),
        probe("request_a_key", Outside, |_| {
            bad("request_key", libc::SYS_request_key, [NOWHERE, NOWHERE, 0, 0, 0])
        }),
        built("load_a_program_into_the_kernel", |_| bad("bpf", libc::SYS_bpf, [5, NOWHERE, 48, 0, 0])),
        built("count_what_others_do", |_| {
            bad("perf_event_open", libc::SYS_perf_event_open, [NOWHERE, 0, 0, 0, 0])
        }),
        built("handle_page_faults", |_| bad("userfaultfd", libc::SYS_userfaultfd, [0; 5])),
        built("queue_calls_past_the_filter", |_| {
            bad("io_uring_setup", libc::SYS_io_uring_setup, [1, NOWHERE, 0, 0, 0])
        }),
        root("read_the_kernels_log", |_| bad("syslog", libc::SYS_syslog, [10, 0, 0, 0, 0])),
        built("load_a_module", |_| bad("init_module", libc::SYS_init_module, [NOWHERE, 8, NOWHERE, 0, 0])),
        built("load_a_module_from_a_file", |_| {
            bad("finit_module", libc::SYS_finit_module, [usize::MAX, NOWHERE, 0, 0, 0])
        }),
        built("unload_a_module", |_| bad("delete_module", libc::SYS_delete_module, [NOWHERE, 0, 0, 0, 0])),
        // Without its two magic numbers it does nothing.
        root("restart_the_machine", |_| bad("reboot", libc::SYS_reboot, [0; 5])),
        built("swap_on_a_file", |_| bad("swapon", libc::SYS_swapon, [NOWHERE, 0, 0, 0, 0])),
        built("account_processes", |_| bad("acct", libc::SYS_acct, [NOWHERE, 0, 0, 0, 0])),
        root("name_the_host", |_| bad("sethostname", libc::SYS_sethostname, [NOWHERE, 4, 0, 0, 0])),
        root("name_the_domain", |_| bad("setdomainname", libc::SYS_setdomainname, [NOWHERE, 4, 0, 0, 0])),
        root("set_the_clock", |_| bad("clock_settime", libc::SYS_clock_settime, [0, NOWHERE, 0, 0, 0])),
        root("set_the_day", |_| bad("settimeofday", libc::SYS_settimeofday, [NOWHERE, 0, 0, 0, 0])),
        root("bend_the_clock", |_| bad("clock_adjtime", libc::SYS_clock_adjtime, [0, NOWHERE, 0, 0, 0])),
        probe("drop_address_randomisation", Outside, |_| {
            const NO_RANDOM: u64 = 0x004_0000;
            // SAFETY: numbers only; this process alone changes.
            call("dropped", unsafe { libc::personality(NO_RANDOM) }.into())
        }),
        root("type_into_a_terminal", |_| terminal(0x5412)),
        root("type_into_a_terminal_with_high_bits", |_| terminal(0x1_0000_5412)),
        #[cfg(target_arch = "x86_64")]
        probe("call_by_the_32_bit_door", OutsideWhereBuilt, |_| by_interrupt()),
        #[cfg(target_arch = "x86_64")]
        built("reach_hardware_ports", |_| bad("iopl", libc::SYS_iopl, [3, 0, 0, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        probe("use_segments", Outside, |_| bad("modify_ldt", libc::SYS_modify_ldt, [0, NOWHERE, 0, 0, 0])),
    ]
};

/// Tries a call with arguments that cannot work.
fn bad(name: &str, number: libc::c_long, arguments: [usize; 5]) -> Outcome {
    let [a, b, c, d, e] = arguments;
    // SAFETY: no argument points to memory of this process, so the call can neither read nor write any.
    reached(name, unsafe { libc::syscall(number, a, b, c, d, e) })
}

fn mount(kind: &CStr, flags: libc::c_ulong) -> Outcome {
    // SAFETY: the names are constants. The folder does not exist, so that nothing is mounted anywhere.
    let mounted =
        unsafe { libc::mount(c"none".as_ptr(), c"/nowhere".as_ptr(), kind.as_ptr(), flags, null()) };
    reached("mount", mounted.into())
}

/// `getpid` as 32-bit programs call it, whose numbers the filters do not know.
#[cfg(target_arch = "x86_64")]
fn by_interrupt() -> Outcome {
    // SAFETY: this process has one thread; the child makes one call that changes nothing, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut number = 20_i64;
        // SAFETY: the call takes no arguments and changes no register but the one named.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") number, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        };
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(i32::from(number <= 0)) };
    }
    let mut status = 0;
    // SAFETY: the status lives on this stack.
    call("waited", unsafe { libc::waitpid(child, &raw mut status, 0) }.into())?;
    match status {
        0 => Ok("answered".into()),
        status if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS => Err("killed".into()),
        // Kernels without 32-bit programs end it otherwise.
        _ => Err(std::io::Error::from_raw_os_error(libc::ENOSYS).to_string()),
    }
}

/// Pretends a key to a terminal of its own.
fn terminal(request: u64) -> Outcome {
    // SAFETY: the path is a constant.
    let terminal = unsafe { libc::open(c"/dev/ptmx".as_ptr(), libc::O_RDWR | libc::O_NOCTTY) };
    call("a terminal", terminal.into())?;
    // SAFETY: the request reads one byte, which is a constant.
    let typed = unsafe { libc::ioctl(terminal, request as _, c"x".as_ptr()) };
    reached("TIOCSTI", typed.into())
}
