"""The programs of documents 000 and 001, with nblayers in place of `tensorflow.keras` and, where it computes, with Keras.

Where a program leaves something out (imports, an Input, data) or is wrong, the changes stand beside it as (text, instead).
"""
import re
import warnings

import keras
import numpy as np
import pytest
from helpers import numeric_gradient, run_program
from programs_catalogue import (
    ACTIVATIONS,
    BASE_LAYER,
    CONSTRAINTS,
    INITIALIZERS,
    LAMBDA,
    MERGING,
    PROGRAMS,
    REGULARIZERS,
    TABLES,
)

import nblayers
from nblayers.layers import Input
from nblayers.models import Model, Sequential

# what rows of the tables use without importing it
NOT_IMPORTED = ("Activation", "Conv1D", "Conv2D", "Conv3D", "Dense", "Embedding", "Flatten", "Input", "Layer", "LSTM",
                "MaxPooling2D", "MaxPooling3D")


def made(library, program, changes=(), **given):
    """The variables of a program run with a library in place of TensorFlow's."""
    given |= {name: getattr(library.layers, name) for name in NOT_IMPORTED}
    text = program.replace("tensorflow.keras", library.__name__).replace("tensorflow_addons", library.__name__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # Keras', of input_shape and alpha
        return run_program(text, changes, Sequential=library.Sequential, Model=library.Model, **given)


def with_input_shape(program, shape):
    """The program on smaller data, or unchanged where it names no size."""
    return re.sub(r"input_shape=\([\d, ]*\)", f"input_shape={shape}", program)


def first_class(shape):
    """Targets: the first of the classes, everywhere."""
    target = np.zeros(shape, "float32")
    target[..., 0] = 1
    return target


# document 000

def test_lambda_layers():
    """One program in three cells; the last one turns the width round, not the last axis (ERRATA)."""
    space = {}
    for name in LAMBDA:
        space = made(nblayers, LAMBDA[name][1], **{key: space[key] for key in ("Lambda", "model") if key in space})
    x = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1))
    np.testing.assert_allclose(space["model"].predict(x, verbose=0), ((x / 255) ** 2)[:, :, ::-1], rtol=1e-6)
    assert space["model"].output_shape == (None, 28, 28, 1)


# section 1

def test_the_base_layer():
    """The rows one after the other, of one layer, with a constant instead of the loss that the table does not make."""
    space = made(nblayers, BASE_LAYER["Layer class"][1])
    layer = space["layer"] = space["self"] = space["MyLayer"](name="mine")
    space["custom_loss_tensor"] = 0.5

    def value(name):
        return eval(BASE_LAYER[name][1].strip(), space)

    def execute(name):
        exec(BASE_LAYER[name][1], space)

    weight = value("add_weight method")
    assert (weight.name, weight.shape, weight.trainable) == ("weight", (), True) and 0 < abs(weight.value) <= 0.05
    assert value("weights property") == [weight] == value("trainable_weights property")
    assert value("non_trainable_weights property") == []
    execute("get_weights method")
    assert space["weights"] == [weight.value]
    space["weights"] = [np.float32(3)]
    value("set_weights method")
    assert weight.value == 3
    execute("get_config method")
    assert space["config"]["name"] == "mine"
    value("add_loss method")
    assert value("losses property") == [0.5]
    execute("trainable property")
    assert layer.trainable is False and value("trainable_weights property") == []
    assert value("non_trainable_weights property") == layer.weights


# section 2

@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    """On an array and, as the row means it, on the output of another layer."""
    x = np.linspace(-8, 8, 40, dtype="float32").reshape(8, 5)
    expected = made(keras, ACTIVATIONS[name][1], x=x)["layer"]
    np.testing.assert_allclose(made(nblayers, ACTIVATIONS[name][1], x=x)["layer"], expected, rtol=1e-5, atol=1e-6)
    inputs = Input((5,))
    model = Model(inputs, made(nblayers, ACTIVATIONS[name][1], x=inputs)["layer"])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


# section 3: the deviation and the bound of 64 x 128 weights

