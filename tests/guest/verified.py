# SPDX-License-Identifier: BSD-3-Clause
"""A card that nitro-rom starts out of a flash, after it has verified it."""
import json
import os
import shutil
import subprocess

from guest import BUILD, Card, Failure, tools_environment, wait_until


class VerifiedCard(Card):
    """As Card, but its program and configuration are signed and installed first."""

    @property
    def flash(self):
        return self.folder / "flash"

    def command(self, config):
        if not self.flash.exists():
            self.install(config)
        return self.rom()

    def rom(self):
        return [BUILD / "nitro-rom", "--flash", self.flash,
                "--socket-dir", self.folder]

    def firmware(self, *words):
        done = subprocess.run([BUILD / "nitroctl", "firmware", *words],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failure(f"nitroctl firmware {words[0]}: {done.stderr}")
        return done.stdout

    def device_certificate(self):
        """As whoever made the flash has it: not from the running card."""
        status = json.loads(self.firmware("status", "--flash", self.flash, "--json"))
        return status["certificates"]["device"]

    def install(self, config):
        key, image = self.folder / "owner.pem", self.folder / "image"
        self.firmware("init", "--flash", self.flash, "--key", key)
        self.firmware("sign", "--key", key, "--config", config, "--output", image)
        self.firmware("install", "--flash", self.flash, image)
        shutil.rmtree(image)

    def boot_status(self):
        """What boot-status says; it fails when the card is held, so no ctl()."""
        done = subprocess.run(
            [BUILD / "nitroctl", "--socket-dir", self.folder, "--json",
             "boot-status"],
            env=tools_environment(), capture_output=True, text=True, timeout=30)
        return done.returncode, json.loads(done.stdout or "{}")

    def flip(self, path, byte):
        """One bit of a file of the flash, as with a programmer clipped to it."""
        path = self.flash / path
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.seek(byte)
            bits = file.read(1)[0] ^ 1
            file.seek(byte)
            file.write(bytes([bits]))

    def start_held(self):
        """Start it when it must stay in reset."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.rom(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(lambda: self.must_run() or
                   (self.folder / "control.sock").is_socket(), 60, "held card")

    def end_held(self):
        self.process.terminate()
        return self.process.wait(10)
