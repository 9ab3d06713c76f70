"""What can be told of the course of fit, evaluate and predict: `Callback` and the callbacks of Keras.

A callback of your own overrides the hooks that it needs:

    class Print(Callback):
        def on_epoch_end(self, epoch, logs=None):
            print(epoch, logs["loss"], self.model.optimizer.learning_rate)
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
