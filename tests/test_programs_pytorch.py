"""The PyTorch programs of documents 002 and 004: the same text with PyTorch and, changed as listed, with nblayers."""
import types

import numpy as np
import pytest
import torch
from helpers import run_program as run
from programs_pytorch import (
    CLIPPING_004,
    CLIPPING_004_CHANGES,
    CONVOLUTION_002,
    EMBEDDING_002,
    EMBEDDING_002_CHANGES,
    LINEAR_002,
    LSTM_004,
    LSTM_004_CHANGES,
    MISSPELT,
    PACKED_004,
    PACKED_004_CHANGES,
    POOLING_002,
    RNN_002,
    RNN_002_CHANGES,
)

from nblayers import nn


def numpy_of(state):
    return {name: value.detach().numpy() for name, value in state.items()}


@pytest.mark.parametrize("name, program, x, output", [
    ("linear", LINEAR_002, (5, 128), (5, 64)), ("convLayer", CONVOLUTION_002, (2, 1, 6, 7), (2, 1, 5, 6)),
    ("max_pool", POOLING_002, (2, 3, 6, 8), (2, 3, 3, 4)), ("avg_pool", POOLING_002, (2, 3, 6, 8), (2, 3, 3, 4))])
def test_the_layers_of_document_002(name, program, x, output, rng):
    """Values and gradients; `import torch.nn as nn` stands before the first of them alone."""
    theirs, ours = run(program, nn=torch.nn)[name], run(program.replace("torch.nn", "nblayers.nn"), nn=nn)[name]
    ours.load_state_dict(theirs.state_dict())
    x = rng.normal(size=x).astype("f")
    x_theirs = torch.tensor(x, requires_grad=True)
    y, expected = ours(x), theirs(x_theirs)
    assert y.shape == output
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    dy = rng.normal(size=output).astype("f")
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.backward(dy), x_theirs.grad.numpy(), rtol=1e-4, atol=1e-5)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, other.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_the_rnn_of_document_002(rng):
    """Its `__init` misspelt there. It trains as PyTorch's does."""
    theirs = run(RNN_002, MISSPELT)["SimpleRNN"](3, 5, 2)
    variables = run(RNN_002, [*MISSPELT, *RNN_002_CHANGES])
    ours, optim = variables["SimpleRNN"](3, 5, 2), variables["optim"]
    ours.load_state_dict(theirs.state_dict())
    x, t = rng.normal(size=(6, 4, 3)).astype("f"), rng.integers(0, 2, 6)
    optimizer, twin = optim.SGD(ours.parameters(), lr=0.5), torch.optim.SGD(theirs.parameters(), lr=0.5)
    criterion = nn.CrossEntropyLoss()
    for _ in range(3):
        x_theirs = torch.tensor(x, requires_grad=True)
        output, expected = ours(x), theirs(x_theirs)
        np.testing.assert_allclose(output, expected.detach().numpy(), rtol=1e-4, atol=1e-6)
        loss, expected_loss = criterion(output, t), torch.nn.CrossEntropyLoss()(expected, torch.tensor(t))
        assert loss == pytest.approx(expected_loss.item(), rel=1e-5)
        optimizer.zero_grad()
        twin.zero_grad()
        expected_loss.backward()
        dx = ours.backward(criterion.backward())
        np.testing.assert_allclose(dx, x_theirs.grad.numpy(), rtol=1e-4, atol=1e-6)
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(parameter.grad, other.grad.numpy(), rtol=1e-4, atol=1e-6)
        optimizer.step()
        twin.step()


def test_the_embedding_of_document_002():
    theirs, ours = run(EMBEDDING_002)["embed"], run(EMBEDDING_002, EMBEDDING_002_CHANGES)["embed"]
    ours.load_state_dict(theirs.state_dict())
    tokens = np.array([[1, 9, 1], [0, 2, 4]])
    y = ours(tokens)
    assert y.shape == (2, 3, 4)
    np.testing.assert_array_equal(y, theirs(torch.tensor(tokens)).detach().numpy())
    ours.backward(np.ones(y.shape, "f"))
    theirs(torch.tensor(tokens)).sum().backward()
    np.testing.assert_array_equal(ours.weight.grad, theirs.weight.grad.numpy())


