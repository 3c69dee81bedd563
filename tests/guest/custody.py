# SPDX-License-Identifier: BSD-3-Clause
"""Whether keys and plaintext stay where they belong.

A second card, with an encrypted EBS volume and an instance-store disk, is plugged
into a running guest.  The guest plants a mark on both, which then must be nowhere
but in the guest; then the guest ends, and the card must have forgotten.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess

import nic
from guest import REPO, Card, Failure, ebs, wait_until

VAULT_ID = "vol-0aaaaaaaaaaaaaaa1"
STORE_ID = "vol-0aaaaaaaaaaaaaaa2"
SIZE = 64 << 20
PLANTED = 4 << 20
FIND_KEYS = REPO / "tests/cli/find-keys.py"

# Where a guest takes volumes in; the places are not EC2's, which are elsewhere.
PORTS = {"vault0": "hot0", "store0": "hot1"}
HOT_PORTS = [word for number, port in enumerate(PORTS.values())
             for word in ("-device", f"pcie-root-port,id={port},chassis={number + 1},"
                                     f"addr=0x{0x10 + number:x}")]

# What changes a card, and so is no question to it.
ORDERS = {"card.stop", "fault.set", "fault.clear", "function.do", "function.reset",
          "trace.enable", "trace.disable"}

# The mark comes in hexadecimal, so that the console's own buffers do not have it.
PLANT = r"""
import mmap, os, sys
disk, mark, size = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
buffer = mmap.mmap(-1, size)
buffer.write(mark * (size // len(mark)))
fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
assert os.pwrite(fd, buffer, 1 << 20) == size
os.fsync(fd)
back = mmap.mmap(-1, size)
assert os.preadv(fd, [back], 1 << 20) == size
print("same" if back[:] == mark * (size // len(mark)) else "other")
"""


def expect(claim, why):
    if not claim:
        raise Failure(why)


def make_vault(folder):
    """The card; its files are in the folder."""
    files = [pathlib.Path(folder) / name for name in ("vault.img", "store.img")]
    for file in files:
        with open(file, "wb") as new:
            new.truncate(SIZE)
    card = Card([ebs("vault0", {"file": str(files[0]), "encrypted": True}, VAULT_ID,
                     "/dev/sdg"),
                 ebs("store0", files[1], STORE_ID, "", "is-3")])
    card.files = files
    return card


def disk_of(guest, serial):
    return guest.run(f"lsblk -dnro NAME,SERIAL | grep {serial} | cut -d' ' -f1 | "
                     "sed s,^,/dev/, | grep .").strip()


def plug(guest, card):
    """Both volumes; the names of their disks in the guest."""
    for name, port in PORTS.items():
        guest.monitor.execute(
            "device_add", driver="vfio-user-pci", id=name, bus=port,
            socket={"type": "unix", "path": str(card.folder / f"{name}.sock")})
    serials = [VAULT_ID.replace("-", ""), STORE_ID.replace("vol-", "AWS")]
    for serial in serials:
        wait_until(lambda: guest.try_run(f"lsblk -dno SERIAL | grep {serial}")[0] == 0,
                   30, f"the guest finds {serial}", 0.5)
    return [disk_of(guest, serial) for serial in serials]


def detach(guest, card):
    """The guest ends without a say.  (QEMU 11.1.2 breaks off with a failed
    assertion when a vfio-user-pci is unplugged, so there is no other way.)"""
    done = card.log.read_text().count("key was erased") + len(PORTS)
    guest.kill()
    wait_until(lambda: card.log.read_text().count("key was erased") == done, 60,
               f"the keys are erased (see {card.log})", 0.5)


def plant(guest, disk, mark):
    nic.put_file(guest, "/run/plant.py", PLANT.encode())
    text = guest.run(f"python3 /run/plant.py {disk} {mark.hex()} {PLANTED}", 120)
    expect(text.strip() == "same", f"{disk} gives back what was not written: {text}")


def verify(guest, disk):
    """fio writes pieces of all sizes at all places and reads them back."""
    text = guest.run(f"fio --output-format=json --name=custody --filename={disk} "
                     "--rw=randwrite --bsrange=512-128k --direct=1 --ioengine=libaio "
                     "--iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 "
                     f"--size={SIZE}", 300)
    job = json.loads(text[text.index("{"):])["jobs"][0]
    expect(not job["error"] and job["read"]["io_bytes"] > SIZE * 0.9,
           f"fio on {disk}: {text}")


class Caller:
    """Every question that the card's control socket answers."""

    def __init__(self, card):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(card.folder / "control.sock"))
        self.socket.settimeout(30)
        self.file = self.socket.makefile("rwb")
        self.answers = b""

    def call(self, method, **params):
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                    "params": params}).encode() + b"\n")
        self.file.flush()
        answer = {}
        while "id" not in answer:   # else the card says something by itself
            line = self.file.readline()
            self.answers += line
            answer = json.loads(line)
        return answer

    def ask_all(self):
        """How many were asked."""
        count = 0
        functions = [f["name"] for f in
                     self.call("function.list")["result"]["functions"]]
        for method in self.call("rpc.describe")["result"]["methods"]:
            needed = method["params"].get("required", [])
            if method["name"] in ORDERS or set(needed) - {"function"}:
                continue
            for name in functions if needed else [None]:
                self.call(method["name"], **({"function": name} if name else {}))
                count += 1
        return count

    def close(self):
        self.file.close()
        self.socket.close()


