"""
Make the secrets of a stack, a file each, for Docker Compose and Kubernetes alike.

    python3 docker/make_secrets.py [FOLDER] [--postgres HOST:PORT] [--redis HOST:PORT]

What exists already stays, and what is made fits it: so a secret is changed by removing its file,
and a new release may ask for one more. Needs nothing but Python's standard library: where it runs
there may be nothing but Docker.
"""

import argparse
import base64
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

DATABASES = {
    "bookrec": "BOOKREC_DATABASE_URL",
    "mlflow": "MLFLOW_BACKEND_STORE_URI",
    "airflow": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
}
"""Each with a role of its own, which owns it and can open no other; where their addresses are."""


def secret_files(
    postgres: str = "postgres:5432",
    redis: str = "redis:6379",
    there: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """
    By name of file, what it holds; those named like a variable become it (docker/with-secrets).

    Args:
        postgres: Host and port that PostgreSQL answers at.
        redis: Host and port that Redis answers at.
        there: Files that exist; they stay, but for those that only repeat what others hold.
    """
    told = chosen(postgres, redis) | dict(there or {})
    return told | repeating(told)


def chosen(postgres: str, redis: str) -> dict[str, str]:
    """Those that are invented."""
    return {
        "postgres_password": secrets.token_urlsafe(24),
        **{
            file: f"postgresql+psycopg2://{name}:{secrets.token_urlsafe(24)}@{postgres}/{name}"
            for name, file in DATABASES.items()
        },
        "monitor_password": secrets.token_urlsafe(24),
        "BOOKREC_REDIS_URL": f"redis://:{secrets.token_urlsafe(24)}@{redis}/0",
        "BOOKREC_API__ADMIN_TOKEN": secrets.token_urlsafe(32),
        "BOOKREC_ERASURE_KEY": secrets.token_urlsafe(32),
        "BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD": secrets.token_urlsafe(18),
        "BOOKREC_SECURITY__SIGNING_KEYS": json.dumps({"first": secrets.token_urlsafe(32)}),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        "MLFLOW_TRACKING_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__CELERY__BROKER_URL": f"redis://:{secrets.token_urlsafe(24)}@broker:6379/0",
        "airflow_passwords.json": json.dumps({"admin": secrets.token_urlsafe(18)}),
        "grafana_password": secrets.token_urlsafe(18),
        # Whom alarms are sent to; nobody until an address is written here.
        "alert_webhook": "",
    }


def repeating(told: Mapping[str, str]) -> dict[str, str]:
    """Those that give servers the passwords which the others name."""
    roles = [_role(name, _password(told[file])) for name, file in DATABASES.items()]
    return {
        "roles.sql": "".join(roles) + _monitor(told["monitor_password"]),
        "redis.conf": f"requirepass {_password(told['BOOKREC_REDIS_URL'])}\n",
        "broker.conf": f"requirepass {_password(told['AIRFLOW__CELERY__BROKER_URL'])}\n",
        "redis_exporter.json": json.dumps(
            {_without_password(told["BOOKREC_REDIS_URL"]): _password(told["BOOKREC_REDIS_URL"])}
        ),
        "mlflow_auth.ini": _mlflow_auth(
            told["MLFLOW_BACKEND_STORE_URI"], told["MLFLOW_TRACKING_PASSWORD"]
        ),
    }


def _password(url: str) -> str:
    return unquote(urlsplit(url.strip()).password or "")


def _without_password(url: str) -> str:
    """As its exporter calls a server of Redis."""
    return f"redis://{urlsplit(url.strip()).netloc.rpartition('@')[2]}"


def _role(name: str, password: str) -> str:
    # Ours restores backups beside what is there, in a database that it makes.
    more = " createdb" if name == "bookrec" else ""
    return (
        f"create role {name} login{more} password '{password}';\n"
        f"create database {name} owner {name};\n"
        f"revoke connect on database {name} from public;\n"
    )


def _monitor(password: str) -> str:
    """Sees how PostgreSQL fares, and no row of ours."""
    return f"create role monitor login password '{password}';\ngrant pg_monitor to monitor;\n"


def _mlflow_auth(database: str, password: str) -> str:
    """Users and their rights lie beside the runs; who is not known may nothing."""
    return (
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = {database}\n"
        "admin_username = admin\n"
        f"admin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "grant_default_workspace_access = false\n"
        "auth_cache_ttl_seconds = 60\n"
    )


def make(folder: Path, postgres: str, redis: str) -> list[str]:
    """
    Write the files that are missing, and those that no longer fit them; gives their names.

    The folder can be entered by its owner alone. The files can be read by all who are in it, for a
    container has users of its own.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = {n: p.read_text() for n in secret_files() if (p := folder / n).exists()}
    files = secret_files(postgres, redis, there)
    changed = [name for name, content in files.items() if there.get(name) != content]
    for name in changed:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(files[name])
        (folder / name).chmod(0o444)
    return changed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the secrets of a stack.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "secrets")
    parser.add_argument("--postgres", default="postgres:5432", help="where PostgreSQL answers")
    parser.add_argument("--redis", default="redis:6379", help="where Redis answers")
    told = parser.parse_args()
    made = make(told.folder, told.postgres, told.redis)
    sys.stdout.write(f"made in {told.folder}: {', '.join(made)}\n" if made else "all are there\n")
