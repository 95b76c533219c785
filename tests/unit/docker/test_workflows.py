"""What GitHub is asked to do: by the rules of actionlint, and by what there is to be done here."""

import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

from tests.deployment import ROOT, judged
from tests.images import images

GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOWS[name].read_text())
    return found


def test_actionlint_finds_nothing():
    assert judged("actionlint") == ""


def test_a_mistake_is_found(tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS["ci"].read_text().replace("matrix.python }}", "matrix.pythons }}"))
    with pytest.raises(AssertionError, match="pythons"):
        judged("actionlint", str(broken))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nobody_may_more_than_read_unless_a_job_says_so(name: str):
    assert workflow(name)["permissions"] == {"contents": "read"}
    # A workflow of strangers' code with our secrets.
    assert "pull_request_target" not in WORKFLOWS[name].read_text()
    for job in workflow(name)["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_what_is_made_can_be_made():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {t for p in WORKFLOWS.values() for t in re.findall(r"run: make (\S+)", p.read_text())}
    assert asked >= {"audit", "test-unit", "test-integration"}
    assert asked <= targets


def test_every_python_and_both_servers_of_the_owner_are_tried():
    job = workflow("ci")["jobs"]["services"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.13"
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    assert {name: s["image"] for name, s in job["services"].items()} == {
        "postgres": "postgres:15",
        "redis": "redis:7",
        "redis-2": "redis:7",
    }
    (step,) = (step for step in job["steps"] if "env" in step)
    assert step["run"] == "make test-integration"
    hosts = re.findall(r"[@/](\w[\w-]*):\d+/", " ".join(step["env"].values()))
    assert hosts == ["postgres", "redis", "redis-2"]


def test_tests_run_in_debian_where_its_servers_can_be_installed():
    """As root, and with PostgreSQL 15, which Ubuntu does not have."""
    jobs = workflow("ci")["jobs"]
    assert {jobs[name]["container"].partition("-")[2] for name in ("all", "services")} == {
        "bookworm"
    }


def test_every_image_is_built_scanned_and_told_of():
    job = workflow("images")["jobs"]["image"]
    assert set(job["strategy"]["matrix"]["target"]) == set(images())
    assert [s for s in job["steps"] if s.get("with", {}).get("exit-code") == "1"]
    assert [s for s in job["steps"] if s.get("with", {}).get("format") == "cyclonedx"]
    pushed = [s for s in job["steps"] if "docker push" in s.get("run", "")]
    assert [step["if"] for step in pushed] == ["inputs.version != ''"]


def test_a_release_is_refused_where_tag_and_project_differ(tmp_path):
    (check,) = [s for s in workflow("release")["jobs"]["version"]["steps"] if s.get("id") == "read"]
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [1.2.3] - 2026-12-01\n")
    output = tmp_path / "output"

    def released(tag: str) -> int:
        env = {"GITHUB_REF_NAME": tag, "GITHUB_OUTPUT": str(output), "PATH": "/usr/bin:/bin"}
        command = ["bash", "-eo", "pipefail", "-c", check["run"]]
        return subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode

    assert released("v1.2.4") != 0
    assert not output.exists()
    assert released("v1.2.3") == 0
    assert output.read_text() == "version=1.2.3\n"


def test_updates_are_looked_for_wherever_versions_are_named():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {(u["package-ecosystem"], u["directory"]) for u in updates} == {
        ("uv", "/"),
        ("docker", "/docker"),
        ("docker-compose", "/docker"),
        ("github-actions", "/"),
    }


def test_every_answer_to_the_audit_reaches_it():
    """A row of the page becomes an option of pip-audit, by the pattern in the Makefile."""
    row = "| GHSA-aaaa-bbbb-cccc | thing | is never called |"
    (pattern,) = re.findall(
        r"sed -n '(.+?)' docs/security-audit.md", (ROOT / "Makefile").read_text()
    )
    page = (ROOT / "docs" / "security-audit.md").read_text() + row + "\n"
    found = subprocess.run(
        ["sed", "-n", pattern], input=page, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found[-1] == "--ignore-vuln GHSA-aaaa-bbbb-cccc"
    assert len(found) == page.count("\n| ") - page.count("\n| id")
