"""PyTorch's losses: values and gradients are PyTorch's, gradients those of finite differences, in every option; errors."""
import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from helpers import numeric_gradient

import nblayers
from nblayers import nn

N, K = 4, 3
SHAPES = [(N, K), (1, K), (N, K, 2), (2, K, 2, 3)]
WEIGHT = np.array([0.5, 2.0, 1.25])


def tensors(options):
    return {name: torch.tensor(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}


def agrees(name, x, t, options, dtype="float64"):
    """Value and gradient are PyTorch's for each reduction."""
    tolerance = dict(rtol=1e-10, atol=1e-12) if dtype == "float64" else dict(rtol=2e-5, atol=1e-6)
    x = x.astype(dtype)
    t = t.astype(dtype) if t.dtype.kind == "f" else t
    options = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    for reduction in ("mean", "sum", "none", *(["batchmean"] if name == "KLDivLoss" else [])):
        ours = getattr(nn, name)(**options, reduction=reduction)
        theirs = getattr(torch.nn, name)(**tensors(options), reduction=reduction)
        leaf = torch.tensor(x, requires_grad=True)
        expected = theirs(leaf, torch.tensor(t))
        dloss = np.random.default_rng(1).normal(size=tuple(expected.shape)).astype(dtype) if reduction == "none" else 1.75
        expected.backward(torch.tensor(dloss, dtype=expected.dtype))
        kept = x.copy(), t.copy()
        loss = ours(x, t)
        assert np.shape(loss) == tuple(expected.shape) and loss.dtype == dtype
        np.testing.assert_allclose(loss, expected.detach().numpy(), **tolerance)
        for _ in range(2):                                                  # `backward` leaves what it reads
            dx = ours.backward(dloss)
            assert dx.shape == x.shape and dx.dtype == dtype
            np.testing.assert_allclose(dx, leaf.grad.numpy(), **tolerance)
        np.testing.assert_array_equal(x, kept[0])
        np.testing.assert_array_equal(t, kept[1])


def differentiates(name, x, t, options):
    """The gradient is that of finite differences, with a random dloss."""
    rng = np.random.default_rng(2)
    for reduction in ("mean", "sum", "none"):
        criterion = getattr(nn, name)(**options, reduction=reduction)
        loss = criterion(x, t)
        dloss = rng.normal(size=loss.shape) if reduction == "none" else 0.75
        expected = numeric_gradient(lambda criterion=criterion: criterion(x, t), x, dloss)
        criterion(x, t)
        np.testing.assert_allclose(criterion.backward(dloss), expected, rtol=1e-6, atol=1e-8)


def elementwise(name, shape, rng):
    """An input and a target, away from kinks."""
    x, t = rng.normal(size=shape), rng.normal(size=shape)
    if name == "BCELoss":
        return rng.uniform(0.05, 0.95, shape), rng.uniform(0, 1, shape)
    if name == "BCEWithLogitsLoss":
        return 3 * x, rng.uniform(0, 1, shape)
    if name == "KLDivLoss":
        return np.log(rng.uniform(0.05, 1, shape)), rng.uniform(0.05, 1, shape)
    return 2 * x, t


ELEMENTWISE = [
    ("MSELoss", {}), ("L1Loss", {}), ("SmoothL1Loss", {}), ("SmoothL1Loss", {"beta": 0.25}), ("SmoothL1Loss", {"beta": 0.0}),
    ("SmoothL1Loss", {"beta": 3.0}), ("HuberLoss", {}), ("HuberLoss", {"delta": 0.5}), ("HuberLoss", {"delta": 2.0}),
    ("KLDivLoss", {}), ("KLDivLoss", {"log_target": True}), ("BCELoss", {}), ("BCELoss", {"weight": WEIGHT}),
    ("BCEWithLogitsLoss", {}), ("BCEWithLogitsLoss", {"weight": WEIGHT}), ("BCEWithLogitsLoss", {"pos_weight": WEIGHT}),
    ("BCEWithLogitsLoss", {"pos_weight": WEIGHT, "weight": np.arange(1.0, N + 1)[:, None]}),
]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning:torch")
@pytest.mark.parametrize("name, options", ELEMENTWISE, ids=str)
def test_elementwise(name, options, rng):
    shapes = [(N, K)] if options.get("weight", options.get("pos_weight")) is not None else [(N, K), (1,), (), (2, 3, 2)]
    for shape in shapes:
        x, t = elementwise(name, shape, rng)
        if name == "KLDivLoss" and shape == ():
            continue                                                        # whose "batchmean" has no batch
        agrees(name, x, t, options)
    x, t = elementwise(name, (N, K), rng)
    agrees(name, x, t, options, "float32")
    differentiates(name, x, t, options)


CLASSES = [{}, {"weight": WEIGHT}, {"ignore_index": 1}, {"ignore_index": 0, "weight": WEIGHT}, {"ignore_index": -1}]
SMOOTHED = [{"label_smoothing": 0.1}, {"label_smoothing": 1.0}, {"label_smoothing": 0.3, "weight": WEIGHT},
            {"label_smoothing": 0.3, "weight": WEIGHT, "ignore_index": 2}]


def classes(shape, options, rng):
    t = rng.integers(0, K, shape[:1] + shape[2:])
    if options.get("ignore_index") == -1:
        t.flat[0] = -1
    if t.size > 1:
        t.flat[-1] = (options.get("ignore_index", 0) + 1) % K               # not all are ignored
    return t


@pytest.mark.parametrize("options", CLASSES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_classes(shape, options, rng):
    t = classes(shape, options, rng)
    if t.size == 1:
        t[:] = 2
    log_p = np.log(rng.uniform(0.05, 1, shape))
    agrees("NLLLoss", log_p, t, options)
    agrees("CrossEntropyLoss", 3 * rng.normal(size=shape), t, options)
    agrees("CrossEntropyLoss", 3 * rng.normal(size=shape), t, options, "float32")
    if shape == (N, K):
        differentiates("NLLLoss", log_p, t, options)
        differentiates("CrossEntropyLoss", rng.normal(size=shape), t, options)


@pytest.mark.parametrize("options", SMOOTHED, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_label_smoothing(shape, options, rng):
    t = classes(shape, options, rng)
    if t.size == 1:
        t[:] = 0
    agrees("CrossEntropyLoss", 3 * rng.normal(size=shape), t, options)
    if shape == (N, K):
        differentiates("CrossEntropyLoss", rng.normal(size=shape), t, options)


@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT}, {"label_smoothing": 0.2},
                                     {"weight": WEIGHT, "label_smoothing": 0.2}], ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (K,)], ids=str)
