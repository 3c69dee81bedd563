# SPDX-License-Identifier: BSD-3-Clause
"""What must hold in a guest.  Each check returns a figure or raises Failure.

Both `./run --check` and the tests in tests/e2e use them.
"""
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

import nic
from guest import REPO, SCRATCH_ID, VOLUME_ID, Failure, wait_until

MODEL = "Amazon Elastic Block Store"


def expect(claim, why):
    if not claim:
        raise Failure(why)


def expect_lines(text, *patterns):
    """Every pattern must be found in the text."""
    for pattern in patterns:
        expect(re.search(pattern, text), f"no /{pattern}/ in:\n{text}")


def serial(volume_id):
    return volume_id.replace("-", "")


def by_id(volume_id):
    """The name under which udev knows a volume, whatever order it came in."""
    return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial(volume_id)}"


def disk_of(guest, volume_id):
    """The block device of a volume, e.g. /dev/nvme0n1."""
    disk = guest.run(f"readlink -f {by_id(volume_id)}").strip()
    expect(re.fullmatch(r"/dev/nvme\d+n1", disk), f"no {by_id(volume_id)}")
    return disk


def identity(guest, volume_id=VOLUME_ID, device_name="sda1"):
    """The disk says that it is an EBS volume, and Amazon's own tools agree."""
    disk = disk_of(guest, volume_id)
    controller = json.loads(guest.run(f"nvme id-ctrl {disk} -o json"))
    expect(controller["mn"].strip() == MODEL, f"model {controller['mn']!r}")
    expect(controller["sn"] == serial(volume_id), f"serial {controller['sn']!r}")
    expect_lines(guest.run("nvme list"), rf"{disk} .*{serial(volume_id)} +{MODEL}")
    expect_lines(guest.run(f"/usr/sbin/ebsnvme-id {disk}"),
                 f"Volume ID: {volume_id}", rf"(?m)^(/dev/)?{device_name}$")
    link = guest.run(f"readlink -f /dev/{device_name}").strip()
    expect(link == disk, f"udev made /dev/{device_name} lead to {link}, not {disk}")
    timeout = int(guest.run(f"cat /sys/block/{disk[5:]}/queue/io_timeout"))
    expect(timeout > 2**32 - 100, f"udev set an I/O timeout of {timeout} ms")
    return f"{MODEL}, {volume_id}, /dev/{device_name} -> {disk}"


def pci_face(guest, slot="00:04.0"):
    """lspci shows what an EC2 guest sees."""
    text = guest.run(f"lspci -vvv -nn -s {slot}")
    expect_lines(
        text,
        r"Non-Volatile memory controller \[0108\].*\[1d0f:8061\].*prog-if 02",
        r"Subsystem: .*\[1d0f:0000\]",
        r"Region 0: Memory at .* \(32-bit, non-prefetchable\) \[size=16K\]",
        r"\] Express \(v\d\) .*Endpoint",
        r"\] MSI-X: Enable\+ Count=\d+",
        r"Interrupt: pin A",
        r"Kernel driver in use: nvme")
    expect("Region 1:" not in text and "Region 2:" not in text, "a second BAR:\n" + text)
    expect("(rev " not in text.splitlines()[0], "a revision:\n" + text)
    return "1d0f:8061, 16 KiB BAR 0, PCIe, " + re.search(r"MSI-X: .*(Count=\d+)", text)[1]


def verify(guest, mib=24, jobs=4):
    """fio writes and reads back random sizes at several depths on each CPU,
    and so on each I/O queue."""
    disk = disk_of(guest, SCRATCH_ID)
    queues = int(guest.run(f"ls /sys/block/{disk[5:]}/mq | wc -l"))
    common = (f"--filename={disk} --rw=randwrite --bsrange=512-256k --direct=1 "
              f"--ioengine=libaio --verify=crc32c --verify_fatal=1 --do_verify=1 "
              f"--cpus_allowed_policy=split --size={mib}m --group_reporting")
    parts = [f"--name=depth{depth} --stonewall --iodepth={depth} --numjobs={jobs} "
             f"--offset_increment={mib}m --cpus_allowed=0-1 {common}"
             for depth in (1, 5, 32)]
    report = guest.run(f"fio --output-format=json {' '.join(parts)}", 600)
    done = json.loads(report[report.index("{"):])["jobs"]
    errors = [job["error"] for job in done if job["error"]]
    expect(not errors, f"fio: errors {errors}")
    total = sum(job["read"]["io_bytes"] for job in done) / 2**20
    expect(total >= 3 * jobs * mib * 0.9, f"fio read back only {total:.0f} MiB")
    return f"{total:.0f} MiB verified over {queues} I/O queues"


