"""The fastest number of threads is found, kept at little cost, and found again when it changes."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from runners.engine.batching.thread_tuner import ThreadTuner


@dataclass
class Machine:
    """A machine whose barriers suffer as soon as threads and other programs outnumber the cores.

    `useful` threads saturate the memory; more of them only add overhead.
    """

    cores: int
    useful: int = 1024
    taken: int = 0
    noise: float = 0.05
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def ideal(self, n_threads: int) -> float:
        time = 1e6 / math.pow(min(n_threads, self.useful), 0.9) + 1500 * n_threads
        return 4 * time if n_threads + self.taken > self.cores else time

    def fastest(self) -> float:
        return min(self.ideal(n) for n in range(1, self.cores + 1))

    def step(self, tuner: ThreadTuner, n_rows: int = 1) -> float:
        """Run one step; return how many times longer it took than it had to, noise left out."""
        n_threads = tuner.choose(n_rows)
        taken = n_rows * self.ideal(n_threads) * self.rng.lognormvariate(0, self.noise)
        tuner.record(n_rows, round(taken))
        return self.ideal(n_threads) / self.fastest()

    def run(self, tuner: ThreadTuner, steps: int, n_rows: int = 1) -> float:
        """Run `steps` steps; return the mean of how many times too long they took."""
        return sum(self.step(tuner, n_rows) for _ in range(steps)) / steps

    def steps_until(self, tuner: ThreadTuner, reached: Callable[[], bool], most: int) -> int:
        for n in range(most):
            if reached():
                return n
            self.step(tuner)
        pytest.fail(f"not reached in {most} steps, now at {tuner.n_threads} threads")


MACHINES = [(1, 1024), (2, 1024), (8, 1024), (8, 3), (64, 1024), (64, 12)]


@pytest.mark.parametrize(("cores", "useful"), MACHINES)
def test_the_fastest_count_is_found_and_watching_it_costs_little(cores: int, useful: int) -> None:
    machine = Machine(cores, useful)
    tuner = ThreadTuner(cores)
    machine.run(tuner, 300)
    assert machine.run(tuner, 10_000) < 1.03
    assert machine.ideal(tuner.n_threads) < 1.05 * machine.fastest()


@pytest.mark.parametrize("cores", [2, 8, 64])
def test_when_nothing_changes_measuring_costs_less_than_one_percent(cores: int) -> None:
    machine = Machine(cores, noise=0.01)
    tuner = ThreadTuner(cores)
    machine.run(tuner, 500)
    assert machine.run(tuner, 20_000) < 1.01


@pytest.mark.parametrize("cores", [2, 8])
def test_the_first_answers_after_a_load_lose_little_to_measuring(cores: int) -> None:
    """Where more threads are always faster, that is not asked again every few steps."""
    machine = Machine(cores, noise=0.02)
    tuner = ThreadTuner(cores)
    assert machine.run(tuner, 800) < 1.015
    assert machine.run(tuner, 3000) < 1.004


def test_a_change_that_is_too_small_to_be_noticed_is_found_in_time() -> None:
    tuner, times = ThreadTuner(2), {1: 1.8, 2: 1.0}

    def run(n_steps: int) -> None:
        for _ in range(n_steps):
            tuner.record(1, round(1e6 * times[tuner.choose(1)]))

    run(5000)
    assert tuner.n_threads == 2
    times[1] = 0.9
    run(1200)
    assert tuner.n_threads == 1


@pytest.mark.parametrize(("cores", "taken"), [(2, 1), (4, 1), (8, 1), (8, 4), (64, 50)])
def test_cores_taken_by_others_are_given_up_soon_and_taken_back(cores: int, taken: int) -> None:
    """Generation does not crawl while another program computes, nor stay slow when it ends."""
    machine = Machine(cores, noise=0.02)
    tuner = ThreadTuner(cores)

    def is_near_fastest() -> bool:
        return machine.ideal(tuner.n_threads) < 1.1 * machine.fastest()

    machine.run(tuner, 1000)
    machine.taken = taken
    machine.steps_until(tuner, is_near_fastest, most=100)
    machine.run(tuner, 2000)
    machine.taken = 0
    machine.steps_until(tuner, is_near_fastest, most=1500)


def test_noise_and_single_slow_steps_do_not_drive_it_away() -> None:
    machine = Machine(8, noise=0.15)
    tuner = ThreadTuner(8)
    machine.run(tuner, 500)
    assert machine.run(tuner, 10_000) < 1.05


def test_prompts_and_generation_are_tuned_apart() -> None:
    """A prompt gains from every core even where generating is limited by memory."""
    generating, reading = Machine(8, useful=2), Machine(8)
    tuner = ThreadTuner(8)
    for _ in range(1500):
        generating.step(tuner)
        reading.step(tuner, n_rows=512)
    assert generating.ideal(tuner.n_threads) < 1.05 * generating.fastest()
    assert reading.run(tuner, 500, n_rows=512) < 1.03


def test_steps_of_changing_size_are_not_mistaken_for_a_changed_machine() -> None:
    """More streams make a step longer; that says nothing about threads."""
    machine = Machine(8, noise=0.02)
    tuner = ThreadTuner(8)
    rng = random.Random(1)
    lengths = [machine.step(tuner, n_rows=rng.choice([1, 2, 4, 8, 100, 512])) for _ in range(5000)]
    assert sum(lengths[1000:]) / len(lengths[1000:]) < 1.02


def test_a_count_that_the_user_fixed_is_kept() -> None:
    tuner = ThreadTuner(3, min_threads=3)
    machine = Machine(8)
    for _ in range(200):
        machine.step(tuner)
        assert tuner.choose(1) == tuner.choose(512) == tuner.n_threads == 3


def test_no_part_of_a_prompt_is_spent_on_trying_another_count() -> None:
    """On a machine where nothing changes, prompts get all cores from the first step on."""
    machine = Machine(2, noise=0.05)
    tuner = ThreadTuner(2)
    for _ in range(300):
        assert tuner.limit(512) == 512
        assert tuner.choose(512) == 2
        tuner.record(512, round(512 * machine.ideal(2) * machine.rng.lognormvariate(0, 0.05)))


@pytest.mark.parametrize("cores", [2, 8])
def test_prompts_on_a_busy_machine_are_tuned_with_small_pieces(cores: int) -> None:
    """Cores that others take are given up, and taken back, without a whole step of a prompt."""
    machine = Machine(cores, noise=0.02)
    free = [float(cores)]
    tuner = ThreadTuner(cores, free_cores=lambda: free[0])

    def read(n_rows: int) -> int:
        """Read a prompt; return the rows of steps with another count than that of the last."""
        counts: dict[int, int] = {}
        while n_rows > 0:
            step = min(tuner.limit(512), n_rows)
            n_threads = tuner.choose(step)
            elapsed = step * machine.ideal(n_threads) * machine.rng.lognormvariate(0, 0.02)
            tuner.record(step, round(elapsed))
            counts[n_threads] = counts.get(n_threads, 0) + step
            n_rows -= step
        return sum(rows for n, rows in counts.items() if n != n_threads)

    read(8192)
    machine.taken, free[0] = 1, cores - 1.0
    read(8192)
    assert machine.ideal(tuner.choose(512)) == machine.fastest()
    assert read(8192) < 512
    machine.taken, free[0] = 0, float(cores)
    assert read(8192) < 512
    assert machine.ideal(tuner.choose(512)) == machine.fastest()


def test_free_cores_are_used_within_a_few_steps() -> None:
    """When another program ends, full speed does not wait for the next routine measurement."""
    machine = Machine(2, noise=0.05)
    free = [2.0]
    tuner = ThreadTuner(2, free_cores=lambda: free[0])
    machine.run(tuner, 200)
    machine.taken, free[0] = 1, 1.0
    machine.run(tuner, 200)
    assert tuner.n_threads == 1
    machine.taken, free[0] = 0, 2.0
    machine.steps_until(tuner, lambda: tuner.n_threads == 2, most=10)


@dataclass
class SlowToBalance(Machine):
    """A machine whose system needs some steps to move threads away from each other.

    Until then fewer threads are as slow as the crowded ones before them.
    """

    settles_in: int = 15
    n_settled: int = 1000

    def step(self, tuner: ThreadTuner, n_rows: int = 1) -> float:
        n_threads = tuner.choose(n_rows)
        crowded = n_threads + self.taken > self.cores
        self.n_settled = 0 if crowded else self.n_settled + 1
        time = self.ideal(n_threads)
        if not crowded and self.n_settled < self.settles_in:
            time = self.ideal(self.cores)
        tuner.record(n_rows, round(n_rows * time * self.rng.lognormvariate(0, self.noise)))
        return time / self.fastest()


@pytest.mark.parametrize(("cores", "taken"), [(2, 1), (8, 2), (64, 30)])
def test_fewer_threads_are_judged_when_the_system_has_moved_them_apart(
    cores: int, taken: int
) -> None:
    """Their first steps after crowded ones say nothing, so taking turns would not tell."""
    machine = SlowToBalance(cores, noise=0.02)
    tuner = ThreadTuner(cores, free_cores=lambda: float(cores - machine.taken))
    machine.run(tuner, 300)
    machine.taken = taken
    machine.run(tuner, 60)
    assert machine.run(tuner, 3000) < 1.25


def test_more_threads_than_cores_are_free_are_not_tried() -> None:
    """One such step takes as long as ten others while other programs compute."""
    machine = Machine(2, noise=0.05)
    tuner = ThreadTuner(2, free_cores=lambda: 2.0 - machine.taken)
    machine.run(tuner, 200)
    machine.taken = 1
    machine.steps_until(tuner, lambda: tuner.n_threads == 1, most=20)
    counts = set()
    for _ in range(3000):
        counts.add(tuner.choose(1))
        tuner.record(1, round(machine.ideal(1)))
    assert counts == {1}


def test_fewer_threads_that_turn_out_slower_are_given_up() -> None:
    """The others may give way, and the steps have become longer for another reason."""
    tuner, slowdown = ThreadTuner(2, free_cores=lambda: 1.0), 1.0

    def run(n_steps: int) -> None:
        for _ in range(n_steps):
            tuner.record(1, round(1e6 * slowdown * (1.8 if tuner.choose(1) == 1 else 1.0)))

    run(1000)
    assert tuner.n_threads == 2
    slowdown = 3.0
    run(1000)
    assert tuner.n_threads == 2


@pytest.mark.parametrize(("cores", "taken"), [(2, 1), (2, 2), (8, 2), (64, 30)])
def test_a_machine_that_is_busy_from_the_start_is_noticed_at_once(cores: int, taken: int) -> None:
    """The first answer after a load does not crawl because no faster step was ever seen."""
    machine = Machine(cores, taken=min(taken, cores - 1))
    tuner = ThreadTuner(cores, free_cores=lambda: cores - machine.taken)

    def is_faster() -> bool:
        return machine.ideal(tuner.n_threads) < machine.ideal(cores)

    machine.steps_until(tuner, is_faster, most=24)


def test_the_mean_counts_and_not_what_most_steps_take() -> None:
    """Two threads that are fast in three of five steps and very slow in the others lose."""
    tuner, rng = ThreadTuner(2), random.Random(3)
    times = {1: [2.0], 2: [1.1, 1.1, 1.1, 6.0, 6.0]}
    for _ in range(400):
        tuner.record(1, round(1e6 * rng.choice(times[tuner.choose(1)])))
    assert tuner.n_threads == 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_leave_it_at_a_slow_count(seed: int) -> None:
    """After another program has ended, single slow steps do not keep it at half the cores."""
    machine = Machine(2, noise=0.2, rng=random.Random(seed))
    tuner = ThreadTuner(2)
    machine.run(tuner, 300)
    machine.taken = 1
    machine.run(tuner, 300)
    machine.taken = 0
    machine.steps_until(tuner, lambda: tuner.n_threads == 2, most=1000)
