"""What the service refuses to start with, and where its signing keys come from."""

from collections.abc import Iterator

from pydantic import SecretStr

from pipelines.credentials.passwords import refuse_weak
from pipelines.errors import ConfigurationError
from pipelines.settings import Settings

MINIMUM_TOKEN_LENGTH = 24


def refuse_unsafe(settings: Settings) -> None:
    """
    Outside of development nothing may stand open that was not opened on purpose.

    Raises:
        ConfigurationError: one line that names each setting to put right.
    """
    if settings.environment == "development":
        return
    faults = list(_faults(settings))
    if faults:
        raise ConfigurationError(f"unsafe for {settings.environment}: {'; '.join(faults)}")


def _faults(settings: Settings) -> Iterator[str]:
    security, token = settings.security, settings.api.admin_token
    if not security.signing_keys:
        yield 'set BOOKREC_SECURITY__SIGNING_KEYS to {"<key id>": "<32 random characters or more>"}'
    if security.first_admin_password is not None:
        yield from _weakness(security.first_admin_password)
    if security.open_to_anyone:
        yield "unset BOOKREC_SECURITY__OPEN_TO_ANYONE"
    if token is not None and len(token.get_secret_value()) < MINIMUM_TOKEN_LENGTH:
        yield f"BOOKREC_API__ADMIN_TOKEN needs {MINIMUM_TOKEN_LENGTH} characters or more"


def _weakness(password: SecretStr) -> Iterator[str]:
    try:
        refuse_weak(password.get_secret_value(), what="BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD")
    except ConfigurationError as error:
        yield str(error)


def signing_keys(settings: Settings) -> dict[str, str]:
    """Secrets by key id, the current one first; in development the home's own if none is set."""
    chosen = settings.security.signing_keys
    if chosen:
        return {key_id: secret.get_secret_value() for key_id, secret in chosen.items()}
    # Imported here because the process that starts the workers checks settings, and no more.
    from pipelines.storage.services import own_secret

    return {"home": own_secret(settings.home, "signing-key")}
