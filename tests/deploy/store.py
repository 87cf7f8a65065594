"""What backup.md tells an operator to type, typed beside a running bot: the copy is whole, and a bot starts on it."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml
from bot import DEPLOY, Bot, ask

program = None  # set by check.py


class Backup(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="deploy-store-")
        self.addCleanup(directory.cleanup)
        self.here = Path(directory.name)
        self.bot = Bot(program, self.here)
        self.addCleanup(self.bot.kill)
        self.bot.start()
        self.first, self.later = self.bot.message("/help"), self.bot.message("/list")

    def push(self, message):
        headers, body = message
        self.assertEqual(ask(self.bot.address, "POST", "/feishu/event", body, headers)[0], 200)

    def told(self):
        """How many were new and how many known, since the start."""
        return self.bot.count("accepted"), self.bot.count("repeated")

    def sqlite(self, statement):
        subprocess.run(["sqlite3", self.here / "bot.db", statement], check=True, capture_output=True)

    def test_the_copy_that_the_page_tells_to_make_is_whole_and_can_be_put_back(self):
        self.push(self.first)
        page = re.search(r'bot\.db "(vacuum into .*)"', (DEPLOY / "backup.md").read_text())[1]
        copy = self.here / "copy.db"
        self.sqlite(re.sub(r"'/var/backups/.*'", f"'{copy}'", page))
        self.push(self.later)
        self.assertEqual(self.bot.stop(), 0)
        # Restored as the page says: without the log, over the file, and the witness stays.
        for log in ("bot.db-wal", "bot.db-shm"):
            (self.here / log).unlink(missing_ok=True)
        shutil.copy(copy, self.here / "bot.db")
        self.assertTrue((self.here / "bot.db-witness").exists())
        self.bot.start()
        self.push(self.first)
        self.assertEqual(self.told(), (0, 1), "in the backup")
        self.push(self.later)
        self.assertEqual(self.told(), (1, 1), "after the backup: it is worked on, and lost for nobody")

    def test_the_service_of_the_compose_file_says_a_statement_that_sqlite_takes(self):
        service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["backup"]
        database, statement = service["command"]
        self.assertEqual(database, "/data/bot.db")
        self.push(self.first)
        self.sqlite(statement.replace("/backup/", f"{self.here}/"))
        self.assertEqual(len(list(self.here.glob("bot-*T*Z.db"))), 1)
