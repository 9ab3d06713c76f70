"""The way through the course: the digits that are shipped, the path and its progress, the formula index."""
import numpy as np
import pytest

from lessons import data


def test_the_digits_are_scikit_learns():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8) and images.dtype == theirs.images.dtype and labels.dtype == theirs.target.dtype
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def test_the_digits_are_the_callers_own():
    data.digits()[0][:] = -1
    assert data.digits()[0].min() == 0
