# SPDX-License-Identifier: BSD-3-Clause
"""iPXE, as Debian packages it, with its own driver of the NIC: it gets a lease
from the user-mode network and fetches a file from this host."""
import http.server
import re
import threading

import pytest

from guest import Card, Guest
from nic import ena

IPXE = "/boot/ipxe.lkrn"
SECONDS = 120
WORDS = "this came through the card"
PAYLOAD = bytes(range(256)) * 4096


class Handler(http.server.BaseHTTPRequestHandler):
    """A script for iPXE, and a file for the script."""

    def do_GET(self):
        files = {"/script": f"#!ipxe\necho {WORDS}\n".encode(), "/file": PAYLOAD}
        data = files.get(self.path)
        self.server.asked.append(self.path)
        self.send_response(200 if data else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("llq", [True, False])
def test_ipxe_gets_a_lease_and_fetches_a_file(tmp_path, server, llq):
    script = tmp_path / "script"
    # The gateway of the user-mode network is this host.
    script.write_text("\n".join([
        "#!ipxe", "ifstat", "dhcp", "show net0/ip",
        f"set base http://${{net0/gateway}}:{server.server_address[1]}",
        "imgfetch ${base}/file", "imgstat", "chain ${base}/script", "ifclose net0",
        "ifstat", "echo all is done", "shell"]) + "\n")
    with Card([ena("eth0", uplink={"user": True}, llq=llq)]) as card, Guest(
            card, options=["--memory", "512MiB"],
            qemu_options=["-machine", "graphics=off", "-kernel", IPXE,
                          "-initrd", str(script)]) as guest:
        guest.wait_for(b"all is done", SECONDS)
        said = guest.transcript.decode(errors="replace")
    assert WORDS in said
    assert re.search(r"net0: 02:[0-9a-f:]+ using ena", said)
    assert re.search(rf"file\s.*{len(PAYLOAD)}|{len(PAYLOAD)}", said)
    assert server.asked == ["/file", "/script"]
