"""What tests/test_distributed.py starts with mpirun: several trainings, each held against one process; results as JSON.

    mpirun -n 4 python tests/distributed_worker.py agree OUT.json DIRECTORY

Runs in the reference room, which compiles nothing.
"""
import hashlib
import json
import os
import signal
import sys
import time

import numpy as np

import nblayers
from nblayers import layers, optimizers
from nblayers.callbacks import (
    BackupAndRestore,
    Callback,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
)
from nblayers.distributed import DataParallel, rank, size
from nblayers.models import Model, Sequential
from nblayers.utils import set_random_seed

STEPS = 51                              # 17 epochs of batches of 5, 5 and 3: with 4 ranks the last leaves one without a sample
rng = np.random.default_rng(0)
X = rng.normal(size=(13, 6))
CLASSES = rng.integers(0, 3, 13)
IMAGES = rng.normal(size=(13, 5, 5, 2))
TOKENS = rng.integers(1, 9, (13, 4)) * (np.arange(4) < rng.integers(1, 5, 13)[:, None])         # padded with 0
STEPWISE = rng.normal(size=(13, 4, 1))
WEIGHTS = rng.uniform(0.2, 2, 13)


def dense():
    return Sequential([layers.Input((6,)), layers.Dense(5, "tanh", kernel_regularizer="l2"),
                       layers.Dense(4, "relu", activity_regularizer="l2"), layers.Dense(3)])


def convolution():
    return Sequential([layers.Input((5, 5, 2)), layers.Conv2D(3, 3, activation="tanh"), layers.MaxPooling2D(2),
                       layers.Flatten(), layers.Dense(3)])


def recurrent():
    return Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(9, 3, mask_zero=True),
                       layers.LSTM(3, return_sequences=True),
                       layers.Bidirectional(layers.GRU(2, return_sequences=True)),
                       layers.Dense(1)])


def attention():
    x = layers.Input((4, 1))
    h = layers.Dense(4)(x)
    h = layers.Add()([h, layers.MultiHeadAttention(2, 3)(h, h)])
    return Model(x, layers.Dense(1)(layers.LayerNormalization()(h)))


def normalised():
    return Sequential([layers.Input((6,)), layers.Dense(5),
                       layers.BatchNormalization(synchronized=True, momentum=0.8), layers.ReLU(),
                       layers.Dense(3)])


def normalised_with_mask():
    return Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(9, 3, mask_zero=True),
                       layers.BatchNormalization(synchronized=True, momentum=0.8), layers.Dense(1)])


def dropped():
    x = layers.Input((4, 1))
    h = layers.Dense(4)(x)
    h = layers.Dropout(0.3)(layers.GaussianNoise(0.1)(h))
    h = layers.SpatialDropout1D(0.3)(h)
    h = layers.MultiHeadAttention(2, 3, dropout=0.2)(h, h)
    h = layers.LSTM(3, dropout=0.3, recurrent_dropout=0.2, return_sequences=True)(h)
    h = layers.TimeDistributed(layers.Dropout(0.2))(h)
    return Model(x, layers.Dense(1)(layers.AlphaDropout(0.2)(h)))


def flipped():
    return Sequential([layers.Input((5, 5, 2)), layers.RandomFlip(), layers.RandomTranslation(0.2, 0.2),
                       layers.Flatten(), layers.Dense(3)])


def frozen():
    model = dense()
    model.layers[0].trainable = False
    return model


def unbuilt():
    return Sequential([layers.Dense(5, "tanh"), layers.Dropout(0.3), layers.Dense(3)])


