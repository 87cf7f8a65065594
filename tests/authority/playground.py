"""Starts the playground (`cargo run --example sandbox`), and stops it again.

What the playground promises to programs, besides its page for people:

    PLAYGROUND_ADDR=127.0.0.1:0      where it listens; port 0 takes a free one
    `playground: http://…`           one line on standard output, once everything answers
    GET  /play/connection            addresses and credentials of the simulated company, below
    GET  /play/world                 people[] and departments[] of that company
    GET  /play/state                 what has happened so far, deliveries.by_person among it:
                                     name -> batch id -> copies, or name -> copies
    POST /play/seal                  {event_type, event} -> {headers, body}: a push, sealed and not sent
    POST /play/consent               {open_id, url} -> {location}: this person opens the authorize page at
                                     `url` and agrees; `location` is where the browser is sent next, with the code

Only the standard library, so that every test can use it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Seconds from the start to the line that says it is ready. Usually well below one.
READY_SECONDS = 60
# Seconds it may take to drain and leave when it is asked to.
STOP_SECONDS = 15

# Everything here is on this machine: a proxy from the environment would only be in the way.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


def http(url, body=None, headers=None, method=None):
    """One request. Gives (status, headers, bytes) for every status; raises only where no answer came."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with _opener.open(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


def http_json(url, value=None, headers=None, method=None):
    """Like `http`, JSON both ways. Gives (status, value)."""
    body = None if value is None else json.dumps(value, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    status, _, answer = http(url, body, headers, method)
    try:
        return status, json.loads(answer)
    except ValueError:
        raise AssertionError(f"{url} answered {status} with no JSON: {answer[:300]!r}") from None


@dataclass
class Connection:
    """How to reach the simulated company and the bot in it, as /play/connection tells it."""

    page_url: str
    tenant_url: str
    accounts_url: str
    bot_url: str
    public_url: str
    app_id: str
    app_secret: str
    encrypt_key: str
    verification_token: str
    admins: list
    approvers: list

    @classmethod
    def at(cls, page_url):
        """Asks a running playground."""
        status, told = http_json(f"{page_url}/play/connection")
        if status != 200:
            raise AssertionError(f"/play/connection answered {status}: {told}")
        # The origin in the app's redirect addresses; the bot's own, unless it is said to be another.
        told.setdefault("public_url", told.get("bot_url"))
        missing = [name for name in cls.__dataclass_fields__ if name != "page_url" and name not in told]
        if missing:
            raise AssertionError(f"/play/connection lacks {', '.join(missing)}")
        known = {name: told[name] for name in cls.__dataclass_fields__ if name in told and name != "page_url"}
        return cls(page_url=page_url, **known)

    def world(self):
        return self._get("/play/world")

    def state(self):
        return self._get("/play/state")

    def seal(self, event_type, event):
        """(headers, body bytes) of a push as the simulator would send it."""
        status, sealed = http_json(f"{self.page_url}/play/seal", {"event_type": event_type, "event": event})
        if status != 200:
            raise AssertionError(f"/play/seal answered {status}: {sealed}")
        return sealed["headers"], sealed["body"].encode()

    def consent(self, open_id, url):
        """The address to which the browser of this person is sent after agreeing at the authorize page `url`."""
        status, answer = http_json(f"{self.page_url}/play/consent", {"open_id": open_id, "url": url})
        if status != 200:
            raise AssertionError(f"/play/consent answered {status}: {answer}")
        return answer["location"]

    def _get(self, path):
        status, value = http_json(self.page_url + path)
        if status != 200:
            raise AssertionError(f"{path} answered {status}: {value}")
        return value


@contextmanager
def playground(program, log=None):
    """Runs the playground at `program` in an empty directory; gives a Connection; stops it by its pid.

    What it says goes to `log` (default: target/tests-logs/playground-PID.log), whose end is shown when it fails.
    """
    logs = ROOT / "target" / "tests-logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = Path(log or logs / f"playground-{os.getpid()}.log")
    # The bot's own settings belong to whoever runs the tests; the playground has its own.
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE", "LD_LIBRARY_PATH")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env["PLAYGROUND_ADDR"] = "127.0.0.1:0"
    with tempfile.TemporaryDirectory(prefix="playground-") as empty, open(log, "wb") as said:
        process = subprocess.Popen(
            [str(Path(program).resolve())],
            cwd=empty,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        ready = threading.Event()
        found = []

        def listen():
            # To the end, or the playground would wait on a full pipe.
            for line in process.stdout:
                said.write(line)
                said.flush()
                text = line.decode("utf-8", "replace").strip()
                if text.startswith("playground: http") and not found:
                    found.append(text.removeprefix("playground: ").split()[0].rstrip("/"))
                    ready.set()
            ready.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            ready.wait(READY_SECONDS)
            if not found:
                raise AssertionError(f"the playground did not become ready\n{tail(log)}")
            yield Connection.at(found[0])
            if process.poll() is not None:
                raise AssertionError(f"the playground ended by itself, code {process.returncode}\n{tail(log)}")
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    print(f"note: the playground did not stop within {STOP_SECONDS} s", file=sys.stderr)
            listener.join(5)


def tail(log, lines=30):
    """The last lines of a log, for a person to read."""
    text = Path(log).read_text("utf-8", "replace").splitlines()[-lines:]
    return "\n".join([f"--- the end of {log}", *text])


def leave_politely():
    """Lets `finally` run when this process is told to stop, so that nothing it started stays behind."""

    def stop(number, _frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
