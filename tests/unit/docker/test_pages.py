"""
The commands of Docker, Kubernetes and Helm that pages give, which cannot be run here.

They are held against what they are about: files, profiles, services, secrets, ports, objects.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.deployment import DOCKER, ROOT, compose, judged, make_secrets

PAGES = [ROOT / "docs" / "deployment.md", *sorted((ROOT / "docs" / "runbooks").glob("*.md"))]
RELEASE = {"BOOKREC_REGISTRY": "registry.example/bookrec", "BOOKREC_VERSION": "1.2.3"}
TAKES_A_VALUE = {"--tail", "-f", "--profile"}
ENDS = {"|", "<", ">"}
OURS = {"bookrec", "airflow"}
"""Programs that need secrets; what `exec` starts is no child of the entry point."""


def blocks() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            yield page, re.sub(r"\\\n\s*", "", block)


def commands(program: str) -> list[tuple[str, str]]:
    """Every command of this program, after the name of its page."""
    found = [
        (page.name, line.removeprefix("$ "))
        for page, block in blocks()
        for line in block.splitlines()
        if line.startswith(f"$ {program} ")
    ]
    assert found
    return found


@dataclass(frozen=True)
class Compose:
    """A command of Docker Compose, taken apart."""

    files: tuple[str, ...]
    profiles: tuple[str, ...]
    verb: str
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, command: str) -> Self:
        words = shlex.split(command)[2:]
        words = words[: next((n for n, word in enumerate(words) if word in ENDS), len(words))]
        told: dict[str, list[str]] = {"-f": [], "--profile": []}
        while words[0] in told:
            told[words[0]].append(words[1])
            words = words[2:]
        return cls(tuple(told["-f"]), tuple(told["--profile"]), words[0], tuple(words[1:]))

    @property
    def positional(self) -> list[str]:
        found: list[str] = []
        skipped = False
        for word in self.arguments:
            if not skipped and not word.startswith("-"):
                found.append(word)
            skipped = word in TAKES_A_VALUE
        return found

    @property
    def named(self) -> list[str]:
        """The services that it is about; none where it is about all that are enabled."""
        if self.verb in ("exec", "run"):
            return self.positional[:1]
        if self.verb == "cp":
            return [word.partition(":")[0] for word in self.positional if ":" in word]
        return self.positional


def of_compose() -> list[Any]:
    found = [(page, command) for page, command in commands("docker") if " compose " in command]
    return [pytest.param(command, id=f"{page}: {command}") for page, command in found]


@cache
def stack() -> dict[str, Any]:
    found: dict[str, Any] = compose("compose.yaml")["services"]
    return found


@cache
def enabled(files: tuple[str, ...], profiles: frozenset[str]) -> frozenset[str]:
    """What Compose itself makes of a choice of profiles; it refuses what lacks a dependency."""
    options = [part for file in files for part in ("-f", file)]
    options += [part for profile in sorted(profiles) for part in ("--profile", profile)]
    return frozenset(judged("docker-compose", *options, "config", "--services", **RELEASE).split())


@pytest.mark.parametrize("command", of_compose())
def test_a_command_of_compose_names_what_there_is(command: str):
    """Services that are named enable their profiles, but not those of what they depend on."""
    told = Compose.of(command)
    assert told.files
    assert all((ROOT / file).exists() for file in told.files)
    assert set(told.named) <= set(stack())
    own = {profile for name in told.named for profile in stack()[name]["profiles"]}
    there = enabled(told.files, frozenset(told.profiles) | own)
    assert set(told.named) <= there
    if told.verb in ("up", "build", "run"):
        assert there, "no service is selected"
    if told.verb == "exec":
        assert told.positional[1] not in OURS, "it needs with-secrets"
    if "--wait" in told.arguments and not told.named:
        assert told.profiles


@pytest.mark.parametrize("profile", ["core", "green", "airflow", "celery", "monitoring", "dev"])
def test_every_profile_is_complete(profile: str):
    assert enabled(("docker/compose.yaml",), frozenset({profile}))


def test_pages_name_ports_that_are_open():
    named = {
        int(port)
        for page in PAGES
        for port in re.findall(r"http://(?:127\.0\.0\.1|localhost):(\d+)", page.read_text())
    }
    opened = {int(p["published"]) for service in stack().values() for p in service.get("ports", [])}
    assert {8080, 8081, 5001, 3000, 9090} <= named <= opened


def test_pages_name_secrets_that_are_made():
    made = set(make_secrets()["secret_files"]())
    named = {
        name
        for page in PAGES
        for name in re.findall(r"\bsecrets/([A-Za-z_][\w.]*\w)", page.read_text())
        if (page.parent / f"secrets/{name}") not in PAGES
    }
    assert len(named) > 5
    assert named <= made


def test_secrets_of_kubernetes_are_those_of_the_same_programs_in_compose():
    making = re.compile(r"-n (\S+) create secret generic (\S+) \$\(printf .*?' (.*)\)")
    matches = [match for _, command in commands("kubectl") if (match := making.search(command))]
    found = {(match[1], match[2]): set(match[3].split()) for match in matches}
    of = {name: {s["source"] for s in stack()[name]["secrets"]} for name in ("blue-1", "mlflow")}
    assert found["bookrec", "bookrec"] == of["blue-1"]
    assert found["bookrec", "mlflow"] == of["mlflow"]
    tasks = {s["source"] for s in stack()["airflow-scheduler"]["secrets"]}
    assert found["airflow", "bookrec"] == {name for name in tasks if not name.startswith("AIRFLOW")}


def test_secrets_that_airflows_chart_asks_for_are_made():
    text = next(c for _, c in commands("kubectl") if "generic airflow" in c)
    keys = dict(re.findall(r"--from-file=([\w-]+)=secrets/(\w+)", text))
    assert set(keys) == {"connection", "fernet-key", "api-secret-key", "jwt-secret"}
    tasks = {s["source"] for s in stack()["airflow-scheduler"]["secrets"]}
    assert set(keys.values()) == {name for name in tasks if name.startswith("AIRFLOW")} - {
        "AIRFLOW__CELERY__BROKER_URL"
    }


def test_commands_of_kubernetes_are_about_what_is_applied():
    rendered = judged("kubectl", "kustomize", str(DOCKER / "kubernetes/overlays/production"))
    objects = {(m["kind"].lower(), m["metadata"]["name"]) for m in yaml.safe_load_all(rendered)}
    short = {"deploy": "deployment", "hpa": "horizontalpodautoscaler"}
    applied = 0
    for _, command in commands("kubectl"):
        for path in re.findall(r"-k (\S+)", command):
            assert (ROOT / path / "kustomization.yaml").exists()
            applied += 1
        if " -n bookrec " not in command:
            continue
        for kind, name in re.findall(r"\b(deploy|hpa)[/ ]([a-z][\w-]*)", command):
            assert (short[kind], name) in objects, command
        assert not re.search(r" -- (bookrec|airflow) ", command), "it needs with-secrets"
    assert applied > 2


def test_commands_of_helm_name_values_that_there_are():
    files = [path for _, command in commands("helm") for path in re.findall(r"-f (\S+)", command)]
    assert files
    assert all((ROOT / file).exists() for file in files)