TRUNCATED = 2 / 0.87962566
MOMENTS = {
    "RandomNormal": (0.05, np.inf), "RandomUniform": (0.05 / 3 ** 0.5, 0.05),
    "TruncatedNormal": (0.05 * 0.87962566, 0.1), "GlorotNormal": ((2 / 192) ** 0.5, TRUNCATED * (2 / 192) ** 0.5),
    "GlorotUniform": ((2 / 192) ** 0.5, (6 / 192) ** 0.5), "HeNormal": ((2 / 64) ** 0.5, TRUNCATED * (2 / 64) ** 0.5),
    "HeUniform": ((2 / 64) ** 0.5, (6 / 64) ** 0.5), "VarianceScaling": (1 / 8, TRUNCATED / 8),
    "LecunNormal": (1 / 8, TRUNCATED / 8), "LecunUniform": (1 / 8, 3 ** 0.5 / 8),
}
FIXED = {"Zeros": np.zeros((64, 128)), "Ones": np.ones((64, 128)), "Constant": np.full((64, 128), 0.5),
         "IdentityInitializer": np.eye(64, 128)}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    """The row of the identity imports one name and uses the other."""
    changes = [("import Identity\n", "import IdentityInitializer\n")] if name == "IdentityInitializer" else []
    w = made(nblayers, INITIALIZERS[name][1], changes)["initializer"]((64, 128))
    if name in FIXED:
        np.testing.assert_array_equal(w, FIXED[name])
    elif name == "Orthogonal":
        np.testing.assert_allclose(w @ w.T, np.eye(64), atol=1e-5)
    else:
        deviation, bound = MOMENTS[name]
        assert w.std() == pytest.approx(deviation, rel=0.04) and abs(w.mean()) < 4 * deviation / w.size ** 0.5
        assert abs(w).max() <= bound * (1 + 1e-6) and abs(w).max() > 0.9 * min(bound, 3 * deviation)


# section 4

OWN_REGULARIZER = [("(self, ...)", "(self, factor)"), ("        ...\n", "        self.factor = factor\n"),
                   ("return ...", "return self.factor * np.abs(x).max()")]


@pytest.mark.parametrize("name", [name for name in REGULARIZERS if name != "Regularizer"])
def test_regularizers(name):
    """`...` is 8 units; the loss is Keras', the gradient its derivative."""
    layer = made(nblayers, REGULARIZERS[name][1], [("Dense(...", "Dense(8")])["layer"]
    layer.build((None, 5))
    w, factors = layer.get_weights()[0], (0.01, 0.01) if name == "L1L2" else (0.01,)
    assert layer.losses == pytest.approx([float(getattr(keras.regularizers, name)(*factors)(w))], rel=1e-5)
    regularizer, w = layer.kernel_regularizer, w.astype("float64")
    np.testing.assert_allclose(regularizer.gradient(w), numeric_gradient(lambda: regularizer(w), w), rtol=1e-4, atol=1e-8)


def test_a_regularizer_of_your_own():
    program = REGULARIZERS["Regularizer"][1]
    regularizer = made(nblayers, program, OWN_REGULARIZER, np=np)["CustomRegularizer"](0.5)
    layer = nblayers.layers.Dense(8, kernel_regularizer=regularizer)
    layer.build((None, 5))
    assert layer.losses == pytest.approx([0.5 * abs(layer.get_weights()[0]).max()])


# section 5

OWN_CONSTRAINT = [("(self, ...)", "(self, size)"), ("        ...\n", "        self.size = size\n"),
                  ("return ...", "return self.size * np.sign(w)")]


def norms(w):
    return np.sqrt((w ** 2).sum(axis=0))


HOLDS = {"MaxNorm": lambda w: (norms(w) <= 2.001).all() and norms(w).max() > 1.99,
         "MinMaxNorm": lambda w: (norms(w) >= 0.499).all() and (norms(w) <= 1.501).all(),
         "NonNeg": lambda w: (w >= 0).all() and (w > 0).any(), "UnitNorm": lambda w: np.allclose(norms(w), 1, atol=1e-5),
         "Constraint": lambda w: (abs(w) == 0.25).all()}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(name, rng):
    """After large steps, which break each of them."""
    if name == "Constraint":
        constraint = made(nblayers, CONSTRAINTS[name][1], OWN_CONSTRAINT, np=np)["CustomConstraint"](0.25)
        layer = nblayers.layers.Dense(8, kernel_constraint=constraint)
    else:
        layer = made(nblayers, CONSTRAINTS[name][1], [("Dense(...", "Dense(8")])["layer"]
    model = Sequential([Input((5,)), layer])
    model.compile(nblayers.optimizers.SGD(5.0), "mse")
    model.fit(rng.normal(size=(16, 5)), 10 * rng.normal(size=(16, 8)), epochs=2, verbose=0)
    assert HOLDS[name](layer.get_weights()[0])


