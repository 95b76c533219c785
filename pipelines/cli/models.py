"""Commands that ask a registered model: recommend, similar, search, export."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from pipelines.cli.output import AsJson, console, print_json, progress_console
from pipelines.cli.wishes import (
    Authors,
    Diversity,
    Excluded,
    FromYear,
    Genres,
    IncludeSeen,
    Languages,
    MinRating,
    PopularityDamping,
    ToYear,
    reranking,
)
from pipelines.errors import ConfigurationError, RegistryError
from pipelines.progress import recommendation_table
from pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from pipelines.models.answers import Answer
    from pipelines.models.bundle import ModelBundle
    from pipelines.registry import ModelVersion

Length = Annotated[int, typer.Option("-n", "--n", min=1, max=1000, help="How many books.")]
Alias = Annotated[str, typer.Option(help="Which version to ask: champion or challenger.")]


@contextmanager
def _opened(alias: str) -> "Iterator[tuple[ModelBundle, ModelVersion]]":
    with _in_reach(alias) as (bundle, version, _):
        yield bundle, version


@contextmanager
def _in_reach(alias: str) -> "Iterator[tuple[ModelBundle, ModelVersion, Settings]]":
    from pipelines.champion import load_by_alias
    from pipelines.registry import MlflowRegistry
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        registry = MlflowRegistry.from_settings(settings)
        yield *load_by_alias(registry, alias, settings.home / "models"), settings


def recommend(
    user: Annotated[str | None, typer.Option(help="The reader's id.")] = None,
    liked: Annotated[
        list[str] | None, typer.Option(help="Instead of --user: a liked book's id; may repeat.")
    ] = None,
    n: Length = 10,
    genre: Genres = None,
    language: Languages = None,
    author: Authors = None,
    from_year: FromYear = None,
    to_year: ToYear = None,
    min_rating: MinRating = None,
    exclude: Excluded = None,
    include_seen: IncludeSeen = False,
    diversity: Diversity = 0.0,
    popularity_damping: PopularityDamping = None,
    alias: Alias = "champion",
    as_json: AsJson = False,
) -> None:
    """Books for a reader; an unknown one gets popular books, and the answer says so."""
    if (user is None) == (not liked):
        raise ConfigurationError("say whom the books are for: give either --user or --liked")
    wishes = reranking(
        filters={
            "genres": genre or (),
            "languages": language or (),
            "authors": author or (),
            "from_year": from_year,
            "to_year": to_year,
            "min_rating": min_rating,
            "exclude": exclude or (),
            "exclude_seen": not include_seen,
        },
        diversity=diversity,
        popularity_damping=popularity_damping,
    )
    from pipelines.models.answers import Read

    with _opened(alias) as (bundle, version):
        if user is not None:
            answer = bundle.recommend(user, n, reranking=wishes)
        else:
            read = [Read(book_id) for book_id in liked or ()]
            answer = bundle.recommend_for_history(read, n, reranking=wishes)
    title = f"For reader {user}" if user is not None else "For whom likes these books"
    _print_answer(answer, version.version, title, as_json)


def similar(
    book: Annotated[str, typer.Option(help="The book's id.")],
    n: Length = 10,
    alias: Alias = "champion",
    as_json: AsJson = False,
) -> None:
    """Books that stand near a book."""
    with _opened(alias) as (bundle, version):
        answer = bundle.similar([book], n)
    if answer is None:
        raise RegistryError(f"version {version.version} does not know a book {book!r}")
    _print_answer(answer, version.version, f"Similar to book {book}", as_json)


def search(
    text: Annotated[str, typer.Argument(help="What the books should be about.")],
    n: Length = 10,
    alias: Alias = "champion",
    as_json: AsJson = False,
) -> None:
    """Books that fit a description in your own words."""
    with _opened(alias) as (bundle, version):
        answer = bundle.search(text, n)
    _print_answer(answer, version.version, f"For “{text}”", as_json)


def _print_answer(answer: "Answer", version: int, title: str, as_json: bool) -> None:
    document = {"model_version": version, **asdict(answer)}
    if as_json:
        print_json(document)
    elif not answer.items:
        console.print(f"{title}: no book fits (asked version {version}).", markup=False)
    else:
        heading = f"{title}, from version {version} ({answer.source})"
        console.print(recommendation_table(heading, document["items"]))


def export(
    output: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    n: Length = 10,
    alias: Alias = "champion",
    as_json: AsJson = False,
) -> None:
    """A list for every reader seen in the input, books they have met excluded."""
    from pipelines.champion import export_recommendations
    from pipelines.erasure.exports import record

    with (
        _in_reach(alias) as (bundle, version, settings),
        Progress(console=progress_console) as progress,
    ):
        # Before it is there: whoever erases a reader meanwhile has to know of it.
        record(settings, output.absolute(), version)
        task = progress.add_task("Exporting", total=len(bundle.users))
        rows = export_recommendations(
            bundle, n, output, on_progress=lambda readers: progress.update(task, advance=readers)
        )
        readers = len(bundle.users)
    told = {
        "model_version": version.version,
        "readers": readers,
        "rows": rows,
        "output": str(output),
    }
    if as_json:
        print_json(told)
    else:
        console.print(f"{rows:,} rows for {readers:,} readers in {output}", soft_wrap=True)
