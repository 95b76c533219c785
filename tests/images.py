"""The images as `docker/Dockerfile` describes them: stages, commands, environments."""

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Self

from tests.deployment import DOCKER

_INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$", re.DOTALL)


@dataclass
class Stage:
    """One `FROM … AS name`, and what follows it."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Image:
    """A target: its own stage, those it stands on, and the one whose environment it copies."""

    name: str
    stages: list[Stage]
    built_by: list[Stage]

    @classmethod
    def of(cls, name: str, stages: dict[str, Stage]) -> Self:
        (copied,) = [
            match[1]
            for word, rest in stages[name].instructions
            if word == "COPY" and (match := re.search(r"--from=(\S+) /opt", rest))
        ] or [""]
        return cls(name, _chain(name, stages), _chain(copied, stages))

    def last(self, word: str) -> str:
        """The argument of the last instruction of that name."""
        return [rest for stage in self.stages for w, rest in stage.instructions if w == word][-1]

    @property
    def command(self) -> list[str]:
        """What is started where nobody says otherwise; without the entry point."""
        found: list[str] = json.loads(self.last("CMD"))
        return found

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the running image."""
        return _variables(self.stages)

    @property
    def build_environment(self) -> dict[str, str]:
        """Variables under which it is installed."""
        return _variables(self.built_by)

    @property
    def installs(self) -> list[str]:
        """The commands that install, in order."""
        runs = [rest for s in self.built_by for word, rest in s.instructions if word == "RUN"]
        return [run.split(maxsplit=1)[1] for run in runs if "uv sync" in run]

    @property
    def building(self) -> list[tuple[str, str]]:
        """What copies from the project and what runs, in order."""
        return [
            (word, rest)
            for stage in self.built_by
            for word, rest in stage.instructions
            if word == "RUN" or (word == "COPY" and "--from" not in rest)
        ]

    @property
    def extras(self) -> set[str]:
        """What of pyproject.toml's extras is installed."""
        return {name for run in self.installs for name in re.findall(r"--extra (\S+)", run)}


def images() -> dict[str, Image]:
    """By name, what can be built to be run."""
    stages = _stages()
    names = [name for name, stage in stages.items() if _runs(stage)]
    return {name: Image.of(name, stages) for name in names}


def _runs(stage: Stage) -> bool:
    return any(word == "HEALTHCHECK" for word, _ in stage.instructions)


def _stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    current = Stage("")
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if (match := _INSTRUCTION.match(line)) is None:
            continue
        word, rest = match.groups()
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = Stage(base)
        else:
            current.instructions.append((word, rest))
    return stages


def _chain(name: str, stages: dict[str, Stage]) -> list[Stage]:
    """A stage after those it is based on."""
    chain = []
    while name in stages:
        chain.insert(0, stages[name])
        name = stages[name].base
    return chain


def _variables(stages: list[Stage]) -> dict[str, str]:
    pairs = [
        (pair.split("=", 1)[0], pair.split("=", 1)[1])
        for stage in stages
        for word, rest in stage.instructions
        if word == "ENV"
        for pair in shlex.split(rest)
    ]
    return dict(pairs)
