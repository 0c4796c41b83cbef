//! Compiles `shim/` into the shared object that titles preload; the crate embeds it.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=shim");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("pads.so");
    let compiler = cc::Build::new().opt_level(2).debug(false).get_compiler();
    let mut command: Command = compiler.to_command();
    command.args(["-std=c11", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"]);
    // Callers may pass what the headers call non-null; the checks for it have to stay.
    command.args(["-fno-delete-null-pointer-checks", "-Wno-nonnull-compare"]);
    command.args(["-U_FORTIFY_SOURCE", "-fstack-protector-strong", "-Wl,-z,relro,-z,now,-z,nodelete"]);
    command.args(["shim/pads.c", "shim/stat.c", "shim/ioctl.c", "-o"]).arg(&out).arg("-ldl");
    let status = command.status().expect("a C compiler runs; install gcc or clang");
    assert!(status.success(), "shim/ does not compile; the compiler says why above");
}
