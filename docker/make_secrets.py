"""
Make the secrets of a stack, a file each, for Docker Compose and Kubernetes alike.

    python3 docker/make_secrets.py [FOLDER] [--postgres HOST:PORT] [--redis HOST:PORT]

What exists already stays. Needs nothing but Python's standard library: where it runs there may be
nothing but Docker.
"""

import argparse
import base64
import json
import secrets
import sys
from pathlib import Path

DATABASES = ("bookrec", "mlflow", "airflow")
"""Each with a role of its own, which owns it and can open no other."""


def secret_files(postgres: str = "postgres:5432", redis: str = "redis:6379") -> dict[str, str]:
    """
    By name of file, what it holds; those named like a variable become it (docker/with-secrets).

    Args:
        postgres: Host and port that PostgreSQL answers at.
        redis: Host and port that Redis answers at.
    """
    others = ("redis", "broker", "tracking")
    passwords = {name: secrets.token_urlsafe(24) for name in (*DATABASES, *others)}
    url = {
        name: f"postgresql+psycopg2://{name}:{passwords[name]}@{postgres}/{name}"
        for name in DATABASES
    }
    return {
        "postgres_password": secrets.token_urlsafe(24),
        "roles.sql": "".join(_role(name, passwords[name]) for name in DATABASES),
        "redis.conf": f"requirepass {passwords['redis']}\n",
        "broker.conf": f"requirepass {passwords['broker']}\n",
        "BOOKREC_DATABASE_URL": url["bookrec"],
        "BOOKREC_REDIS_URL": f"redis://:{passwords['redis']}@{redis}/0",
        "BOOKREC_API__ADMIN_TOKEN": secrets.token_urlsafe(32),
        "BOOKREC_ERASURE_KEY": secrets.token_urlsafe(32),
        "BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD": secrets.token_urlsafe(18),
        "BOOKREC_SECURITY__SIGNING_KEYS": json.dumps({"first": secrets.token_urlsafe(32)}),
        "MLFLOW_BACKEND_STORE_URI": url["mlflow"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        "MLFLOW_TRACKING_PASSWORD": passwords["tracking"],
        "mlflow_auth.ini": _mlflow_auth(url["mlflow"], passwords["tracking"]),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url["airflow"],
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__CELERY__BROKER_URL": f"redis://:{passwords['broker']}@broker:6379/0",
        "airflow_passwords.json": json.dumps({"admin": secrets.token_urlsafe(18)}),
        "grafana_password": secrets.token_urlsafe(18),
    }


def _role(name: str, password: str) -> str:
    return (
        f"create role {name} login password '{password}';\n"
        f"create database {name} owner {name};\n"
        f"revoke connect on database {name} from public;\n"
    )


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


def make(folder: Path, files: dict[str, str]) -> list[str]:
    """
    Write the files that are missing; gives their names.

    The folder can be entered by its owner alone. The files can be read by all who are in it, for a
    container has users of its own.

    Raises:
        SystemExit: some are there and some are not, and would not fit together.
    """
    missing = [name for name in files if not (folder / name).exists()]
    if missing and len(missing) < len(files):
        sys.exit(
            f"bookrec: {folder} lacks {', '.join(missing)}: put them back, or remove it to make "
            "all anew (with the volumes of a stack that used them)"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in missing:
        (folder / name).write_text(files[name])
        (folder / name).chmod(0o444)
    return missing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the secrets of a stack.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "secrets")
    parser.add_argument("--postgres", default="postgres:5432", help="where PostgreSQL answers")
    parser.add_argument("--redis", default="redis:6379", help="where Redis answers")
    told = parser.parse_args()
    made = make(told.folder, secret_files(told.postgres, told.redis))
    sys.stdout.write(f"{len(made)} secrets made in {told.folder}\n" if made else "all are there\n")
