"""The real program on loopback, and pushes as Feishu seals them.

Nothing here needs a tenant: the bot is told that Feishu is at a port where nobody listens, so every event is stored,
acknowledged and then waits. That is enough to see what a proxy makes of a request.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

sys.path.insert(0, str(ROOT / "tests" / "authority"))

from Crypto.Cipher import AES  # noqa: E402
from playground import leave_politely, tail  # noqa: E402, F401

# Seconds until it answers; the store is migrated first.
READY_SECONDS = 30
# Seconds it may drain. A container is killed after ten by default.
STOP_SECONDS = 10

ADMIN = "ou_" + "a" * 32


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Ended(AssertionError):
    """A program ended although it should run."""


class Process:
    """A program with a log, started, watched and stopped by its pid."""

    def __init__(self, name, command, environment, directory):
        self.name, self.command, self.environment = name, [str(part) for part in command], environment
        self.log = Path(directory) / f"{name}.log"
        self.running = None

    def start(self, until, seconds=READY_SECONDS):
        """Starts it; returns when `until()` says so."""
        with open(self.log, "ab") as said:
            self.running = subprocess.Popen(
                self.command, env=self.environment, cwd=self.log.parent, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        end = time.monotonic() + seconds
        while not until():
            if self.running.poll() is not None:
                raise Ended(f"{self.name} ended with {self.running.returncode}\n{tail(self.log)}")
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"{self.name} did not become ready in {seconds} s\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self, seconds=STOP_SECONDS):
        """Asks it to stop; gives its exit code."""
        self.running.terminate()
        try:
            return self.running.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {seconds} s\n{tail(self.log)}") from None

    def end(self):
        """Stops it if it runs, by asking: a master that is killed leaves its workers behind."""
        if self.running is not None and self.running.poll() is None:
            self.stop()

    def kill(self):
        if self.running is not None and self.running.poll() is None:
            self.running.kill()
            self.running.wait()


class Bot(Process):
    """`program`, or `around + [program]`, with settings of its own."""

    def __init__(self, program, directory, around=(), **settings):
        self.address = ("127.0.0.1", free_port())
        self.metrics = ("127.0.0.1", free_port())
        self.encrypt_key, self.token, self.app_id = secrets.token_hex(16), secrets.token_hex(16), "cli_" + secrets.token_hex(8)
        self.settings = {
            "FEISHU_APP_ID": self.app_id,
            "FEISHU_APP_SECRET": secrets.token_hex(16),
            "FEISHU_ENCRYPT_KEY": self.encrypt_key,
            "FEISHU_VERIFICATION_TOKEN": self.token,
            # Nobody listens there.
            "FEISHU_OPEN_URL": "http://127.0.0.1:1",
            "BROADCAST_ADMINS": ADMIN,
            "LISTEN_ADDR": "%s:%d" % self.address,
            "METRICS_ADDR": "%s:%d" % self.metrics,
            "DATABASE_URL": f"sqlite://{directory}/bot.db",
            "LOG_FORMAT": "json",
            **settings,
        }
        super().__init__("bot", [*around, program, "serve"], self.settings, directory)

    def start(self):
        super().start(self.is_ready)

    def is_ready(self):
        try:
            return ask(self.address, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def count(self, outcome):
        """How many pushes ended like this since the start."""
        said = ask(self.metrics, "GET", "/metrics")[2].decode()
        found = re.search(rf'^feishu_broadcast_events_total{{outcome="{outcome}"}} (\d+)', said, re.M)
        return int(found[1]) if found else 0

    # ------------------------------------------------------------ what Feishu would push

    def seal(self, plain):
        key = hashlib.sha256(self.encrypt_key.encode()).digest()
        padding = AES.block_size - len(plain) % AES.block_size
        iv = secrets.token_bytes(AES.block_size)
        sealed = iv + AES.new(key, AES.MODE_CBC, iv).encrypt(plain + bytes([padding]) * padding)
        return base64.b64encode(sealed).decode()

    def challenge(self, word):
        """(headers, body): what the console sends when an address is saved; sealed and not signed."""
        plain = {"challenge": word, "token": self.token, "type": "url_verification"}
        body = json.dumps({"encrypt": self.seal(json.dumps(plain).encode())}).encode()
        return {"Content-Type": "application/json"}, body

    def message(self, text, bytes_at_least=0):
        """(headers, body): a private message of the admin. The body's spacing is odd on purpose, since the signature is
        over these very bytes: whoever parses the JSON and writes it again breaks it."""
        now = str(int(time.time() * 1000))
        event = {
            "schema": "2.0",
            "header": {
                "event_id": secrets.token_hex(16),
                "event_type": "im.message.receive_v1",
                "create_time": now,
                "token": self.token,
                "app_id": self.app_id,
                "tenant_key": "deploy",
            },
            "event": {
                "sender": {"sender_id": {"open_id": ADMIN}, "sender_type": "user", "tenant_key": "deploy"},
                "message": {
                    "message_id": "om_" + secrets.token_hex(16),
                    "create_time": now,
                    "chat_id": "oc_" + "c" * 32,
                    "chat_type": "p2p",
                    "message_type": "text",
                    "content": json.dumps({"text": text}, ensure_ascii=False),
                },
            },
        }
        sealed = self.seal(json.dumps(event, ensure_ascii=False).encode())
        body = '\n{\t"note" :  "早上好 \\u00e9\\/",\r\n  "encrypt"  :   "%s"  }\n\n' % sealed
        body = body.encode()
        body += b" " * max(0, bytes_at_least - len(body))
        return self.sign(body), body

    def sign(self, body):
        moment, nonce = str(int(time.time())), secrets.token_hex(8)
        signature = hashlib.sha256((moment + nonce + self.encrypt_key).encode() + body).hexdigest()
        return {
            "Content-Type": "application/json;charset=utf-8",
            "X-Lark-Request-Timestamp": moment,
            "X-Lark-Request-Nonce": nonce,
            "X-Lark-Signature": signature,
        }


def ask(address, method, path, body=None, headers=None, trust=None, name=None, chunked=False, seconds=10):
    """One request on a connection of its own. Gives (status, headers, bytes). `trust` is a file of authorities: then it
    is https, for the host `name`."""
    host, port = address
    if trust is None:
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=seconds)
        context = ssl.create_default_context(cafile=trust)
        plain = socket.create_connection(address, seconds)
        connection.sock = context.wrap_socket(plain, server_hostname=name)
    try:
        headers = {"Host": f"{name or host}:{port}", **(headers or {})}
        if chunked:
            pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
            connection.request(method, path, pieces, headers, encode_chunked=True)
        else:
            connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def authority(directory):
    """A certificate authority and a certificate of it for 127.0.0.1 and localhost; gives their three files."""
    directory = Path(directory)
    ca, ca_key, pem, key, csr = (directory / name for name in ("ca.pem", "ca.key", "server.pem", "server.key", "server.csr"))
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-days", 2, "-subj", "/CN=a test", "-keyout", ca_key, "-out", ca)
    openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", key, "-out", csr)
    openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", 2,
            "-extfile", extensions, "-out", pem)  # fmt: skip
    return ca, pem, key


def root():
    return os.geteuid() == 0
