import json
import shutil

import keras
import numpy as np
import pytest

from tensorflow_similarity.losses import ProxyAnchorLoss, TripletLoss
from tensorflow_similarity.models import saving
from tests.gradients import to_numpy

from .conftest import small_model

pytestmark = pytest.mark.backend_smoke

FORMS = ["model.keras", "model"]


@pytest.mark.parametrize("name", FORMS)
def test_both_forms_come_back_compiled_with_the_index(data, tmp_path, name):
    x, y = data
    # Its soft margin leaves something to learn, however far apart the classes are.
    indexed = small_model(loss=TripletLoss())
    indexed.fit(x, y, batch_size=30, epochs=1, verbose=0)
    indexed.index(x, y, data=x, verbose=0)
    expected = indexed.lookup(x, k=4, verbose=0)
    indexed.save(tmp_path / name)
    loaded = keras.models.load_model(tmp_path / name)
    found = loaded.lookup(x, k=4, verbose=0)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.distances, expected.distances, atol=1e-6)
    np.testing.assert_array_equal(found[9][2].data, expected[9][2].data)
    assert loaded.compiled
    assert int(loaded.optimizer.iterations) == int(indexed.optimizer.iterations)
    assert loaded.loss.get_config() == indexed.loss.get_config()
    losses = loaded.fit(x, y, batch_size=30, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def array(variable):
    return to_numpy(keras.ops.convert_to_tensor(variable))


def test_one_file_holds_all_of_it(data, tmp_path):
    x, y = data
    model = small_model(loss=ProxyAnchorLoss(num_classes=6))
    model.fit(x, y, batch_size=30, epochs=2, verbose=0)
    model.index(x[:40], y[:40], data=x[:40], verbose=0)
    model.calibrate(x[40:], y[40:], verbose=0)
    model.save(tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    (proxies,), (expected,) = (
        [w for w in one.weights if "proxies" in w.path] for one in (loaded, model)
    )
    np.testing.assert_array_equal(array(proxies), array(expected))
    # As many slots of Adam, moved as far.
    for slot, other in zip(
        loaded.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(array(slot), array(other))
    assert loaded.calibration.cutpoints == model.calibration.cutpoints
    np.testing.assert_array_equal(
        loaded.match(x, no_match_label=9), model.match(x, no_match_label=9)
    )
    assert len(loaded.lookup(x[:1], k=1, verbose=0)[0][0].data) == 4


@pytest.mark.parametrize("name", FORMS)
def test_saving_again_replaces(indexed, data, tmp_path, name):
    x, y = data
    indexed.save(tmp_path / name)
    indexed.index(x[:5], y[:5], verbose=0)
    indexed.save(tmp_path / name)
    assert keras.models.load_model(tmp_path / name).index_size() == 65
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", FORMS)
def test_saving_that_fails_leaves_what_was_there(
    indexed, data, tmp_path, name, monkeypatch
):
    indexed.save(tmp_path / name)

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(type(indexed.indexer), "save", fail)
    indexed.remove([0])
    with pytest.raises(OSError, match="no space left"):
        indexed.save(tmp_path / name)
    monkeypatch.undo()
    assert keras.models.load_model(tmp_path / name).index_size() == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", FORMS)
def test_index_can_be_left_out(indexed, data, tmp_path, name):
    indexed.save(tmp_path / name, save_index=False)
    assert keras.models.load_model(tmp_path / name).index_size() == 0
    indexed.save(tmp_path / name)
    assert keras.models.load_model(tmp_path / name).index_size() == 60


@pytest.mark.parametrize("name", FORMS)
def test_overwrite_false_keeps_what_is_there(model, tmp_path, name):
    model.save(tmp_path / name)
    with pytest.raises(FileExistsError, match="overwrite=False"):
        model.save(tmp_path / name, overwrite=False)


def test_arguments_of_existing_programs_are_accepted(indexed, tmp_path):
    indexed.save(
        str(tmp_path / "m"),
        include_optimizer=True,
        save_format="tf",
        signatures=None,
        options=None,
        save_traces=True,
        compression=False,
    )
    assert keras.models.load_model(tmp_path / "m").index_size() == 60


@pytest.mark.parametrize(
    "name, cure", [("m.h5", "save_weights"), ("m.hdf5", "'.keras'"), ("m.tf", "folder")]
)
def test_other_suffixes_are_refused(indexed, tmp_path, name, cure):
    with pytest.raises(ValueError, match=cure):
        indexed.save(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_folder_with_a_dot_needs_zipped_false(indexed, tmp_path):
    indexed.save(tmp_path / "v1.2", zipped=False)
    assert keras.models.load_model(tmp_path / "v1.2").index_size() == 60
    with pytest.raises(ValueError, match="zipped=True"):
        indexed.save(tmp_path / "v1", zipped=True)


def test_a_folder_of_somebody_else_is_refused_and_kept(indexed, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(FileExistsError, match="not a saved model"):
        indexed.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


def test_files_beside_ours_in_the_folder_stay(indexed, tmp_path):
    indexed.save(tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    indexed.save(tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_save_index_and_load_index(indexed, data, tmp_path):
    x, _ = data
    expected = indexed.lookup(x, verbose=0)
    indexed.save_index(tmp_path / "here")
    assert (tmp_path / "here" / "index" / "index.json").is_file()
    indexed.reset_index()
    indexed.load_index(tmp_path / "here")
    assert indexed.lookup(x, verbose=0) == expected
    with pytest.raises(FileExistsError):
        indexed.save_index(tmp_path / "here", overwrite=False)


def test_load_index_reads_the_folder_of_a_saved_model(indexed, data, tmp_path, caplog):
    indexed.save(tmp_path / "m")
    loaded = keras.models.load_model(tmp_path / "m")
    loaded.load_index(tmp_path / "m")
    assert loaded.lookup(data[0], verbose=0) == indexed.lookup(data[0], verbose=0)
    assert not caplog.records


def test_an_index_saved_earlier_beside_the_model_goes_with_it(indexed, tmp_path):
    indexed.save(tmp_path / "m")
    indexed.save_index(tmp_path / "m")
    indexed.remove([0])
    indexed.save(tmp_path / "m")
    indexed.load_index(tmp_path / "m")
    assert indexed.index_size() == 59


def test_load_index_where_there_is_none(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="save_index"):
        model.load_index(tmp_path)


def test_load_index_by_another_distance_is_refused(indexed, tmp_path):
    indexed.save_index(tmp_path)
    other = small_model(loss="mse", distance="l2")
    with pytest.raises(ValueError, match="measures by 'cosine'"):
        other.load_index(tmp_path)


def test_load_index_into_other_weights_warns(indexed, data, tmp_path, caplog):
    indexed.save_index(tmp_path)
    keras.utils.set_random_seed(77)
    other = small_model()
    other.load_index(tmp_path)
    assert not caplog.records
    other.lookup(data[0], verbose=0)
    assert "not those that the index was made with" in caplog.text


def test_a_damaged_index_in_a_folder_is_a_clear_error(indexed, tmp_path):
    indexed.save(tmp_path / "m")
    file = next((tmp_path / "m").rglob("store.json"))
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ValueError, match="damaged"):
        keras.models.load_model(tmp_path / "m")


def test_a_large_index_goes_beside_the_model(
    indexed, data, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(saving, "LARGE_INDEX", 1000)
    indexed.save(tmp_path / "m.keras")
    assert "beside the model" in caplog.text
    assert (tmp_path / "m.keras-index" / "index.json").is_file()
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.lookup(data[0], verbose=0) == indexed.lookup(data[0], verbose=0)
    caplog.clear()
    shutil.rmtree(tmp_path / "m.keras-index")
    assert keras.models.load_model(tmp_path / "m.keras").index_size() == 0
    assert "load_index(path)" in caplog.text


def test_model_checkpoint_saves_the_index(indexed, data, tmp_path):
    x, y = data
    saver = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss")
    indexed.fit(x, y, batch_size=30, epochs=1, verbose=0, callbacks=[saver])
    assert keras.models.load_model(tmp_path / "best.keras").index_size() == 60


def test_settings_of_the_index_come_back(data, tmp_path):
    model = small_model(search="linear", stat_buffer_size=7)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    loaded.index(data[0], verbose=0)
    assert loaded.indexer.search_type == "linear"
    assert loaded.indexer.stats()["stat_buffer_size"] == 7
    assert json.dumps(loaded.get_compile_config())


def test_a_model_inside_a_model_keeps_its_index(indexed, data, tmp_path):
    inputs = keras.Input((4, 4, 1))
    outer = keras.Model(inputs, keras.layers.Dense(2)(indexed(inputs)))
    outer.save(tmp_path / "outer.keras")
    inner = keras.models.load_model(tmp_path / "outer.keras").layers[1]
    assert inner.lookup(data[0], verbose=0) == indexed.lookup(data[0], verbose=0)


def test_copies_carry_the_index(indexed, data):
    import copy

    twin = copy.deepcopy(indexed)
    indexed.reset_index()
    assert twin.index_size() == 60


def test_a_folder_of_another_library_is_refused_and_kept(indexed, tmp_path):
    folder = tmp_path / "other"
    (folder / "assets").mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden": 768}')
    (folder / "assets" / "logo.png").write_bytes(b"logo")
    with pytest.raises(FileExistsError, match="not a saved model"):
        indexed.save(folder)
    assert (folder / "config.json").read_text() == '{"hidden": 768}'
    assert (folder / "assets" / "logo.png").read_bytes() == b"logo"


def test_files_of_the_user_among_the_assets_stay(indexed, tmp_path):
    indexed.save(tmp_path / "m")
    (tmp_path / "m" / "assets" / "labels.txt").write_text("cat")
    indexed.save(tmp_path / "m")
    assert (tmp_path / "m" / "assets" / "labels.txt").read_text() == "cat"
    assert keras.models.load_model(tmp_path / "m").index_size() == 60


def test_saving_without_index_keeps_one_saved_apart(indexed, tmp_path):
    indexed.save_index(tmp_path / "m")
    indexed.save(tmp_path / "m", save_index=False)
    indexed.load_index(tmp_path / "m")
    assert indexed.index_size() == 60


@pytest.mark.parametrize("name", FORMS)
def test_a_link_stays_a_link(indexed, tmp_path, name):
    indexed.save(tmp_path / f"run1{name[5:]}")
    link = tmp_path / name
    link.symlink_to(tmp_path / f"run1{name[5:]}")
    indexed.remove([0])
    indexed.save(link)
    assert link.is_symlink()
    assert keras.models.load_model(link).index_size() == 59
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("raw", [b"", b"{", b"\x80\x04K\x01."])
def test_a_damaged_manifest_is_called_damaged(indexed, tmp_path, raw):
    indexed.save_index(tmp_path)
    (tmp_path / "index" / "index.json").write_bytes(raw)
    with pytest.raises(ValueError, match="damaged"):
        indexed.load_index(tmp_path)


def test_load_index_of_a_file_names_the_cure(indexed, tmp_path):
    indexed.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="load_model"):
        indexed.load_index(tmp_path / "m.keras")
