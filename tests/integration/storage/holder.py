"""A process that uses a home's servers until its stdin ends: `holder.py HOME [UID GID]`."""

# Used later, when a user who may not read root's Python could not load them.
import email.parser
import encodings.idna
import os
import sys
from pathlib import Path

from pipelines.observability import configure_logging
from pipelines.storage.local_servers import local_servers

LOADED = (email.parser, encodings.idna)


def main() -> None:
    configure_logging()
    home, *user = sys.argv[1:]
    if user:
        os.setgroups([])
        os.setgid(int(user[1]))
        os.setuid(int(user[0]))
    with local_servers(Path(home)) as servers:
        sys.stdout.write(f"{servers.postgres_url} {servers.redis_url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
