"""Which values can be looked at."""

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity._core.concrete import concrete, is_state
from tests.gradients import BACKEND, compiled, to_numpy

pytestmark = pytest.mark.backend_smoke


def test_values_are_seen_outside_of_graphs_only():
    seen = []

    def double(x):
        seen.append(concrete(x))
        return x * 2

    x = ops.convert_to_tensor(np.array([3, 4], "int32"))
    np.testing.assert_array_equal(concrete(x), [3, 4])
    np.testing.assert_array_equal(to_numpy(compiled(double)(x)), [6, 8])
    assert seen and all(values is None for values in seen)


def test_jax_reaches_variables_only_as_state():
    variable = keras.Variable(np.zeros((), "int32"), trainable=False)
    assert is_state(variable) == (BACKEND != "jax")
    if BACKEND == "jax":
        import jax

        def step(value):
            with keras.StatelessScope(state_mapping=[(variable, value)]):
                return is_state(variable)

        assert jax.jit(step, static_argnums=())(variable.value)
