"""
Where settings come from besides variables: files of secrets, and a file for each environment.

Of two sources that set the same the upper one counts:

1. the environment
2. `.env`
3. files in `BOOKREC_SECRETS_DIR`, each named like a variable, such as `bookrec_database_url`
4. `<environment>.toml` in `BOOKREC_CONFIG_DIR`
5. `<environment>.toml` in this package
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from pipelines.errors import ConfigurationError

SHIPPED = Path(__file__).parent / "environments"
ENVIRONMENTS = ("development", "staging", "production")
SECRETS = Path("/run/secrets")


class _Lenient(EnvSettingsSource):
    """Leaves what is no JSON to validation, which tells of it together with all other errors."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Variables(_Lenient):
    """The environment."""


class DotEnv(_Lenient, DotEnvSettingsSource):
    """The file `.env`."""


class SecretFiles(_Lenient):
    """A folder of files, each named like a variable and holding its value."""

    def __call__(self) -> dict[str, Any]:
        files = secret_files(_folder(self.current_state, "secrets_dir") or SECRETS)
        return self.told_by(files)

    def told_by(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """
        What these files set; an empty one sets nothing.

        Raises:
            ConfigurationError: one cannot be read.
        """
        read = {name: _content(path) for name, path in files.items()}
        self.env_vars = {name: content for name, content in read.items() if content}
        return super().__call__()


class EnvironmentFile(PydanticBaseSettingsSource):
    """
    The file of the chosen environment.

    Args:
        settings_cls: What is being set.
        folder: Where it lies; where `config_dir` says if None.
    """

    def __init__(self, settings_cls: type[BaseSettings], folder: Path | None = None) -> None:
        super().__init__(settings_cls)
        self._folder = folder

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return None, field_name, False  # the file is taken as a whole

    def __call__(self) -> dict[str, Any]:
        folder = self._folder or _folder(self.current_state, "config_dir")
        environment = self.current_state.get("environment", ENVIRONMENTS[0])
        return {} if folder is None else read_environment(folder, environment)


def sources(settings_cls: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
    """All of them, the first one counting most."""
    return (
        Variables(settings_cls),
        DotEnv(settings_cls),
        SecretFiles(settings_cls),
        EnvironmentFile(settings_cls),
        EnvironmentFile(settings_cls, SHIPPED),
    )


def read_environment(folder: Path, environment: Any) -> dict[str, Any]:
    """
    What the file of an environment says; nothing if there is none.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML.
    """
    path = folder / f"{environment}.toml"
    if environment not in ENVIRONMENTS or not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def secret_files(folder: Path) -> dict[str, Path]:
    """By the name of its variable in lower case, each file that is ours."""
    try:
        found = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error.strerror}") from error
    return {p.name.lower(): p for p in found if p.name.lower().startswith("bookrec_")}


def unknown_settings(model: Any, told: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """What is wrong with the names in a file of an environment, a line each."""
    for key, value in told.items():
        name, field = f"{above}{key}", model.model_fields.get(key)
        if field is None:
            yield f"there is no setting {name}"
        elif name in ("environment", "config_dir", "secrets_dir"):
            yield f"{name} chooses the file, so it cannot stand in it"
        elif "SecretStr" in str(field.annotation):
            yield f"{name} is a secret: it belongs into BOOKREC_SECRETS_DIR or the environment"
        elif hasattr(field.annotation, "model_fields") and isinstance(value, Mapping):
            yield from unknown_settings(field.annotation, value, f"{name}.")


def _content(path: Path) -> str:
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def _folder(state: Mapping[str, Any], name: str) -> Path | None:
    value = state.get(name)
    return None if value is None else Path(value).expanduser()
