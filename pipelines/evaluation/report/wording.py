"""What names and numbers of an evaluation are called on its page."""

import re
from collections.abc import Sequence

from pipelines.pages.charts import Estimate

METRIC = "ndcg_at_10"
"""What models are ordered by."""
NONE = "n/a"
ACCURACY = {
    "ndcg_at_10": ("NDCG@10", "How much of what was hidden is among the ten, and how near the top"),
    "ndcg_at_20": ("NDCG@20", "How much of what was hidden is among twenty, and how near the top"),
    "hit_rate_at_10": ("Hit rate@10", "The share of readers with at least one hidden book found"),
    "recall_at_10": ("Recall@10", "The share of a reader's hidden books that are among the ten"),
    "recall_at_20": ("Recall@20", "The share of a reader's hidden books that are among twenty"),
    "precision_at_10": ("Precision@10", "The share of the ten that were hidden books"),
    "mrr_at_10": ("MRR@10", "How near the top the first hit is, 1 being always first"),
    "map_at_10": ("MAP@10", "How near the top all hits are, on average"),
}
"""Of metrics with intervals: title and meaning."""
BEYOND = {
    "coverage_at_10": ("Coverage", "the share of all books that are in anybody's ten"),
    "gini_at_10": ("Gini", "how unequally books are listed, from 0, all alike, to 1, one alone"),
    "novelty_at_10": ("Novelty", "how rarely the listed books have been read, in bits"),
    "diversity_at_10": ("Diversity", "how different the books of one list are, from 0 to 1"),
}
"""Of metrics without: the same."""
HIDDEN = {
    "timestamp": "Of each reader the newest books were hidden.",
    "row": "Of each reader the books last in the file were hidden, as if they were the newest.",
    "none": "Of each reader some books were hidden, drawn by chance.",
}
ORDER = {
    "timestamp": "What is hidden is what each reader read last, by the time that is recorded.",
    "row": "What is hidden stands last in the file for each reader; no times are recorded.",
    "none": "Nobody knows in which order books were read: what is hidden was drawn by chance.",
}
"""By the order that the split followed."""
GROUPS = {
    "readers": "Readers, by how many books they have met",
    "popularity": "Books, by how often they were read",
    "language": "Books, by language",
    "decade": "Books, by decade",
    "others": "Others",
}
_SLICES = {
    "readers_new": "nothing liked yet",
    "books_head": "the most read third",
    "books_middle": "the middle third",
    "books_tail": "the least read third",
    "books_new": "never read before",
}
_PREFIXES = {
    "history_": "readers",
    "readers_": "readers",
    "books_": "popularity",
    "language_": "language",
    "decade_": "decade",
}


def group_of(slice_name: str) -> str:
    """Which of `GROUPS` a slice belongs to."""
    return next((g for prefix, g in _PREFIXES.items() if slice_name.startswith(prefix)), "others")


def slice_name(name: str) -> str:
    """What a slice is called beside others of its group."""
    if name in _SLICES:
        return _SLICES[name]
    if found := re.fullmatch(r"history_(\d+)(?:_(\d+|up))?", name):
        low, high = found.groups()
        return f"{_span(low, high)} books"
    if found := re.fullmatch(r"decade_(-?\d+)", name):
        return f"{found[1]}s"
    if found := re.fullmatch(r"(language|decade)_(other|unknown)", name):
        return f"{found[2]} {found[1]}"
    return name.removeprefix("language_")


def liked_books(buckets: Sequence[int]) -> dict[int, str]:
    """Buckets of readers, ascending, by the fewest books they have liked."""
    highest = [str(low - 1) for low in buckets[1:]] + ["up"]
    return {
        low: f"{_span(str(low), high)} liked books"
        for low, high in zip(buckets, highest, strict=False)
    }


def _span(low: str, high: str | None) -> str:
    if high == "up":
        return f"{low} or more"
    return low if high in (None, low) else f"{low} to {high}"


def number(value: float) -> str:
    """A metric."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Of hundred."""
    return f"{round(value, 1):g}\N{NO-BREAK SPACE}%"


def estimate(found: Estimate) -> str:
    """A metric with its bounds."""
    if found.low is None or found.high is None:
        return number(found.value)
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def beyond(metric: str, value: float | None) -> str:
    """A metric without bounds, as its readers expect it; a dash where it could not be measured."""
    if value is None:
        return NONE
    return percent(100 * value) if metric == "coverage_at_10" else number(value)


def p_value(value: float) -> str:
    """A probability."""
    return "below 0.001" if value < 0.001 else number(value)


def joined(names: Sequence[str]) -> str:
    """As a sentence lists them."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
