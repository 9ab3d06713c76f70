r"""Metrics as in Keras 3: running results over the batches of an epoch (`__init__.pyi` lists them).

    metric = BinaryAccuracy()
    metric.update_state(y_true, y_pred)         # once a batch
    metric.result()                             # a float
    metric.reset_state()

Sums are kept in double precision: results do not depend on how the samples were shared out among batches. A metric of your
own is a function of (y_true, y_pred) that gives a value for each sample, or a subclass of `Metric`.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
