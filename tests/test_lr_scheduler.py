"""Learning rate schedulers: step by step PyTorch's, alone, chained and in sequence; saved and resumed; errors."""
import inspect
import re
import warnings

import numpy as np
import pytest
import torch

from nblayers import optim
from nblayers.optim import lr_scheduler
from nblayers.parameter import Parameter

SCHEDULERS = [
    ("StepLR", dict(step_size=3)), ("StepLR", dict(step_size=1, gamma=0.5)),
    ("MultiStepLR", dict(milestones=[2, 5, 5, 9], gamma=0.5)), ("MultiStepLR", dict(milestones=[0, 4])),
    ("ConstantLR", {}), ("ConstantLR", dict(factor=0.5, total_iters=3)),
    ("LinearLR", {}), ("LinearLR", dict(start_factor=0.25, end_factor=0.75, total_iters=8)),
    ("LinearLR", dict(start_factor=1.0, end_factor=0.0, total_iters=4)),
    ("ExponentialLR", dict(gamma=0.9)), ("PolynomialLR", {}), ("PolynomialLR", dict(total_iters=7, power=2.0)),
    ("CosineAnnealingLR", dict(T_max=5)), ("CosineAnnealingLR", dict(T_max=4, eta_min=0.01)),
    ("CosineAnnealingLR", dict(T_max=1)),
    ("CosineAnnealingWarmRestarts", dict(T_0=3)), ("CosineAnnealingWarmRestarts", dict(T_0=2, T_mult=2, eta_min=0.01)),
    ("LambdaLR", dict(lr_lambda=lambda n: 0.95 ** n)), ("LambdaLR", dict(lr_lambda=[lambda n: 1 / (n + 1), lambda n: 0.5])),
    ("MultiplicativeLR", dict(lr_lambda=lambda n: 0.95)),
    ("OneCycleLR", dict(max_lr=0.3, total_steps=20)), ("OneCycleLR", dict(max_lr=[0.3, 0.2], epochs=4, steps_per_epoch=5)),
    ("OneCycleLR", dict(max_lr=0.3, total_steps=20, three_phase=True, anneal_strategy="linear", pct_start=0.25)),
    ("OneCycleLR", dict(max_lr=0.3, total_steps=20, cycle_momentum=False, div_factor=10.0, final_div_factor=10.0)),
]
STEPS = 19


def named(value):
    """The name of a case: of a function, which has an address of its own in each worker, only that it is one."""
    return re.sub(r"<function <lambda> at 0x\w+>", "function", str(value))


def optimizers(name="SGD", **options):
    """Ours and PyTorch's, of two groups with learning rates of their own."""
    options = options or ({"momentum": 0.9} if name == "SGD" else {})
    ours, theirs = [Parameter(np.ones(1)) for _ in "ab"], [torch.nn.Parameter(torch.ones(1)) for _ in "ab"]
    return [getattr(module, name)([{"params": [a]}, {"params": [b], "lr": 0.02}], lr=0.1, **options)
            for module, (a, b) in ((optim, ours), (torch.optim, theirs))]


def made(name, options, module, optimizer):
    return getattr(module.lr_scheduler, name)(optimizer, **options)


def rates(optimizer):
    """What a scheduler changes in the groups."""
    names = ("lr", "momentum", "betas", "initial_lr", "max_lr", "min_lr")
    return [[np.array(group[name]) for name in names if name in group] for group in optimizer.param_groups]


def assert_same_rates(ours, theirs):
    for one, other in zip(rates(ours), rates(theirs), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-17)


