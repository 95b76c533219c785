"""Each benchmark on tiny data: the figures mean nothing, but the commands still work."""

import json
from pathlib import Path

import pytest

from benchmarks import data, quality, scale, training
from benchmarks.measuring import PEERS_PYTHON

pytestmark = pytest.mark.e2e


def test_quality_compares_the_hybrid_with_peers(
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("BOOKREC_MODELS", '["popularity", "item_knn"]')
    monkeypatch.setenv("BOOKREC_TUNING__BUDGET_SECONDS", "0")
    peers = {"implicit TF-IDF", *(["LensKit EASE"] if PEERS_PYTHON.exists() else [])}
    data, out = ["--source", "interactions", "--data", str(library)], tmp_path / "quality.json"
    quality.main([*data, "--trials", "1", "--peers", *peers, "--out", str(out)])
    told = json.loads(out.read_text())
    spread = {f"hybrid, damping {knob}" for knob in quality.DAMPINGS}
    ours = {"hybrid", "popularity", "item_knn"} | spread
    assert {row["model"] for row in told["rows"]} == ours | peers
    assert told["verdicts"].keys() == {"hybrid"} | spread
    assert f"over {told['best_peer']}, " in capsys.readouterr().out


def test_training_measures_ours_and_theirs_in_turns(tmp_path: Path):
    out = tmp_path / "training.json"
    few = ["--ratings", "5000", "--repeats", "1", "--threads", "1", "--models", "item_knn"]
    training.main([*few, "--out", str(out)])
    rows = {row["contestant"]: row for row in json.loads(out.read_text())["rows"]}
    assert {"bookrec", "implicit Cosine"} <= rows.keys()
    assert ("LensKit ItemKNN" in rows) == PEERS_PYTHON.exists()
    assert all(row["seconds"]["median"] > 0 for row in rows.values())


def test_scale_fits_a_line_through_the_sizes(tmp_path: Path):
    out = tmp_path / "scale.json"
    sizes = ["--sizes", "0.005", "0.02", "9", "--up-to", "1"]
    scale.main([*sizes, "--models", "item_knn", "--out", str(out)])
    told = json.loads(out.read_text())
    assert len(told["points"]) == 2
    assert told["slopes"]["item_knn"][0] > 0


def test_data_compares_stages_with_bare_pyarrow_and_upserts_with_copy(tmp_path: Path):
    out = tmp_path / "data.json"
    few = ["--ratings", "0.005", "--load", "0.002", "--repeats", "1"]
    data.main([*few, "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["contests"].keys() == {"bare", "stages", "loads"}
    seconds = {name: told["contests"]["stages"][name]["median"] for name in data.STAGES}
    assert told["contests"]["stages"]["seconds"]["median"] == pytest.approx(sum(seconds.values()))
    assert len(told["verdicts"]) == 3
