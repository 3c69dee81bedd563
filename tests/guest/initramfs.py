# SPDX-License-Identifier: BSD-3-Clause
"""Guests of a kernel and an initramfs (vfio.sh): up within seconds.

    files = programs("/usr/bin/iperf3")
    with SmallGuest(files, ["-nic", "none"]) as guest:
        print(guest.run("iperf3 --version"))
"""
import os
import re
import stat
import subprocess

from guest import CACHE, QEMU, Failure, Guest

KERNEL = CACHE / "vfio/bzImage"
BUSYBOX = CACHE / "vfio/busybox"
SHELL_SECONDS = 120
# The last words are no echo: the shell talks only when it is asked to.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ PS1= PS2= TERM=dumb
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
stty -echo
ip link set lo up
echo @ready
exec sh </dev/ttyS0 >/dev/ttyS0 2>&1
"""


def entry(name, mode, data=b"", device=(0, 0)):
    """A file in a "newc" archive of cpio."""
    path = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    head += bytes(-len(head) % 4)
    return head + data + bytes(-len(data) % 4)


def libraries(program):
    """The shared libraries of a program, its loader included."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True,
                            check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def programs(*paths):
    """The programs and what they need: where each lies in the guest."""
    files = {f"bin/{os.path.basename(path)}": path for path in paths}
    for path in paths:
        files |= {lib.lstrip("/"): lib for lib in libraries(path)}
    return files


def make_initramfs(path, files, init=INIT, contents=None):
    """An archive of busybox, those files of ours, and files with contents."""
    if not KERNEL.exists():
        raise Failure("there is no small kernel: run tests/guest/vfio.sh")
    files = {"bin/busybox": BUSYBOX, **files}
    contents = {"init": init.encode(), **(contents or {})}
    folders = {"etc", "dev", "proc", "sys", "tmp", "run"}
    for name in (*files, *contents):
        while name := os.path.dirname(name):
            folders.add(name)
    archive = b"".join(entry(f, stat.S_IFDIR | 0o755) for f in sorted(folders))
    archive += entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    for name, source in files.items():
        with open(source, "rb") as file:
            archive += entry(name, stat.S_IFREG | 0o755, file.read())
    for name, data in contents.items():
        archive += entry(name, stat.S_IFREG | 0o755, data)
    path.write_bytes(archive + entry("TRAILER!!!", 0))
    return path


class SmallGuest(Guest):
    """A QEMU without nitroctl: an initramfs, and the devices one asks for."""

    def __init__(self, initramfs, devices=(), memory=512, cpus=1,
                 command_line=""):
        super().__init__(None, qemu_options=devices)
        self.initramfs, self.memory, self.cpus = initramfs, memory, cpus
        self.command_line = command_line

    def start(self):
        console, qmp = self.folder / "console", self.folder / "qmp"
        self.start_program([
            QEMU, "-M", "q35,accel=tcg,memory-backend=memory,hpet=off",
            "-cpu", "max", "-smp", str(self.cpus), "-m", str(self.memory),
            "-object", f"memory-backend-memfd,id=memory,size={self.memory}M,share=on",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", f"socket,id=console,server=on,wait=off,path={console}",
            "-serial", "chardev:console",
            "-qmp", f"unix:{qmp},server=on,wait=off",
            "-kernel", KERNEL, "-initrd", self.initramfs, "-append",
            f"console=ttyS0 quiet panic=-1 {self.command_line}",
            *self.qemu_options], console, qmp)

    def wait_for_shell(self, timeout=SHELL_SECONDS):
        self.wait_for(rb"@ready\r?\n", timeout)
        self.run("true")
