"""Whether a loss is called to train or to evaluate."""

import pytest

from tensorflow_similarity._core.phase import is_training, phase


def test_a_loss_called_on_its_own_trains():
    assert is_training()


def test_the_phase_ends_with_its_block_even_by_an_error():
    with phase(False):
        assert not is_training()
        with phase(True):
            assert is_training()
        assert not is_training()
    with pytest.raises(KeyError), phase(False):
        raise KeyError
    assert is_training()
