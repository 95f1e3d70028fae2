"""The helper that words the `ImportError` of a missing package."""

import pytest

from tensorflow_similarity._core.optional import optional_import


def test_returns_the_module_that_was_named():
    import os.path

    assert optional_import("os.path", purpose="Testing") is os.path


def test_missing_package_is_named_with_its_command():
    with pytest.raises(ImportError) as raised:
        optional_import("no_such_package.plots", purpose="Drawing curves")
    assert str(raised.value) == (
        "Drawing curves needs no_such_package. "
        "Install it with `pip install no_such_package`."
    )
    assert isinstance(raised.value.__cause__, ImportError)


def test_package_that_is_installed_by_another_name():
    with pytest.raises(ImportError, match=r"pip install Pillow-like"):
        optional_import("no_such_package", purpose="Drawing", package="Pillow-like")
