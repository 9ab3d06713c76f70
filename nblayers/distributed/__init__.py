"""One training on several processes: every batch is shared out, every gradient summed (data parallel, over MPI).

    model.fit(x, y, batch_size=256, epochs=10, distribute=True)         # mpirun -n 4 python train.py

Four processes then train one model, and reach the weights that one process would on whole batches: `batch_size` counts the
samples of all. `DataParallel(model)` does the same for a program whose calls of `fit` and `evaluate` stay as they are.

`pip install 'nblayers[mpi]'` brings mpi4py and Open MPI. `simulate` needs neither: it tells what more processes would gain.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
