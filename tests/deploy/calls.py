"""The program under the eyes of strace: whether it lives with what the systemd unit and a container leave it.

There is no systemd running here that would filter its calls. So they are written down, from the start over an event and
a search for Feishu to the end, and held against the list that `systemd-analyze` makes of the unit's own words.
"""

import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from bot import DEPLOY, Bot, ask, root

program = None  # set by check.py


def names_of(group):
    """The system calls of a group such as @system-service."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True).stdout
    names = set()
    for line in said.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= names_of(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


class SystemCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="deploy-calls-")
        cls.addClassCleanup(directory.cleanup)
        trace = Path(directory.name) / "trace"
        # A name instead of an address: the resolver is a part of it. Nobody answers there.
        bot = Bot(
            program, directory.name, ["strace", "-f", "-qq", "-o", trace], PATH=os.environ["PATH"],
            FEISHU_OPEN_URL="https://feishu.invalid",
        )  # fmt: skip
        cls.addClassCleanup(bot.kill)
        bot.start()
        headers, body = bot.message("/help")
        assert ask(bot.address, "POST", "/feishu/event", body, headers)[0] == 200
        end = time.monotonic() + 10
        while "not_sent" not in str(ask(bot.metrics, "GET", "/metrics")[2]) and time.monotonic() < end:
            time.sleep(0.05)
        # strace passes no signal on: the program itself is its only child.
        child = int(Path(f"/proc/{bot.running.pid}/task/{bot.running.pid}/children").read_text().split()[0])
        os.kill(child, 15)
        assert bot.running.wait(10) == 0, "it drains under strace as well"
        cls.trace = trace.read_text(errors="replace").splitlines()
        # The first call is strace's own, that becomes the program.
        cls.calls = [found[1] for line in cls.trace[1:] if (found := re.match(r"\d+ +(\w+)\(", line))]
        cls.unit = (DEPLOY / "feishu-broadcast.service").read_text()

    def allowed(self):
        allowed = set()
        for line in re.findall(r"^SystemCallFilter=(.*)$", self.unit, re.M):
            groups = line.removeprefix("~").split()
            named = set().union(*map(names_of, groups))
            allowed = allowed - named if line.startswith("~") else allowed | named
        return allowed

    def test_every_call_is_within_the_filter_of_the_unit(self):
        self.assertGreater(len(self.calls), 500)
        self.assertIn("fdatasync", self.calls, "a commit was seen")
        # As root alone SQLite gives its log to whom the database belongs; the unit's user is nobody.
        as_root = {"fchown"} if root() else set()
        self.assertEqual(set(self.calls) - self.allowed() - as_root, set())

    def test_no_memory_is_writable_and_executable(self):
        self.assertIn("MemoryDenyWriteExecute=yes", self.unit)
        self.assertEqual([line for line in self.trace if "PROT_WRITE|PROT_EXEC" in line], [])

    def test_it_opens_sockets_of_the_named_families_alone(self):
        named = set(re.search(r"^RestrictAddressFamilies=(.*)$", self.unit, re.M)[1].split())
        # A call during which another thread makes one is written in two lines; then the first has no result.
        asked = [line for line in self.trace if " = -1 " not in line]
        opened = {found[1] for line in asked if (found := re.search(r"\bsocket\((AF_\w+)", line))}
        self.assertIn("AF_INET", opened)
        # The resolver asks the kernel for its addresses, and goes on without an answer.
        self.assertEqual(opened - named - {"AF_NETLINK"}, set())

    def test_nothing_is_written_outside_of_the_state_directory_and_tmp(self):
        made = r"\b(?:openat\(AT_FDCWD, |open\(|mkdir\(|unlink\(|rename\()\"([^\"]+)\"(?:, (O_\w+(?:\|O_\w+)*))?"
        for line in self.trace[1:]:
            if (found := re.search(made, line)) and not (found[2] or "O_CREAT").startswith("O_RDONLY"):
                self.assertTrue(found[1].startswith(("/tmp/deploy-calls-", "/var/tmp/", "/dev/null")), line)
