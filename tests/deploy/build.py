"""The Dockerfile, built by buildah: every stage and step of it, with one thing replaced.

There is no registry here. So the image it starts from is made of this machine's own shell and tools, and in the place of
cargo stands a script that hands out the program as it was built for the tests. What is copied in, what is left out, the
layout, owners and settings of the result are the Dockerfile's.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from bot import DEPLOY, ROOT, root
from image import USER, lay_out

program = None  # set by check.py

BASE = "localhost/rust:test"
# What the steps of the first stage use; `ldd` is a script of bash.
TOOLS = ["sh", "bash", "install", "sed", "chmod", "mkdir", "cp", "cat", "ldd"]

CARGO = """#!/bin/sh
set -e
[ "$*" = "build --release --locked --bin feishu-broadcast" ]
cat Cargo.toml Cargo.lock src/main.rs >/dev/null
[ ! -e .env ] && [ ! -e .git ] && [ ! -e tests ] && [ ! -e README.md ]
mkdir -p target/release
cp /prebuilt target/release/feishu-broadcast
"""


def base(directory):
    """A root with the tools, their libraries, the authorities, cargo's stand-in and the program."""
    for tool in TOOLS:
        lay_out(directory, shutil.which(tool)) if tool != "ldd" else None
        target = directory / "usr/bin" / tool
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which(tool), target)
    lay_out(directory)
    (directory / "feishu-broadcast").rename(directory / "prebuilt")
    (directory / "bin").symlink_to("usr/bin")
    cargo = directory / "usr/bin/cargo"
    cargo.write_text(CARGO)
    cargo.chmod(0o755)


@unittest.skipUnless(root(), "building an image takes root")
class TheDockerfile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="deploy-build-")
        cls.addClassCleanup(directory.cleanup)
        cls.here = Path(directory.name)
        cls.environment = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
        base(cls.here / "base")
        container = cls.buildah("from", "scratch")
        cls.buildah("add", "-q", container, cls.here / "base", "/")
        cls.buildah("commit", "-q", container, BASE)
        cls.buildah("rm", container)
        cls.buildah("bud", "-q", "--layers=false", "--format=docker", "-f", DEPLOY / "Dockerfile",
                    "--build-arg", f"RUST_IMAGE={BASE}", "-t", "result", ROOT)  # fmt: skip
        cls.addClassCleanup(cls.buildah, "umount", "--all")
        cls.image = Path(cls.buildah("mount", cls.buildah("from", "result")))

    @classmethod
    def buildah(cls, *words):
        where = ["--root", cls.here / "storage", "--runroot", cls.here / "run"]
        done = subprocess.run(
            [str(word) for word in ["buildah", *where, *words]], env=cls.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @staticmethod
    def tree(image):
        """Path, mode and owner of everything."""
        found = {}
        for path in image.rglob("*"):
            told = path.lstat()
            found[str(path.relative_to(image))] = (oct(told.st_mode), told.st_uid, told.st_gid)
        return found

    def test_the_result_is_the_layout_and_nothing_else(self):
        found, wanted = self.tree(self.image), self.tree(lay_out(self.here / "wanted"))
        self.assertEqual(found.pop("data")[1:], (USER, USER), "a new volume takes the owner from here")
        self.assertEqual(found, wanted)

    def test_the_result_says_how_it_is_run(self):
        config = json.loads(self.buildah("inspect", "--type=image", "result"))["Docker"]["config"]
        self.assertEqual(config["User"], f"{USER}:{USER}")
        self.assertEqual(config["Entrypoint"], ["/feishu-broadcast"])
        self.assertEqual(config["WorkingDir"], "/data")
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/feishu-broadcast", "healthcheck"])
        self.assertIn("LISTEN_ADDR=0.0.0.0:8080", config["Env"])
        self.assertIn("DATABASE_URL=sqlite:///data/bot.db", config["Env"])
        self.assertFalse(config.get("Volumes"), "an anonymous volume is a database that nobody finds again")
