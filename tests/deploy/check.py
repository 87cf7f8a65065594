"""Shows that the files of `deploy/` do what they say, as far as that can be shown on one machine.

    tests/run --only deploy                                     as the tests run it
    check.py --program target/debug/feishu-broadcast [NAME…]    the same by hand, or only what is named
"""

import argparse
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import build  # noqa: E402
import calls  # noqa: E402
import image  # noqa: E402
import proxies  # noqa: E402
import store  # noqa: E402
from bot import leave_politely  # noqa: E402
from build import *  # noqa: E402, F403
from calls import *  # noqa: E402, F403
from files import *  # noqa: E402, F403
from image import *  # noqa: E402, F403
from proxies import *  # noqa: E402, F403
from store import *  # noqa: E402, F403

# What nothing here runs, and why. Said at the end of every run.
NOT_RUN = """\
not run here: cargo inside of the image, with the image of Docker Hub that it comes from (buildah builds the Dockerfile with
              a stand-in that hands out the program as tested); `compose up`, for want of an engine (the files are
              validated); the unit under a running systemd (it is verified and rated, and the program's system calls
              are held against its filter); the manifests in a cluster (their schemas are); Grafana (its queries are
              parsed); a certificate from the internet"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--program", required=True, type=Path, help="the program, e.g. target/debug/feishu-broadcast")
    arguments.add_argument("names", nargs="*", help="only these tests, as unittest names them")
    asked = arguments.parse_args()
    leave_politely()
    build.program = calls.program = image.program = proxies.program = store.program = asked.program.resolve()
    outcome = unittest.main(__name__, argv=["check.py"], defaultTest=asked.names or None, exit=False, verbosity=2)
    print(NOT_RUN)
    sys.exit(0 if outcome.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
