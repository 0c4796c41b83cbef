//! What kind of file a program is, read from its first bytes, so that one which cannot run here is refused with a
//! reason instead of dying of its first call.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// `EI_CLASS` of 32-bit programs.
const CLASS_32: u8 = 1;
/// `e_machine` of this machine's programs (ELF specification; `linux/elf-em.h`).
#[cfg(target_arch = "x86_64")]
const OWN_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const OWN_MACHINE: u16 = 183;

/// Why the program at `path` cannot run in a sandbox of this machine, or nothing. It completes a sentence that
/// begins with the program.
///
/// # Errors
/// When it cannot be read.
pub fn unrunnable(path: &Path) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut head)?;
    Ok(why(&head))
}

fn why(head: &[u8]) -> Option<String> {
    let Some(header) = head.strip_prefix(b"\x7fELF") else {
        return match head {
            [b'#', b'!', ..] => None,
            [b'M', b'Z', ..] => Some("is a program for Windows: only programs for Linux run here".to_owned()),
            _ => Some("is neither a program for Linux nor a script that begins with #!".to_owned()),
        };
    };
    let class = header.first().copied().unwrap_or_default();
    let machine = head.get(18..20).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]));
    if class == CLASS_32 {
        let own = std::env::consts::ARCH;
        return Some(format!(
            "is a 32-bit program, which sandboxes do not run: take the title's 64-bit build for {own}"
        ));
    }
    (machine != OWN_MACHINE).then(|| {
        let own = std::env::consts::ARCH;
        format!("is built for another processor (ELF machine {machine}): take the build for {own}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(class: u8, machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF".to_vec();
        head.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
        head.extend(machine.to_le_bytes());
        head
    }

    #[test]
    fn programs_of_this_machine_and_scripts_run() {
        assert_eq!(unrunnable(&std::env::current_exe().unwrap()).unwrap(), None);
        assert_eq!(why(&elf(2, OWN_MACHINE)), None);
        assert_eq!(why(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn what_cannot_run_says_why() {
        for (head, says) in [
            (elf(1, 3), "32-bit"),
            (elf(2, 243), "another processor"),
            (b"MZ\x90\0".to_vec(), "Windows"),
            (b"plain text".to_vec(), "#!"),
            (Vec::new(), "#!"),
        ] {
            let why = why(&head).unwrap();
            assert!(why.contains(says), "{why}");
        }
    }
}
