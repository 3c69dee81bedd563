# SPDX-License-Identifier: BSD-3-Clause
"""Start a card and a guest that boots from it, and talk to both.

    with Card([ebs("ebs0", image)]) as card, Guest(card) as guest:
        guest.wait_for_shell()
        print(guest.run("nvme list"))

Environment: NITRO_BUILD   folder of nitro-card and nitroctl
             NITRO_CACHE   what tests/guest/setup.sh made
"""
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NITRO_BUILD", REPO / "build/release"))
CACHE = pathlib.Path(
    os.environ.get("NITRO_CACHE")
    or os.path.join(os.environ.get("XDG_CACHE_HOME")
                    or os.path.expanduser("~/.cache"), "nitro-card"))
ROOT_IMAGE = CACHE / "volume/root.img"
QEMU = CACHE / "qemu/bin/qemu-system-x86_64"
OVMF = CACHE / "qemu/firmware/OVMF.fd"

VOLUME_ID = "vol-0123456789abcdef0"
SCRATCH_ID = "vol-0fedcba9876543210"
# The kernel's messages can fall into the middle of any of these.
LOGGED_IN = rb"automatic login|Last login|NO WARRANTY|root@nitro-guest:"
PROMPT = rb"root@nitro-guest:~# "
BOOT_SECONDS = 180          # ten to fifteen on an idle machine, under TCG


class Failure(Exception):
    """The card or the guest did not do what was asked."""


def ebs(name, volume, volume_id=VOLUME_ID, device="/dev/sda1", profile="ebs-2"):
    """One function of card.yaml.  A path is served as a file."""
    if not isinstance(volume, dict):
        volume = {"file": str(volume)}
    return {"ebs": {"name": name, "profile": profile, "volume-id": volume_id,
                    "device-name": device, "volume": volume}}


def copy_image(source, target):
    """A private copy that stays sparse."""
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", source, target],
                   check=True)
    return pathlib.Path(target)


def choose_kernel(image, kernel):
    """The first boot of that image is with that kernel, as after grub-reboot.
    The image is not in use and has not booted yet."""
    header = b"# GRUB Environment Block\n"
    text = (header + f"next_entry=linux-{kernel}\n".encode()).ljust(1024, b"#")
    with open(image, "r+b") as file, mmap.mmap(file.fileno(), 0) as bytes_:
        # GRUB's programs have that line too, but not at the start of a block.
        at = bytes_.find(header)
        while at >= 0 and at % 4096:
            at = bytes_.find(header, at + 1)
        if at < 0:
            raise Failure(f"{image} has no environment of GRUB")
        bytes_[at:at + len(text)] = text


def tools_environment():
    """What nitroctl needs to find the cached QEMU and its firmware."""
    state = os.environ.get("STATE_DIRECTORY", str(CACHE / "state"))
    return os.environ | {"NITRO_QEMU": str(QEMU), "NITRO_OVMF": str(OVMF),
                         "STATE_DIRECTORY": state}


def wait_until(condition, timeout, what, step=0.05):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {timeout} s")
        time.sleep(step)


def tail(path, lines=40):
    text = pathlib.Path(path).read_bytes().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


