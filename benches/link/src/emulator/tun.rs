//! TUN devices: packets of the kernel as reads and writes of a file.

use super::error::EmulatorError;
use rustix::ioctl::{Updater, ioctl};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;

/// `_IOW('T', 202, int)` of linux/if_tun.h, though what it points to is a `struct ifreq`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// Layer 3, without a header of the driver's own.
const FLAGS: libc::c_short = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
const NAME: &str = "link0";
/// Ethernet's, so that programs split their data as on real paths.
const MTU: u32 = 1500;
/// Packets that the device holds while the relay is not there: 0.5 s at 100 Mbit/s. Nothing waits here otherwise.
const DEVICE_QUEUE: u32 = 5000;

/// The head of `struct ifreq` as TUNSETIFF reads and writes it, padded to the whole's size.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// In the namespace of the calling thread.
pub(super) fn open() -> Result<File, EmulatorError> {
    let open = || {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], flags: FLAGS, rest: [0; 22] };
        request.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
        // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, whose size and beginning `InterfaceRequest` has, and
        // keeps no pointer to it.
        unsafe { ioctl(&file, Updater::<TUNSETIFF, _>::new(&mut request))? };
        Ok::<_, io::Error>(file)
    };
    open().map_err(EmulatorError::Tun)
}

/// What `ip` is told of a new device: everything that is not here lies behind it.
pub(super) fn setup(address: Ipv4Addr) -> String {
    format!(
        "link set {NAME} addrgenmode none\nlink set {NAME} mtu {MTU} txqueuelen {DEVICE_QUEUE} up\n\
         addr add {address}/32 dev {NAME}\nroute add default dev {NAME}\n"
    )
}

/// What `ip` is told when the address changes.
pub(super) fn readdress(old: Ipv4Addr, new: Ipv4Addr) -> String {
    format!("addr del {old}/32 dev {NAME}\naddr add {new}/32 dev {NAME}\nroute replace default dev {NAME}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_large_as_the_kernels() {
        assert_eq!(size_of::<InterfaceRequest>(), size_of::<libc::ifreq>());
    }
}
