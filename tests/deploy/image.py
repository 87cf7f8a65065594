"""The root of the container image, laid out by the Dockerfile's own script and run as a container would run it.

In a chroot: a user without a name, the root read-only, nothing there but what the script put into it.
"""

import http.server
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from bot import DEPLOY, ROOT, Bot, ask, authority, root

program = None  # set by check.py

USER = 65532
# What the image may weigh unpacked, program included.
IMAGE_BYTES_MAX = 30 * 1000 * 1000
# What may be there besides the program: the C library, its loader and the authorities.
REST_BYTES_MAX = 5 * 1000 * 1000


def lay_out(directory, what=None):
    subprocess.run(["sh", DEPLOY / "image-root.sh", what or program, directory], check=True)
    return Path(directory)


class TheImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="deploy-image-")
        cls.addClassCleanup(directory.cleanup)
        cls.outside = Path(directory.name)
        # A container's user passes through here.
        cls.outside.chmod(0o755)
        cls.image = lay_out(cls.outside / "image")

    def files(self):
        return {path.relative_to(self.image): path for path in self.image.rglob("*") if path.is_file()}

    def test_nothing_is_there_but_the_program_and_what_it_needs(self):
        libraries = {"libc.so.6", "libm.so.6", "libgcc_s.so.1"}
        for name, path in self.files().items():
            with self.subTest(name):
                known = name.name in libraries or name.name.startswith("ld-linux")
                known = known or str(name) in ("feishu-broadcast", "etc/passwd", "etc/group", "etc/nsswitch.conf")
                self.assertTrue(known or str(name) == "etc/ssl/certs/ca-certificates.crt", "not expected")
                self.assertEqual(path.stat().st_mode & 0o7222, 0, "nobody may change it, and it lends nobody's rights")

    def test_it_is_small(self):
        rest = sum(path.stat().st_size for name, path in self.files().items() if str(name) != "feishu-broadcast")
        self.assertLess(rest, REST_BYTES_MAX)
        release = ROOT / "target/release/feishu-broadcast"
        if not release.exists():
            print(f"{rest / 1e6:.1f} MB and the program, which was not built for release here ... ", end="", flush=True)
            return
        whole = release.stat().st_size + rest
        print(f"{whole / 1e6:.1f} MB ... ", end="", flush=True)
        self.assertLess(whole, IMAGE_BYTES_MAX)

    def container(self, image):
        """What stands before the program so that it runs as in a container, and where its /data is."""
        script = (
            'set -e; image=$1; shift; mount --bind "$image" "$image"; mount -o remount,ro,bind "$image"; '
            'mount -t tmpfs tmpfs "$image/tmp"; mount --bind "$image.data" "$image/data"; '
            f'exec chroot --userspec={USER}:{USER} "$image" "$@"'
        )
        data = image.parent / f"{image.name}.data"
        data.mkdir()
        (image / "data").mkdir()
        os.chown(data, USER, USER)
        return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", str(image)], data

    @unittest.skipUnless(root(), "a chroot takes root")
    def test_it_runs_without_rights_on_a_read_only_root_and_checks_its_own_health(self):
        around, data = self.container(lay_out(self.outside / "run"))
        bot = Bot("/feishu-broadcast", self.outside, around, DATABASE_URL="sqlite:///data/bot.db")
        self.addCleanup(bot.kill)

        def health(**other):
            # Inside of what is already mounted a second chroot is enough.
            inside = [shutil.which("chroot") or "/usr/sbin/chroot", f"--userspec={USER}:{USER}", self.outside / "run", "/feishu-broadcast", "healthcheck"]
            environment = {"LISTEN_ADDR": "0.0.0.0:%d" % bot.address[1], **other}
            return subprocess.run(inside, env=environment, capture_output=True, text=True, timeout=20)

        self.assertEqual(health().returncode, 1, "nobody runs yet")
        self.assertIn("nobody answers at 127.0.0.1:", health().stderr)
        bot.start()
        self.assertEqual((health().returncode, health().stderr), (0, ""))
        self.assertEqual(health(LISTEN_ADDR="nowhere").returncode, 2)
        headers, body = bot.message("/help")
        self.assertEqual(ask(bot.address, "POST", "/feishu/event", body, headers)[0], 200)
        status = Path(f"/proc/{bot.running.pid}/status").read_text()
        self.assertIn(f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}", status)
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertTrue((data / "bot.db").exists())
        self.assertEqual((data / "bot.db").stat().st_uid, USER)
        self.assertEqual(bot.stop(), 0)
        self.assertEqual(health().returncode, 1)

    def test_a_bot_that_is_not_ready_is_not_well(self):
        class Unready(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(503)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        environment = {"LISTEN_ADDR": "127.0.0.1:%d" % server.server_address[1]}
        asked = subprocess.run([program, "healthcheck"], env=environment, cwd=self.outside, capture_output=True, text=True)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("not ready: HTTP/1.0 503", asked.stderr)

    @unittest.skipUnless(root(), "a chroot takes root")
    def test_https_is_checked_against_the_authorities_of_the_image(self):
        certificates = self.outside / "certificates"
        certificates.mkdir()
        ca, pem, key = authority(certificates)
        for known in (True, False):
            with self.subTest(known=known):
                image = lay_out(self.outside / f"https-{known}")
                if known:
                    bundle = image / "etc/ssl/certs/ca-certificates.crt"
                    bundle.chmod(0o644)
                    with open(bundle, "a") as more:
                        more.write(ca.read_text())
                around, _ = self.container(image)
                asked = []
                port = tls_server(asked, pem, key, self.addCleanup)
                directory = self.outside / f"bot-{known}"
                directory.mkdir()
                bot = Bot(
                    "/feishu-broadcast", directory, around,
                    DATABASE_URL="sqlite:///data/bot.db", FEISHU_OPEN_URL=f"https://127.0.0.1:{port}",
                )  # fmt: skip
                self.addCleanup(bot.kill)
                bot.start()
                headers, body = bot.message("/help")
                self.assertEqual(ask(bot.address, "POST", "/feishu/event", body, headers)[0], 200)
                end = time.monotonic() + 10
                while not asked and time.monotonic() < end:
                    time.sleep(0.05)
                self.assertTrue(asked, "the bot connects")
                self.assertEqual(asked[0], "/open-apis/auth/v3/tenant_access_token/internal" if known else None)
                bot.stop()


def tls_server(asked, pem, key, cleanup):
    """Notes the path of each request, or None for a handshake that the other side broke off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)

    class Server(http.server.ThreadingHTTPServer):
        def finish_request(self, request, address):
            try:
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, address)
            except (OSError, ssl.SSLError):
                asked.append(None)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_error(500)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cleanup(server.server_close)
    cleanup(server.shutdown)
    return server.server_address[1]
