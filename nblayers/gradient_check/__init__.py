"""Is this backward the gradient of this forward? For every layer here, and for anyone's code.

    gradcheck(LSTM(4), x)                       # raises GradientCheckError, whose text says what is wrong
    report = gradcheck(layer, x, training=True, raise_error=False)
    print(report)

    gradcheck_pair(affine_forward, affine_backward, x, W, b)            # out, cache = …; dx, dW, db = …
    gradcheck_object(layer, x, params={"W": "dW", "b": "db"}, forward="fprop", backward="bprop")
    gradcheck_loss(model.loss, model.params, X, y)                      # loss, grads = model.loss(X, y)
    gradcheck_function(f, gradient, x)                                  # gradient(x, dy)
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
