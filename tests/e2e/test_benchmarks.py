"""Each benchmark on tiny data: the figures mean nothing, but the commands still work."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import data, quality, scale, serving, stack, training
from benchmarks.measuring import PEERS_PYTHON
from benchmarks.serving import no_op
from pipelines.settings import Settings
from tests.deployment import install_debian

pytestmark = pytest.mark.e2e

BRIEFLY = ["--books", "60", "--ratings", "3000", "--rounds", "1", "--seconds", "1"]


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


def test_stack_loads_two_replicas_behind_nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install_debian("wrk", "wrk")
    install_debian("nginx", "nginx-light", "curl")
    monkeypatch.setattr(stack, "SHOWN", ("computed",))
    out = tmp_path / "stack.json"
    stack.main([*BRIEFLY, "--out", str(out)])
    told = json.loads(out.read_text())["computed"]
    assert told.keys() == {stack.ALONE, stack.ONE, stack.TWO}
    for way in told.values():
        (load,) = way["loads"]
        assert load["failed"] == 0
        assert load["cpu_microseconds"] > 0


def test_serving_measures_whatever_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A no-op in the place of the service, which takes long to start and is under load above."""
    install_debian("wrk", "wrk")
    (tmp_path / "bundle").mkdir()
    home = Settings(home=tmp_path)
    monkeypatch.setattr(serving, "registered", lambda _: nullcontext(home))
    monkeypatch.setattr(serving, "service", lambda _, name, __: no_op(name, "fast"))
    monkeypatch.setattr(serving, "VARIANTS", {"computed": {}})
    monkeypatch.setattr(serving, "BATCH_ROUNDS", {"computed": 2})
    monkeypatch.setattr(serving, "SETTLING_SECONDS", 0.2)
    out = tmp_path / "serving.json"
    serving.main([*BRIEFLY, "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["servers"].keys() == {"raw ASGI no-op", serving.BASE, "computed"}
    assert [load["failed"] for way in told["servers"].values() for load in way["loads"]] == [0] * 3
    assert len(told["batch_ratios"]["computed"]) == 2
    assert all(ratio > 0 for ratio in told["batch_ratios"]["computed"])
    shown = capsys.readouterr().out
    assert re.search(r"in one request.*\n  computed: [0-9.]+ \([0-9.]+-[0-9.]+\)\n", shown)