def core_of(pid, folder, name):
    done = subprocess.run(["gcore", "-o", folder / name, str(pid)],
                          capture_output=True, text=True, timeout=120)
    core = pathlib.Path(f"{folder / name}.{pid}")
    expect(done.returncode == 0 and core.exists(), f"gcore of {name}: {done.stderr}")
    return core


def has_no_mark(mark, files):
    for file in files:
        expect(mark not in pathlib.Path(file).read_bytes(),
               f"the guest's plaintext is in {file}")


def has_no_key(card, files):
    done = subprocess.run(["/usr/bin/python3", FIND_KEYS, card.folder / "state", *files],
                          capture_output=True, text=True, timeout=300)
    expect(done.returncode == 0, f"a key is where none may be:\n{done.stdout}"
                                 f"{done.stderr}")


def has_wrapped_key(card, file):
    """The control: what would have been found."""
    done = subprocess.run(["/usr/bin/python3", FIND_KEYS, "--control",
                           card.folder / "state", file],
                          capture_output=True, text=True, timeout=300)
    expect(done.returncode == 1, f"not even what is wrapped is found in {file}")


def is_noise(file):
    """What was planted is there, and nothing repeats."""
    with open(file, "rb") as data:
        data.seek(1 << 20)
        planted = data.read(PLANTED)
    blocks = {planted[at:at + 16] for at in range(0, PLANTED, 16)}
    expect(len(blocks) > PLANTED // 16 * 0.999, f"{file} has no ciphertext")


def others(guest):
    """Processes that have to do with the guest, and are not the card."""
    found = {"qemu": guest.qemu_pid, "nitroctl": guest.process.pid}
    if isinstance(guest.source, Card):
        found["other-card"] = guest.source.process.pid
    return found


def keep_log(guest, folder):
    """What nitroctl and QEMU said; it goes with the guest."""
    return shutil.copy(guest.log, folder / "guest.log")


def keeps_secrets(guest, card, is_long=False):
    """All of it, on a vault that is plugged in by this.  The guest has ended
    afterwards.  Returns a figure."""
    folder = card.folder / "cores"
    folder.mkdir()
    mark = os.urandom(32)
    caller = Caller(card)
    caller.call("trace.enable", pattern="*")
    disks = plug(guest, card)
    for disk in disks:
        if is_long:
            verify(guest, disk)
        plant(guest, disk, mark)
    expect(caller.call("trace.read")["result"]["records"], "nothing was traced")
    asked = caller.ask_all()
    answers = folder / "answers"
    answers.write_bytes(caller.answers)
    caller.close()
    for file in card.files:
        is_noise(file)
    texts = [answers, card.log, card.folder / "card.yaml",
             card.folder / "state/security-chip/audit.log"]
    attached = core_of(card.process.pid, folder, "attached")
    cores = [core_of(pid, folder, name) for name, pid in others(guest).items()]
    texts.append(keep_log(guest, folder))
    detach(guest, card)
    after = core_of(card.process.pid, folder, "after")
    has_wrapped_key(card, attached)
    has_wrapped_key(card, after)
    has_no_mark(mark, [*card.files, *texts, *cores, attached, after])
    has_no_key(card, [*card.files, *texts, *cores, attached, after])
    shutil.rmtree(folder)
    return (f"nothing of the keys or the guest's data in {len(cores) + 2} cores, "
            f"{asked} answers, the logs and the volumes' files")
