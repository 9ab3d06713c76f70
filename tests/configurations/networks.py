"""Models as they are built every day."""
from typing import Any

from nblayers import layers, models

from .activation import SMOOTH
from .drawing import Draw, Setup, call, makes


def layered(*each: Any) -> Any:
    """A Sequential."""
    return models.Sequential(list(each))


def residual(width: int, activation: str) -> Any:
    """y = x + W_2 f(W_1 norm(x))."""
    x = layers.Input((width,))
    inner = layers.Dense(3, activation=activation)(layers.LayerNormalization()(x))
    return models.Model(x, layers.Add()([x, layers.Dense(width)(inner)]))


def twins(width: int) -> Any:
    """Two inputs through one shared layer, compared; two outputs."""
    a, b = layers.Input((width,)), layers.Input((width,))
    shared = layers.Dense(3, activation="tanh")
    u, v = shared(a), shared(b)
    return models.Model([a, b], [layers.Dot(1)([u, v]), layers.Concatenate()([u, layers.Multiply()([u, v])])])


def translator(kind: str, width: int) -> Any:
    """An encoder whose last states a decoder begins with."""
    source, target = layers.Input((None, width)), layers.Input((None, width))
    make = getattr(layers, kind)
    _, *states = make(2, return_state=True)(source)
    decoded = make(2, return_sequences=True)(target, initial_state=states)
    return models.Model([source, target], layers.TimeDistributed(layers.Dense(2, activation="softmax"))(decoded))


def transformer(width: int) -> Any:
    """Self-attention and a layer on each step, each with a way around it."""
    x = layers.Input((None, width))
    y = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 2)(x, x)]))
    return models.Model(x, layers.Add()([y, layers.Dense(width, activation="gelu")(y)]))


def hourglass(channels: int) -> Any:
    """An image made small and large again, with a way across."""
    x = layers.Input((4, 4, channels))
    small = layers.Conv2D(2, 3, strides=2, padding="same", activation="softplus")(x)
    large = layers.Conv2DTranspose(2, 2, strides=2, activation="tanh")(layers.AveragePooling2D(1)(small))
    joined = layers.Concatenate()([large, x, layers.UpSampling2D(2, interpolation="bilinear")(small)])
    return models.Model(x, layers.Conv2D(1, 1)(layers.BatchNormalization()(joined)))


def nested(width: int) -> Any:
    """A model in a model, used twice."""
    inner = models.Sequential([layers.Input((width,)), layers.Dense(width, activation="tanh"), layers.Dropout(0.2)])
    x = layers.Input((width,))
    return models.Model(x, [inner(inner(x)), layers.Dense(1, activity_regularizer="l2")(inner(x))])


@makes("networks.layered")
def sequentials(draw: Draw, name: str) -> Setup:
    """Networks as they are built every day, with dropout and normalization, on numbers, images, ids and sequences."""
    training = {"training": draw.chance()}
    f = draw.one(SMOOTH[:8])
    dense, drop = call("layers.Dense", 2, activation=f), call("layers.Dropout", 0.3)
    kind = draw.one(["numbers", "images", "ids", "sequences"])
    if kind == "numbers":
        inside, x = (dense, drop, call("layers.BatchNormalization"), dense), draw.numbers(3, draw.size())
    elif kind == "images":
        convolved = call("layers.Conv2D", 2, 2, activation=f), call("layers.MaxPooling2D", 2), call("layers.Flatten")
        inside, x = (*convolved, drop, dense), draw.numbers(2, draw.integer(3, 4), 4, 1)
    elif kind == "ids":
        inside = call("layers.Embedding", 5, 2, mask_zero=True), call("layers.Bidirectional", call("layers.GRU", 2)), dense
        x = draw.ids(5, 2, draw.integer(2, 4))
    else:
        walked = call("layers.LSTM", 2, return_sequences=True), call("layers.LayerNormalization"), call("layers.SimpleRNN", 2)
        inside, x = (*walked, dense), draw.numbers(2, draw.size(), draw.size())
    return Setup(call(name, *inside), [x], training)


@makes("networks.residual", "networks.twins", "networks.translator", "networks.transformer", "networks.hourglass",
       "networks.nested")
def functional(draw: Draw, name: str) -> Setup:
    """One network of its kind, and inputs that it takes."""
    width, batch = draw.size(), draw.integer(1, 2)
    given: list[Any] = [width]
    x: Any
    if name.endswith("residual"):
        given, x = [width, draw.one(SMOOTH[:8])], draw.numbers(batch, width)
    elif name.endswith("twins"):
        x = [draw.numbers(batch, width) for _ in range(2)]
    elif name.endswith("translator"):
        given, x = [draw.one(["LSTM", "GRU", "SimpleRNN"]), width], [draw.numbers(batch, draw.size(), width) for _ in range(2)]
    elif name.endswith("transformer"):
        x = draw.numbers(batch, draw.size(), width)
    elif name.endswith("hourglass"):
        given = [draw.integer(1, 2)]
        x = draw.numbers(batch, 4, 4, *given)
    else:
        x = draw.numbers(batch, width)
    return Setup(call(name, *given), [x], {"training": draw.chance()} if name.endswith(("hourglass", "nested")) else {})
