import os
import subprocess
import sys

HEAVY = {"alembic", "faiss", "mlflow", "pandas", "redis", "scipy"}


def test_the_process_that_starts_the_workers_leaves_to_them_what_they_need():
    """Workers wait for it, and it keeps what it has imported for as long as they live."""
    code = "import sys, serving.service; print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"BOOKREC_DATABASE_URL": "postgresql://nowhere.invalid/bookrec"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "bentoml" in imported
    assert not HEAVY & set(imported)