SMALLER = [("hidden_size = 64", "hidden_size = 6"), ("num_epochs = 100", "num_epochs = 4"), ("lr=0.001", "lr=0.02")]
# what depends on chance is left out where both are compared
COMPARABLE = [*SMALLER, ("dropout=0.2", "dropout=0.0"), (", shuffle=True", ""),
              ("# Define loss function", "model.load_state_dict(weights)\n\n# Define loss function")]


def binary_sequences():
    """X_train, y_train, X_test, y_test: is the first feature positive in the mean?"""
    X = np.random.default_rng(0).normal(size=(60, 7, 3))
    y = (X[:, :, 0].mean(axis=1) > 0).astype(float)
    return dict(X_train=X[:44], y_train=y[:44], X_test=X[44:], y_test=y[44:])


def test_the_program_of_document_004_is_pytorch_s(capsys):
    """From the same weights, in the same order: the same losses and the same accuracy are printed, the same weights learned."""
    data = binary_sequences()
    torch.manual_seed(0)
    lstm, fc = torch.nn.LSTM(3, 6, 2), torch.nn.Linear(6, 1)
    weights = {f"{name}.{key}": value.clone() for name, module in (("lstm", lstm), ("fc", fc))
               for key, value in module.state_dict().items()}
    theirs = run(LSTM_004, COMPARABLE, weights=weights, **data)
    expected = capsys.readouterr().out
    ours = run(LSTM_004, [*LSTM_004_CHANGES, *COMPARABLE], weights=weights, **data)
    assert capsys.readouterr().out == expected and expected.count("Epoch") == 4 and "Test Accuracy: " in expected
    np.testing.assert_allclose(ours["epoch_loss"], theirs["epoch_loss"], rtol=1e-4)
    learned = numpy_of(theirs["model"].state_dict())
    for name, value in ours["model"].state_dict().items():
        np.testing.assert_allclose(value, learned[name], rtol=1e-3, atol=1e-4, err_msg=name)
    saved = ours["optimizer"].state_dict()
    assert saved["param_groups"] == theirs["optimizer"].state_dict()["param_groups"] and len(saved["state"]) == 10


def test_the_program_of_document_004_as_it_stands(capsys):
    """With dropout and shuffled batches; the loss falls, and dropout is off in the evaluation."""
    variables = run(LSTM_004, [*LSTM_004_CHANGES, *SMALLER], **binary_sequences())
    losses = [float(line.split("Loss: ")[1]) for line in capsys.readouterr().out.splitlines() if "Loss" in line]
    assert len(losses) == 4 and losses[-1] < losses[0] and 0 <= variables["accuracy"] <= 1
    model, x = variables["model"], variables["X_test_tensor"]
    np.testing.assert_array_equal(model(x), model(x))
    model.train()
    assert not np.allclose(model(x), model(x))


def test_packed_sequences_of_document_004(rng):
    """The fragment wants padded sequences and their lengths at once; here all are of one length."""
    sequences = rng.normal(size=(3, 5, 4)).astype("f")
    theirs, ours = torch.nn.LSTM(4, 6, batch_first=True), nn.LSTM(4, 6, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    expected = run(PACKED_004, torch=torch, self=types.SimpleNamespace(lstm=theirs), sequences=torch.tensor(sequences))
    found = run(PACKED_004, PACKED_004_CHANGES, np=np, self=types.SimpleNamespace(lstm=ours), sequences=sequences)
    np.testing.assert_allclose(found["outputs"], expected["outputs"].detach().numpy(), rtol=1e-4, atol=1e-6)
    for state, other in zip(found["hidden"], expected["hidden"], strict=True):
        np.testing.assert_allclose(state, other.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_clipping_of_document_004(rng):
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        parameter.grad = 10 * rng.normal(size=parameter.shape).astype("f")
        other.grad = torch.tensor(parameter.grad)
    run(CLIPPING_004, torch=torch, model=theirs)
    run(CLIPPING_004, CLIPPING_004_CHANGES, nn=nn, model=ours)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, other.grad.numpy(), rtol=1e-5)
