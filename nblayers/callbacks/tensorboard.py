"""Files for TensorBoard, written with its own writer of records."""
import io
import itertools
import os
import socket
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, path
from nblayers.callbacks.base import Closing, Logs
from nblayers.callbacks.weight_history import histogram_of
from nblayers.devices import to_numpy

_BUCKETS = 30                           # of a histogram
_numbers = itertools.count()            # of the files of this process


class TensorBoard(Closing):
    """Writes the course of a training for TensorBoard: `tensorboard --logdir logs` shows it in a browser.

    In `log_dir/train` and `log_dir/validation` stand, under Keras' names, "epoch_loss", "epoch_learning_rate" and so on over
    the epochs, and "evaluation_loss_vs_iterations" over the steps of the optimizer. Histograms of a weight are called
    "dense/kernel/histogram", those of its gradient in the last step of the epoch, which Keras does not write,
    "dense/kernel/gradient_histogram". What an epoch gave is in the files, whole, when the epoch is over.

    Arguments:
        log_dir: a directory.
        histogram_freq: histograms of weights and gradients after every so many epochs; 0 for none.
        write_graph: the graph of the model is left out, with a warning for True.
        write_images: whether weights are written as pictures too (1 is white, 0 and what is below black).
        write_steps_per_second: whether the steps in a second are written.
        update_freq: "epoch"; "batch", or a number, to write loss and metrics after every so many batches too, as "batch_loss".
        profile_batch, embeddings_freq, embeddings_metadata: as in Keras; only 0 and None, as neither is here.

    Raises:
        ImportError: in training, where `tensorboard` is missing.
        ValueError: an argument of another kind.

    Source: keras.callbacks.TensorBoard.
    """

    def __init__(self, log_dir: Any = "logs", histogram_freq: int = 0, write_graph: bool = False, write_images: bool = False,
                 write_steps_per_second: bool = False, update_freq: str | int = "epoch", profile_batch: Any = 0,
                 embeddings_freq: int = 0, embeddings_metadata: Any = None) -> None:
        super().__init__()
        who = "TensorBoard"
        self.log_dir = path(who, "log_dir", log_dir)
        self.histogram_freq = integer(who, "histogram_freq", histogram_freq, 0)
        self.write_images = flag(who, "write_images", write_images)
        self.write_steps_per_second = flag(who, "write_steps_per_second", write_steps_per_second)
        self.update_freq: int | None = None         # batches; None for epochs alone
        if update_freq != "epoch":
            self.update_freq = 1 if update_freq == "batch" else integer(who, "update_freq", update_freq, 1)
            setattr(self, "on_train_batch_begin", self._begin_batch)        # noqa: B010  who writes none is not asked
            setattr(self, "on_train_batch_end", self._end_batch)            # noqa: B010
        if flag(who, "write_graph", write_graph):
            warnings.warn("TensorBoard: the graph of the model is left out; model.summary() shows its layers", stacklevel=2)
        if profile_batch not in (0, None, False):
            raise ValueError(f"{who}: expected profile_batch 0, as there is no profiler, got {profile_batch!r}")
        if embeddings_freq or embeddings_metadata is not None:
            raise ValueError(f"{who}: expected embeddings_freq 0 and embeddings_metadata None, as embeddings are not written, "
                             f"got {embeddings_freq!r} and {embeddings_metadata!r}")
        self._files: dict[str, _Events] = {}
        self._in_fit = False
        self._batches = self._iterations = 0
        self._batch_start = self._epoch_start = 0.0

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.close()

    def close(self) -> None:
        """End the files."""
        for file in self._files.values():
            file.close()
        self._files = {}
        self._in_fit = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True
        self._batches = 0
        self._events("train")           # an error, if the package is missing, before the first step

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._iterations, self._epoch_start = self.model.optimizer.iterations, time.perf_counter()

    def _begin_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        self._batch_start = time.perf_counter()

    def _end_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches % (self.update_freq or 1):
            return
        scalars = dict(logs or {})
        if self.write_steps_per_second:
            scalars["steps_per_second"] = 1 / max(time.perf_counter() - self._batch_start, 1e-9)
        for name, value in scalars.items():
            self._scalar("train", f"batch_{name}", value, self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            self._scalar("validation", f"evaluation_{name}_vs_iterations", value, self.model.optimizer.iterations)
        if not self._in_fit:
            self.close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if logs:
            optimizer = self.model.optimizer
            scalars = logs | ({"learning_rate": optimizer.learning_rate} if hasattr(optimizer, "learning_rate") else {})
            if self.write_steps_per_second:
                seconds = max(time.perf_counter() - self._epoch_start, 1e-9)
                scalars["steps_per_second"] = (optimizer.iterations - self._iterations) / seconds
            for name, value in scalars.items():
                where = "validation" if name.startswith("val_") else "train"
                self._scalar(where, f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        for file in self._files.values():
            file.flush()

    def _write_weights(self, epoch: int) -> None:
        for weight in (weight for layer in self.model.layers for weight in layer.weights):
            value = to_numpy(weight.value)
            self._write("train", f"{weight.path}/histogram", "histogram", _histogram(value), epoch)
            if weight.trainable:
                self._write("train", f"{weight.path}/gradient_histogram", "histogram", _histogram(to_numpy(weight.grad)), epoch)
            pictures = _pictures(value) if self.write_images else None
            if pictures is not None:
                self._write("train", f"{weight.path}/image", "image", _encoded(pictures), epoch)

    def _scalar(self, where: str, tag: str, value: Any, step: int) -> None:
        self._write(where, tag, "scalar", np.array(value, np.float32), step)

    def _write(self, where: str, tag: str, kind: str, value: np.ndarray, step: int) -> None:
        """An array in the form of the plugin that shows it."""
        tensor = import_module("tensorboard.util.tensor_util").make_tensor_proto(value)
        metadata = import_module(f"tensorboard.plugins.{kind}.metadata").create_summary_metadata(None, "")
        self._events(where).write(step, tag, tensor, metadata)

    def _events(self, where: str) -> "_Events":
        """The file in this directory, which is begun when there is something to write."""
        if where not in self._files:
            self._files[where] = _Events(Path(self.log_dir, where))
        return self._files[where]


class _Events:
    """A file of events, each of which is in it, whole, after `flush`.

    (tensorboard's EventFileWriter would import TensorFlow where that is installed, which takes seconds.)
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._event = import_module("tensorboard.compat.proto.event_pb2").Event
            record_writer = import_module("tensorboard.summary.writer.record_writer").RecordWriter
        except ImportError as error:
            raise ImportError("TensorBoard: its files need the package tensorboard: pip install 'nblayers[tensorboard]'"
                              ) from error
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = open(directory / name, "wb")       # noqa: SIM115
        self._records = record_writer(self._file)
        self._records.write(self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        self.flush()

    def write(self, step: int, tag: str, tensor: Any, metadata: Any) -> None:
        event = self._event(wall_time=time.time(), step=step)
        event.summary.value.add(tag=tag, tensor=tensor, metadata=metadata)
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _histogram(value: np.ndarray) -> np.ndarray:
    """(buckets, 3): left end, right end and count; NaN is left out."""
    histogram = histogram_of(0, value, _BUCKETS)
    return np.column_stack([histogram.edges[:-1], histogram.edges[1:], histogram.counts]).astype(np.float64)


def _pictures(weight: np.ndarray) -> np.ndarray | None:
    """A weight as grey pictures (count, height, width), one for each slice of the last axis; None for what has four axes."""
    squeezed = weight.squeeze()
    if squeezed.ndim < 2:
        return squeezed.reshape(1, -1, 1)
    if squeezed.ndim == 2:
        return squeezed[None] if squeezed.shape[0] <= squeezed.shape[1] else squeezed.T[None]
    return np.moveaxis(squeezed, -1, 0) if squeezed.ndim == 3 else None


def _encoded(pictures: np.ndarray) -> np.ndarray:
    """Width, height, and the first three pictures as PNG."""
    from PIL import Image

    _, height, width = pictures.shape
    parts = [str(width).encode(), str(height).encode()]
    for picture in np.clip(np.nan_to_num(pictures[:3]) * 255.5, 0, 255).astype(np.uint8):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        parts.append(file.getvalue())
    return np.array(parts, object)