# section 6

INPUT_SPEC = [("(self, ...)", "(self)"), ("        self.input_spec", "        super().__init__()\n        self.input_spec")]


def core(name, changes=()):
    return made(nblayers, TABLES["CORE"][name][1], changes)


def test_input():
    assert core("Input")["inputs"].shape == (None, 784)


def test_input_spec():
    """`__init__` must call its parent's; `forward` is left out."""
    class Whole(core("InputSpec", INPUT_SPEC)["CustomLayer"]):
        def forward(self, inputs):
            return inputs

    layer = Whole()
    assert layer(np.ones((2, 784))).shape == (2, 784)
    with pytest.raises(ValueError, match="784"):
        layer(np.ones((2, 783)))


def test_einsum_dense(rng):
    """`output_shape` is left out."""
    layer, x = core("EinsumDense", [("'ij,jk->ik'", "'ij,jk->ik', output_shape=8")])["layer"], rng.normal(size=(3, 5))
    y = layer(x)
    np.testing.assert_allclose(y, x @ layer.get_weights()[0], rtol=1e-4, atol=1e-6)


def test_embedding():
    layer, ids = core("Embedding")["layer"], np.array([[1, 9999, 0], [1, 2, 3]])
    y = layer(ids)
    assert y.shape == (2, 3, 128)
    np.testing.assert_array_equal(y, layer.get_weights()[0][ids])


def test_masking():
    x = np.array([[[0, 0], [0, 1], [0, 0]]])
    np.testing.assert_array_equal(core("Masking")["layer"].compute_mask(x), [[False, True, False]])


