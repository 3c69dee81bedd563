# SPDX-License-Identifier: BSD-3-Clause
"""What the guest wrote is what it reads, and what is on the volume."""
import checks
import custody
from checks import disk_of
from guest import SCRATCH_ID


def test_fio_verifies_random_sizes_and_depths_on_all_queues(guest):
    checks.verify(guest)
    checks.quiet_driver(guest)


def test_file_system_survives_a_stress_load(guest):
    disk = disk_of(guest, SCRATCH_ID)
    guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt")
    guest.run("""cd /mnt && stress-ng --quiet --temp-path /mnt --timeout 30s --verify \\
        --hdd 2 --hdd-bytes 32m --hdd-opts wr-rnd,rd-rnd,fsync \\
        --dir 1 --rename 1 --link 1 --dentry 1 --dentries 64 --sync-file 1 \\
        --sync-file-bytes 8m --fallocate 1 --fallocate-bytes 8m""", 180)
    guest.run(f"umount /mnt && e2fsck -fn {disk}", 120)
    checks.quiet_driver(guest)


def test_synced_file_survives_kill_of_qemu(machine, guest):
    checksum = checks.write_and_sync(guest, "/root/kept")
    guest = machine.boot()
    checks.has_checksum(guest, "/root/kept", checksum)
    _, complaints = guest.try_run("dmesg --level=err,warn | grep EXT4-fs")
    assert not complaints


def test_acknowledged_writes_survive_kill_of_the_card(machine, guest, card):
    size = 4 << 20
    disk = disk_of(guest, SCRATCH_ID)
    checksum = guest.run(
        f"head -c {size} /dev/urandom > /run/data && "
        f"dd if=/run/data of={disk} bs=64k oflag=direct status=none && "
        "sha256sum < /run/data").split()[0]
    card.kill()
    machine.end_guest()
    assert checks.file_checksum(machine.scratch, size) == checksum


def test_encrypted_volumes_keep_data_and_secrets(guest, tmp_path):
    with custody.make_vault(tmp_path) as vault:
        custody.keeps_secrets(guest, vault, is_long=True)
