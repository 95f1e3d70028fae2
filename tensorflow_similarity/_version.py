"""The version, in the one place that `setup.py` and the files we write read it."""

__version__ = "1.0.0.dev0"