class Card:
    """A running nitro-card."""

    def __init__(self, functions, settings=None, tpm=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nitro-card-"))
        self.settings = settings or {}      # the keys of "card"
        self.log = self.folder / "card.log"
        self.functions = functions
        self.tpm = tpm                      # the keys of "tpm"; None: it has none
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if not kind:            # else the log is of interest
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, step=0.05):
        config = {"card": {"name": "test", "socket-dir": str(self.folder),
                           "state-dir": str(self.folder / "state"), **self.settings},
                  "functions": self.functions}
        if self.tpm is not None:
            config["tpm"] = self.tpm
        path = self.folder / "card.yaml"
        path.write_text(json.dumps(config, indent=2))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(path), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_until(self.is_ready, 20, f"card ready (see {self.log})", step)

    def command(self, config):
        return [BUILD / "nitro-card", "--config", config]

    def is_ready(self):
        self.must_run()
        names = [next(iter(f.values()))["name"] for f in self.functions]
        sockets = ["control.sock"] + [f"{name}.sock" for name in names]
        if self.tpm is not None:
            sockets.append(f"{self.tpm.get('name', 'tpm0')}.tpm")
        return all((self.folder / s).is_socket() for s in sockets)

    def must_run(self):
        if self.process.poll() is not None:
            raise Failure(f"nitro-card ended with {self.process.returncode}:\n"
                          + tail(self.log))

    def stop(self):
        """End the card politely; a card that does not is a failure."""
        if not self.process or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("nitro-card did not end within 10 s of SIGTERM")
        if status != 0:
            raise Failure(f"nitro-card ended with {status}:\n" + tail(self.log))
        # Nothing that a card does may be news to its sandbox.
        if b" sandbox: refused" in self.log.read_bytes():
            raise Failure("the card's sandbox refused something:\n" + tail(self.log))

    def kill(self):
        """As if the host's power had failed for this process."""
        self.process.kill()
        self.process.wait()

    def ctl(self, *words):
        """Run nitroctl against this card; its standard output."""
        done = subprocess.run(
            [BUILD / "nitroctl", "--socket-dir", self.folder, *words],
            env=tools_environment(), capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failure(f"nitroctl {' '.join(words)}: {done.stderr}")
        return done.stdout

    def cpu_seconds(self):
        fields = self.proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        """Memory of its own; guest memory that it maps is shared and not counted."""
        status = self.proc("status")
        return sum(int(re.search(rf"{key}:\s+(\d+) kB", status)[1])
                   for key in ("RssAnon", "RssFile")) / 1024

    def proc(self, name):
        self.must_run()
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()


class Guest:
    """A QEMU started by `nitroctl boot`, its serial console and its monitor.

    source is a Card, or the path of an image that nitroctl serves by itself.
    """

    def __init__(self, source, firmware="seabios", options=(), qemu_options=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nitro-guest-"))
        self.keep_folder = False
        self.source = source
        self.firmware = firmware
        self.options = list(options)
        self.qemu_options = list(qemu_options)
        self.transcript = b""
        self.read_up_to = 0
        self.command_count = 0
        self.process = self.console = self.monitor = self.qemu_pid = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.save_transcript()
        self.kill()

    def start(self):
        words = [BUILD / "nitroctl", "boot"]
        if isinstance(self.source, Card):
            words += ["--socket-dir", self.source.folder]
        else:
            words += [self.source]
        console, qmp = self.folder / "console", self.folder / "qmp"
        words += ["--firmware", self.firmware, "--console", f"unix:{console}",
                  "--qmp", qmp, *self.options, "--", *self.qemu_options]
        self.start_program(words, console, qmp)

    def start_program(self, words, console, qmp):
        self.log = self.folder / "nitroctl.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=tools_environment())
        self.console = self.connect(console)
        self.console.setblocking(False)
        self.monitor = Monitor(self.connect(qmp))
        self.qemu_pid = self.monitor.peer_pid

    def connect(self, path):
        connection = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self.is_listening(connection, path), 20,
                   f"{path} (see {self.log})")
        return connection

    def is_listening(self, connection, path):
        if self.process.poll() is not None:
            raise Failure(f"{self.process.args[0]} ended with "
                          f"{self.process.returncode}:\n" + tail(self.log))
        return connection.connect_ex(str(path)) == 0

    # The console.

    def wait_for(self, pattern, timeout):
        """Read the console until the pattern appears; what came before it."""
        if not self.saw(pattern, timeout):
            raise self.failure(f"no {pattern} within {timeout} s")
        return self.before

    def saw(self, pattern, timeout):
        """Whether the pattern appears on the console in time.  Reading goes on
        behind it."""
        deadline = time.monotonic() + timeout
        while True:
            unread = self.transcript[self.read_up_to:]
            found = re.search(pattern, unread)
            if found:
                self.before = unread[:found.start()]
                self.read_up_to += found.end()
                self.match = found
                return True
            if not self.read_console() and self.process.poll() is not None:
                raise self.failure(f"QEMU ended while waiting for {pattern}")
            if time.monotonic() > deadline:
                return False

    def read_console(self):
        try:
            data = self.console.recv(1 << 16)
        except BlockingIOError:
            data = b""
        if not data:
            time.sleep(0.02)
        self.transcript += data
        return data

    def failure(self, text):
        self.save_transcript()
        if isinstance(self.source, Card):
            self.source.must_run()
        end = self.transcript.decode(errors="replace").splitlines()[-30:]
        return Failure("\n".join(
            [text, "the end of the console:", *end,
             f"all of it: {self.folder / 'console.log'}",
             "nitroctl said:", tail(self.log)]))

    def save_transcript(self):
        self.keep_folder = True
        (self.folder / "console.log").write_bytes(self.transcript)

    def wait_for_shell(self, timeout=BOOT_SECONDS):
        """The seconds from now until root is logged in on the console."""
        start = time.monotonic()
        self.wait_for(LOGGED_IN, timeout)
        self.wait_for_prompt(start + timeout)
        seconds = time.monotonic() - start
        # A shell without line editing, prompt and echo is easier to talk to.
        self.send("exec env PS1= PS2= TERM=dumb bash --norc --noprofile --noediting")
        self.send("stty -echo; dmesg -n 1")
        self.run("true")
        return seconds

    def wait_for_prompt(self, deadline):
        """An empty line brings another prompt in place of a broken one."""
        while not self.saw(PROMPT, 5):
            if time.monotonic() > deadline:
                raise self.failure(f"no {PROMPT} in time")
            self.send("")

    def send(self, line):
        data = line.encode() + b"\n"
        self.console.setblocking(True)
        self.console.sendall(data)
        self.console.setblocking(False)

    def run(self, command, timeout=60):
        """A command's output.  A status other than 0 is a failure."""
        status, output = self.try_run(command, timeout)
        if status != 0:
            raise Failure(f"guest: {command}\nended with {status}:\n{output}")
        return output

    def try_run(self, command, timeout=60):
        """A command's exit status and output."""
        self.command_count += 1
        mark = self.command_count
        # The quotes keep the marks from matching an echo of this very line.
        self.send(f"echo @''begin {mark}; (\n{command}\n) </dev/null 2>&1;"
                  f" echo @''end {mark} $?")
        self.wait_for(rb"@begin %d\r\n" % mark, timeout)
        output = self.wait_for(rb"@end %d (\d+)\r\n" % mark, timeout)
        text = output.decode(errors="replace").replace("\r\n", "\n")
        return int(self.match[1]), text

    # Rough handling.

    def reboot(self, command="systemctl reboot"):
        """Reboot from inside; the seconds until the next shell."""
        self.send(command)
        return self.wait_for_shell()

    def system_reset(self):
        self.monitor.execute("system_reset")
        return self.wait_for_shell()

    def kill(self):
        """kill -9 of QEMU: the guest gets no say."""
        if self.qemu_pid and self.process.poll() is None:
            os.kill(self.qemu_pid, signal.SIGKILL)
        if self.process:
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise Failure("nitroctl boot did not end with its QEMU")
        for connection in (self.console, self.monitor):
            if connection:
                connection.close()
        if not self.keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def power_off(self, timeout=60):
        self.send("poweroff")
        wait_until(lambda: not self.read_console() and self.process.poll() is not None,
                   timeout, "guest powered off")


class Monitor:
    """QEMU's machine protocol (QMP)."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rw")
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.peer_pid = struct.unpack("3i", credentials)[0]
        connection.settimeout(30)
        json.loads(self.file.readline())
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        json.dump({"execute": command, "arguments": arguments}, self.file)
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise Failure(f"QMP {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.file.close()
        self.connection.close()
