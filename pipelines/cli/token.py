"""`bookrec token`: log in to the running service."""

from typing import Annotated, Any

import typer

from pipelines.cli.acting import FromStdin, asked_password
from pipelines.cli.output import AsJson, console, print_json
from pipelines.errors import AccountError, ServiceUnavailableError
from pipelines.settings import get_settings


def token(
    user: Annotated[str, typer.Option(help="Whose.")],
    password_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Log in to the running service, and print an access token."""
    import httpx

    url = get_settings().api.url
    password = asked_password(password_stdin)
    form = {"grant_type": "password", "username": user, "password": password}
    try:
        answer = httpx.post(f"{url}/api/v1/auth/token", data=form, timeout=10)
    except httpx.TransportError as error:
        raise ServiceUnavailableError(
            f"no service answers at {url} ({error}): start it with `bookrec up`"
        ) from error
    if answer.is_error:
        raise AccountError(_detail(answer))
    if as_json:
        print_json(answer.json())
    else:
        console.print(answer.json()["access_token"], soft_wrap=True, markup=False)


def _detail(answer: Any) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}"