@pytest.mark.parametrize("name, factor", [("Lambda", 2), ("Identity", 1)])
def test_functions(name, factor, rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    np.testing.assert_array_equal(core(name)["layer"](x), factor * x)


# the rows that are models: the output of the program as it stands, and the sample that it is run on (smaller where it is large)

MODELS = {
    "CORE": {"Dense": ((10,), (784,)), "Activation": ((10,), (5,))},
    "CONVOLUTION": {
        "Conv1D": ((96, 32), (12, 1)), "Conv2D": ((60, 60, 64), (8, 9, 3)), "Conv3D": ((28, 28, 28, 32), (6, 5, 7, 3)),
        "SeparableConv1D": ((96, 32), (12, 1)), "SeparableConv2D": ((60, 60, 64), (8, 9, 3)),
        "DepthwiseConv1D": ((98, 32), (12, 1)), "DepthwiseConv2D": ((62, 62, 64), (8, 9, 3)),
        "Conv1DTranspose": ((104, 32), (6, 1)), "Conv2DTranspose": ((36, 36, 32), (4, 5, 3)),
        "Conv3DTranspose": ((36, 36, 36, 8), (2, 4, 3, 3))},
    "POOLING": {
        "MaxPooling1D": ((25, 1), (100, 1)), "MaxPooling2D": ((16, 16, 3), (64, 64, 3)),
        "MaxPooling3D": ((8, 8, 8, 3), (8, 12, 9, 3)), "AveragePooling1D": ((25, 1), (100, 1)),
        "AveragePooling2D": ((16, 16, 3), (64, 64, 3)), "AveragePooling3D": ((8, 8, 8, 3), (8, 12, 9, 3)),
        "GlobalMaxPooling1D": ((1,), (100, 1)), "GlobalMaxPooling2D": ((3,), (64, 64, 3)),
        "GlobalMaxPooling3D": ((3,), (8, 9, 7, 3)), "GlobalAveragePooling1D": ((1,), (100, 1)),
        "GlobalAveragePooling2D": ((3,), (64, 64, 3)), "GlobalAveragePooling3D": ((3,), (8, 9, 7, 3))},
    "RECURRENT": {
        "LSTM": ((20,), (10, 64)), "LSTM Cell": ((50,), (10, 64)), "GRU": ((20,), (10, 64)), "GRU Cell": ((50,), (10, 64)),
        "SimpleRNN": ((20,), (10, 64)), "TimeDistributed": ((50,), (10, 64)), "Bidirectional": ((20,), (10, 64)),
        "ConvLSTM1D": ((60, 16), (3, 9, 1)), "ConvLSTM2D": ((60, 60, 16), (2, 6, 7, 1)),
        "ConvLSTM3D": ((60, 60, 60, 16), (2, 5, 5, 6, 1)), "Base RNN": ((50,), (10, 64)), "Simple RNN Cell": ((50,), (10, 64)),
        "Stacked RNN Cell": ((30,), (10, 64))},
    "NORMALIZATION": {"BatchNormalization": ((10,), (8, 9, 1)), "LayerNormalization": ((4, 10), (4, 3)),
                      "GroupNormalization": ((10,), (8, 9, 1))},
    "REGULARIZATION": {
        "Dropout": ((10,), (8,)), "SpatialDropout1D": ((10,), (6, 3)), "SpatialDropout2D": ((10,), (6, 8, 1)),
        "SpatialDropout3D": ((10,), (5, 4, 6, 1)), "GaussianDropout": ((10,), (8,)), "AlphaDropout": ((10,), (8,)),
        "ActivityRegularization": ((10,), (8,))},
    "RESHAPING": {
        "Reshape": ((64, 64, 10), (12288,)), "Flatten": ((10,), (6, 7, 3)), "RepeatVector": ((10,), (5,)),
        "Permute": ((20, 10), (10, 20)), "Cropping1D": ((6, 10), (10, 20)), "Cropping2D": ((60, 60, 10), (6, 7, 3)),
        "Cropping3D": ((60, 60, 60, 10), (5, 6, 7, 3)), "UpSampling1D": ((20, 10), (10, 20)),
        "UpSampling2D": ((128, 128, 10), (4, 5, 3)), "UpSampling3D": ((64, 64, 64, 10), (3, 4, 2, 3)),
        "ZeroPadding1D": ((14, 10), (10, 20)), "ZeroPadding2D": ((68, 68, 10), (4, 5, 3)),
        "ZeroPadding3D": ((36, 36, 36, 10), (3, 4, 2, 3))},
    "ACTIVATION_LAYERS": {"ReLU": ((10,), (5,)), "Softmax": ((10,), (5,)), "LeakyReLU": ((10,), (5,)), "PReLU": ((10,), (5,)),
                          "ELU": ((10,), (5,))},
}
CHANGES = {
    "Base RNN": [("import RNN", "import RNN, SimpleRNNCell"), ("CustomRNNCell(RNN)", "CustomRNNCell(SimpleRNNCell)")],
    "ZeroPadding2D": [("ZeroPadding 2D", "ZeroPadding2D")],
}
CASES = [(table, name) for table, rows in MODELS.items() for name in rows]


@pytest.mark.parametrize("table, name", CASES)
def test_models(table, name, rng):
    """Shape and count of the program as it stands; on the sample Keras' values, from the same weights; and it learns."""
    output, sample = MODELS[table][name]
    program, changes = TABLES[table][name][1], CHANGES.get(name, ())
    if "input_shape" in program:
        ours, theirs = (made(library, program, changes)["model"] for library in (nblayers, keras))
        assert ours.output_shape == (None, *output) == theirs.output_shape
        assert ours.count_params() == theirs.count_params()
    program = with_input_shape(program, sample)
    ours, theirs = (made(library, program, changes)["model"] for library in (nblayers, keras))
    x = rng.normal(size=(4, *sample)).astype("float32")
    expected, y = np.asarray(theirs(x)), ours.predict(x, verbose=0)
    assert y.shape == expected.shape and (y.shape == (4, *output) or "input_shape" in program)
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    if "Dropout" in name:
        assert not np.allclose(ours(x, training=True), expected)
    if ours.trainable_weights:
        ours.compile("sgd", "mse")
        losses = ours.fit(x, first_class(y.shape), epochs=3, verbose=0).history["loss"]
        assert np.isfinite(losses).all() and (losses[-1] < losses[0] or "Dropout" in name)
        assert any(not np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))