class Subclassed(Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(5, "tanh"), layers.Dense(3)

    def forward(self, x, training=False):
        return self.second.forward(self.first.forward(x))

    def backward(self, dy):
        return self.first.backward(self.second.backward(dy))


def sparse(**options):
    return nblayers.losses.SparseCategoricalCrossentropy(from_logits=True, **options)


CASES = {                               # model, x, y, loss, options of compile, options of fit
    "dense": (dense, X, CLASSES, sparse(), {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
              {"sample_weight": WEIGHTS, "validation_data": (X[:7], CLASSES[:7])}),
    "dense, mean over weights": (dense, X, CLASSES, sparse(reduction="mean_with_sample_weight"), {},
                                 {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
    "dense, ignored class": (dense, X, CLASSES, sparse(ignore_class=1), {}, {}),
    "convolution": (convolution, IMAGES, CLASSES, sparse(), {"metrics": ["accuracy"]}, {"shuffle": "batch"}),
    "recurrent": (recurrent, TOKENS, STEPWISE, "mse", {"metrics": ["mae"]}, {}),
    "attention": (attention, STEPWISE, STEPWISE[:, ::-1], "mse", {}, {"shuffle": False}),
    "normalised": (normalised, X, CLASSES, sparse(), {}, {}),
    "normalised with mask": (normalised_with_mask, TOKENS, STEPWISE, "mse", {}, {}),
    "dropped": (dropped, STEPWISE, STEPWISE, "mse", {}, {}),
    "flipped": (flipped, IMAGES, CLASSES, sparse(), {}, {}),
    "not built": (unbuilt, X, CLASSES, sparse(), {}, {"shuffle": False}),
    "subclassed, not built": (Subclassed, X, CLASSES, sparse(), {}, {"shuffle": False}),
}


MAIN = ("dense", "convolution", "recurrent", "attention", "normalised")
RUNS = {2: [(name, "float64") for name in MAIN] + [("normalised", "float32")],          # by the number of ranks
        4: [(name, "float64") for name in CASES] + [(name, "float32") for name in MAIN]}


def trained(name, dtype, distribute, callbacks=None, epochs=STEPS // 3):
    make, x, y, loss, compiled, fitted = CASES[name]
    nblayers.config.set_floatx(dtype)
    set_random_seed(1)
    model = make()
    rate = 0.05 if dtype == "float64" else 0.02
    model.compile(optimizers.SGD(rate, momentum=0.9), loss, **compiled)
    x = x.astype(dtype) if x.dtype.kind == "f" else x
    if distribute and rank():           # what the first one has counts
        set_random_seed(7)
        model.set_weights([w + 1 for w in model.get_weights()])
    history = model.fit(x, y, batch_size=5, epochs=epochs, verbose=0, callbacks=callbacks, distribute=distribute, **fitted)
    return model, history.history


def apart(first, second):
    return max(float(np.abs(np.asarray(a, float) - np.asarray(b, float)).max()) for a, b in zip(first, second, strict=True))


def everyone_has(model):
    """Whether all ranks have the same bits."""
    talk = nblayers.distributed.talk.connected()
    digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    return len(set(talk.from_first(talk.to_first(digest, "digests"), "digests"))) == 1


def agreement(report):
    """The same weights, losses and metrics as one process."""
    for name, dtype in RUNS[size()]:
        model, history = trained(name, dtype, DataParallel(bucket_bytes=64))
        same = everyone_has(model)
        if rank() == 0:
            alone, expected = trained(name, dtype, None)
            report[f"{name}, {dtype}"] = {
                "weights": apart(model.get_weights(), alone.get_weights()), "same": same,
                "history": apart([history[key] for key in sorted(history)], [expected[key] for key in sorted(expected)]),
                "moved": apart(alone.get_weights(), trained(name, dtype, None, epochs=1)[0].get_weights())}


def two_optimizers():
    by_path = {".*kernel": optimizers.Adam(0.05)}
    return optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.1), by_path))


def unfrozen(report):
    """Optimizers in one, each with its rate; a callback lets a layer be trained in the midst of an epoch."""
    nblayers.config.set_floatx("float64")
    for name, optimizer in (("two", two_optimizers), ("scaled", lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.05)))):
        models = []
        for distribute in (True, None):
            set_random_seed(1)
            model = frozen()
            model.compile(optimizer(), sparse())

            def free(batch, logs, model=model):
                model.layers[0].trainable = batch == 1

            model.fit(X, CLASSES, batch_size=5, epochs=2, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=free)],
                      distribute=distribute)
            models.append(model)
        report[name] = {"weights": apart(*(model.get_weights() for model in models)), "same": everyone_has(models[0])}


def callbacks(report):
    """Callbacks of the first rank steer all."""
    def steer():
        heard = []
        return heard, [EarlyStopping("loss", patience=1, min_delta=0.05, restore_best_weights=True),
                       ReduceLROnPlateau("loss", patience=1, min_delta=0.1, factor=0.5),
                       LearningRateScheduler(lambda epoch, rate: rate * 0.99),
                       LambdaCallback(on_train_batch_end=lambda batch, logs: heard.append(logs["loss"]))]
    heard, own = steer()
    model, history = trained("dense", "float64", True, own if rank() == 0 else None, epochs=12)
    rate, same = model.optimizer.learning_rate, everyone_has(model)
    if rank() == 0:
        expected_heard, own = steer()
        alone, expected = trained("dense", "float64", None, own, epochs=12)
        report["callbacks"] = {"weights": apart(model.get_weights(), alone.get_weights()), "same": same,
                               "epochs": [len(history["loss"]), len(expected["loss"])],
                               "rates": [rate, alone.optimizer.learning_rate], "heard": apart([heard], [expected_heard])}
    else:
        report["callbacks"] = {"rates": [rate], "epochs": [len(history["loss"])], "heard": heard}