def test_probabilities_of_classes(shape, options, rng):
    t = rng.uniform(size=shape)
    agrees("CrossEntropyLoss", 3 * rng.normal(size=shape), t / t.sum(axis=min(1, len(shape) - 1), keepdims=True), options)
    if shape == (N, K):
        differentiates("CrossEntropyLoss", rng.normal(size=shape), t, options)


@pytest.mark.parametrize("name", ["NLLLoss", "CrossEntropyLoss"])
def test_a_single_sample(name, rng):
    for options in CLASSES[:2]:
        agrees(name, rng.normal(size=K), np.array(2), options)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}], ids=str)
def test_nothing_but_ignored_classes(options):
    """As in PyTorch the mean is NaN, and nothing flows back."""
    x, t = np.ones((2, K)), np.full(2, -100)
    criterion = nn.CrossEntropyLoss(**options)
    leaf = torch.ones((2, K), dtype=torch.float64, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(**options)(leaf, torch.tensor(t))
    assert np.isnan(expected.item()) and np.isnan(criterion(x, t))
    np.testing.assert_array_equal(criterion.backward(), np.zeros((2, K)))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning:torch")
def test_certainty():
    """Logarithms of 0 are held at -100; large logits keep all digits; another class of logit -inf costs nothing."""
    agrees("BCELoss", np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0]), {}, "float32")    # whose 10^-12 it is
    agrees("BCEWithLogitsLoss", np.array([-800.0, 800.0, 800.0, -40.0]), np.array([0.0, 1.0, 0.0, 1.0]), {})
    agrees("BCEWithLogitsLoss", np.array([-800.0, 800.0, 40.0]), np.array([0.0, 1.0, 1.0]), {"pos_weight": np.array(3.0)})
    agrees("CrossEntropyLoss", np.array([[800.0, 0.0, -800.0], [0.0, -np.inf, 1.0]]), np.array([1, 2]), {})
    agrees("KLDivLoss", np.log([0.5, 0.5]), np.array([0.0, 1.0]), {})


def test_kinks():
    """At x = t the absolute error has the slope 0; at the bound of (1) and (2) both agree."""
    x, t = np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.0, 1.0])
    for name in ("L1Loss", "SmoothL1Loss", "HuberLoss"):
        agrees(name, x, t, {})


def test_targets_of_other_kinds():
    """Integers, truth values, lists and tensors count as numbers."""
    x = np.array([0.25, 0.75])
    for target in ([0, 1], np.array([False, True]), torch.tensor([0, 1])):
        assert nn.BCELoss()(x, target) == nn.BCELoss()(x, [0.0, 1.0])
    assert nn.CrossEntropyLoss()(np.zeros((2, K), "float32"), torch.tensor([0, 1])) == pytest.approx(np.log(K))
    assert nn.MSELoss()(np.ones(2, "float16"), [0, 0]).dtype == "float32"


def test_arrays_that_are_not_contiguous(rng):
    x, t = rng.normal(size=(K, N)).T, rng.integers(0, K, (2 * N))[::2]
    agrees("CrossEntropyLoss", x, t, {})
    agrees("MSELoss", x, rng.normal(size=(2 * N, K))[::2], {})


@pytest.mark.parametrize("room", ["reference", "cpu", "cuda"])
def test_devices(room, rng):
    x, t = rng.normal(size=(N, K)), rng.integers(0, K, N)
    expected = nn.CrossEntropyLoss()
    value, dx = expected(x, t), expected.backward()
    with nblayers.device(room):
        criterion = nn.CrossEntropyLoss()
        assert criterion(x, t) == pytest.approx(value)
        np.testing.assert_allclose(criterion.backward(), dx, rtol=1e-12)