def test_activity_regularization(rng):
    """Its loss is the sum over the batch by the batch's size."""
    model = made(nblayers, TABLES["REGULARIZATION"]["ActivityRegularization"][1])["model"]
    x = rng.normal(size=(4, 8)).astype("float32")
    model(x)
    a = model.layers[0](x)
    model(x)
    assert sum(model.losses) == pytest.approx(0.01 * (a.sum() + (a ** 2).sum()) / 4, rel=1e-5)


def test_rnn_does_not_take_units():
    """Nor does Keras': what the row of the base class means is a cell (ERRATA)."""
    with pytest.raises(TypeError, match="expected a cell"):
        made(nblayers, TABLES["RECURRENT"]["Base RNN"][1])


def test_unit_normalization():
    """Its argument `kernel_normalizer` exists nowhere; as a layer after Dense, its outputs have length 1."""
    program = TABLES["NORMALIZATION"]["UnitNormalization"][1]
    for library in (nblayers, keras):
        with pytest.raises((TypeError, ValueError), match="kernel_normalizer"):
            made(library, program)
    model = made(nblayers, program, [(", kernel_normalizer=UnitNormalization()),", "),\n    UnitNormalization(),")])["model"]
    x = np.random.default_rng(0).normal(size=(3, 5))
    assert model(x).shape == (3, 10)
    np.testing.assert_allclose(np.linalg.norm(model.layers[1](model.layers[0](x)), axis=-1), 1, rtol=1e-5)


# section 10

USAGE = "# Example usage"


def preprocessing(name, changes=(), library=nblayers, **given):
    program = re.sub(r"\n model", "\nmodel", TABLES["PREPROCESSING"][name][1])        # one row is indented by a blank
    return made(library, program, changes, **given)


