import numpy as np
import pytest

from tltool.data.streams import Stream

POOL = np.array([3, 14, 15, 92, 65, 35, 89, 79, 32, 38], dtype=np.int64)


def rows(stream: Stream, steps) -> list[list[int]]:
    return [stream.batch(step).tolist() for step in steps]


def test_every_batch_is_full_and_each_pass_is_a_permutation_of_the_pool():
    stream = Stream(POOL, 4, seed=0, role="source")
    batches = rows(stream, range(15))  # 60 rows: 6 passes
    assert {len(batch) for batch in batches} == {4}
    passes = np.array(batches).reshape(6, 10)
    for one in passes:
        assert sorted(one) == sorted(POOL)
    assert len({tuple(one) for one in passes.tolist()}) == 6


def test_a_batch_across_a_pass_boundary_goes_on_in_the_next_pass():
    whole = Stream(POOL, 10, seed=0, role="source")
    first, second = rows(whole, range(2))
    # Steps of 4 from 10 rows: step 2 holds rows 8 and 9 of a pass, then 0 and 1 of the next.
    assert Stream(POOL, 4, seed=0, role="source").batch(2).tolist() == first[8:] + second[:2]


def test_a_batch_larger_than_the_pool_spans_passes():
    stream = Stream(POOL[:3], 8, seed=0, role="source")
    together = np.concatenate([stream.batch(0), stream.batch(1), stream.batch(2)])
    for one in together.reshape(8, 3):
        assert sorted(one) == sorted(POOL[:3])


def test_a_batch_does_not_depend_on_what_was_asked_before():
    in_order = rows(Stream(POOL, 4, seed=0, role="source"), range(20))
    stream = Stream(POOL, 4, seed=0, role="source")
    order = np.random.default_rng(0).permutation(20).tolist()
    assert rows(stream, order) == [in_order[step] for step in order]


def test_seed_and_role_set_the_order_and_nothing_else_does():
    batches = rows(Stream(POOL, 10, seed=0, role="source"), range(3))
    assert rows(Stream(POOL.copy(), 10, seed=0, role="source"), range(3)) == batches
    assert rows(Stream(POOL, 10, seed=1, role="source"), range(3)) != batches
    assert rows(Stream(POOL, 10, seed=0, role="target"), range(3)) != batches


@pytest.mark.parametrize(("batch_size", "length"), [(1, 10), (4, 3), (5, 2), (10, 1), (11, 1)])
def test_length_is_the_batches_of_one_pass_rounded_up(batch_size, length):
    assert len(Stream(POOL, batch_size, seed=0, role="source")) == length


def test_an_empty_pool_and_an_empty_batch_are_refused():
    with pytest.raises(ValueError, match="no rows to draw 'target' batches from"):
        Stream(POOL[:0], 4, seed=0, role="target")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Stream(POOL, 0, seed=0, role="target")
