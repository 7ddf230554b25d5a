"""Compiled calls take the arrays that they are for, decline all others and keep hold of none."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from isoconv import changes, layers, models, ops
from isoconv.codegen import call, driver
from isoconv.errors import RuntimeCheckError
from isoconv.ops.program import Program, Spec, trace

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 3)).astype("float32")


def program(function, *arrays):
    return Program(trace(function, [Spec(array.shape, array.dtype.name) for array in arrays]))


def ready(function, *arrays):
    """The compiled call for such arrays."""
    compiled = program(function, *arrays)
    expected = compiled(arrays)
    return compiled.ready(arrays, arrays, changes.stamp()), expected


def unaligned():
    array = np.zeros(25, np.uint8)[1:].view("float32").reshape(2, 3)
    assert not array.flags.aligned
    return array


def subclass():
    return X.view(type("Own", (np.ndarray,), {}))


def test_fields_of_array_objects_stand_where_calls_look():
    array = np.zeros((2, 3), "float32")

    def field(offset, kind):
        return kind.from_address(id(array) + offset).value

    assert field(driver.DATA, ctypes.c_int64) == array.ctypes.data
    assert field(call._TYPE, ctypes.c_int64) == id(np.ndarray)
    assert field(call._RANK, ctypes.c_int32) == 2
    sizes = field(call._SIZES, ctypes.c_int64)
    assert tuple((ctypes.c_int64 * 2).from_address(sizes)) == array.shape
    assert field(call._DTYPE, ctypes.c_int64) == id(array.dtype)
    assert field(call._FLAGS, ctypes.c_int32) == array.flags.num


OTHERS = {
    "none": (),
    "one more": (X, X),
    "a list": (X.tolist(),),
    "an object": (object(),),
    "lower rank": (X[0],),
    "fewer rows": (X[:1],),
    "another shape": (X.reshape(3, 2),),
    "higher rank": (X[None],),
    "by columns": (np.asfortranarray(X),),
    "doubles": (X.astype("float64"),),
    "other byte order": (X.astype(">f4"),),
    "integers": (X.view("int32"),),
    "not aligned": (unaligned(),),
    "a subclass": (subclass(),),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arguments_are_declined(kind):
    double, _ = ready(lambda x: x * 2, X)
    given = OTHERS[kind]
    before = [sys.getrefcount(each) for each in given]
    assert double(*given) is NotImplemented
    assert [sys.getrefcount(each) for each in given] == before
    np.testing.assert_array_equal(double(X), X * 2)


def test_keywords_are_no_arguments():
    double, _ = ready(lambda x: x * 2, X)
    with pytest.raises(TypeError, match="keyword"):
        double(x=X)


def test_nothing_is_answered_after_a_change_or_within_a_scope():
    double, expected = ready(lambda x: x * 2, X)
    with changes.scope():
        assert double(X) is NotImplemented
    np.testing.assert_array_equal(double(X), expected)
    changes.touched()
    assert double(X) is NotImplemented


def test_several_outputs_are_a_list():
    halves, expected = ready(lambda x, y: [x + y, (x - y, {"first": x[0]})], X, X + 1)
    found = halves(X, X + 1)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1][1]["first"], X[0])


def test_checks_that_fail_are_left_to_the_slow_way():
    table = np.arange(6, dtype="float32").reshape(3, 2)
    rows = np.array([0, 2], "int32")
    look_up = program(lambda rows: ops.take(table, rows, axis=0), rows)
    look_up([rows])
    quick = look_up.ready([rows], [rows], changes.stamp())
    wrong = np.array([0, 3], "int32")
    np.testing.assert_array_equal(quick(rows), table[[0, 2]])
    assert quick(wrong) is NotImplemented
    with pytest.raises(RuntimeCheckError):
        look_up([wrong])


def test_nothing_is_kept_of_a_call():
    array, dtype = X.copy(), X.dtype
    double, _ = ready(lambda x: x * 2, array)
    before = sys.getrefcount(array), sys.getrefcount(dtype)
    result = double(array)
    owned = weakref.ref(result)
    assert sys.getrefcount(result) == sys.getrefcount(array)
    del result
    assert owned() is None
    assert (sys.getrefcount(array), sys.getrefcount(dtype)) == before


def test_calls_go_with_their_layer():
    layer = layers.Dense(3)
    for _ in range(3):
        layer(X)
    kernel = weakref.ref(layer.kernel.array)
    del layer
    gc.collect()
    assert kernel() is None


@pytest.mark.parametrize("positions", [3, 3000], ids=["holding the lock", "giving it back"])
def test_threads_call_at_once(positions):
    model = models.Sequential([layers.Input((positions, 4)), layers.Conv1D(8, 3), layers.Dense(8)])
    batch = RNG.normal(size=(4, 1, positions, 4)).astype("float32")
    expected = [model.predict_on_batch(x) for x in batch]
    wrong = []

    def run(number):
        for _ in range(200):
            if not np.array_equal(model.predict_on_batch(batch[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_collecting_garbage_may_call_again():
    """Making an output may run whatever is finalized then, even the same call."""
    double, expected = ready(lambda x: x * 2, X)
    found = []

    class Last:
        def __del__(self):
            found.append(double(X))

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(50):
            one = Last()
            one.itself = one
            del one
            np.testing.assert_array_equal(double(X), expected)
    finally:
        gc.set_threshold(*threshold)
        gc.collect()
    assert len(found) == 50
    for each in found:
        np.testing.assert_array_equal(each, expected)
