"""Nginx and Caddy with the files of `deploy/`, TLS on loopback, in front of the real program.

Both are the packages of Debian. From the files only what names the machine is replaced: ports, certificate, host.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from bot import DEPLOY, Bot, Process, ask, authority, free_port, root

program = None  # set by check.py

MEBIBYTE = 1024 * 1024
# Feishu gives up after 3 s.
ANSWER_SECONDS = 3


class Nginx:
    """The server of `deploy/nginx.conf` in a configuration of its own."""

    name = "nginx"

    def __init__(self, directory, upstream):
        directory = Path(directory)
        self.https, self.http = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        ca, certificate, key = authority(directory)
        self.trust = ca
        text = (DEPLOY / "nginx.conf").read_text()
        for what, by, times in [
            (r"listen \[::\]:\d+.*;", "", 2),
            (r"listen 80;", "listen %s:%d;" % self.http, 1),
            (r"listen 443 ssl;", "listen %s:%d ssl;" % self.https, 1),
            (r"server 127\.0\.0\.1:8080 ", "server %s:%d " % upstream, 1),
            (r"server_name broadcast\.example\.com;", "server_name localhost;", 2),
            (r"/etc/ssl/broadcast\.example\.com/fullchain\.pem", str(certificate), 1),
            (r"/etc/ssl/broadcast\.example\.com/privkey\.pem", str(key), 1),
        ]:
            text, found = re.subn(what, by, text)
            assert found == times, f"nginx.conf: {what} stands there {found} times"
        (directory / "server.conf").write_text(text)
        paths = "".join(
            f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(
            f"{'user root;' if root() else ''}\ndaemon off;\nworker_processes 1;\npid {directory}/pid;\n"
            f"error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}include {directory}/server.conf;\n}}\n"
        )
        environment = {"PATH": os.environ["PATH"]}
        self.process = Process("nginx", ["nginx", "-c", directory / "nginx.conf", "-e", "stderr"], environment, directory)


class Caddy:
    """`deploy/Caddyfile` as it is; Caddy's own authority signs for localhost."""

    name = "caddy"

    def __init__(self, directory, upstream):
        self.https, self.http = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.trust = Path(directory) / "caddy/pki/authorities/local/root.crt"
        here = f"admin off\nskip_install_trust\nlocal_certs\ndefault_bind 127.0.0.1\nhttp_port {self.http[1]}\nhttps_port {self.https[1]}"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "XDG_DATA_HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory),
            "PUBLIC_URL": "https://localhost:%d" % self.https[1],
            "UPSTREAM": "%s:%d" % upstream,
            "CADDY_GLOBAL_OPTIONS": here,
        }
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
        self.process = Process("caddy", command, environment, directory)


