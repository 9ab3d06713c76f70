"""PyTorch's optimizers (`torch.optim`): made for the parameters that they change; `lr_scheduler` changes their learning rates.

    optimizer = optim.Adam(model.parameters(), lr=0.001)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=30)
    ...
    optimizer.zero_grad()
    loss = criterion(model(inputs), targets)
    model.backward(criterion.backward())            # every parameter.grad is filled
    optimizer.step()

`nblayers.optimizers` are Keras': made without parameters, and with Keras' defaults and numbers.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