def test_the_old_names_of_reductions():
    with pytest.warns(UserWarning, match="say reduction='sum'"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="say reduction='none'"):
        assert nn.CrossEntropyLoss(None, None, -100, False).reduction == "none"
    with pytest.warns(UserWarning):
        assert nn.KLDivLoss(True).reduction == "mean"


def test_signatures_are_those_of_pytorch():
    import inspect
    for name in sorted({name for name, _ in ELEMENTWISE} | {"NLLLoss", "CrossEntropyLoss"}):
        ours, theirs = (list(inspect.signature(getattr(module, name)).parameters.values()) for module in (nn, torch.nn))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_each_thread_has_its_own_call():
    criterion, found = nn.MSELoss(), []
    criterion(np.ones(2), np.zeros(2))

    def other():
        with pytest.raises(RuntimeError, match="MSELoss: backward needs a call first"):
            criterion.backward()
        criterion(np.ones(3), np.zeros(3))
        found.append(criterion.backward())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found[0].shape == (3,) and criterion.backward().shape == (2,)


def test_copies():
    criterion = nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1)
    x, t = np.eye(K), np.arange(K)
    for made in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion)), criterion.to("cpu")):
        assert made(x, t) == criterion(x, t)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.MSELoss(reduction="average"), "MSELoss: expected reduction to be 'mean', 'sum' or 'none', got 'average'"),
    (lambda: nn.MSELoss(reduction="batchmean"), "MSELoss: expected reduction"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), r"CrossEntropyLoss: expected label_smoothing in \[0, 1\], got 1.5"),
    (lambda: nn.CrossEntropyLoss(ignore_index=0.5), "CrossEntropyLoss: expected ignore_index to be an integer, got 0.5"),
    (lambda: nn.HuberLoss(delta=0), "HuberLoss: expected delta to be a finite number above 0, got 0"),
    (lambda: nn.SmoothL1Loss(beta=-1), "SmoothL1Loss: expected beta"),
    (lambda: nn.MSELoss()(np.ones((2, 1)), np.ones(2)),
     r"MSELoss: expected a target of the shape of the input, \(2, 1\), got \(2,\)"),
    (lambda: nn.MSELoss()(np.ones(0), np.ones(0)), r"MSELoss: expected at least one value, got an input of shape \(0,\)"),
    (lambda: nn.BCELoss()([1.5], [1.0]), r"BCELoss: expected inputs in \[0, 1\], got 1.5"),
    (lambda: nn.BCELoss()([0.5], [-1.0]), r"BCELoss: expected targets in \[0, 1\], got -1.0"),
    (lambda: nn.BCELoss()([np.nan], [1.0]), r"BCELoss: expected inputs in \[0, 1\], got nan"),
    (lambda: nn.BCELoss(weight=np.ones(4))(np.ones((2, 3)), np.ones((2, 3))),
     r"BCELoss: expected a weight that broadcasts to the shape \(2, 3\) of the input, got \(4,\)"),
    (lambda: nn.BCEWithLogitsLoss(pos_weight=np.ones((5, 2, 3)))(np.ones((2, 3)), np.ones((2, 3))), "expected a pos_weight"),
    (lambda: nn.CrossEntropyLoss()(np.ones((2, 3)), np.array([0, 3])),
     "CrossEntropyLoss: expected classes from 0 to 2 or -100, got 0 to 3"),
    (lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0, -1])), "NLLLoss: expected classes from 0 to 2 or -100, got -1 to 0"),
    (lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0])), r"NLLLoss: expected a target of shape \(2,\), .* got \(1,\)"),
    (lambda: nn.CrossEntropyLoss()(np.ones((2, 3)), np.array([0.0, 1.0])), "expected classes as integers, got dtype float64"),
    (lambda: nn.CrossEntropyLoss()(np.ones((2, 3)), np.ones((2, 3), int)), r"expected a target of shape \(2,\)"),
    (lambda: nn.CrossEntropyLoss(weight=np.ones(2))(np.ones((2, 3)), np.zeros(2, int)),
     r"CrossEntropyLoss: expected a weight for each of 3 classes, got shape \(2,\)"),
    (lambda: nn.CrossEntropyLoss()(1.0, 0), "CrossEntropyLoss: expected an input with an axis of classes"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_errors():
    criterion = nn.MSELoss(reduction="none")
    with pytest.raises(RuntimeError, match="MSELoss: backward needs a call first"):
        criterion.backward()
    criterion(np.ones((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"MSELoss: expected dloss of shape \(2, 3\), got \(3,\)"):
        criterion.backward(np.ones(3))
    with pytest.raises(TypeError, match="MSELoss: expected the input to hold numbers"):
        criterion(["a"], [1])
    with pytest.raises(TypeError, match=r"^MSELoss.* 'nonsense'"):
        nn.MSELoss(nonsense=1)
