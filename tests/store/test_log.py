import json
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from ksearch.store import schema
from ksearch.store.errors import BadEvent, BlobError, NewerSchema, NotARun, RunExists, RunLocked, RunsDirError, SecretRefused, StoreError
from ksearch.store.log import EventLog, EventRow, RunMeta, StoredEvent

NEXT = schema.SCHEMA_VERSION + 1


def tick(n: int) -> EventRow:
    return EventRow("tick", f'{{"n": {n}}}')


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_events_come_back_as_they_were_appended_in_order(database: Path) -> None:
    clock = iter([10.5, 11.25]).__next__
    with EventLog.open_writer(database, clock=clock) as log:
        assert log.append([EventRow("a", '{"x": 1.10}'), EventRow("b", '"\\u0000 é"')], durable=True) == 2
        assert log.append([EventRow("c", "[]", time=3.0)], durable=False) == 3
        assert log.append([], durable=True) == 3
    with EventLog.open_reader(database) as log:
        assert list(log.events()) == [
            StoredEvent(1, 10.5, "a", '{"x": 1.10}'),
            StoredEvent(2, 11.25, "b", '"\\u0000 é"'),
            StoredEvent(3, 3.0, "c", "[]"),
        ]
        assert [event.seq for event in log.events(after=2)] == [3]
        assert log.last_seq == 3


def test_iteration_crosses_batches_and_sees_events_appended_meanwhile(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        log.append([tick(n) for n in range(5000)], durable=False)
        seen = []
        for event in log.events():
            if event.seq == 1:
                log.append([tick(5000)], durable=False)
            seen.append(event.seq)
    assert seen == list(range(1, 5002))


def test_one_bad_event_stores_nothing_of_its_append(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        for payload in ("{", "", "{'n': 1}", "NaN", '"\ud800"'):
            with pytest.raises(BadEvent):
                log.append([tick(1), EventRow("bad", payload)], durable=True, blobs=[b"with it"])
        with pytest.raises(BadEvent):
            log.append([EventRow("", "{}")], durable=True)
        assert log.last_seq == 0
        assert log.blobs() == []
        assert log.append([tick(1)], durable=True) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events VALUES (1, 0, 'x', '{}')",
        "REPLACE INTO events (seq, time, type, payload) VALUES (1, 0, 'x', '{}')",
        "UPDATE blobs SET data = x'00'",
        "DELETE FROM blobs",
    ],
)
def test_nothing_stored_can_be_changed(database: Path, statement: str) -> None:
    with EventLog.open_writer(database) as log:
        log.append([tick(1)], durable=True, blobs=[b"b"])
    connection = sqlite3.connect(database)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_blobs_are_named_by_digest_compressed_when_it_helps_and_kept_once(database: Path) -> None:
    text, noise = b"the same line\n" * 1000, os.urandom(4096)
    with EventLog.open_writer(database) as log:
        digests = [log.put_blob(blob) for blob in (text, noise, b"", text)]
        assert [log.get_blob(digest) for digest in digests] == [text, noise, b"", text]
        assert len(log.blobs()) == 3
    rows = sqlite3.connect(database).execute("SELECT codec, length(data) FROM blobs").fetchall()
    assert {codec for codec, _ in rows} == {"raw", "zlib"}
    assert sum(size for _, size in rows) < len(noise) + 1000


