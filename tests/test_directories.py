"""`split_dataset` and the datasets of directories, compared with Keras' own."""
import os

import numpy as np
import pytest
from helpers import assert_same

from nblayers import preprocessing, utils
from nblayers.layers import Dense, Flatten, Input, Rescaling
from nblayers.models import Sequential

SIZES = [{"left_size": 0.8}, {"left_size": 7}, {"right_size": 0.25}, {"right_size": 1}, {"left_size": 0.5, "right_size": 0.3},
         {"left_size": 3, "right_size": 2}, {"left_size": 0.8, "shuffle": True, "seed": 5},
         {"left_size": 3, "right_size": 4, "shuffle": True, "seed": 1}]
X = np.arange(20, dtype="f").reshape(10, 2)
Y = np.arange(10)


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras
    return keras


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("data", [X, (X, Y), [X, Y]], ids=["array", "tuple", "list"])
def test_split_dataset(keras, data, sizes):
    expected = keras.utils.split_dataset(data, preferred_backend="tensorflow", **sizes)
    for ours, theirs in zip(utils.split_dataset(data, **sizes), expected, strict=True):
        theirs = list(theirs.as_numpy_iterator())
        assert len(ours) == len(theirs)
        assert_same(list(ours), theirs)
        assert_same(ours[len(ours) - 1], theirs[-1])


def test_a_dataset_of_tensorflow_is_split(keras):
    import tensorflow as tf
    for batched in (False, True):
        data = tf.data.Dataset.from_tensor_slices((X, Y))
        data = data.batch(4) if batched else data
        expected = keras.utils.split_dataset(data, 0.7, shuffle=True, seed=2)
        for ours, theirs in zip(utils.split_dataset(data, 0.7, shuffle=True, seed=2), expected, strict=True):
            assert_same(list(ours), list(theirs.as_numpy_iterator()))


def test_datasets_with_an_index_are_split():
    left, right = utils.split_dataset(utils.data.TensorDataset(X, Y), 0.7)
    assert type(left) is utils.data.Subset and (len(left), len(right)) == (7, 3) and right[0][1] == 7
    torch = pytest.importorskip("torch")
    left, right = utils.split_dataset(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), 0.7)
    assert float(right[0][1]) == 7


def test_parts_are_trained_on():
    model = Sequential([Input((2,)), Dense(1)])
    model.compile("sgd", "mse")
    left, right = utils.split_dataset((X, Y[:, None]), 0.8)
    assert [len(y) for _, y in left.batch(3)] == [3, 3, 2] and [len(y) for _, y in left.batch(3, True)] == [3, 3]
    history = model.fit(left.batch(3), validation_data=right.batch(3), verbose=0, epochs=2).history
    assert len(history["val_loss"]) == 2


@pytest.mark.parametrize("arguments, kind, message", [
    ({}, ValueError, "expected left_size or right_size, got neither"),
    ({"left_size": 0}, ValueError, "left_size as a number of samples from 1 to 9, or a share between 0 and 1, got 0"),
    ({"left_size": 10}, ValueError, "got 10"), ({"left_size": 1.0}, ValueError, "got 1.0"),
    ({"right_size": -0.5}, ValueError, "right_size .* got -0.5"), ({"right_size": "1"}, TypeError, "right_size as an integer"),
    ({"left_size": True}, TypeError, "got True"), ({"left_size": 0.6, "right_size": 0.6}, ValueError, "sum up to 10"),
    ({"left_size": 6, "right_size": 6}, ValueError, "got 6 and 6"), ({"left_size": 0.01}, ValueError, "got 0 and 10 of 10"),
    ({"left_size": 3, "shuffle": 2}, ValueError, "shuffle to be True or False"),
    ({"left_size": 3, "seed": "a"}, ValueError, "seed")])
def test_sizes_that_cannot_be(arguments, kind, message):
    with pytest.raises(kind, match=f"^split_dataset: .*{message}"):
        utils.split_dataset(X, **arguments)


@pytest.mark.parametrize("data, kind, message", [
    ((X, Y[:3]), ValueError, r"arrays of one length, got lengths \[10, 3\]"), ([], ValueError, "one length"),
    (5, TypeError, "got int"), (iter([X]), TypeError, "got list_iterator")])
