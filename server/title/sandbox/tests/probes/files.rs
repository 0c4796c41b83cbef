//! Probes that reach for files: the host's, other sessions', the title's own, and devices.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::probe::Control::{Inside, Outside, OutsideAsRoot, OutsideWhereBuilt};
use crate::probe::{Facts, Outcome, Probe, call, done};

const MOUNTS: &str = "mount namespace";
const READ_ONLY: &str = "read-only mounts";

pub(crate) const PROBES: fn() -> Vec<Probe> = || {
    let probe = |name, layer, control, attempt| Probe { name, layer, control, attempt };
    vec![
        probe("read_a_file_of_the_host", MOUNTS, Outside, |aim| read(&aim.path("SECRET"))),
        probe("read_the_hosts_passwords", MOUNTS, OutsideAsRoot, |_| read(Path::new("/etc/shadow"))),
        probe("read_another_players_save", MOUNTS, Outside, |aim| read(&aim.path("OTHER_SAVE"))),
        probe("list_a_folder_of_the_host", MOUNTS, Outside, |aim| list(aim.path("SECRET").parent().unwrap())),
        probe("list_roots_home", MOUNTS, OutsideAsRoot, |_| list(Path::new("/root"))),
        probe("climb_out_by_the_working_folder", MOUNTS, Outside, |aim| {
            read(Path::new(&format!("{}{}", "../".repeat(32), aim.text("SECRET"))))
        }),
        probe("climb_out_by_proc_self_root", MOUNTS, Outside, |aim| {
            read(Path::new(&format!("/proc/self/root/..{}", aim.text("SECRET"))))
        }),
        probe("climb_out_by_the_first_process", MOUNTS, OutsideAsRoot, |aim| {
            read(Path::new(&format!("/proc/{}/root{}", aim.text("FIRST"), aim.text("SECRET"))))
        }),
        probe("follow_a_symlink_in_the_home", MOUNTS, Outside, |aim| {
            let link = fresh(aim, "symlink");
            symlink(aim.path("SECRET"), &link).unwrap();
            read(&link)
        }),
        probe("follow_a_symlink_left_in_the_save", MOUNTS, Outside, |aim| {
            read(&aim.path("HOME").join("left"))
        }),
        probe("hard_link_a_file_of_the_host", MOUNTS, Outside, |aim| {
            done("linked", fs::hard_link(aim.path("SECRET"), fresh(aim, "hard")))
        }),
        probe("open_a_file_by_its_handle", "seccomp", OutsideAsRoot, |_| by_handle()),
        probe("write_into_the_titles_folder", READ_ONLY, Outside, |aim| {
            write(&aim.path("TITLE").join("new"))
        }),
        probe("change_the_titles_own_file", READ_ONLY, Outside, |aim| {
            append(&aim.path("TITLE").join("data"))
        }),
        probe("write_into_the_system", READ_ONLY, Inside(in_home), |_| write(Path::new("/usr/lib/new"))),
        probe("preload_into_every_program", READ_ONLY, Inside(in_home), |_| {
            write(Path::new("/etc/ld.so.preload"))
        }),
        probe("replace_the_password_file", READ_ONLY, Inside(in_home), |_| append(Path::new("/etc/passwd"))),
        probe("replace_the_sandboxes_own_program", READ_ONLY, Inside(in_home), |_| {
            append(Path::new("/run/nearframe/init"))
        }),
        probe("fill_the_root_folder", READ_ONLY, Inside(in_home), |_| write(Path::new("/new"))),
        probe("fill_the_device_folder", READ_ONLY, Inside(in_home), |_| write(Path::new("/dev/new"))),
        probe("fill_the_run_folder", READ_ONLY, Inside(in_home), |_| write(Path::new("/run/new"))),
        probe("set_where_cores_are_piped", READ_ONLY, OutsideAsRoot, |_| {
            open_to_write("/proc/sys/kernel/core_pattern")
        }),
        probe("press_sysrq", READ_ONLY, OutsideWhereBuilt, |_| open_to_write("/proc/sysrq-trigger")),
        probe("read_the_kernels_memory", MOUNTS, OutsideWhereBuilt, |_| read_some("/proc/kcore")),
        probe("become_immune_to_memory_shortage", "Landlock", Inside(in_home), |_| {
            done("immune", fs::write("/proc/self/oom_score_adj", "-1000"))
        }),
        probe("open_devices_of_the_host", "own /dev", OutsideAsRoot, |_| {
            [
                "mem",
                "kmsg",
                "fuse",
                "kvm",
                "uinput",
                "vda",
                "sda",
                "nvme0n1",
                "loop-control",
                "console",
                "tty0",
            ]
            .iter()
            .map(|name| done(name, File::open(format!("/dev/{name}"))))
            .find(Result::is_ok)
            .unwrap_or(Err("none of them is there".into()))
        }),
        probe("open_another_sessions_pad", "own /dev", Inside(own_pad), |_| {
            let pads = fs::read_dir("/dev/input").map_err(|error| error.to_string())?;
            let other = pads.flatten().find(|pad| pad.file_name() != "event7");
            other.map(|pad| format!("{:?}", pad.path())).ok_or("only its own is there".into())
        }),
        probe("look_into_sys", MOUNTS, Outside, |_| list(Path::new("/sys/kernel"))),
        probe("reach_control_groups", MOUNTS, Outside, |_| list(Path::new("/sys/fs/cgroup"))),
        probe("make_a_character_device", "no capabilities", OutsideAsRoot, |aim| {
            device(aim, libc::S_IFCHR, 1, 1)
        }),
        probe("make_a_block_device", "no capabilities", OutsideAsRoot, |aim| {
            device(aim, libc::S_IFBLK, 254, 0)
        }),
        probe("gain_root_by_a_setuid_program", "nosuid, no new privileges", OutsideAsRoot, setuid),
        probe("give_a_file_to_root", "no capabilities", OutsideAsRoot, |aim| {
            let file = fresh(aim, "given");
            fs::write(&file, "").unwrap();
            done("given", std::os::unix::fs::chown(&file, Some(1), Some(1)))
        }),
        probe("set_a_trusted_attribute", "no capabilities", OutsideAsRoot, |aim| {
            attribute(aim, "trusted.nearframe", b"1")
        }),
        probe("give_a_program_capabilities", "no capabilities", OutsideAsRoot, |aim| {
            // Version 2, effective, cap_sys_admin.
            let all = [1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            attribute(aim, "security.capability", &all)
        }),
        probe("use_a_file_that_the_agent_left_open", "files closed", Outside, |aim| {
            let mut file = File::open(format!("/proc/self/fd/{}", aim.text("OPEN")))
                .map_err(|error| error.to_string())?;
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(|error| error.to_string())?;
            if text.contains("secret") { Ok(text) } else { Err("another file".into()) }
        }),
        probe("read_the_agents_environment", "environment cleared", Outside, |_| {
            std::env::var("NEARFRAME_AGENT_TOKEN").map_err(|error| error.to_string())
        }),
        probe("open_shared_memory_of_the_host", "own /dev/shm", Outside, |aim| read(&aim.path("SHM"))),
    ]
};

fn read(path: &Path) -> Outcome {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.is_empty() { Err("it is empty".into()) } else { Ok(format!("{} bytes", text.len())) }
}

fn read_some(path: &str) -> Outcome {
    done("read", File::open(path).and_then(|mut file| file.read_exact(&mut [0; 16])))
}

fn list(path: &Path) -> Outcome {
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    Ok(format!("{} entries", entries.count()))
}

fn write(path: &Path) -> Outcome {
    done("written", fs::write(path, "x").and_then(|()| fs::remove_file(path)))
}

fn append(path: &Path) -> Outcome {
    done("open to append", OpenOptions::new().append(true).open(path))
}

fn open_to_write(path: &str) -> Outcome {
    done("open to write", OpenOptions::new().write(true).open(path))
}

fn in_home(aim: &Facts) -> Outcome {
    write(&fresh(aim, "written")).and_then(|_| {
        fs::write(fresh(aim, "appended"), "").unwrap();
        append(&aim.path("HOME").join("appended"))
    })
}

fn own_pad(_: &Facts) -> Outcome {
    done("its own pad", File::open("/dev/input/event7"))
}

/// A path in the home where nothing is.
fn fresh(aim: &Facts, name: &str) -> std::path::PathBuf {
    let path = aim.path("HOME").join(name);
    // Nothing there is what is wanted.
    let _ = fs::remove_file(&path);
    path
}

fn device(aim: &Facts, kind: libc::mode_t, major: u32, minor: u32) -> Outcome {
    let path = std::ffi::CString::new(fresh(aim, "device").as_os_str().as_bytes()).unwrap();
    // SAFETY: `path` is a string with an end that outlives the call.
    let made = unsafe { libc::mknod(path.as_ptr(), kind | 0o600, libc::makedev(major, minor)) };
    let outcome = call("made", made.into());
    fresh(aim, "device");
    outcome
}

fn attribute(aim: &Facts, name: &str, value: &[u8]) -> Outcome {
    let file = fresh(aim, "attributes");
    fs::write(&file, "").unwrap();
    let set = rustix::fs::setxattr(&file, name, value, rustix::fs::XattrFlags::empty());
    done("set", set.map_err(Into::into))
}

/// Runs a copy of `id` that belongs to root and is setuid, as anybody but root.
fn setuid(aim: &Facts) -> Outcome {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(aim.path("TITLE").join("suid"));
    command.arg("-u");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let user = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if user == "0" { Ok("root".into()) } else { Err(format!("user {user}")) }
}

fn by_handle() -> Outcome {
    let mut handle = [0_u8; 136];
    handle[0] = 128;
    let mut mount = 0_i32;
    // SAFETY: the buffer has room for the header and the 128 bytes that its first word announces.
    let found = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            c"/usr".as_ptr(),
            handle.as_mut_ptr(),
            &raw mut mount,
            0,
        )
    };
    call("a handle", found)?;
    // SAFETY: the buffer was filled by the call above.
    let opened =
        unsafe { libc::syscall(libc::SYS_open_by_handle_at, root_fd(), handle.as_ptr(), libc::O_RDONLY) };
    call("opened", opened)
}

fn root_fd() -> i32 {
    use std::os::fd::IntoRawFd;
    File::open("/").unwrap().into_raw_fd()
}