def test_text_vectorization():
    """`adapt` is left out."""
    texts = np.array(["the cat the dog", "The cat, the"])
    variables = preprocessing("TextVectorization", [(USAGE, "text_vectorizer.adapt(texts)\n\n" + USAGE)], texts=texts)
    vectorizer, model = variables["text_vectorizer"], variables["model"]
    assert vectorizer.get_vocabulary() == ["", "[UNK]", "the", "cat", "dog"]
    ids = vectorizer(np.array(["the bird", "dog"]))
    assert ids.shape == (2, 100) and ids[:, :3].tolist() == [[2, 1, 0], [4, 0, 0]]
    assert model.predict(texts, verbose=0).shape == (2, 50)
    model.compile("sgd", "mse")
    losses = model.fit(texts, first_class((2, 50)), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def learns(model, x, y):
    model.compile("sgd", "mse")
    losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    return losses[-1] < losses[0]


def test_normalization(rng):
    x = rng.normal(3, 2, size=(40, 3)).astype("float32")
    variables = preprocessing("Normalization", X_train=x)
    z = variables["normalizer"](x)
    np.testing.assert_allclose(z, (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    assert learns(variables["model"], x, x[:, 0] / 10)


def test_spectral_normalization(rng):
    """From nblayers, where the document takes it from tensorflow_addons; its kernel gets norm 1 in training."""
    model, x = preprocessing("SpectralNormalization")["model"], rng.normal(size=(4, 7)).astype("float32")
    model(x)
    for _ in range(30):
        model(x, training=True)
    kernel = max(model.layers[0].get_weights(), key=lambda w: w.size)
    assert kernel.shape == (7, 64) and np.linalg.norm(kernel, 2) == pytest.approx(1, rel=0.02)
    assert learns(model, x, x[:, :1])


def test_discretization(rng):
    """`adapt` is left out; the bins are deciles."""
    x = rng.normal(size=(200, 1)).astype("float32")
    variables = preprocessing("Discretization", [(USAGE, "discretizer.adapt(X_train)\n\n" + USAGE)], X_train=x)
    counts = np.bincount(variables["discretizer"](x).ravel(), minlength=10)
    assert len(counts) == 10 and (abs(counts - 20) <= 2).all()
    assert variables["model"].predict(x, verbose=0).shape == (200, 1)


def test_category_encoding():
    variables, x = preprocessing("CategoryEncoding"), np.array([[1, 3, 3], [0, 9, 2]])
    expected = np.zeros((2, 10))
    for row, categories in enumerate(x):
        expected[row, categories] = 1
    np.testing.assert_array_equal(variables["encoder"](x), expected)
    assert learns(variables["model"], x, np.zeros((2, 1)) + 2)


def test_hashing():
    variables, words = preprocessing("Hashing"), np.array([["a"], ["b"], ["a"], ["c"]])
    bins = variables["hasher"](words)
    assert bins.shape == (4, 1) and bins[0] == bins[2] and bins.min() >= 0 and bins.max() < 10
    assert variables["model"].predict(words, verbose=0).shape == (4, 1)


def test_hashed_crossing():
    """A model with two inputs: a Sequential takes them when it is called."""
    variables = preprocessing("HashedCrossing")
    words, numbers = np.array([["a"], ["b"], ["a"], ["a"]]), np.array([[1], [1], [1], [2]])
    bins = variables["crossing"]([words, numbers])
    assert bins[0] == bins[2] and bins.min() >= 0 and bins.max() < 10
    y = variables["model"]([words, numbers])
    assert y.shape == (4, 1) and y[0] == y[2]


def test_lookups():
    variables = preprocessing("StringLookup")
    words = np.array([["cat"], ["dog"], ["emu"]])
    assert variables["lookup"](words).tolist() == [[1], [2], [0]]
    assert variables["model"].predict(words, verbose=0).shape == (3, 1, 1)
    variables = preprocessing("IntegerLookup")
    numbers = np.array([[3, 1], [5, 2]])
    assert variables["lookup"](numbers).tolist() == [[3, 1], [0, 2]]
    assert learns(variables["model"], numbers, np.ones((2, 1)))


IMAGES = {                              # the size of the image, and of what comes out behind a convolution and a pool by 2
    "Resizing": ((20, 24), (63, 63)), "Rescaling": ((12, 14), (5, 6)), "CenterCrop": ((130, 141), (63, 63)),
    "RandomCrop": ((130, 141), (63, 63)), "RandomFlip": ((12, 14), (5, 6)), "RandomTranslation": ((12, 14), (5, 6)),
    "RandomRotation": ((12, 14), (5, 6)), "RandomZoom": ((12, 14), (5, 6)), "RandomContrast": ((12, 14), (5, 6)),
    "RandomBrightness": ((12, 14), (5, 6)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name, rng):
    """Keras' values where nothing is drawn; what is drawn in training changes them."""
    size, output = IMAGES[name]
    ours, theirs = (preprocessing(name, library=library)["model"] for library in (nblayers, keras))
    x = rng.integers(0, 256, (4, *size, 3)).astype("float32")
    cut = ours.layers[0](x) if name == "RandomCrop" else x             # Keras' code leaves images as large as they are
    expected = np.asarray(theirs(cut, training=False))
    y = ours.predict(x, verbose=0)
    assert y.shape == expected.shape == (4, *output, 32)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-4, atol=2e-3)
    drawn = ours(x, training=True)
    assert drawn.shape == y.shape and np.allclose(drawn, expected, atol=1e-2) is not name.startswith("Random")
    assert ours.backward(np.ones_like(drawn)).shape == x.shape


# section 13

@pytest.mark.parametrize("name", TABLES["ATTENTION"])
def test_attention(name, rng):
    """A Sequential has one input and attention two: its layers are called one by one, as in a functional model."""
    ours, theirs = (made(library, TABLES["ATTENTION"][name][1])["model"].layers for library in (nblayers, keras))
    query, value = rng.normal(size=(2, 2, 4, 6)).astype("float32")
    given = [query, value] if name == "MultiHeadAttention" else [[query, value]]
    results = []
    for layers in (theirs, ours):
        attention, hidden, head = layers
        y = head(hidden(attention(*given)))
        if layers is ours:
            for own, other in zip(ours, theirs, strict=True):
                own.set_weights(other.get_weights())
            y = head(hidden(attention(*given)))
        results.append(np.asarray(y))
    assert results[0].shape == (2, 4, 10)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-5)


# section 15

@pytest.mark.parametrize("name", MERGING)
def test_merging(name, rng):
    program = MERGING[name][1]
    shape = {"Concatenate": (64, 64, 6), "Dot": (64, 64, 64, 64)}.get(name, (64, 64, 3))
    assert made(nblayers, program)["model"].output_shape == (None, *shape)
    smaller = [("(64, 64, 3)", "(4, 5, 3)")]
    ours, theirs = (made(library, program, smaller)["model"] for library in (nblayers, keras))
    x = list(rng.normal(size=(2, 2, 4, 5, 3)).astype("float32"))
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs(x), rtol=1e-5, atol=1e-6)


# section 17

def test_a_module_of_pytorch(rng):
    variables = made(nblayers, TABLES["BACKENDS"]["TorchModuleWrapper"][1])
    model, torch, x = variables["model"], variables["torch"], rng.normal(size=(4, 10)).astype("float32")
    y = model.predict(x, verbose=0)
    inner = variables["pytorch_model"](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(y, model.layers[1](inner), rtol=1e-5)
    assert y.shape == (4, 10) and learns(model, x, first_class((4, 10)))


def test_a_saved_model_is_a_layer(tmp_path):
    """As in Keras 3, `load_model` does not read it, and says which layer does (it is run in test_interop)."""
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"SavedModel of TensorFlow: use nblayers\.layers\.TFSMLayer"):
        made(nblayers, TABLES["BACKENDS"]["TensorFlow SavedModel"][1], [("path/to/saved_model", str(tmp_path))])


def test_a_function_of_jax(rng):
    """It is the first layer, whose derivative training does not need."""
    program, x = TABLES["BACKENDS"]["JaxLayer"][1], rng.normal(size=(4, 6)).astype("float32")
    ours, theirs = (made(library, program)["model"] for library in (nblayers, keras))
    expected = np.asarray(theirs(x))
    ours(x)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-5)
    assert learns(ours, x, first_class((4, 10)))


