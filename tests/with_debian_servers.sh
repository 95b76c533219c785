#!/usr/bin/env bash
# Run a command against Debian's PostgreSQL 15 and two of its Redis 7, installed if missing (as root)
# and started by hand on free loopback ports in a folder of their own, which is removed at the end.
set -euo pipefail

here=$(dirname "$0")
"$here/install_debian.sh" /usr/lib/postgresql/15/bin/initdb postgresql-15
"$here/install_debian.sh" redis-server redis-server

folder=$(mktemp -d /var/tmp/bookrec-debian-XXXXXX)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
pg=/usr/lib/postgresql/15/bin
pg_port=$(free_port)
redis_urls=() redis_pids=()
password=$(python3 -c 'import secrets; print(secrets.token_hex(16))')

stop() {
  as_postgres "$pg/pg_ctl" -D "$folder/pg" -m fast -w stop >/dev/null 2>&1 || true
  [ -z "${redis_pids[*]}" ] || kill "${redis_pids[@]}" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT

chmod 755 "$folder"
(umask 077 && printf '%s' "$password" >"$folder/password")
[ "$(id -u)" != 0 ] || chown postgres "$folder" "$folder/password"
as_postgres "$pg/initdb" -D "$folder/pg" -A scram-sha-256 -U bookrec --pwfile="$folder/password" \
  -E UTF8 --locale=C >/dev/null
as_postgres "$pg/pg_ctl" -D "$folder/pg" -l "$folder/pg.log" -w start \
  -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" >/dev/null
for _ in 1 2; do
  port=$(free_port)
  redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no --dir "$folder" >/dev/null &
  redis_pids+=($!)
  redis_urls+=("redis://127.0.0.1:$port/0")
done

echo "PostgreSQL $("$pg/postgres" --version | awk '{print $3}') on $pg_port, $(redis-server --version | awk '{print $1, $3}') at ${redis_urls[*]}"
export BOOKREC_TEST_DATABASE_URL="postgresql+psycopg2://bookrec:$password@127.0.0.1:$pg_port/postgres"
export BOOKREC_TEST_REDIS_URL="${redis_urls[*]}"
"$@"
