"""What is kept of files is bounded by its size, not by how many there are."""

from pathlib import Path

from model_store.byte_cache import ByteCache, forget_files
from model_store.disk import FileVersion


def test_the_values_used_last_are_kept_within_the_limit() -> None:
    reads: list[str] = []

    def read(key: str) -> str:
        reads.append(key)
        return key * 4

    cache: ByteCache[str, str] = ByteCache(read, len, max_bytes=8)

    assert [cache(key) for key in "aaba"] == ["aaaa", "aaaa", "bbbb", "aaaa"]
    assert reads == ["a", "b"]
    cache("c")
    cache("a")
    cache("b")
    assert reads == ["a", "b", "c", "b"]


def test_a_value_larger_than_the_limit_is_read_each_time() -> None:
    reads: list[str] = []
    cache: ByteCache[str, str] = ByteCache(lambda key: reads.append(key) or "x" * 9, len, 8)

    cache("a")
    cache("a")

    assert reads == ["a", "a"]


def test_what_was_read_from_deleted_files_is_not_kept(tmp_path: Path) -> None:
    reads: list[object] = []
    versions = []
    for name in ("gone", "there", "other"):
        (tmp_path / name).write_bytes(b"x")
        versions.append(FileVersion.of(tmp_path / name))
    gone, there, other = versions
    cache: ByteCache[object, str] = ByteCache(lambda key: reads.append(key) or "x", len, 8)
    keys = [gone, there, (gone, other), (other, None)]
    for key in keys:
        cache(key)

    forget_files({gone.path})
    reads.clear()
    for key in keys:
        cache(key)

    assert reads == [gone, (gone, other)]
