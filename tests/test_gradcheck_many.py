"""No false alarm: the gradient checker on random configurations of every layer, with every option that changes the mathematics.

More of them: python -m tests.configurations
"""
import ast
import inspect

import pytest
from configurations import GENERATORS, configuration, is_right, of_generator

from nblayers import device, layers, nn
from nblayers.layers import Layer

ROOMS = {"layers": layers, "nn": nn}
LAYERS = [name for name in GENERATORS if not name.startswith("networks.")]
OF_OTHERS = {layers.TorchModuleWrapper, layers.JaxLayer, layers.FlaxLayer, layers.TFSMLayer}      # checked in test_interop.py
NO_LAYERS = {layers.Layer, nn.Module, layers.Input, nn.ModuleList, nn.ModuleDict, nn.ParameterList} | OF_OTHERS
# accepted as in Keras or PyTorch, and no matter of the gradient; or refused
WITHOUT_EFFECT = {
    "self", "args", "kwargs", "legacy", "name", "dtype", "trainable", "autocast", "seed", "sparse", "lora_rank",
    "lora_alpha", "quantization_config", "optional", "ragged", "gptq_unpacked_column_size", "inplace", "flash_attention",
    "unit_forget_bias", "use_cudnn", "implementation", "batch_size", "batch_shape", "renorm", "renorm_clipping",
    "renorm_momentum", "synchronized", "padding_mode", "return_indices", "add_bias_kv", "add_zero_attn",
    "align_corners", "recompute_scale_factor"}
OF_ONE_LAYER = {
    "layers.Lambda": {"output_shape", "mask"}, "layers.Embedding": {"weights"}, "layers.Bidirectional": {"weights"},
    "layers.Resizing": {"fill_mode"}, "nn.Upsample": {"size"}, "nn.Softmax": {"mask"},
    # what these do is not in the gradient: the weight is shrunk before, the gradient scaled afterwards
    "nn.Embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "_weight", "_freeze"},
    **{f"nn.MaxPool{rank}d": {"dilation"} for rank in (1, 2, 3)}}
OF_WORDS = ["Discretization", "Hashing", "HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization"]


def maker(name):
    room, called = name.split(".")
    return getattr(ROOMS[room], called)


def options_of(callable_):
    """Those that change the mathematics. (What a weight begins with does not; penalties on weights are the optimizer's.)"""
    return [option for option in inspect.signature(callable_).parameters
            if option not in WITHOUT_EFFECT and not option.endswith(("initializer", "regularizer", "constraint"))]


def drawn_options(setup):
    """Option and value of all that the code of a layer gives, by position or by name, and of what forward is given."""
    code = ast.parse(setup.layer, mode="eval").body
    names = inspect.signature(maker(ast.unparse(code.func))).parameters
    values = dict(zip(names, code.args, strict=False)) | {keyword.arg: keyword.value for keyword in code.keywords}
    return {option: getattr(value, "value", None) for option, value in values.items()} | setup.call


def choices(setup):
    """What is to be tried at least once: a flag on and off, each name such as "same", any other option whatever its value."""
    return {(option, value if isinstance(value, (bool, str)) and option != "activation" else None)
            for option, value in drawn_options(setup).items()}


def telling(name):
    """Of sixty configurations those in which something is chosen for the first time, the first one anyway."""
    seen = set()
    for number in range(60):
        drawn = of_generator(name, number)
        new = choices(drawn.setup) - seen if name in LAYERS else set()
        if new or not number:
            seen |= new
            yield drawn


def test_every_layer_has_a_generator():
    """What is exported for a layer: its class, or in `nn` a function that makes one."""
    exported = {getattr(room, name) for room in ROOMS.values() for name in dir(room) if name[0].isupper()}
    wanted = {one for one in exported if not inspect.isclass(one) or issubclass(one, Layer)}
    assert wanted - NO_LAYERS - {maker(name) for name in LAYERS} == set()


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {f"layers.{name}" for name in OF_WORDS}))
def test_every_option_is_drawn(name):
    """Of the layer, and of its forward: what may be given beside the inputs."""
    drawn = [of_generator(name, number) for number in range(60)]
    seen = set().union(*(drawn_options(each.setup) for each in drawn)) | OF_ONE_LAYER.get(name, set())
    inputs = max(len(each.setup.inputs) for each in drawn)
    assert set(options_of(maker(name))) - seen == set()
    assert set(options_of(drawn[0].make().forward)[inputs:]) - seen == set()


def test_a_configuration_is_always_the_same():
    first, again = configuration(7), configuration(7)
    assert first.code() == again.code() and first.make().name == again.make().name
    assert configuration(7 + len(GENERATORS)).code() != first.code()


def test_the_code_of_a_configuration_repeats_it(capsys):
    with device("reference"):
        for name in ("layers.LSTM", "layers.Attention", "nn.Embedding"):
            exec(of_generator(name, 3).code())
            assert "passed" in capsys.readouterr().out



@pytest.mark.parametrize("name", list(GENERATORS))
def test_no_false_alarm(name):
    """In the room whose kernels need no compiling, which here take less time than the compiler."""
    with device("reference"):
        for drawn in telling(name):
            report = drawn.check()
            assert is_right(report), f"{report}\n{drawn.code()}"