def test_a_module_of_flax(rng):
    """A module of Flax must be bound to its parameters, which FlaxLayer does; and `nn.compact` is left out."""
    changes = [("import Lambda", "import FlaxLayer"), ("Lambda(lambda x: flax_model(x))", "FlaxLayer(flax_model)"),
               ("    def __call__", "    @nn.compact\n    def __call__")]
    model = made(nblayers, TABLES["BACKENDS"]["FlaxLayer"][1], changes)["model"]
    x = rng.normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0).sum(axis=1), 1, rtol=1e-5)
    assert learns(model, x, first_class((4, 10)))


# the programs under the tables, with their figures

def application(name, changes=(), **given):
    return made(nblayers, PROGRAMS[name][1], changes, **given)


def test_a_custom_layer(capsys):
    """With NumPy in the place of TensorFlow; its backward is written in test_base."""
    variables = application("Custom Layer with Regularization", [
        ("import tensorflow as tf", "import numpy as np"), ("tf.matmul(inputs, self.weight)", "inputs @ self.weight.value"),
        ("+ self.bias", "+ self.bias.value"), ("tf.ones", "np.ones")])
    layer, (weight, bias) = variables["layer"], variables["layer"].get_weights()
    assert weight.shape == (5, 10) and bias.shape == (10,)
    np.testing.assert_allclose(variables["y"], np.ones((3, 5)) @ weight, rtol=1e-4, atol=1e-6)
    assert layer.losses == pytest.approx([1e-4 * (weight ** 2).sum()], rel=1e-4)
    assert str(layer.losses) in capsys.readouterr().out


def test_curves_of_activations():
    curves = application("Visualizing Activation Functions")["activations"]
    assert all(curve.shape == (100,) and np.isfinite(curve).all() for curve in curves.values()) and len(curves) == 8
    assert curves["Softmax"].sum() == pytest.approx(1) and curves["Leaky ReLU"][0] == pytest.approx(-0.3)
    assert curves["ReLU"].min() == 0 and curves["ELU"].min() == pytest.approx(np.exp(-3) - 1, rel=1e-4)


def test_histograms_of_initializers(monkeypatch):
    import matplotlib.pyplot as plt
    titles = []
    monkeypatch.setattr(plt, "title", titles.append)
    application("Visualizing Weight Initializers")
    assert titles == ["RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotNormal", "GlorotUniform", "HeNormal",
                      "HeUniform"]


