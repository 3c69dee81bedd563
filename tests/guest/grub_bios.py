# SPDX-License-Identifier: BSD-3-Clause
"""Put GRUB for BIOS on a disk image, as grub-bios-setup does to a mounted disk.

usage: grub_bios.py IMAGE BOOT_IMG CORE_IMG START_MIB

boot.img goes into the master boot record and is told where core.img lies;
core.img goes into the BIOS boot partition, and its first sector is told where
the rest of it lies.
"""
import pathlib
import struct
import sys

SECTOR = 512
BOOT_CODE_END = 440         # what follows in the MBR is the partition table's
KERNEL_SECTOR = 0x5C        # in boot.img: u64, first sector of core.img
DRIVE_CHECK = 0x66          # in boot.img: a jump that second-guesses DL
NOP_NOP = b"\x90\x90"
BLOCK_LIST = 0x1F4          # in core.img: u64 start, u16 sectors, u16 segment
SEGMENT = 0x820             # where the BIOS part of GRUB loads itself


def main(image, boot_img, core_img, start_mib):
    core = bytearray(pathlib.Path(core_img).read_bytes())
    boot = bytearray(pathlib.Path(boot_img).read_bytes())
    first = int(start_mib) * (1 << 20) // SECTOR
    sectors = -(-len(core) // SECTOR)

    struct.pack_into("<Q", boot, KERNEL_SECTOR, first)
    boot[DRIVE_CHECK:DRIVE_CHECK + 2] = NOP_NOP
    struct.pack_into("<QHH", core, BLOCK_LIST, first + 1, sectors - 1, SEGMENT)
    with open(image, "r+b") as disk:
        disk.write(boot[:BOOT_CODE_END])
        disk.seek(first * SECTOR)
        disk.write(core)


main(*sys.argv[1:])