def test_data_that_cannot_be_split(data, kind, message):
    with pytest.raises(kind, match=f"^split_dataset: .*{message}"):
        utils.split_dataset(data, 0.5)


# directories

@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Nine pictures of two sizes in three directories, one of them in a directory below, and what is no picture."""
    Image = pytest.importorskip("PIL.Image")
    directory = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i, name in enumerate(["b/10.png", "b/9.PNG", "b/x/1.bmp", "a/2.png", "a/1.bmp", "c 1/1.png", "c 1/2.png", "c 1/3.png",
                              "a/3.png", ".hidden/1.png"]):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5 + i % 2, 7, 3), np.uint8)).save(path)
    (directory / "a" / "text.txt").write_text("no picture")
    (directory / "empty.png.old").write_text("")
    return directory


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("texts")
    for name in ["pos/1.txt", "neg/2.txt", "neg/1.TXT", "pos/10.txt", "pos/2.txt"]:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"The text of {name}\n", encoding="utf-8", newline="")
    return directory


OPTIONS = [{}, {"label_mode": "categorical"}, {"label_mode": None}, {"labels": None}, {"batch_size": None}, {"batch_size": 4},
           {"class_names": ["c 1", "a"]}, {"class_names": ["b", "a"], "label_mode": "binary"},
           {"labels": [0, 1, 2, 0, 1, 2, 0, 1, 2, 4]}, {"color_mode": "rgba"}, {"image_size": 3}, {"interpolation": "nearest"},
           {"interpolation": "bicubic"}, {"crop_to_aspect_ratio": True}, {"data_format": "channels_first"},
           {"validation_split": 0.3, "subset": "training"}, {"validation_split": 0.3, "subset": "validation"}]


def same_batches(ours, theirs, atol=1e-3):
    theirs = [[np.asarray(part) for part in (batch if isinstance(batch, tuple) else (batch,))] for batch in theirs]
    ours_batches = [batch if isinstance(batch, tuple) else (batch,) for batch in ours]
    assert len(ours) == len(ours_batches) == len(theirs)
    for mine, other in zip(ours_batches, theirs, strict=True):
        for a, b in zip(mine, other, strict=True):
            if np.asarray(a).dtype == object or isinstance(a, str):
                assert np.atleast_1d(a).tolist() == [text.decode() for text in np.atleast_1d(b)]
            else:
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)
                assert a.dtype == b.dtype or b.dtype == np.uint8         # TensorFlow's nearest keeps bytes


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_pictures_are_those_of_keras(keras, pictures, options, capsys):
    """The first one waits for TensorFlow to load its parts."""
    options = {"image_size": (4, 6), "shuffle": False, **options}
    ours = utils.image_dataset_from_directory(pictures, **options)
    printed = capsys.readouterr().out
    theirs = keras.utils.image_dataset_from_directory(str(pictures), **options)
    assert printed == capsys.readouterr().out
    assert ours.class_names == theirs.class_names and ours.file_paths == theirs.file_paths
    from_table = options.get("interpolation") == "bicubic"          # where TensorFlow looks its weights up
    same_batches(ours, theirs, 0.15 if from_table else 1e-3)
    same_batches(ours, theirs, 0.15 if from_table else 1e-3)


def test_gray_pictures(keras, pictures):
    options = {"shuffle": False, "color_mode": "grayscale", "class_names": ["c 1"], "image_size": (5, 7)}
    ours = next(iter(utils.image_dataset_from_directory(pictures, **options)))
    theirs = next(iter(keras.utils.image_dataset_from_directory(str(pictures), **options)))
    assert ours[0].shape == theirs[0].shape and np.abs(ours[0] - np.asarray(theirs[0])).max() < 2      # rounded otherwise


@pytest.mark.parametrize("seed", [0, 7])
def test_the_files_set_aside_are_those_of_keras(keras, pictures, texts, seed):
    options = {"validation_split": 0.4, "subset": "both", "seed": seed, "verbose": False}
    ours = utils.image_dataset_from_directory(pictures, **options)
    theirs = keras.utils.image_dataset_from_directory(str(pictures), **options)
    assert [part.file_paths for part in ours] == [part.file_paths for part in theirs]
    for part in (0, 1):
        one = utils.image_dataset_from_directory(pictures, **{**options, "subset": ("training", "validation")[part]})
        assert one.file_paths == ours[part].file_paths
    same_batches(utils.text_dataset_from_directory(texts, **options)[1],
                 keras.utils.text_dataset_from_directory(str(texts), **options)[1])


@pytest.mark.parametrize("options", [{}, {"max_length": 5}, {"label_mode": "binary"}, {"labels": None},
                                     {"batch_size": 2, "label_mode": "categorical"}, {"batch_size": None}], ids=str)
def test_texts_are_those_of_keras(keras, texts, options):
    options = {"shuffle": False, **options}
    same_batches(utils.text_dataset_from_directory(texts, **options),
                 keras.utils.text_dataset_from_directory(str(texts), **options))


def test_each_pass_has_an_order_of_its_own(pictures):
    def labels(**options):
        data = utils.image_dataset_from_directory(pictures, image_size=2, batch_size=4, verbose=False, **options)
        return [np.concatenate([y for _, y in data]).tolist() for _ in range(3)]

    passes = labels(seed=1)
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1])
    assert labels(seed=1) == passes != labels(seed=2)


def test_a_model_is_trained_on_pictures(pictures):
    training, validation = utils.image_dataset_from_directory(pictures, image_size=(4, 4), batch_size=2, seed=0, verbose=False,
                                                              validation_split=0.3, subset="both")
    model = Sequential([Input((4, 4, 3)), Rescaling(1 / 255), Flatten(), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(training, validation_data=validation, epochs=2, verbose=0).history
    assert np.isfinite(history["val_loss"]).all() and len(training) == 4
    assert next(training.take(1))[0].shape == (2, 4, 4, 3)
    assert preprocessing.image_dataset_from_directory is utils.image_dataset_from_directory
    assert preprocessing.text_dataset_from_directory is utils.text_dataset_from_directory


@pytest.mark.parametrize("arguments, message", [
    ({"labels": "some"}, "expected labels 'inferred', None, or a list"),
    ({"labels": [0]}, "labels for the 10 files in .* got 1"),
    ({"labels": ["a"] * 10}, "each of labels to be an integer of at least 0, got 'a'"),
    ({"labels": None, "class_names": ["a"]}, "class_names only with labels 'inferred'"),
    ({"class_names": ["z"]}, r"class_names among the directories \['a', 'b', 'c 1'\], got \['z'\]"),
    ({"label_mode": "one"}, "label_mode to be 'int', 'categorical', 'binary' or None"),
    ({"label_mode": "binary"}, "label_mode 'binary' expected 2 classes, got"),
    ({"color_mode": "bgr"}, "color_mode to be 'rgb'"),
    ({"batch_size": 0}, "positive integer as batch_size"), ({"image_size": (1, 2, 3)}, r"image_size \(height, width\)"),
    ({"image_size": 0}, "each of image_size"), ({"interpolation": "area"}, "interpolation to be 'bilinear'"),
    ({"data_format": "last"}, "data_format to be 'channels_last'"), ({"shuffle": "batch"}, "shuffle to be True or False"),
    ({"seed": 0.5}, "seed to be an integer"), ({"validation_split": 2, "subset": "both", "seed": 0}, "validation_split in"),
    ({"validation_split": 0.2}, "validation_split and subset together, got 0.2 and None"),
    ({"subset": "both"}, "together, got None and 'both'"), ({"subset": "some"}, "subset to be 'training'"),
    ({"validation_split": 0.2, "subset": "both"}, "expected a seed"), ({"format": "torch"}, "format to be 'tf' or 'grain'"),
    ({"validation_split": 0.01, "subset": "both", "seed": 0}, "got 9, and so none for validation")])
def test_errors_of_directories(pictures, arguments, message):
    with pytest.raises(ValueError, match=f"^(image_dataset_from_directory|Resizing 'images'): .*{message}"):
        utils.image_dataset_from_directory(pictures, verbose=False, **arguments)


def test_directories_without_files(tmp_path):
    with pytest.raises(ValueError, match=r"text_dataset_from_directory: expected files that end in .txt in .*, got 0"):
        utils.text_dataset_from_directory(tmp_path, labels=None, verbose=False)
    with pytest.raises(FileNotFoundError):
        utils.text_dataset_from_directory(tmp_path / "none")


def test_without_pillow(pictures, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"image_dataset_from_directory: it needs Pillow: pip install 'nblayers\[images\]'"):
        utils.image_dataset_from_directory(pictures)