def test_the_effect_of_regularizers(capsys):
    models = application("Regularization Effect on Model Performance", [("epochs=10", "epochs=3")])["models"]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == [f"{name} model weights sum" for name in ("L1", "L2", "L1L2")]
    assert all(model.losses and model.history.history["loss"][-1] < model.history.history["loss"][0]
               for model in models.values())


def test_the_effect_of_constraints():
    models = application("Visualizing Weight Constraints", [("epochs=10", "epochs=3")])["models"]
    for name, model in models.items():
        kernel = model.layers[0].get_weights()[0]
        assert kernel.shape == (10, 64) and (name == "MaxNorm" or HOLDS[name](kernel))
        assert (norms(kernel) <= 2.001).all() or name == "NonNeg"


def test_combined_core_layers(capsys):
    """Its targets lack the axis of time that its outputs have; the derivative of its Lambda is written by hand."""
    variables = application("Custom Layer Combinations", [
        ("y = np.random.randint(0, 2, size=(100,))", "y = np.random.randint(0, 2, size=(100, 10, 1))"),
        ("lambda x: x * 2)", "lambda x: x * 2, gradient=lambda x, dy: 2 * dy)"), ("epochs=5", "epochs=2")])
    model = variables["model"]
    assert model.output_shape == (None, 10, 1) and model.count_params() == 10_000 * 128 + 128 * 64 + 64 + 65
    losses = model.history.history["loss"]
    assert len(losses) == 2 and losses[1] < losses[0] and f"{model.count_params():,}" in capsys.readouterr().out


@pytest.mark.parametrize("name, image, output, weights", [
    ("Image Segmentation Model", (128, 128, 3), (None, 32, 32, 1), 352_449),
    ("Image Classification with Pooling Layers", (64, 64, 3), (None, 10), 20_042)])
def test_programs_for_images(name, image, output, weights, rng, capsys):
    """With stride 1 the segmentation's mask stays at 32 x 32 (ERRATA)."""
    y = rng.integers(0, 2, (1, *output[1:])) if output[1:] != (10,) else rng.integers(0, 10, 2)
    x = rng.random((len(y), *image)).astype("float32")
    model = application(name, [("epochs=10", "epochs=3")], X_train=x, y_train=y)["model"]
    assert model.output_shape == output and model.count_params() == weights
    losses = model.history.history["loss"]
    assert len(losses) == 3 and losses[-1] < losses[0]
    printed = capsys.readouterr().out
    assert "Epoch 3/3" in printed and f"{weights:,}" in printed and str(output) in printed


def test_forecasting(rng, capsys):
    x = rng.normal(size=(32, 10, 64)).astype("float32")
    model = application("Time Series Forecasting with Recurrent Layers", [("epochs=10", "epochs=3")], X_train=x,
                    y_train=x[:, -1, 0])["model"]
    assert model.output_shape == (None, 1) and model.count_params() == 4 * 115 * 50 + 4 * 71 * 20 + 21
    assert model.history.history["loss"][-1] < model.history.history["loss"][0] and "Epoch 3/3" in capsys.readouterr().out


# each row has its test

ALONE = {
    "BASE_LAYER": BASE_LAYER, "ACTIVATIONS": ACTIVATIONS, "INITIALIZERS": INITIALIZERS, "REGULARIZERS": REGULARIZERS,
    "CONSTRAINTS": CONSTRAINTS, "CORE": ("Input", "InputSpec", "EinsumDense", "Embedding", "Masking", "Lambda", "Identity"),
    "PREPROCESSING": ("TextVectorization", "Normalization", "SpectralNormalization", "Discretization", "CategoryEncoding",
                      "Hashing", "HashedCrossing", "StringLookup", "IntegerLookup", *IMAGES),
    "NORMALIZATION": ("UnitNormalization",), "ATTENTION": TABLES["ATTENTION"], "MERGING": MERGING,
    "BACKENDS": ("TorchModuleWrapper", "TensorFlow SavedModel", "JaxLayer", "FlaxLayer"),
}


@pytest.mark.parametrize("table", TABLES)
def test_no_row_is_left_out(table):
    tested = [*MODELS.get(table, ()), *ALONE.get(table, ())]
    assert sorted(tested) == sorted(TABLES[table])
