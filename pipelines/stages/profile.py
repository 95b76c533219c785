"""Profile the clean batch, compare it with the one before, and decide whether it may be used."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations.clean_suites import Before, clean_books_suite, clean_ratings_suite
from expectations.runner import SuiteResult
from expectations.runner import validate as hold_against
from pipelines.data.anomalies import flag_readers
from pipelines.data.drift import DriftBounds, drift_between
from pipelines.data.profiling import Profile, profile_batch
from pipelines.data.quality_gate import QualityRules, judge
from pipelines.data.quality_page import Findings, quality_page
from pipelines.data.quality_score import Intake, quality_score
from pipelines.events import ColumnMoved, DriftFound, Event
from pipelines.stages.announcing import batch_refused
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.outbox import Outbox
from pipelines.storage.profiles import BatchProfile, ProfileRepository

DOCS = "data_docs/clean"
QUALITY_GATE = "quality gate"
LINKS = {
    "What was expected of the data as they came, and what was found": "../data_docs/raw/index.html",
    "The same of the data as they are used": "../data_docs/clean/index.html",
}
"""From the report to the Data Docs."""
SECONDS_A_DAY = 86_400


def run(ctx: RunContext) -> Summary:
    """
    Write the profile and the report, and record both in PostgreSQL, whatever the verdict.

    It is `store` that refuses a batch: its report is read either way.
    """
    previous = _previous(ctx)
    reference = None if previous is None else Profile.model_validate(previous.profile)
    clean = ctx.folder.reading("clean")
    tables = {name: pq.read_table(clean / f"{name}.parquet") for name in ("ratings", "books")}
    results = _hold_against_suites(ctx, tables, reference)
    compared_with = None if previous is None else previous.run_id
    found = _examine(ctx, tables, reference, compared_with, results)
    with ctx.stage("profile", inputs=["ingest", "validate", "clean"]) as draft:
        _write(ctx, draft.folder, found)
        draft.summary |= _told(ctx, found)
        with ctx.unit_of_work() as session:
            ProfileRepository(session).record(_record(ctx, found, draft.summary))
            for event in _events(ctx, found, draft.summary):
                Outbox(session).write(event)
    return draft.summary


def _previous(ctx: RunContext) -> BatchProfile | None:
    with ctx.unit_of_work() as session:
        return ProfileRepository(session).previous(ctx.params.dataset, ctx.run_id)


def _hold_against_suites(
    ctx: RunContext, tables: Mapping[str, pa.Table], reference: Profile | None
) -> dict[str, SuiteResult]:
    clean, share = ctx.folder.reading("clean"), ctx.settings.quality.minimum_kept_share
    before = _before(ctx, reference)
    ratings = clean_ratings_suite(
        ctx.summary("validate")["rating_scale"],
        books=clean / "books.parquet",
        readers=clean / "readers.parquet",
        before=before,
        minimum_kept_share=share,
    )
    books = clean_books_suite(
        ratings=clean / "ratings.parquet", before=before, minimum_kept_share=share
    )
    frames = {
        name: (suite, tables[name].to_pandas())
        for name, suite in {"ratings": ratings, "books": books}.items()
    }
    with ctx.stage(DOCS, inputs=["clean"]) as docs:
        return hold_against(frames, run_name=ctx.run_id, docs_folder=docs.folder)


def _before(ctx: RunContext, reference: Profile | None) -> Before | None:
    if reference is None:
        return None
    mean = reference.numbers("rating").mean
    if ctx.params.mode == "addition":
        return Before(0, 0, mean)
    return Before(reference.ratings, reference.books, mean)


def _examine(
    ctx: RunContext,
    tables: Mapping[str, pa.Table],
    reference: Profile | None,
    compared_with: str | None,
    results: Mapping[str, SuiteResult],
) -> Findings:
    rules = ctx.settings.quality
    readers = pq.read_table(ctx.folder.reading("clean") / "readers.parquet")["user_id"]
    profile = profile_batch(tables["ratings"], tables["books"], readers)
    drift = None
    if reference is not None:
        bounds = DriftBounds(rules.warning_psi, rules.critical_psi)
        drift = drift_between(reference, profile, bounds)
    intake = _intake(ctx)
    score = quality_score(
        profile,
        intake,
        weights=rules.weights.model_dump(),
        drift=drift,
        age_days=_age(profile),
        half_life_days=rules.half_life_days,
    )
    failed = [o.message for r in results.values() for o in r.critical_failures]
    warnings = [o.message for r in results.values() for o in r.warnings]
    share = 0.0 if ctx.params.mode == "addition" else rules.minimum_kept_share
    verdict = judge(score, drift, failed, warnings, QualityRules(rules.minimum_score, share))
    flagged = flag_readers(tables["ratings"])
    return Findings(profile, intake, flagged, drift, compared_with, score, verdict)


def _intake(ctx: RunContext) -> Intake:
    aside: dict[str, Counter[str]] = defaultdict(Counter)
    repairs: dict[str, Counter[str]] = defaultdict(Counter)
    for stage in ("ingest", "validate", "clean"):
        quarantine = pq.read_table(ctx.folder.reading(stage) / "quarantine.parquet")
        counted = quarantine.group_by(["dataset", "rule"]).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            aside[row["dataset"]][row["rule"]] += row["count_all"]
        for dataset, rules in ctx.summary(stage).get("repairs", {}).items():
            repairs[dataset] += Counter(rules)
    return Intake(aside, repairs)


def _age(profile: Profile) -> float | None:
    """Days since the newest rating; None where no time is known."""
    newest = profile.numbers("rated_at").points[-1:]
    today = datetime.now(UTC).timestamp() // SECONDS_A_DAY
    return today - newest[0] if newest else None


def _write(ctx: RunContext, folder: Path, found: Findings) -> None:
    (folder / "profile.json").write_text(found.profile.model_dump_json(indent=1))
    flagged = [asdict(reader) for reader in found.flagged]
    (folder / "flagged_readers.json").write_text(json.dumps(flagged, ensure_ascii=False, indent=1))
    page = quality_page(
        found,
        run_id=ctx.run_id,
        label=ctx.summary("ingest")["label"],
        when=datetime.now(UTC),
        links=LINKS,
    )
    page.write(folder, "report")


def _told(ctx: RunContext, found: Findings) -> Summary:
    return {
        "mode": ctx.params.mode if found.compared_with else "full",
        "score": found.score.score,
        "parts": {p.name: p.share for p in found.score.parts if p.share is not None},
        "accepted": found.verdict.accepted,
        "reasons": list(found.verdict.reasons),
        "warnings": list(found.verdict.warnings),
        "compared_with": found.compared_with,
        "flagged_readers": len(found.flagged),
        "report": str(ctx.folder.path / "profile" / "report.html"),
        "data_docs": str(ctx.folder.path / DOCS / "index.html"),
    }


def _events(ctx: RunContext, found: Findings, told: Mapping[str, Any]) -> Iterator[Event]:
    if not found.verdict.accepted:
        yield batch_refused(ctx, QUALITY_GATE, len(found.verdict.reasons), told["report"])
    moved = [] if found.drift is None else [c for c in found.drift.columns if c.level != "steady"]
    if moved:
        yield DriftFound(
            occasion=f"{ctx.params.dataset}/{ctx.run_id}",
            dataset=ctx.params.dataset,
            run_id=ctx.run_id,
            compared_with=found.compared_with or "",
            columns=tuple(ColumnMoved(column=c.column, psi=c.psi, level=c.level) for c in moved),
            report=told["report"],
        )


def _record(ctx: RunContext, found: Findings, told: Mapping[str, Any]) -> BatchProfile:
    drift = None if found.drift is None else asdict(found.drift)
    return BatchProfile(
        dataset=ctx.params.dataset,
        run_id=ctx.run_id,
        accepted=found.verdict.accepted,
        score=found.score.score,
        quality={**told, "drift": drift},
        profile=found.profile.model_dump(mode="json"),
    )
