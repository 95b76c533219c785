"""Options that say which books are wanted, beyond taste."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipelines.errors import ConfigurationError

if TYPE_CHECKING:
    from pipelines.models.reranking import Reranking

_BOOKS: Final = "Which books"
_ORDER: Final = "In what order"

Genres = Annotated[
    list[str] | None,
    typer.Option("--genre", help="Of this genre; may repeat.", rich_help_panel=_BOOKS),
]
Languages = Annotated[
    list[str] | None,
    typer.Option("--language", help="In this language: en, English.", rich_help_panel=_BOOKS),
]
Authors = Annotated[
    list[str] | None,
    typer.Option("--author", help="By this author; may repeat.", rich_help_panel=_BOOKS),
]
FromYear = Annotated[
    int | None, typer.Option(help="Published then or later.", rich_help_panel=_BOOKS)
]
ToYear = Annotated[
    int | None, typer.Option(help="Published then or before.", rich_help_panel=_BOOKS)
]
MinRating = Annotated[
    float | None, typer.Option(help="Lowest mean of all ratings.", rich_help_panel=_BOOKS)
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Not the book of this id; may repeat.", rich_help_panel=_BOOKS),
]
IncludeSeen = Annotated[
    bool, typer.Option("--include-seen", help="Also books already met.", rich_help_panel=_BOOKS)
]
Diversity = Annotated[
    float, typer.Option(help="0 is as ranked, 1 most varied.", rich_help_panel=_ORDER)
]
PopularityDamping = Annotated[
    float | None,
    typer.Option(
        help="0 suits the reader alone, 1 brings up the least shown; else as the model was tuned.",
        rich_help_panel=_ORDER,
    ),
]

_OPTIONS = {
    "genres": "--genre",
    "languages": "--language",
    "authors": "--author",
    "exclude": "--exclude",
}


def reranking(
    *, filters: Mapping[str, Any], diversity: float, popularity_damping: float | None
) -> "Reranking":
    """
    The wishes as the models take them.

    Raises:
        ConfigurationError: an option's value makes no sense.
    """
    from pydantic import ValidationError

    from pipelines.models.reranking import Filters, Reranking

    try:
        return Reranking(
            filters=Filters(**filters), diversity=diversity, popularity_damping=popularity_damping
        )
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_line, error.errors()))) from None


def _line(error: Mapping[str, Any]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # of two options together; the message names them
        return message.replace("from_year", "--from-year").replace("to_year", "--to-year")
    name = str(error["loc"][0])
    return f"{_OPTIONS.get(name, '--' + name.replace('_', '-'))}: {message}"