def step(optimizer, scheduler, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                             # that epochs as arguments are old
        optimizer.step()
        scheduler.step(*args)


@pytest.mark.parametrize("which", ["SGD", "Adam"])
@pytest.mark.parametrize("name, options", SCHEDULERS, ids=named)
def test_steps_are_those_of_pytorch(name, options, which):
    pair = optimizers(which)
    schedulers = [made(name, options, module, optimizer) for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    assert_same_rates(*pair)
    for _ in range(STEPS):
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler)
        assert_same_rates(*pair)
        assert schedulers[0].last_epoch == schedulers[1].last_epoch
        np.testing.assert_allclose(schedulers[0].get_last_lr(), schedulers[1].get_last_lr(), rtol=1e-13, atol=1e-17)
        assert schedulers[0].get_last_lr() == [group["lr"] for group in pair[0].param_groups]


@pytest.mark.parametrize("name, options", [case for case in SCHEDULERS if case[0] not in ("OneCycleLR", "MultiplicativeLR")],
                         ids=named)
def test_a_step_by_its_number(name, options):
    """`step(n)`, forwards and back."""
    pair = optimizers()
    schedulers = [made(name, options, module, optimizer) for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    for epoch in (4, 5, 17, 2, 0, None, 3, *([2.5, 6.25] if "Warm" in name else [])):
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler, epoch)
        assert_same_rates(*pair)


@pytest.mark.parametrize("name, options", SCHEDULERS, ids=named)
def test_going_on_from_a_saved_state(name, options):
    """Ours, and PyTorch's; the learning rates are the optimizer's."""
    pair = optimizers()
    schedulers = [made(name, options, module, optimizer) for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    for _ in range(6):
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler)
    resumed = []
    for old, scheduler in zip(pair, schedulers, strict=True):
        optimizer = optimizers()[0]
        new = made(name, options, optim, optimizer)
        optimizer.load_state_dict({"state": {}, "param_groups": old.state_dict()["param_groups"]})
        new.load_state_dict(scheduler.state_dict())
        resumed.append((optimizer, new))
    for _ in range(8):
        for optimizer, scheduler in [*zip(pair, schedulers, strict=True), *resumed]:
            step(optimizer, scheduler)
        for optimizer, _ in resumed:
            assert_same_rates(optimizer, pair[1])


@pytest.mark.parametrize("name, options", [case for case in SCHEDULERS if case[0] not in ("OneCycleLR",)], ids=named)
def test_going_on_from_an_epoch(name, options):
    """`last_epoch` and an optimizer whose groups have an initial_lr."""
    pair = optimizers()
    schedulers = [made(name, options, module, optimizer) for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    for _ in range(4):
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler)
    schedulers = [made(name, {**options, "last_epoch": 4}, module, optimizer)
                  for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    for _ in range(5):
        assert_same_rates(*pair)
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler)


def test_several_schedulers_act_on_one_optimizer():
    pair, schedulers = optimizers(), []
    for module, optimizer in zip((optim, torch.optim), pair, strict=True):
        s = module.lr_scheduler
        schedulers.append([s.ExponentialLR(optimizer, 0.9), s.MultiStepLR(optimizer, [3, 6]), s.LinearLR(optimizer)])
    for n in range(9):
        for optimizer, several in zip(pair, schedulers, strict=True):
            for scheduler in several:
                step(optimizer, scheduler)
            if n == 4:
                optimizer.param_groups[0]["lr"] = 0.5               # by hand
        assert_same_rates(*pair)


def chained(module, optimizer):
    s = module.lr_scheduler
    return s.ChainedScheduler([s.ConstantLR(optimizer, 0.1, 4), s.ExponentialLR(optimizer, 0.9)], optimizer)


def in_sequence(module, optimizer):
    s = module.lr_scheduler
    return s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.1, 4), s.LinearLR(optimizer, 0.2), s.StepLR(optimizer, 2),
                                      s.CosineAnnealingLR(optimizer, 3), s.CosineAnnealingWarmRestarts(optimizer, 3)],
                          [2, 5, 8, 12])


def sequence_in_sequence(module, optimizer):
    s = module.lr_scheduler
    first = s.SequentialLR(optimizer, [s.LinearLR(optimizer, 0.5), s.ExponentialLR(optimizer, 0.9)], [3])
    return s.SequentialLR(optimizer, [first, s.ExponentialLR(optimizer, 0.5)], [7])


def from_the_second(module, optimizer):
    s = module.lr_scheduler
    return s.SequentialLR(optimizer, [s.LinearLR(optimizer), s.ExponentialLR(optimizer, 0.9)], [0])


@pytest.mark.filterwarnings("ignore:.*before")           # schedulers in schedulers have done a step, then undone it
@pytest.mark.parametrize("make", [chained, in_sequence, sequence_in_sequence, from_the_second])
def test_schedulers_of_schedulers(make):
    pair = optimizers()
    schedulers = [make(module, optimizer) for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    resumed = optimizers()[0]
    again = make(optim, resumed)
    for n in range(16):
        assert_same_rates(*pair)
        if n == 6:
            resumed.load_state_dict({"state": {}, "param_groups": pair[1].state_dict()["param_groups"]})
            again.load_state_dict(schedulers[1].state_dict())
        if n >= 6:
            assert_same_rates(resumed, pair[1])
            step(resumed, again)
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler)
        np.testing.assert_allclose(*[scheduler.get_last_lr() for scheduler in schedulers], rtol=1e-13)


