"""Packaging. The version is read, not imported: importing would need TensorFlow."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    text = (HERE / "tensorflow_similarity" / "_version.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("tensorflow_similarity/_version.py has no `__version__`.")
    return found.group(1)


REQUIRED = [
    "tensorflow>=2.20",
    "keras>=3.15",
    "nmslib>=2.1.2",
    "numpy>=1.26",
    "matplotlib>=3.8",
    "tensorflow-datasets>=4.9.7",
    # tensorflow-datasets imports it when it prepares a data set, and declares it only
    # for Python below 3.9.
    "importlib_resources",
    "umap-learn>=0.5.7",
    # The demo's digits; umap-learn brings it anyway.
    "scikit-learn>=1.4",
    "bokeh>=3.4",
    "tqdm>=4.66",
    "pandas>=2.2",
]
FAISS = ["faiss-cpu>=1.8"]
# The wheels are made for Linux only.
SCANN = ['scann-core>=0.2; sys_platform == "linux"']
DOCS = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"]
EXTRAS = {
    "faiss": FAISS,
    "scann": SCANN,
    "redis": ["redis>=5"],
    "arrow": ["pyarrow>=17"],
    "docs": DOCS,
    "dev": [
        "pytest>=8.3",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "redis>=5",
        "pyarrow>=17",
        *FAISS,
        *SCANN,
        # The second backend, small enough for every run; torch is tested in CI.
        "jax>=0.5",
        "ruff>=0.9",
        "mypy>=1.14",
        "pre-commit>=3.8",
        # Drives the pages in a browser, where there is one.
        "selenium>=4.20",
        # Execute the notebooks of examples/.
        "ipykernel>=6.29",
        "nbclient>=0.10.1",
        "nbformat>=5.10",
        *DOCS,
    ],
}

setup(
    name="tensorflow_similarity",
    version=version(),
    description="Similarity learning for Keras 3: train, index, find, judge, look.",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="The tensorflow_similarity developers",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(
        include=["tensorflow_similarity", "tensorflow_similarity.*"]
    ),
    package_data={
        "tensorflow_similarity": ["py.typed"],
        "tensorflow_similarity.visualization": ["page/*"],
    },
    python_requires=">=3.11",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    zip_safe=False,
    keywords="keras similarity metric-learning embeddings nearest-neighbours",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
