"""Run stages: one at a time by name, or the whole pipeline in the order of `STAGES`."""

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from pipelines.errors import BookrecError, StageFailedError
from pipelines.stages import MAPPED, STAGES
from pipelines.stages.announcing import announcing
from pipelines.stages.run_context import RunContext, Summary

log = structlog.get_logger()

Progress = Callable[[str, Summary, float, bool], None]
"""Called with a stage's address, what it told, its seconds, and whether it was reused."""

ALWAYS_RUN = ("register", "promote", "warm_cache")
"""Their work lies outside the run folder, so a folder proves nothing; each is safe to repeat."""


def execute(stage: str, ctx: RunContext, *part: str) -> Summary:
    """
    Run one stage and log its canonical line.

    Args:
        stage: A name of `STAGES`.
        ctx: The run.
        part: The model, for the mapped stage.

    Returns:
        What the stage told, and the `seconds` it took, its imports included.
    """
    started = time.perf_counter()
    with structlog.contextvars.bound_contextvars(run_id=ctx.run_id, stage="/".join((stage, *part))):
        module = importlib.import_module(f"pipelines.stages.{stage}")
        with announcing(ctx, stage):
            summary: Summary = module.run(ctx, *part)
        told = {**summary, "seconds": round(time.perf_counter() - started, 3)}
        log.info("stage_completed", **told)
    return told


def steps(ctx: RunContext, last: str | None = None) -> Iterator[tuple[str, ...]]:
    """The stages in order, up to the one called `last`, the mapped one once for each model."""
    names = list(STAGES)
    for stage in names[: names.index(last) + 1] if last else names:
        if stage == MAPPED:
            yield from ((stage, model) for model in ctx.settings.models)
        else:
            yield (stage,)


def run_pipeline(ctx: RunContext, progress: Progress, *, last: str | None = None) -> dict[str, Any]:
    """
    Run everything, or up to the stage called `last`.

    A rerun of a run id continues where its inputs and parameters still hold.

    Returns:
        What each stage told, by address.

    Raises:
        StageFailedError: with the cause.
    """
    with ctx.folder.reserved():
        return {"/".join(step): _run_or_reuse(ctx, step, progress) for step in steps(ctx, last)}


def _run_or_reuse(ctx: RunContext, step: tuple[str, ...], progress: Progress) -> Summary:
    address, started = "/".join(step), time.perf_counter()
    reused = step[0] not in ALWAYS_RUN and ctx.is_current(address) and not _is_source(step)
    try:
        told = ctx.summary(address) if reused else execute(step[0], ctx, *step[1:])
    except Exception as error:  # an outermost edge: whatever it was, the stage is named
        reason = str(error) if isinstance(error, BookrecError) else repr(error)
        raise StageFailedError(address, reason) from error
    progress(address, told, time.perf_counter() - started, reused)
    return told


def _is_source(step: tuple[str, ...]) -> bool:
    """The first stage always runs: only reading the source shows whether it changed."""
    return step[0] == next(iter(STAGES))
