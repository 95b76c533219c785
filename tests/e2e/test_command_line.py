"""`bookrec` as a program: what it prints, where, and how it ends."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import structlog

from pipelines.cli import main
from pipelines.settings import Settings, get_settings
from pipelines.storage.services import environment
from tests.pipeline_runs import N_READERS, small_books, small_ratings

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    error: str


Bookrec = Callable[..., Ended]


@pytest.fixture
def bookrec(run_settings: Settings, monkeypatch, capsys) -> Bookrec:
    """Run a command in this process, in a home of its own."""
    for name, value in environment(run_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bookrec", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        if isinstance(ended.value.code, str):  # Python prints it and exits with 1
            return Ended(1, capsys.readouterr().out, ended.value.code)
        out, error = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, error)

    yield run
    get_settings.cache_clear()
    structlog.reset_defaults()  # the command has pointed logs at what was stderr then


def test_from_ratings_to_answers(bookrec: Bookrec, library: Path, tmp_path: Path):
    ran = bookrec("run", "--source", "interactions", "--data", library, "--json")
    assert ran.code == 0, ran.error
    told = json.loads(ran.out)
    assert told["stages"]["promote"]["accepted"]

    answer = json.loads(bookrec("recommend", "--user", 4, "-n", 5, "--json").out)
    assert (answer["source"], answer["model_version"], len(answer["items"])) == ("model", 1, 5)
    stranger = json.loads(bookrec("recommend", "--user", "nobody", "--json").out)
    assert stranger["source"] == "fallback"

    near = json.loads(bookrec("similar", "--book", 2, "-n", 3, "--json").out)
    assert len(near["items"]) == 3
    assert bookrec("similar", "--book", "999").error.endswith("does not know a book '999'")

    (batch,) = json.loads(bookrec("quality", "--json").out)
    assert batch["dataset"].startswith("interactions/library-")
    assert (batch["accepted"], batch["drift"]) == (True, None)
    assert batch["parts"]["consistency"] == 1.0
    table = bookrec("quality").out
    assert f"{batch['score']:.1f}" in table
    assert f"Report on the newest: {batch['report']}" in table

    models = json.loads(bookrec("models", "--json").out)
    assert [(m["version"], m["aliases"]) for m in models] == [(1, ["challenger", "champion"])]

    output = tmp_path / "all.parquet"
    exported = json.loads(bookrec("export", "--n", 3, "--output", output, "--json").out)
    assert (exported["readers"], exported["rows"]) == (N_READERS, 3 * N_READERS)
    listed = pd.read_parquet(output).query("user_id == 4").sort_values("rank")
    assert listed["book_id"].tolist() == [i["book_id"] for i in answer["items"]][:3]

    again = bookrec(
        "run", "--source", "interactions", "--data", library, "--run-id", told["run_id"]
    )
    assert "reused" in again.out
    assert "For reader 4" in bookrec("recommend", "--user", 4).out
    assert "champion" in bookrec("models").out


def test_before_the_first_run_the_answer_says_what_to_do(bookrec: Bookrec):
    ended = bookrec("recommend", "--user", "1")
    assert ended.code == 1
    assert ended.error == (
        "bookrec: there is no champion yet: run the pipeline first (`bookrec run`)"
    )


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda f: (f / "ratings.csv").unlink(), "ratings"),
        (lambda f: (f / "ratings.csv").write_bytes(b""), "empty"),
        (lambda f: (f / "ratings.csv").write_text("user_id,book_id,rating\n"), "ratings.csv"),
        (lambda f: (f / "ratings.csv").write_text("user_id,stars\n1,5\n"), "book_id"),
        (lambda f: (f / "ratings.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0"), "ratings.csv"),
    ],
    ids=["missing", "empty", "header-only", "missing-column", "binary"],
)
def test_a_file_that_is_no_ratings_file_is_one_clear_line(bookrec, library, write, expected):
    write(library)
    ended = bookrec("run", "--source", "interactions", "--data", library)
    assert ended.code == 1
    assert ended.error.startswith("bookrec: stage ingest failed: ")
    assert expected in ended.error
    assert "\n" not in ended.error


def test_ratings_in_another_encoding_are_read(bookrec: Bookrec, library: Path):
    frame = small_ratings().assign(user_id=lambda f: "Zoë " + f["user_id"].astype(str))
    frame.to_csv(library / "ratings.csv", index=False, encoding="latin-1")
    titles = small_books().assign(title=lambda f: "Émile " + f["title"])
    titles.to_csv(library / "books.csv", index=False, encoding="utf-16")
    assert bookrec("run", "--source", "interactions", "--data", library).code == 0
    answer = json.loads(bookrec("recommend", "--user", "Zoë 4", "--json").out)
    assert answer["source"] == "model"
    assert answer["items"][0]["title"].startswith("Émile ")


def test_a_corrupt_model_is_refused(bookrec: Bookrec, library: Path, run_settings: Settings):
    assert bookrec("run", "--source", "interactions", "--data", library).code == 0
    (array,) = run_settings.artifact_root.rglob("item_knn/weights.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    ended = bookrec("recommend", "--user", "1")
    assert ended.code == 1
    assert "checksum" in ended.error


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("BOOKREC_API__PORT", "abc", "BOOKREC_API__PORT"),
        ("BOOKREC_SPLIT__TEST", "2", "BOOKREC_SPLIT__TEST"),
        ("BOOKREC_MODELS", "[]", "BOOKREC_MODELS"),
        ("BOOKREC_MODELS", '["item_knn", "item_knn"]', "names a model twice"),
        ("BOOKREC_MODELS", "nope", "BOOKREC_MODELS: Input should be a valid tuple"),
        ("BOOKREC_MODLES", "[]", "did you mean BOOKREC_MODELS?"),
        ("BOOKREC_DATA_PATH", "x", "needs BOOKREC_SOURCE"),
        ("BOOKREC_MLFLOW_ARTIFACT_ROOT", "s3://bucket/x", "must be a folder"),
        ("BOOKREC_HOME", "/proc/nowhere", "cannot make the home"),
        ("BOOKREC_DATABASE_URL", "sqlite:///x.db", "must be PostgreSQL"),
        ("BOOKREC_DATABASE_URL", "postgresql://u:geheim@127.0.0.1:1/x", "Connection refused"),
    ],
)
def test_a_wrong_setting_is_one_clear_line_without_secrets(
    bookrec: Bookrec, monkeypatch, variable, value, expected
):
    monkeypatch.setenv(variable, value)
    get_settings.cache_clear()
    ended = bookrec("models")
    assert ended.code == 1
    assert expected in ended.error
    assert "geheim" not in ended.error
    assert "\n" not in ended.error


def test_the_doctor_names_what_answers(bookrec: Bookrec):
    findings = json.loads(bookrec("doctor", "--json").out)
    states = {f["name"]: f["state"] for f in findings}
    assert (states["PostgreSQL"], states["MLflow"]) == ("ok", "ok")
    assert states["Redis"] == "failed"  # nothing listens where these settings point
    assert states["API"] == "idle"
    assert bookrec("doctor").code == 1


def test_an_export_goes_only_where_a_file_can_be(bookrec: Bookrec, library: Path, tmp_path: Path):
    assert bookrec("run", "--source", "interactions", "--data", library).code == 0
    for output in (tmp_path, Path("/dev/null"), tmp_path / "nowhere" / "all.parquet"):
        ended = bookrec("export", "--output", output)
        assert ended.code == 1
        assert ended.error.startswith(f"bookrec: cannot write {output}: ")
    assert Path("/dev/null").is_char_device()
