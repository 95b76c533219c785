"""
Tune each peer on the validation part, refit it on all but test, and write its lists.

Run by `benchmarks.quality`, with the interpreter that has LensKit.
"""

import argparse
import itertools
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from benchmarks.peers.base import BookNums, Peer
from benchmarks.peers.catalogue import models
from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Interactions
from pipelines.data.splits import Part
from pipelines.evaluation import metrics
from pipelines.evaluation.protocol import LIST_LENGTH, Holdout, holdout
from pipelines.models.base import RankedBooks

MAX_VALIDATION_READERS = 1000

Config = dict[str, Any]
UserNums = npt.NDArray[np.int64]


def draw_configs(space: dict[str, Any], n: int, rng: np.random.Generator) -> list[Config]:
    """At most `n` different points of the grid, drawn by chance."""
    grid = list(itertools.product(*space.values()))
    chosen = rng.permutation(len(grid))[:n]
    return [dict(zip(space, grid[i], strict=True)) for i in chosen]


def fitted(
    peer_class: type[Peer], config: Config, known: Interactions, seed: int
) -> tuple[Peer, float]:
    """A fitted peer and the seconds that the fit took."""
    peer = peer_class(**config)
    peer.prepare(sparse.csr_matrix(known.liked))
    started = time.perf_counter()
    peer.fit(seed=seed)
    return peer, time.perf_counter() - started


def lists(peer: Peer, user_nums: UserNums, known: Interactions) -> list[BookNums]:
    """The list of each reader, best first."""
    return [peer.unmet(u, known.history(u).book_nums, LIST_LENGTH) for u in user_nums.tolist()]


def quality(ranked: list[BookNums], readers: Holdout) -> float:
    """Mean NDCG@10; ranks stand in for scores."""
    books = [RankedBooks(nums, -np.arange(len(nums), dtype=np.float32)) for nums in ranked]
    n_relevant = np.array([len(books) for books in readers.relevant])
    return float(metrics.ndcg(metrics.hit_matrix(books, readers.relevant, 10), n_relevant).mean())


class Search:
    """The same data, readers and number of trials for every peer."""

    def __init__(self, dataset: Dataset, *, trials: int, seed: int) -> None:
        self._trials, self._seed = trials, seed
        self._train = dataset.interactions(Part.TRAIN)
        self._known = dataset.interactions(Part.TRAIN, Part.VALIDATION)
        self._readers = holdout(
            self._train,
            dataset.interactions(Part.VALIDATION),
            max_readers=MAX_VALIDATION_READERS,
            rng=np.random.default_rng(seed),
        )

    def tune(self, name: str, peer_class: type[Peer]) -> list[tuple[float, Config]]:
        """Validation quality of each trial, best first."""
        rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        configs = draw_configs(dict(peer_class.space), self._trials, rng)
        tried = []
        for config in configs:
            peer, _ = fitted(peer_class, config, self._train, self._seed)
            ranked = lists(peer, self._readers.user_nums, self._train)
            tried.append((quality(ranked, self._readers), config))
            print(f"{name}: {tried[-1][0]:.4f} {config}", file=sys.stderr, flush=True)
        return sorted(tried, key=lambda trial: -trial[0])

    def refit(self, peer_class: type[Peer], config: Config) -> tuple[Peer, float]:
        """The chosen configuration learnt from all but test rows, and the seconds."""
        return fitted(peer_class, config, self._known, self._seed)

    def lists(self, peer: Peer, user_nums: UserNums) -> list[BookNums]:
        """What a refitted peer recommends to each reader."""
        return lists(peer, user_nums, self._known)


def write_lists(path: Path, user_nums: UserNums, ranked: list[BookNums]) -> None:
    """One row a reader: user_num, and book_nums best first."""
    columns = {"user_num": user_nums, "book_nums": pa.array(ranked, pa.list_(pa.int32()))}
    pq.write_table(pa.table(columns), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--readers", type=Path, required=True, help="Parquet with user_num")
    parser.add_argument("--lists", type=Path, required=True, help="folder for NAME.parquet")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--peers", nargs="+", help="names of the models; all if not given")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    search = Search(Dataset.load(arguments.dataset), trials=arguments.trials, seed=arguments.seed)
    user_nums = pq.read_table(arguments.readers)["user_num"].to_numpy()
    told = {}
    every = models()
    for name in arguments.peers or every:
        peer_class = every[name]
        tried = search.tune(name, peer_class)
        peer, seconds = search.refit(peer_class, tried[0][1])
        write_lists(arguments.lists / f"{name}.parquet", user_nums, search.lists(peer, user_nums))
        told[name] = {"fit_seconds": seconds, "config": tried[0][1], "trials": tried}
    arguments.out.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
