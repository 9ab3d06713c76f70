"""What can be told of the course of fit, evaluate and predict: `Callback` and the callbacks of Keras.

A callback of your own overrides the hooks that it needs:

    class Print(Callback):
        def on_epoch_end(self, epoch, logs=None):
            print(epoch, logs["loss"], self.model.optimizer.learning_rate)
"""
from nblayers.callbacks.base import (
    BackupAndRestore,
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    TerminateOnNaN,
    WeightHistory,
)
from nblayers.callbacks.csv_logger import CSVLogger
from nblayers.callbacks.remote_monitor import RemoteMonitor
from nblayers.callbacks.tensorboard import TensorBoard

__all__ = ["BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
           "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor", "TensorBoard",
           "TerminateOnNaN", "WeightHistory"]
