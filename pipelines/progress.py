"""What a person watching a run sees: one line a stage, and one table at the end."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Summary = Mapping[str, Any]


def _quarantined(told: Summary) -> str:
    rules = ", ".join(f"{q['counts']:,} {q['values']}" for q in told["quarantined"])
    return f"; quarantined {rules}" if rules else ""


def _quality(told: Summary) -> str:
    flagged = f"; {told['flagged_readers']:,} odd readers" if told["flagged_readers"] else ""
    verdict = "" if told["accepted"] else ", refused"
    return f"quality {told['score']:.1f} of 100{verdict}; {len(told['warnings'])} warnings{flagged}"


def _repaired(told: Summary) -> str:
    counts = [n for rules in told["repairs"].values() for n in rules.values()]
    return f"; repaired {sum(counts):,} cells by {len(counts)} rules" if counts else ""


def _weights(told: Summary) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in told["weights"].items())


def _scores(told: Summary) -> str:
    scores = sorted(told["ndcg_at_10"].items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {score:.4f}" for name, score in scores)


def _warmed(told: Summary) -> str:
    return f"skipped: {told['skipped']}" if "skipped" in told else f"{told['warmed']:,} readers"


_HEADLINES: Mapping[str, Callable[[Summary], str]] = {
    "ingest": lambda s: f"{s['ratings']:,} ratings, {s['ratings_rejected']:,} unreadable rows",
    "validate": lambda s: f"{len(s['warnings'])} warnings{_quarantined(s)}",
    "clean": lambda s: (
        f"{s['ratings']:,} ratings of {s['readers']:,} readers on {s['books']:,} books"
        + _repaired(s)
        + _quarantined(s)
    ),
    "profile": _quality,
    "store": lambda s: (
        f"{s['added']:,} ratings added, {s['changed']:,} changed, {s['total']:,} in all; "
        f"written {s['books_added'] + s['books_changed']:,} books, {s['readers_added']:,} readers"
    ),
    "preprocess": lambda s: (
        f"{s['train']:,} rows to train on, {s['validation']:,} to choose, {s['test']:,} to judge"
    ),
    "train": lambda _: "fitted",
    "blend": lambda s: f"weights {_weights(s)}",
    "evaluate": lambda s: f"NDCG@10 {_scores(s)}",
    "register": lambda s: f"{s['model']} version {s['version']}",
    "promote": lambda s: (
        "champion" if s["promoted"] else f"not promoted: {'; '.join(s['reasons'])}"
    ),
    "warm_cache": _warmed,
}


def report_stage(
    console: Console, address: str, told: Summary, seconds: float, *, reused: bool = False
) -> None:
    """Print the line of a finished stage; `address` is its name, or `train/<model>`."""
    headline = _HEADLINES[address.split("/")[0]](told)
    time = "  reused" if reused else f"{seconds:6.1f} s"
    console.print(
        f"[green]✓[/] {address:<28}{time}  {escape(headline)}", highlight=False, soft_wrap=True
    )


def report_pages(console: Console, stages: Mapping[str, Summary]) -> None:
    """Say where the pages about a finished run lie; `stages` is what each of them told."""
    for title, stage in (
        ("Data Docs", "validate"),
        ("Data quality", "profile"),
        ("Evaluation", "evaluate"),
    ):
        console.print(f"{title}: {stages[stage]['report']}", soft_wrap=True)


def recommendation_table(title: str, items: Sequence[Summary]) -> Table:
    """Recommendations as served: rank, title, authors, score and the strongest reason."""
    table = Table("", "Title", "By", "Score", "Why", title=title, title_justify="left")
    for rank, item in enumerate(items, start=1):
        cells = (item["title"], ", ".join(item["authors"]))
        strongest = next(iter(item["reasons"]), "")
        table.add_row(str(rank), *map(escape, cells), f"{item['score']:.3f}", escape(strongest))
    return table