# What the driver says of good controllers, and only when asked for it.
NO_COMPLAINT = (
    # A user's `nvme reset`.
    "resetting controller",
    # A user's command to a controller without SGLs, which EBS does not have.
    "using unchecked data buffer",
)


def quiet_driver(guest):
    """Not a line of complaint from the NVMe driver since the last boot."""
    text = guest.run("dmesg --level=emerg,alert,crit,err,warn")
    lines = [line for line in text.splitlines()
             if "nvme" in line and not line.endswith(NO_COMPLAINT)]
    expect(not lines, "the driver complains:\n" + "\n".join(lines))


def write_and_sync(guest, path, mib=8):
    """A file of random bytes, synced; its checksum."""
    return guest.run(f"dd if=/dev/urandom of={path} bs=1M count={mib} status=none"
                     f" && sync {path} && sha256sum < {path}").split()[0]


def has_checksum(guest, path, checksum):
    now = guest.run(f"sha256sum < {path}").split()[0]
    expect(now == checksum, f"{path} changed: {checksum} became {now}")


def file_checksum(path, size):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()


def reset_controller(guest, times=3):
    """`nvme reset` under load; the load must not see an error."""
    disk = disk_of(guest, SCRATCH_ID)
    controller = disk.removesuffix("n1")
    guest.run(f"""
        fio --name=load --filename={disk} --rw=randrw --bs=4k --direct=1 \\
            --ioengine=libaio --iodepth=8 --time_based --runtime={2 * times + 2} \\
            --size=64m --output=/run/load.log & load=$!
        for i in $(seq {times}); do sleep 2; nvme reset {controller} || exit; done
        wait $load || {{ cat /run/load.log; exit 1; }}""", 120)
    return f"{times} resets under load"


def idle(card, seconds):
    """CPU seconds that the card uses while nothing asks it for anything."""
    before = card.cpu_seconds()
    time.sleep(seconds)
    return card.cpu_seconds() - before


# The network.

def network_driver(guest, mac):
    """Linux's own driver runs the NIC at EC2's place, and DHCP has its say."""
    expect_lines(
        guest.run("lspci -vvv -nn -s 00:05.0"),
        r"Ethernet controller \[0200\].*\[1d0f:ec20\]",
        r"Region 0: Memory at .* \(32-bit, non-prefetchable\)",
        r"Region 2: Memory at .* prefetchable\)",
        r"\] MSI-X: Enable\+ Count=\d+", r"FLReset\+",
        r"Kernel driver in use: ena")
    name = nic.interfaces(guest)[mac]
    wait_until(lambda: lease(guest, name), 60, f"a lease for {name}")
    expect_lines(guest.run(f"ethtool -i {name}"), "driver: ena")
    expect_lines(guest.run(f"ethtool {name}"), r"Link detected: yes")
    queues = len(guest.run(f"ls -d /sys/class/net/{name}/queues/rx-*").split())
    nic.quiet_driver(guest)
    return f"{name}, {queues} queues, leased {lease(guest, name)}"


