"""PyTorch's names and arguments for the layers that mean the same there.

Every layer is a `Module` with PyTorch's methods (`parameters`, `state_dict`, `train`, `eval` …), and takes the weights of its
twin there. What differs: gradients come from `backward`, written by hand, in place of `loss.backward()` (see `Module`); they
begin with zeros in place of None; arrays are NumPy's.

A training step of PyTorch, whose `loss.backward()` is one line here too:

    outputs = model(inputs)
    loss = criterion(outputs, targets)              # of nn.CrossEntropyLoss() for instance
    optimizer.zero_grad()                           # of nblayers.optim
    model.backward(criterion.backward())            # loss.backward(): dL/doutputs, and through the model
    optimizer.step()

If the program changed the outputs on the way (`criterion(outputs.squeeze(), targets)`), the derivative has to be changed back:
`criterion.backward().reshape(outputs.shape)`. There are no tensors: `torch.FloatTensor(a)` is `np.float32(a)`,
`torch.zeros(2, 3)` is `np.zeros((2, 3), "float32")`, `x.size(0)` is `len(x)`; `with torch.no_grad():` and `inputs.to(device)`
are left out. `torch.optim` is `nblayers.optim`, `torch.utils.data` is `nblayers.utils.data`.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