def data(report, directory):
    """A file larger than memory; batches from a generator; `evaluate` of a wrapped model."""
    path = os.path.join(directory, "large.dat")
    rows, features = 2**18, 2**18       # 256 GiB that take no room on the disk
    if rank() == 0:
        with open(path, "wb") as file:
            file.truncate(rows * features * 4)
    nblayers.distributed.talk.connected().from_first(None, "the file")
    large = np.memmap(path, "float32", "r", shape=(rows, features))
    set_random_seed(1)
    model = DataParallel(Sequential([layers.Input((features,)), layers.Dense(1, kernel_initializer="zeros")]))
    model.compile("sgd", "mse")
    model.fit(large, np.ones(rows), batch_size=6, steps_per_epoch=2, verbose=0, shuffle="batch")
    report["large"] = float(model.get_weights()[1][0])
    report["evaluated"] = model.evaluate(large[:7], np.ones(7), batch_size=3, verbose=0)

    def batches():
        for _ in range(3):
            yield X[:3], CLASSES[:3]
            yield X[3:], CLASSES[3:]

    weights = []
    for distribute in (True, None):
        set_random_seed(1)
        model = dense()
        model.compile(optimizers.Adam(0.01), sparse(), metrics=["accuracy"])
        history = model.fit(batches(), epochs=3, steps_per_epoch=2, verbose=0, distribute=distribute)
        weights.append([*model.get_weights(), history.history["accuracy"], history.history["loss"]])
    report["generator"] = apart(*weights)


def refusals(report):
    """Errors that come before anything is sent, or everywhere at once."""
    def said(model, loss, *data):
        model.compile("sgd", loss)
        try:
            model.fit(*(data or (X, X)), batch_size=5, verbose=0, distribute=True)
        except (ValueError, TypeError) as error:
            return str(error)
        return ""
    six = [layers.Input((6,)), layers.Dense(6)]
    stateful = [layers.Input((6,)), layers.Reshape((6, 1)), layers.LSTM(6, stateful=True)]
    some = X[rank():]
    report["refusals"] = {"not built": said(Sequential([layers.Dense(6)]), "mse", iter([(X, X)])),
                          "mixes": said(Sequential(six), "dice"), "stateful": said(Sequential(stateful), "mse"),
                          "other data": said(Sequential(six), "mse", some, some)}


class StopAt(Callback):
    """Ends the training after so many batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = self.left == 0


def backup(report, directory):
    """Stopped in the midst of an epoch, to go on with another number of ranks."""
    steps = [StopAt(5)] if report.get("stop") else []
    where = os.path.join(directory, "backup")
    keep = BackupAndRestore(where, save_freq=1, delete_checkpoint=not steps)
    model, history = trained("dropped", "float64", True, [keep, *steps], epochs=4)
    report["resumed"] = {"weights": [w.tolist() for w in model.get_weights()], "loss": history["loss"],
                         "same": everyone_has(model)}


def write(report, out):
    talk = nblayers.distributed.talk.connected()
    reports = talk.to_first(report, "reports")
    if rank() == 0:
        with open(out, "w") as file:
            json.dump({"size": size(), "reports": reports}, file)


def fail(how, directory):
    """Rank 1 fails in the midst of a training that the first one backs up."""
    model = dense()
    model.compile("sgd", sparse())
    from nblayers.distributed.talk import connected
    me = connected().rank

    def batches():
        for step in range(1000):
            if step == 7 and me == 1:
                if how == "raise":
                    raise RuntimeError("no more milk")
                if how == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                if how == "hang":
                    time.sleep(600)
                if how == "leave":
                    sys.exit(3)
                if how == "end":
                    return
            if how == "interrupt":
                if step == 20 and me == 0:
                    print("running", flush=True)
                time.sleep(0.01)
            yield X, CLASSES
    keep = [BackupAndRestore(os.path.join(directory, "backup"), save_freq=1)]
    settings = DataParallel(timeout=5 if how == "hang" else 300)
    model.fit(batches(), steps_per_epoch=1000, verbose=0, callbacks=keep, distribute=settings)


def main(what, out, directory):
    nblayers.set_device("reference")
    if what in ("raise", "die", "hang", "interrupt", "leave", "end"):
        return fail(what, directory)
    report = {"stop": what == "stop"}
    if what in ("agree", "stop"):
        agreement(report)
        callbacks(report)
        unfrozen(report)
        data(report, directory)
        refusals(report)
    backup(report, directory)
    write(report, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
