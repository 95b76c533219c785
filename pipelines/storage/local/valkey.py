"""Valkey, which speaks Redis, as a server of one home."""

import signal
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipelines.storage.local.programs import Programs, valkey_programs
from pipelines.storage.local.server import LocalServer
from pipelines.storage.local.state import HOST, Endpoint

START_SECONDS = 5.0
ANSWER_SECONDS = 3.0
# Read from stdin, so that the password is on no command line; paths are relative to the folder.
# The tag stands early in the title, which is cut to the length of the original command line.
_CONFIG = """\
bind {host}
port {port}
requirepass {password}
daemonize yes
pidfile valkey.pid
logfile {log_file}
proc-title-template "valkey-server {tag} {{listen-addr}}"
save ""
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
"""


class ValkeyServer(LocalServer):
    """A cache: it keeps nothing on disk."""

    title = "Valkey"
    key = "valkey"
    stop_signals = (signal.SIGTERM, signal.SIGKILL)

    @property
    def pid_file(self) -> Path:
        return self.folder / "valkey.pid"

    def url(self, endpoint: Endpoint) -> str:
        return f"redis://:{endpoint.password}@{HOST}:{endpoint.port}/0"

    def programs(self) -> Programs:
        return valkey_programs()

    def has_data(self) -> bool:
        return False

    def answers(self, endpoint: Endpoint) -> bool:
        client = redis.Redis(
            host=HOST,
            port=endpoint.port,
            password=endpoint.password,
            decode_responses=True,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.config_get("dir") == {"dir": str(self.folder)})
        except redis.RedisError:
            return False
        finally:
            client.close()

    def launch(self, endpoint: Endpoint, executables: Path) -> None:
        self.pid_file.unlink(missing_ok=True)
        config = _CONFIG.format(
            host=HOST,
            port=endpoint.port,
            password=endpoint.password,
            log_file=self.log_file.name,
            tag=self.tag,
        )
        self._account.run([str(executables / "valkey-server"), "-"], cwd=self.folder, stdin=config)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers(endpoint) and time.monotonic() < deadline:
            time.sleep(0.02)
