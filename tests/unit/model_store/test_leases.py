"""A blob that somebody relies on stays, although no model names it yet."""

import threading

import pytest

from model_store.digests import Digest
from model_store.leases import LEASE_SECONDS, BlobLeases

A, B = Digest.of(b"a"), Digest.of(b"b")


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> BlobLeases:
    return BlobLeases(clock)


def test_an_upload_has_a_lease_until_a_model_is_made_of_it(leases: BlobLeases) -> None:
    leases.grant(A)
    assert leases.leased() == {A}

    leases.redeem([A, B])
    assert leases.leased() == set()


def test_of_two_uploads_of_one_blob_each_has_its_own_lease(leases: BlobLeases) -> None:
    """Otherwise the model of the first client would take the blob from the second."""
    leases.grant(A)
    leases.grant(A)
    leases.redeem([A])

    assert leases.leased() == {A}


def test_a_lease_that_nobody_redeems_ends_by_itself(leases: BlobLeases, clock: Clock) -> None:
    leases.grant(A)
    clock.now += LEASE_SECONDS - 1
    leases.grant(B)
    assert leases.leased() == {A, B}

    clock.now += 1
    assert leases.leased() == {B}
    leases.redeem([A])


def test_work_holds_its_blobs_until_it_is_done(leases: BlobLeases) -> None:
    with leases.hold([A]) as hold, leases.hold([A]):
        hold(B)
        hold(A)
        assert leases.leased() == {A, B}

    assert leases.leased() == set()


def test_work_that_fails_holds_nothing(leases: BlobLeases) -> None:
    with pytest.raises(ValueError, match="failed"), leases.hold([A]):
        raise ValueError("failed")

    assert leases.leased() == set()


def test_many_threads_leave_nothing_behind(leases: BlobLeases) -> None:
    def work() -> None:
        for _ in range(200):
            leases.grant(A)
            with leases.hold([A, B]):
                assert leases.leased() == {A, B}
            leases.redeem([A])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert leases.leased() == set()