def test_missing_and_altered_blobs_are_told_apart_from_good_ones(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        digest = log.put_blob(b"good")
        with pytest.raises(BlobError, match="no blob"):
            log.get_blob("0" * 64)
    connection = sqlite3.connect(database)
    connection.executescript("DROP TRIGGER blobs_keep_update; UPDATE blobs SET data = x'00'")
    connection.close()
    with EventLog.open_reader(database) as log, pytest.raises(BlobError, match="another digest"):
        log.get_blob(digest)


def test_a_reader_cannot_append(database: Path) -> None:
    with EventLog.open_reader(database) as log, pytest.raises(StoreError, match="reading only"):
        log.append([tick(1)], durable=True)


def test_a_second_writer_in_this_process_is_refused_until_the_first_closes(database: Path) -> None:
    with EventLog.open_writer(database) as first:
        with pytest.raises(RunLocked, match=str(os.getpid())):
            EventLog.open_writer(database)
        with pytest.raises((RunLocked, RunExists)):
            EventLog.create(database)
        first.append([tick(1)], durable=True)
    with EventLog.open_writer(database) as second:
        assert second.append([tick(2)], durable=True) == 2


def test_creating_over_a_run_is_refused_and_leaves_it_alone(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        log.append([tick(1)], durable=True)
    before = names(database.parent)
    with pytest.raises(RunExists, match="--name"):
        EventLog.create(database)
    assert names(database.parent) == before
    with EventLog.open_writer(database) as log:
        assert log.last_seq == 1


def test_a_closed_run_is_complete_in_its_main_file_and_readers_leave_no_files(database: Path, tmp_path: Path) -> None:
    with EventLog.open_writer(database) as log:
        log.append([tick(1)], durable=False)
    before = names(database.parent)
    assert before == {"run.sqlite", "run.lock"}
    with EventLog.open_reader(database) as log:
        assert log.last_seq == 1
        assert names(database.parent) == before
    assert names(database.parent) == before


def test_a_reader_opened_before_the_writer_follows_it(database: Path) -> None:
    with EventLog.open_reader(database) as reader:
        assert reader.last_seq == 0
        with EventLog.open_writer(database) as writer:
            for n in range(1, 4):
                writer.append([tick(n)], durable=True)
                assert [event.seq for event in reader.events()] == list(range(1, n + 1))
        assert reader.last_seq == 3
        with EventLog.open_writer(database) as writer:
            writer.append([tick(4)], durable=True)
        assert reader.last_seq == 4


def test_meta_says_who_made_the_log(tmp_path: Path) -> None:
    path = tmp_path / "named" / "run.sqlite"
    with EventLog.create(path, clock=lambda: 12.5) as log:
        assert (log.run_id, log.meta.created) == ("named", 12.5)
    other = RunMeta("other", 1.1, "9.9")
    with EventLog.create(tmp_path / "folder" / "run.sqlite", other):
        pass
    with EventLog.open_reader(tmp_path / "folder" / "run.sqlite") as log:
        assert log.meta == other


# Files that are no runs.


def write_other(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be looked at" * 20, b"SQLite format 3\0"])
def test_foreign_files_are_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = write_other(tmp_path / "x" / "run.sqlite", content)
    for open_it in (EventLog.open_reader, EventLog.open_writer):
        with pytest.raises(NotARun, match=r"run\.sqlite"):
            open_it(path)
    assert path.read_bytes() == content
    assert names(path.parent) == {"run.sqlite"}


def test_missing_files_and_folders_are_refused_and_not_made(tmp_path: Path) -> None:
    for path in (tmp_path / "run.sqlite", tmp_path / "none" / "run.sqlite", tmp_path):
        for open_it in (EventLog.open_reader, EventLog.open_writer):
            with pytest.raises(NotARun, match="no such file"):
                open_it(path)
    assert names(tmp_path) == set()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE events (seq INTEGER PRIMARY KEY); PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(NotARun, match="other SQLite database"):
        EventLog.open_reader(path)


def test_a_cut_file_is_refused_as_damaged(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        log.append([EventRow("big", '"' + "x" * 200_000 + '"') for _ in range(5)], durable=True)
    os.truncate(database, database.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(NotARun, match="damaged"):
        list(EventLog.open_reader(database).events())


# Schema versions.


def test_a_newer_schema_is_refused_by_readers_and_writers(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for open_it in (EventLog.open_reader, EventLog.open_writer):
        with pytest.raises(NewerSchema, match="upgrade ksearch"):
            open_it(database)


def test_an_older_schema_is_migrated_by_the_writer_and_in_memory_by_readers(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventLog.open_writer(database) as log:
        log.append([tick(1)], durable=True)
    steps = (
        schema.Migration(NEXT, ("CREATE TABLE added (x INTEGER)",)),
        schema.Migration(NEXT + 1, ("INSERT INTO added VALUES (3)",)),
    )
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NEXT + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    before = database.read_bytes()
    with EventLog.open_reader(database) as log:
        assert log.last_seq == 1
    assert database.read_bytes() == before
    with EventLog.open_writer(database) as log:
        assert log.append([tick(2)], durable=True) == 2
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT x FROM added").fetchall() == [(3,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (NEXT + 1,)


def test_a_failed_migration_leaves_the_older_schema_and_the_lock_free(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = schema.Migration(NEXT, ("CREATE TABLE added (x INTEGER)", "INSERT INTO nowhere VALUES (1)"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", NEXT)
        patch.setattr(schema, "MIGRATIONS", (broken,))
        with pytest.raises(StoreError, match="nowhere"):
            EventLog.open_writer(database)
    with EventLog.open_writer(database) as log:
        assert log.append([tick(1)], durable=True) == 1


# Creation.


def test_creation_in_a_place_that_cant_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunsDirError, match="--runs-dir"):
        EventLog.create(tmp_path / "file" / "runs" / "a" / "run.sqlite")
    assert names(tmp_path) == {"file"}


def test_creation_without_a_wal_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_second_process(lock: Path, database: Path) -> None:
        raise RunsDirError("as on a file system whose locks don't work")

    monkeypatch.setattr("ksearch.store.filesystem.try_second_process", no_second_process)
    with pytest.raises(RunsDirError):
        EventLog.create(tmp_path / "runs" / "a" / "run.sqlite")
    assert names(tmp_path) == set()


def test_creation_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    (tmp_path / "run.sqlite.partial").write_bytes(b"half a file")
    (tmp_path / "run.lock").write_bytes(b"")
    with EventLog.create(path) as log:
        log.append([tick(1)], durable=True)
    assert names(tmp_path) == {"run.sqlite", "run.lock"}


# Secrets.


@pytest.mark.parametrize("key", ["sk-0123456789abcdef", 'sk-"quoted"\\0123', "clé-secrète-0123"])
def test_values_of_key_variables_are_refused_everywhere(database: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SOME_API_KEY", key)
    payloads = [json.dumps({"prompt": f"use {key}!"}), json.dumps({"prompt": key}, ensure_ascii=False)]
    with EventLog.open_writer(database) as log:
        for payload in payloads:
            with pytest.raises(SecretRefused, match="SOME_API_KEY") as caught:
                log.append([tick(1), EventRow("call", payload)], durable=True)
            assert key not in str(caught.value)
        with pytest.raises(SecretRefused):
            log.put_blob(f"log: {key}".encode())
        assert log.last_seq == 0
        assert log.blobs() == []


def test_short_values_and_other_variables_are_no_secrets(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_TOKEN", "tick")
    monkeypatch.setenv("HARMLESS", "a long harmless value")
    with EventLog.open_writer(database) as log:
        assert log.append([EventRow("tick", '"a long harmless value"')], durable=True) == 1


# Read-only folders: as root, permissions bind nobody, so the reader is a forked child that gives root up.


def in_unprivileged_child(action: object) -> str:
    """The text that a callable returns, or the error it raises, when run without the rights of root."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            text = str(action())  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - the parent judges it by its name
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose parents everybody may pass."""
    folder = tmp_path_factory.mktemp("shared")
    for parent in (folder, *folder.parents):
        if parent.owner() == Path.home().owner() and parent != Path("/") and not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(0o755)
    return folder


def test_a_finished_run_is_readable_in_a_read_only_folder(open_folder: Path) -> None:
    path = open_folder / "run.sqlite"
    with EventLog.create(path) as log:
        log.append([tick(1)], durable=True)
    open_folder.chmod(0o555)
    try:
        assert in_unprivileged_child(lambda: EventLog.open_reader(path).last_seq) == "1"
        assert in_unprivileged_child(lambda: EventLog.open_writer(path)).startswith("RunsDirError")
        assert in_unprivileged_child(lambda: EventLog.create(open_folder / "new" / "run.sqlite")).startswith("RunsDirError")
    finally:
        open_folder.chmod(0o755)
    assert names(open_folder) == {"run.sqlite", "run.lock"}


def test_a_living_run_of_another_user_is_readable(open_folder: Path) -> None:
    path = open_folder / "run.sqlite"
    with EventLog.create(path) as log:
        log.append([tick(1)], durable=True)
        open_folder.chmod(0o555)
        assert in_unprivileged_child(lambda: EventLog.open_reader(path).last_seq) == "1"
        open_folder.chmod(0o755)


def test_times_are_now_unless_told(database: Path) -> None:
    before = time.time()
    with EventLog.open_writer(database) as log:
        log.append([tick(1)], durable=True)
        assert before <= next(log.events()).time <= time.time()