@pytest.mark.parametrize("options", [
    {}, dict(patience=1), dict(patience=0, factor=0.5, min_lr=0.01), dict(mode="max", patience=1, threshold=0.5),
    dict(threshold_mode="abs", threshold=0.2, patience=1), dict(mode="max", threshold_mode="abs", threshold=0.2, patience=0),
    dict(patience=1, cooldown=2, min_lr=[0.05, 0.001]), dict(patience=0, eps=0.05)], ids=named)
def test_plateaus(options):
    pair = optimizers()
    schedulers = [made("ReduceLROnPlateau", options, module, optimizer)
                  for module, optimizer in zip((optim, torch.optim), pair, strict=True)]
    metrics = [1.0, 0.9, 0.95, 0.95, 0.9499, np.nan, 0.5, 0.6, np.float32(0.6), 0.7, np.array(0.45), 0.46, 0.47, 0.47, -1.0,
               0.0, 0.0]
    again = None
    for n, metric in enumerate(metrics):
        for optimizer, scheduler in zip(pair, schedulers, strict=True):
            step(optimizer, scheduler, metric)
        assert_same_rates(*pair)
        if n == 5:
            other = optimizers()[0]
            again = made("ReduceLROnPlateau", options, optim, other)
            other.load_state_dict({"state": {}, "param_groups": pair[1].state_dict()["param_groups"]})
            again.load_state_dict(schedulers[1].state_dict())
        elif again:
            again.step(metric)
            assert_same_rates(other, pair[1])


def test_a_group_added_later():
    """One minimum is that of later groups too."""
    optimizer = optimizers()[0]
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": 1.0})
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.01, 0.5]


class Halving:
    def __init__(self):
        self.calls = 0

    def __call__(self, n):
        self.calls += 1
        return 0.5 ** self.calls


def test_functions_that_are_objects_are_saved():
    first, second = (lr_scheduler.LambdaLR(optimizers()[0], [Halving(), lambda n: 1.0]) for _ in range(2))
    first.optimizer.step()
    first.step()
    assert first.state_dict()["lr_lambdas"] == [{"calls": 2}, None]
    second.load_state_dict(first.state_dict())
    assert second.lr_lambdas[0].calls == 2


def test_signatures_are_those_of_pytorch():
    for name in lr_scheduler.__all__:
        ours, theirs = (inspect.signature(getattr(module, name)).parameters.values()
                        for module in (lr_scheduler, torch.optim.lr_scheduler))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


def test_a_scheduler_that_comes_first_warns():
    optimizer = optimizers()[0]
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"StepLR: step\(\) came before the first optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