class InFront:
    """What has to hold behind either of them."""

    Proxy = None

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="deploy-proxy-")
        cls.addClassCleanup(directory.cleanup)
        cls.bot = Bot(program, directory.name)
        cls.addClassCleanup(cls.bot.kill)
        cls.bot.start()
        cls.proxy = cls.Proxy(directory.name, cls.bot.address)
        cls.addClassCleanup(cls.proxy.process.end)
        cls.proxy.process.start(cls.answers)

    @classmethod
    def answers(cls):
        try:
            return cls.ask("GET", "/healthz")[0] == 200
        except (OSError, ssl.SSLError):
            return False

    @classmethod
    def ask(cls, method, path, body=None, headers=None, **more):
        return ask(cls.proxy.https, method, path, body, headers, trust=cls.proxy.trust, name="localhost", **more)

    def push(self, headers, body, path="/feishu/event", **more):
        status, told, answer = self.ask("POST", path, body, headers, **more)
        self.assertIsNone(told["Location"], "a redirected POST loses its body")
        return status, answer

    def test_the_console_can_save_both_addresses(self):
        for path in ("/feishu/event", "/feishu/card"):
            headers, body = self.bot.challenge("早上好")
            status, answer = self.push(headers, body, path)
            self.assertEqual((status, answer.decode()), (200, '{"challenge":"早上好"}'))

    def test_the_body_arrives_byte_for_byte(self):
        for chunked in (False, True):
            headers, body = self.bot.message("/help")
            self.assertEqual(self.push(headers, body, chunked=chunked)[0], 200, f"chunked: {chunked}")
            # The same event in other bytes: what a proxy that "normalises" JSON would make of it.
            self.assertEqual(self.push(headers, body.replace(b"  :   ", b":"))[0], 401)
            self.assertEqual(self.push(headers, body.strip())[0], 401)

    def test_a_mebibyte_passes_and_the_bot_itself_refuses_more(self):
        headers, body = self.bot.message("/help", MEBIBYTE)
        self.assertEqual(len(body), MEBIBYTE)
        self.assertEqual(self.push(headers, body)[0], 200)
        status, answer = self.push(headers, body + b" ")
        self.assertEqual((status, answer), (413, b'{"error":"body too large"}'))
        try:
            status, answer = self.push(headers, b" " * (3 * MEBIBYTE))
        except OSError:
            return  # closed while we were still sending: it did not get through either
        if self.proxy.name == "nginx":
            self.assertEqual(status, 413)
            self.assertNotIn(b"body too large", answer, "nginx says it, and the bot never hears of it")
        else:
            # Caddy passes on what it has: the bot is the first to refuse it, or Caddy, which up to 2.6 says 502.
            self.assertIn(status, (413, 502))

    def test_events_outlive_a_kill_of_the_bot_and_restarts_of_both(self):
        headers, body = self.bot.message("/help")
        before = self.bot.count("accepted")
        self.assertEqual(self.push(headers, body)[0], 200)
        self.assertEqual(self.bot.count("accepted"), before + 1)
        self.bot.kill()
        other = self.bot.message("/list")
        began = time.monotonic()
        self.assertIn(self.push(*other)[0], (502, 503, 504), "nobody says 200 for it")
        self.assertLess(time.monotonic() - began, ANSWER_SECONDS)
        self.bot.start()
        self.assertEqual(self.push(headers, body)[0], 200)
        self.assertEqual(self.bot.count("repeated"), 1, "it was on disk")
        self.assertEqual(self.push(*other)[0], 200)
        self.assertEqual(self.bot.count("accepted"), 1)
        self.proxy.process.stop()
        self.proxy.process.start(self.answers)
        self.assertEqual(self.push(headers, body)[0], 200)
        self.assertEqual(self.bot.count("repeated"), 2)

    def test_what_is_not_for_the_public_is_not_there(self):
        for path in ("/metrics", "/readyz", "/", "/feishu/", "/feishu/event/", "/feishu/event/x", "//metrics", "/healthz/../metrics"):
            for method in ("GET", "POST"):
                status, told, _ = self.ask(method, path)
                self.assertIn(status, (400, 404), f"{method} {path}")
                self.assertIsNone(told["Location"])
        self.assertEqual(self.ask("GET", "/feishu/event")[0], 405)
        self.assertEqual(self.ask("GET", "/oauth/start?state=x")[0], 400)

    def test_plain_http_is_told_and_a_page_is_led_to_https(self):
        headers, body = self.bot.message("/help")
        for path in ("/feishu/event", "/feishu/card"):
            status, told, answer = ask(self.proxy.http, "POST", path, body, headers, seconds=5)
            self.assertEqual((status, answer), (400, b'{"error":"https only"}'))
            self.assertIsNone(told["Location"])
        status, told, _ = ask(self.proxy.http, "GET", "/oauth/start?state=x", name="localhost")
        self.assertEqual(status, 308)
        self.assertRegex(told["Location"], r"^https://localhost.*/oauth/start\?state=x$")

    def look(self, trust):
        """The lines of `check` about the public address, as (level, route, sentence)."""
        public = "https://localhost:%d" % self.proxy.https[1]
        environment = {
            **self.bot.settings,
            "PUBLIC_URL": public,
            # Nobody listens there: what Feishu says is not looked at here.
            "FEISHU_ACCOUNTS_URL": "http://127.0.0.1:1",
            "SSL_CERT_FILE": str(trust),
        }
        command = [str(program), "check", "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, cwd=Path(self.proxy.trust).parent)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in json.loads(done.stdout)["lines"] if line["subject"] == "address"]
        return [(line["level"], line["en"].split()[0].removeprefix(public), line["en"]) for line in lines]

    def test_check_knocks_from_outside_and_names_a_certificate_that_is_not_trusted(self):
        before = self.bot.count("probe")
        found = self.look(self.proxy.trust)
        self.assertEqual(self.bot.count("probe"), before + 2, "apart from what Feishu pushes")
        self.assertEqual([line[:2] for line in found], [("fine", "/feishu/event"), ("fine", "/feishu/card")], found)
        with tempfile.TemporaryDirectory() as directory:
            stranger, _, _ = authority(Path(directory))
            found = self.look(stranger)
        self.assertEqual([line[0] for line in found], ["failure", "failure"], found)
        for _, _, sentence in found:
            self.assertIn("certificate is not trusted", sentence)

    def test_browsers_are_asked_to_stay_with_https(self):
        self.assertIn("max-age=", self.ask("GET", "/healthz")[1]["Strict-Transport-Security"])


class BehindNginx(InFront, unittest.TestCase):
    Proxy = Nginx

    # A second source on this machine; Feishu, here, is 127.0.0.1.
    STRANGER = "127.0.0.2"

    def connect(self):
        """A connection of the stranger, with TLS."""
        plain = socket.create_connection(self.proxy.https, 10, source_address=(self.STRANGER, 0))
        self.addCleanup(plain.close)
        wire = ssl.create_default_context(cafile=self.proxy.trust).wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(wire.close)
        return wire

    def honest(self, count=5):
        for number in range(count):
            began = time.monotonic()
            self.assertEqual(self.push(*self.bot.message(f"/help {number}"))[0], 200)
            self.assertLess(time.monotonic() - began, ANSWER_SECONDS)

    def test_a_flood_of_one_source_is_refused_and_holds_up_no_other(self):
        before = self.bot.count("not_a_callback")
        request = b"POST /feishu/event HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        answers = b""
        for _ in range(2):
            wire = self.connect()
            # One after the other on a connection, without waiting: faster than 100 a second with 500 at once.
            wire.sendall(request * 900)
            self.honest()
            wire.settimeout(2)
            try:
                while said := wire.recv(1 << 16):
                    answers += said
            except TimeoutError:
                pass
        refused, passed = answers.count(b"HTTP/1.1 503 "), answers.count(b"HTTP/1.1 4")
        self.assertGreater(refused, 100, f"{passed} passed")
        self.assertGreater(passed, 400, "a burst of that size is let through")
        self.assertEqual(self.bot.count("not_a_callback") - before, passed, "what is refused does not reach the bot")
        self.honest()

    def test_slow_bodies_of_one_source_wait_in_the_proxy(self):
        head = b"POST /feishu/event HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
        wires = [self.connect() for _ in range(120)]
        for wire in wires:
            wire.sendall(head + b"x" * 1000)
        # One that is honest and large is not behind them: the bot has not heard of any.
        began = time.monotonic()
        self.assertEqual(self.push(*self.bot.message("/help", MEBIBYTE))[0], 200)
        self.assertLess(time.monotonic() - began, ANSWER_SECONDS)
        self.honest()
        ends = []
        for wire in wires:
            wire.settimeout(15)
            try:
                ends.append(wire.recv(1 << 16)[:12])
            except (ConnectionError, ssl.SSLError):
                ends.append(b"")
        self.assertGreaterEqual(ends.count(b"HTTP/1.1 503"), 20, "more than 100 connections of one source")
        self.assertFalse([end for end in ends if end not in (b"", b"HTTP/1.1 408", b"HTTP/1.1 503")], ends)


class BehindCaddy(InFront, unittest.TestCase):
    Proxy = Caddy