def lease(guest, name):
    found = re.search(r"inet ([\d.]+)/", guest.run(f"ip -4 addr show dev {name}"))
    return found and found[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web_server(data):
    """A server on this machine that has one file; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data = data
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def fetch(guest, mac, mib=16):
    """A file comes from this machine through the user-mode network."""
    name = nic.interfaces(guest)[mac]
    data = os.urandom(mib << 20)
    gateway = re.search(r"default via (\S+)", guest.run(f"ip route show dev {name}"))[1]
    with web_server(data) as port:
        start = time.monotonic()
        found = guest.run(f"wget -q -T 20 -t 1 -O - http://{gateway}:{port}/ | sha256sum",
                          120).split()[0]
        seconds = time.monotonic() - start
    expect(found == hashlib.sha256(data).hexdigest(), "what came is not what was sent")
    nic.quiet_driver(guest)
    return f"{mib} MiB from this machine in {seconds:.1f} s"


@contextlib.contextmanager
def two_machines(guest, card, macs):
    """Both NICs in namespaces; afterwards the driver begins anew."""
    guest.run("systemctl stop systemd-networkd.socket systemd-networkd; "
              "systemctl mask --runtime --quiet systemd-networkd")
    nics = [nic.Nic(guest, f"eth{n}", mac, 9, n + 1) for n, mac in enumerate(macs)]
    for one in nics:
        one.card = card
        one.enter()
    yield nics
    guest.run("pkill -x iperf3; modprobe -r ena; ip netns del eth0; ip netns del eth1; "
              "systemctl unmask --runtime --quiet systemd-networkd; modprobe ena", 120)


def offload(guest, card, macs):
    """Segmentation and checksums are the card's work, and done right."""
    with two_machines(guest, card, macs) as (one, other):
        other.serve()
        before = nic.counters(card, "eth0")
        bad = one.statistics(), other.statistics()
        rates = []
        for mtu, version in (1500, 4), (1500, 6), (9001, 4):
            for each in (one, other):
                each.run(f"ip link set eth0 mtu {mtu}")
            done = one.iperf(other, 2, "", version)["sum_received"]
            rates.append(f"{done['bits_per_second'] / 1e9:.2f}")
        cut = nic.counters(card, "eth0")["tso_packets"] - before["tso_packets"]
        expect(cut > 100, f"only {cut} packets were cut into segments")
        for each, then in zip((one, other), bad):
            now = each.statistics()
            wrong = sum(now[n] - then[n] for n in now if n.endswith("csum_bad"))
            expect(wrong == 0, f"{each.name}: {wrong} bad checksums")
        good = sum(v for n, v in other.statistics().items() if n.endswith("csum_good"))
        expect(good > 100, f"only {good} packets had their checksum checked")
        nic.quiet_driver(guest)
    return (f"{cut} packets cut into segments, no bad checksum; "
            f"{'/'.join(rates)} Gbit/s by IPv4, IPv6, MTU 9001")


def reset_network(guest, card, macs):
    """The driver resets a NIC that gives no sign of life, and traffic goes on."""
    with two_machines(guest, card, macs) as (one, other):
        nic.exchange(one, other, 1)
        card.ctl("faults", "set", "eth0", "keep_alive")
        start = time.monotonic()
        wait_until(lambda: nic.resets(card, "eth0", "no keep-alive"), 60,
                   "the driver's reset")
        card.ctl("faults", "clear", "eth0")
        wait_until(lambda: one.try_run(f"ping -q -c 1 -W 1 {other.ipv4}")[0] == 0, 60,
                   "traffic passes again")
        seconds = time.monotonic() - start
        nic.exchange(one, other, 1)
        for _ in range(2):
            guest.run("modprobe -r ena && modprobe ena", 120)
            for each in (one, other):
                each.enter()
        one.ping(other)
    return f"traffic passes {seconds:.1f} s after a last keep-alive, and after reloads"


# The TPM.

BIOS_LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"


def pcrs(guest, bank="sha384"):
    """The PCRs of a bank by their number, as the guest reads them."""
    text = guest.run(f"tpm2_pcrread {bank}")
    return {int(n): value.lower()
            for n, value in re.findall(r"(?m)^ +(\d+) *: 0x([0-9A-Fa-f]+)$", text)}


def tpm_status(card):
    return json.loads(card.ctl("--json", "tpm", "status"))


def firmware_log_replays(guest, bank="sha384"):
    """The log that the firmware left gives the values that the TPM has."""
    log = guest.run(f"tpm2_eventlog {BIOS_LOG} 2>/dev/null", 120)
    replayed = re.search(rf"(?ms)^pcrs:\n.*?^  {bank}:\n((?:    [^\n]*\n)+)", log)
    expect(replayed, "no PCRs in the firmware's log:\n" + log[-2000:])
    values = {int(n): value.lower() for n, value in
              re.findall(r"(\d+) *: 0x([0-9A-Fa-f]+)", replayed[1])}
    now = pcrs(guest, bank)
    for n in range(8):
        expect(values.get(n) == now[n],
               f"PCR {n} is {now[n]}, but its log says {values.get(n)}")
    return len(re.findall(r"(?m)^ *- EventNum:", log))


def tpm_quote(guest):
    """A quote over PCRs 0 to 7 and the card's, checked; with another nonce it fails."""
    guest.run("""set -e; cd /run
        tpm2_createek -Q -c quote.ek -G ecc
        tpm2_createak -Q -C quote.ek -c quote.ak -G ecc -s ecdsa -g sha384 \\
            -u quote.pem -f pem
        tpm2_quote -Q -c quote.ak -g sha384 -l sha384:0,1,2,3,4,5,6,7,22 \\
            -q 0011223344 -m quote.msg -s quote.sig -o quote.pcrs
        tpm2_flushcontext -t""", 120)
    check = ("cd /run; tpm2_checkquote -u quote.pem -m quote.msg -s quote.sig "
             "-f quote.pcrs -g sha384 -q ")
    expect("pcrs:" in guest.run(check + "0011223344"), "tpm2_checkquote said nothing")
    expect(guest.try_run(check + "0011223345")[0] != 0, "another nonce was good as well")
    guest.run("cd /run; printf x | dd of=quote.msg bs=1 seek=60 conv=notrunc status=none")
    expect(guest.try_run(check + "0011223344")[0] != 0, "an altered quote was good")
    return "a quote by ECDSA with SHA-384 is good, an altered one is not"


# The root of trust.

def is_verified(card):
    """It came to run as its owner signed it, and the log explains the registers."""
    code, status = card.boot_status()
    expect(code == 0 and status["state"] == "RELEASED" and status["verified"]
           and status["history"] == ["HELD", "VERIFY", "MEASURE", "RELEASED"],
           f"not a verified card: {status}")
    registers = dict.fromkeys(status["registers"], bytes(48))
    for event in status["events"]:
        old = registers[event["register"]]
        registers[event["register"]] = hashlib.sha384(
            old + bytes.fromhex(event["digest"])).digest()
    for name, value in registers.items():
        expect(value.hex() == status["registers"][name],
               f"the log does not replay to register {name}")


def stays_in_reset(card):
    """A bit of its program is flipped: no function, and the reason is told."""
    card.flip("a/nitro-card", 4096)
    card.start_held()
    code, status = card.boot_status()
    sockets = sorted(path.name for path in card.folder.glob("*.sock"))
    expect(code == 1 and status["state"] == "HELD"
           and status["reason"]["name"] == "program-digest",
           f"not held for its program: {status}")
    expect(sockets == ["control.sock"], f"a held card listens at {sockets}")
    expect(card.end_held() == 1, "a card that was held ends with 1")


TPM_DOCUMENT = pathlib.Path(__file__).with_name("tpm_document.py")


def tpm_document(guest, card, nonce, device="/dev/tpm0"):
    """A document of the TPM, believed by who relies on it."""
    nic.put_file(guest, "/root/tpm_document.py", TPM_DOCUMENT.read_bytes())
    text = guest.run(f"python3 /root/tpm_document.py {device} {nonce.hex()}", 120)
    response = bytes.fromhex(text.strip())
    # {"Attestation": {"document": bytes of a length in two bytes}}
    head = b"\xa1\x6bAttestation\xa1\x68document\x59"
    expect(response.startswith(head), f"the TPM said {response[:64]!r}")
    start = len(head) + 2
    size = int.from_bytes(response[len(head):start], "big")
    file = card.folder / "tpm-document.cbor"
    file.write_bytes(response[start:start + size])
    values = pcrs(guest)
    card.ctl("attest", "verify", "--nitrotpm", "--nonce", nonce.hex(), str(file),
             *(word for n in (0, 4, 7) for word in ("--pcr", f"{n}={values[n]}")))
    shown = json.loads(card.ctl("--json", "attest", "show", str(file)))
    expect({n: shown["nitrotpm_pcrs"][str(n)] for n in range(17)} ==
           {n: values[n] for n in range(17)}, "the document has other PCRs")


# The security module.

NSM_CLIENT = pathlib.Path(__file__).with_name("nsm_client.py")


def prepare_nsm(guest):
    """The module's driver, and a client in /root/nsm.py."""
    nic.put_file(guest, "/root/nsm.py", NSM_CLIENT.read_bytes())
    guest.run("modprobe nsm; for i in $(seq 100); do test -c /dev/nsm && break;"
              " sleep 0.1; done; test -c /dev/nsm")


def document(guest, card, nonce):
    """A document of /dev/nsm, believed by who relies on it; its file."""
    text = guest.run(f"python3 /root/nsm.py document {nonce.hex()}").strip()
    file = card.folder / "document.cbor"
    file.write_bytes(bytes.fromhex(text))
    card.ctl("attest", "verify", "--nonce", nonce.hex(), str(file))
    return file


def is_bound(card, file):
    """A verified card's document leads to what its device says was measured."""
    root, status = card.folder / "root.pem", card.folder / "status.json"
    device = card.folder / "device.pem"
    root.write_text(card.ctl("attest", "root"))
    status.write_text(json.dumps(card.boot_status()[1]))
    device.write_text(card.device_certificate())
    program = REPO / "tests/attest/verify_boot.py"
    done = subprocess.run([sys.executable, program, file, "--root", root,
                           "--device", device, "--status", status],
                          capture_output=True, text=True, timeout=60, check=False)
    expect(done.returncode == 0, f"not bound: {done.stdout}{done.stderr}")
