"""Looking after an installation: backups, restoring them, and removing what has expired."""