def test_a_scheduler_of_ones_own():
    class Third(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [lr / 3 ** self.last_epoch for lr in self.base_lrs]

    optimizer = optimizers()[0]
    scheduler = Third(optimizer)
    step(optimizer, scheduler)
    assert optimizer.param_groups[0]["lr"] == 0.1 / 3
    with pytest.raises(NotImplementedError, match="LRScheduler: get_lr is not written"):
        lr_scheduler.LRScheduler(optimizer)


def several(name, *args, **options):
    """A scheduler of schedulers, of a new optimizer."""
    optimizer, other = optimizers()[0], optimizers()[0]
    found = {"step": lr_scheduler.StepLR(optimizer, 1), "other": lr_scheduler.StepLR(other, 1),
             "plateau": lr_scheduler.ReduceLROnPlateau(optimizer)}
    schedulers = [found[each] for each in args[0]]
    return lr_scheduler.SequentialLR(optimizer, schedulers, *args[1:]) if name == "SequentialLR" else \
        lr_scheduler.ChainedScheduler(schedulers, **options)


def scheduler(name, **options):
    return getattr(lr_scheduler, name)(optimizers()[0], **options)


@pytest.mark.parametrize("make, message", [
    (lambda: scheduler("StepLR", step_size=0), "StepLR: expected a positive integer as step_size, got 0"),
    (lambda: scheduler("StepLR", step_size=2, gamma="x"), "StepLR: expected gamma"),
    (lambda: scheduler("StepLR", step_size=2, last_epoch=3), "StepLR: expected 'initial_lr' in group 0 of the optimizer"),
    (lambda: scheduler("StepLR", step_size=2, last_epoch=-2), "StepLR: expected last_epoch"),
    (lambda: scheduler("MultiStepLR", milestones=[1.5]), "MultiStepLR: expected each of milestones"),
    (lambda: scheduler("ConstantLR", factor=1.5), "ConstantLR: expected factor"),
    (lambda: scheduler("LinearLR", start_factor=0), "LinearLR: expected start_factor"),
    (lambda: scheduler("CosineAnnealingLR", T_max=0), "CosineAnnealingLR: expected a positive integer as T_max"),
    (lambda: scheduler("CosineAnnealingWarmRestarts", T_0=0), "CosineAnnealingWarmRestarts: expected a positive integer as T_"),
    (lambda: scheduler("CosineAnnealingWarmRestarts", T_0=2).step(-1), "CosineAnnealingWarmRestarts: expected epoch"),
    (lambda: scheduler("LambdaLR", lr_lambda=[len]), "LambdaLR: expected 2 functions as lr_lambda, one for each group, got 1"),
    (lambda: scheduler("LambdaLR", lr_lambda=0.5), "LambdaLR: expected lr_lambda to be a function, got 0.5"),
    (lambda: scheduler("LambdaLR", lr_lambda=lambda n: None), "LambdaLR: expected what lr_lambda gives"),
    (lambda: scheduler("OneCycleLR", max_lr=0.1), "OneCycleLR: expected total_steps, or epochs and steps_per_epoch"),
    (lambda: scheduler("OneCycleLR", max_lr=[0.1], total_steps=3), "OneCycleLR: expected 2 numbers as max_lr"),
    (lambda: scheduler("OneCycleLR", max_lr=0.1, total_steps=3, anneal_strategy="log"), "OneCycleLR: expected anneal_strategy"),
    (lambda: lr_scheduler.OneCycleLR(optim.Adagrad([Parameter(np.ones(1))]), 0.1, 3), "an optimizer with momentum or betas"),
    (lambda: [each.step() for each in [scheduler("OneCycleLR", max_lr=0.1, total_steps=1)] * 2],
     "OneCycleLR: expected at most 1 steps, got step 2"),
    (lambda: scheduler("ReduceLROnPlateau", mode="best"), "ReduceLROnPlateau: expected mode to be 'min' or 'max', got 'best'"),
    (lambda: scheduler("ReduceLROnPlateau", factor=1.0), "ReduceLROnPlateau: expected factor"),
    (lambda: scheduler("ReduceLROnPlateau", min_lr=[0.1]), "ReduceLROnPlateau: expected 2 numbers as min_lr"),
    (lambda: scheduler("ReduceLROnPlateau").step("low"), "ReduceLROnPlateau: expected a number as the metric, got 'low'"),
    (lambda: several("SequentialLR", ["step"], [3]), "SequentialLR: expected a milestone between each two of 1 schedulers"),
    (lambda: several("SequentialLR", ["step", "other"], [3]), "SequentialLR: expected schedulers of the same optimizer"),
    (lambda: several("SequentialLR", ["step", "plateau"], [3]), "SequentialLR: expected schedulers whose step needs no metric"),
    (lambda: several("SequentialLR", ["step", "step"], [3]).step(2), "SequentialLR: expected step.. without an epoch, got 2"),
    (lambda: several("ChainedScheduler", []), r"ChainedScheduler: expected a list of schedulers, got \[\]"),
    (lambda: several("ChainedScheduler", ["step"]).load_state_dict({}), "expected the states of 1 schedulers, got 0"),
    (lambda: scheduler("StepLR", step_size=2).load_state_dict({"gamma": 1}),
     "StepLR: expected a state with step_size, base_lrs, last_epoch, got gamma"),
])
@pytest.mark.filterwarnings("ignore:OneCycleLR")
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_optimizer():
    for name, options in SCHEDULERS:
        with pytest.raises(TypeError, match=f"{name}: expected an optimizer of nblayers.optim, got 3"):
            getattr(lr_scheduler, name)(3, **options)
    for name, options in (("ReduceLROnPlateau", {}), ("SequentialLR", dict(schedulers=[], milestones=[]))):
        with pytest.raises(TypeError, match=f"{name}: expected an optimizer of nblayers.optim, got 3"):
            getattr(lr_scheduler, name)(3, **options)
