"""Facts of losses, and the page that is made from them."""

import importlib.util
from pathlib import Path

import keras
import pytest

from tensorflow_similarity import losses
from tensorflow_similarity.losses.facts import FACTS, FAMILIES, table

DOCS = Path(__file__).parents[2] / "docs"
CONTRACTS = {"MetricLoss", "TrainedLoss", "ClassLoss"}
PUBLIC = {
    value.__name__
    for value in (getattr(losses, name) for name in losses.__all__)
    if isinstance(value, type) and issubclass(value, keras.losses.Loss)
} - CONTRACTS


def maker():
    spec = importlib.util.spec_from_file_location(
        "make_loss_table", DOCS / "make_loss_table.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_loss_has_facts():
    assert PUBLIC == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_facts_are_told_in_few_words(name):
    facts = FACTS[name]
    assert facts.family in FAMILIES
    for text in (facts.batch, facts.cost, facts.fails):
        assert 0 < len(text) < 90 and "|" not in text


def test_losses_that_train_weights_say_so():
    for name, facts in FACTS.items():
        cls = getattr(losses, name)
        if issubclass(cls, losses.ClassLoss):
            assert facts.trains
        elif not issubclass(cls, losses.TrainedLoss) and facts.family != "joined":
            assert not facts.trains


def test_a_table_has_only_what_was_asked():
    text = table(["TripletLoss", "FastAPLoss"])
    assert text.count("\n| `") == 2
    assert text.count("### ") == 2


def test_the_page_is_up_to_date():
    make = maker()
    text = make.PAGE.read_text("utf-8")
    assert make.made(text) == text, "run `python docs/make_loss_table.py`"
    for name in PUBLIC:
        assert f"| `{name}` |" in text
