"""The table of errors is complete, its sentences are for people, and none tells where files are."""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import errors as store
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.gguf import read_header
from model_store.names import ModelName
from model_store.store import Store
from runners.host import errors as host
from runners.protocol.messages import FailureCode
from server import errors
from server.concurrency.sqlite_file import NewerFile
from server.errors import EXPLANATIONS, explain

BASES = (store.StoreError, host.RunnerError, errors.ServerError)
DIGEST = "sha256:" + "0" * 64


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize(
    "kind",
    sorted({kind for base in BASES for kind in subclasses(base)}, key=str),
    ids=lambda kind: kind.__name__,
)
def test_every_error_has_a_row_of_its_own(kind: type[Exception]) -> None:
    """A new kind of error must not reach a client as "internal server error"."""
    assert kind in EXPLANATIONS


CASES = [
    (errors.BadRequest("the sentence"), 400, "the sentence"),
    (errors.BodyTooLarge(64), 413, "the request body is larger than the 64 bytes allowed here"),
    (errors.NotFound("model 'a' not found"), 404, "model 'a' not found"),
    (errors.Forbidden("the sentence"), 403, "the sentence"),
    (errors.Unsupported('"a" does not support chat'), 400, '"a" does not support chat'),
    (NewerFile(), 503, "the file was written by a newer version of paddock"),
    (
        sqlite3.OperationalError("disk I/O error"),
        503,
        "stored files cannot be read or written at the moment",
    ),
    (errors.TemplateError("template: :1: unclosed"), 400, "template: :1: unclosed"),
    (store.InvalidName("../x"), 400, "invalid model name"),
    (store.InvalidDigest("../x"), 400, "invalid digest format"),
    (store.ModelNotFound("a"), 404, "model 'a' not found"),
    (store.ParentNotFound("a"), 404, 'model "a" not found, try pulling it first'),
    (store.ManifestInvalid("a", "why"), 500, "the manifest of model 'a' is damaged: why"),
    (store.BlobNotFound(DIGEST), 400, f'blob "{DIGEST}" not found'),
    (store.DigestMismatch("a", "b"), 400, 'digest mismatch, expected "a", got "b"'),
    (store.GGUFError("invalid file magic"), 400, "invalid file magic"),
    (store.WeightsDamaged("a", "why"), 500, "the file of model 'a' is damaged: why"),
    (store.ModelfileError("no FROM line"), 400, "no FROM line"),
    (store.CreateError("the sentence"), 400, "the sentence"),
    (store.StorageFailed("disk full"), 507, "the models directory cannot be written: disk full"),
    (
        host.QueueFull(512),
        503,
        "server busy, please try again.  maximum pending requests exceeded",
    ),
    (host.ShuttingDown(), 503, "the server is shutting down"),
    (host.LoadFailed("the sentence"), 500, "the sentence"),
    (host.LoadTimeout(300), 500, "timed out loading the model: no progress for 300 seconds"),
    (
        host.RunnerDied("it was killed"),
        500,
        "an error was encountered while running the model: it was killed",
    ),
]


@pytest.mark.parametrize(
    ("error", "status", "text"), CASES, ids=[type(error).__name__ for error, _, _ in CASES]
)
def test_an_error_has_the_status_and_the_words_that_clients_look_for(
    error: Exception, status: int, text: str
) -> None:
    assert explain(error)[:2] == (status, text)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_open_files_that_run_out_anywhere_are_no_internal_error(code: int) -> None:
    status, text, *_ = explain(OSError(code, os.strerror(code), "/secret/path"))

    assert status == 503
    assert "too many files are open" in text
    assert "/" not in text


def test_an_error_of_a_more_special_kind_is_told_like_its_parent() -> None:
    class WrongField(errors.BadRequest):
        pass

    assert explain(WrongField("the sentence"))[:2] == (400, "the sentence")


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_of_a_request_has_a_sentence(code: FailureCode) -> None:
    status, text, *_ = explain(host.RequestFailed(code, "its reason", n_tokens=70, n_ctx=64))

    assert status in (400, 500, 503)
    assert text != code.value
    assert len(text.split()) > 3


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (
            FailureCode.PROMPT_TOO_LONG,
            400,
            "request (70 tokens) exceeds the available context size (64 tokens), try increasing it",
        ),
        (FailureCode.NOT_FINITE, 400, "embedding contains NaN or Inf values"),
        (FailureCode.BAD_CONSTRAINT, 400, "the output format cannot be enforced: its reason"),
        (FailureCode.COMPUTE, 500, "the model failed to compute an answer"),
    ],
)
def test_a_failure_is_told_in_the_words_that_clients_search_for(
    code: FailureCode, status: int, text: str
) -> None:
    failure = host.RequestFailed(code, "its reason", n_tokens=70, n_ctx=64)

    assert explain(failure)[:2] == (status, text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space is left on the disk that holds the models"),
        (errno.EDQUOT, "the disk quota of the models directory is used up"),
        (errno.EROFS, "the models directory is on a read-only disk"),
        (errno.EACCES, "the server has no permission to write to the models directory"),
    ],
)
def test_a_disk_that_takes_nothing_more_is_told_as_such(number: int, text: str) -> None:
    assert explain(OSError(number, "in C", "/srv/models/blobs/x"))[:2] == (507, text)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file or directory", "/srv/models/blobs/x"),
        RuntimeError("/srv/models/blobs/x is odd"),
        KeyError("/srv/models/blobs/x"),
        RecursionError(),
        store.StoreError("/srv/models"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_is_logged_and_the_client_is_told_no_more_than_that_it_happened(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert explain(error)[:2] == (500, "internal server error")

    (record,) = caplog.records
    assert record.exc_info
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    ("error", "levels"),
    [
        (errors.BadRequest("x"), []),
        (host.QueueFull(1), []),
        (host.ShuttingDown(), []),
        (host.LoadFailed("x"), [logging.WARNING]),
        (store.StorageFailed("x"), [logging.WARNING]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_log_holds_what_an_operator_has_to_look_into_and_nothing_else(
    error: Exception, levels: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    explain(error)

    assert [record.levelno for record in caplog.records] == levels


def fails_on_a_full_disk(root: Path) -> None:
    with disk_errors():
        raise OSError(errno.ENOSPC, "No space left on device", str(root / "blobs"))


def fails_without_a_directory(root: Path) -> None:
    root.write_text("a file where the models should be")
    Store(root).prepare()


def fails_on_a_damaged_file(root: Path) -> None:
    root.write_bytes(b"GGUF" + bytes(20))
    read_header(root)


def fails_without_a_file(root: Path) -> None:
    read_header(root)


def fails_without_a_model(root: Path) -> None:
    Store(root).resolve(ModelName.parse("a"))


def fails_on_a_digest(root: Path) -> None:
    Digest.parse(f"sha256:{root}")


@pytest.mark.parametrize(
    "failing",
    [
        fails_on_a_full_disk,
        fails_without_a_directory,
        fails_on_a_damaged_file,
        fails_without_a_file,
        fails_without_a_model,
        fails_on_a_digest,
    ],
)
def test_no_real_failure_of_the_store_tells_where_it_is(failing: object, tmp_path: Path) -> None:
    assert callable(failing)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever comes of it
        failing(tmp_path / "secret")

    assert "secret" not in explain(caught.value).text
    assert "/" not in explain(caught.value).text
