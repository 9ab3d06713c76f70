"""Damaged and hostile files: each gives the numbers that were written, or a ValueError that names the file; the model stays."""
import io
import json
import random
import subprocess
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from nblayers.layers import GRU, Dense, Input, StringLookup
from nblayers.models import Sequential, load_model

WEIGHTS = ("w.weights.h5", "w.npz", "w.safetensors")


def made():
    model = Sequential([Input((3, 2)), GRU(2), Dense(2)])
    model.compile("adam", "mse")
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files of a trained model, with the numbers in them; and a model with others."""
    model, directory = made(), tmp_path_factory.mktemp("written")
    model.fit(np.ones((2, 3, 2), "f"), np.ones((2, 2), "f"), verbose=0)
    for name in WEIGHTS:
        model.save_weights(directory / name)
    model.save(directory / "m.keras")
    return {path.name: path.read_bytes() for path in directory.iterdir()}, numbers(model), made()


def numbers(model):
    return [w.tobytes() for w in [*model.get_weights(), *model.optimizer.variables]]


def tried(path, content, written, other):
    """Whether a file was refused; else what it gave is what was written. The model is never half of it."""
    path.write_bytes(content)
    before = numbers(other)
    try:
        if path.suffix == ".keras":
            got = load_model(path)
        else:
            other.load_weights(path)
            got = other
    except ValueError as error:
        assert path.name in str(error)
        assert numbers(other) == before
        return True
    assert numbers(got) == written
    return False


def damaged(content, rng):
    """Some bytes changed, or some left out, or some put in twice, or cut off."""
    content, kind = bytearray(content), rng.randrange(8)
    at = rng.randrange(len(content))
    if kind < 5:
        for _ in range(rng.choice([1, 1, 1, 4])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 5:
        del content[at:]
    elif kind == 6:
        del content[at:at + rng.randrange(1, 50)]
    else:
        content[at:at] = content[at:at + rng.randrange(1, 50)]
    return bytes(content)


@pytest.mark.parametrize(("name", "count"), [*((name, 350) for name in WEIGHTS), ("m.keras", 150)])
def test_random_damage(name, count, written, tmp_path):
    files, expected, other = written
    rng, refused = random.Random(name), 0
    for _ in range(count):
        was_refused = tried(tmp_path / name, damaged(files[name], rng), expected, other)
        refused += was_refused
        if not was_refused:
            other = made()
    assert refused > count // 2


def archive_of(members, compression=zipfile.ZIP_DEFLATED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # of members twice
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def array_file(array=None, shape=None, descr="<f4", body=b""):
    """A `.npy` file; or a header that says what is asked for, and these bytes."""
    content = io.BytesIO()
    if array is not None:
        np.save(content, array)
    else:
        np.lib.format.write_array_header_1_0(content, {"descr": descr, "fortran_order": False, "shape": shape})
        content.write(body)
    return content.getvalue()


def npz_with(files, name, data):
    """The good `.npz` with one member changed, None for one that is left out."""
    with zipfile.ZipFile(io.BytesIO(files["w.npz"])) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = data
    return archive_of([(member, data) for member, data in members.items() if data is not None])


KERNEL = "layers/dense/vars/0"
NPZ = {
    "pickle": array_file(np.array([{"a": 1}] * 4).reshape(2, 2)), "huge": array_file(shape=(10**9, 10**6)),
    "negative": array_file(shape=(-2, -2), body=b"0" * 16), "other shape": array_file(np.ones((4, 1), "f")),
    "integers": array_file(np.ones((2, 2), int)), "complex": array_file(np.ones((2, 2), complex)),
    "text": array_file(np.full((2, 2), "a")), "too short": array_file(shape=(2, 2), body=b"0" * 15),
    "too long": array_file(shape=(2, 2), body=b"0" * 17), "nothing": b"", "no array": b"hello, this is no array",
    "left out": None, "large numbers": array_file(np.full((2, 2), 1e300)), "bomb": array_file(shape=(2, 2), body=bytes(10**7)),
}


@pytest.mark.parametrize("what", NPZ)
def test_hostile_arrays(what, written, tmp_path):
    files, expected, other = written
    assert tried(tmp_path / "w.npz", npz_with(files, f"{KERNEL}.npy", NPZ[what]), expected, other)


@pytest.mark.parametrize("name", ["w.npz", "m.keras"])
def test_hostile_archives(name, written, tmp_path):
    files, expected, other = written
    with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
        members = [(member, archive.read(member)) for member in archive.namelist()]
    swapped = [(member, data) for (member, _), (_, data) in zip(members, members[::-1], strict=True)]
    for content in (b"", b"PK", b"PK" * 1000, archive_of([]), archive_of([*members, members[0]]), archive_of(members[1:]),
                    archive_of(swapped), archive_of(members, zipfile.ZIP_LZMA), archive_of(members, zipfile.ZIP_BZIP2)):
        assert tried(tmp_path / name, content, expected, other)
    assert not tried(tmp_path / name, archive_of(members), expected, other)         # packed by somebody else
    if name == "w.npz":
        for more in ("../../evil", "/etc/evil.npy", "layers/extra/vars/0.npy"):
            assert tried(tmp_path / name, archive_of([*members, (more, array_file(np.ones(3)))]), expected, other)


def h5_with(files, change):
    content = io.BytesIO(files["w.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def put(file, **options):
    del file[KERNEL]
    file.create_dataset(KERNEL, **options)


def linked(link):
    def change(file):
        del file[KERNEL]
        file[KERNEL] = link
    return change


def stored_elsewhere(file):
    put(file, shape=(2, 2), dtype="f4", external=[("/etc/passwd", 0, 16)])


def made_of_others(file):
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[...] = h5py.VirtualSource("/tmp/other.h5", "x", (2, 2))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def many_names(file):
    """One array under many names: what a file is said to hold may be large without its being so."""
    file["more"] = np.zeros(100_000, "f")
    for number in range(100):
        file[f"more_{number}"] = file["more"]
    del file.attrs["nblayers_checksums"]


H5 = {
    "many names": many_names,
    "external": stored_elsewhere, "virtual": made_of_others, "external link": linked(h5py.ExternalLink("/tmp/o.h5", "x")),
    "soft link": linked(h5py.SoftLink("/layers/gru/cell/vars/1")), "circle": lambda file: linked(file["layers"])(file),
    "huge": lambda file: put(file, shape=(10**6, 10**6), dtype="f4", chunks=(1000, 1000)),
    "never written": lambda file: put(file, shape=(2, 2), dtype="f4"),
    "bomb": lambda file: put(file, data=np.zeros((2, 2), "f"), compression="gzip", chunks=(2, 2)),
    "huge chunk": lambda file: put(file, shape=(2, 2), dtype="f4", chunks=(2, 10**7), maxshape=(2, None)),
    "text": lambda file: put(file, data=np.full((2, 2), b"a")), "objects": lambda file: put(file, data=["a", "b"]),
    "records": lambda file: put(file, data=np.zeros((2, 2), [("a", "f4")])),
    "empty": lambda file: put(file, data=h5py.Empty("f4")),
    "complex": lambda file: put(file, data=np.ones((2, 2), complex)),
    "other shape": lambda file: put(file, data=np.ones(4, "f")),
    "no checksum": lambda file: put(file, data=np.ones((2, 2), "f")),
    "a group": lambda file: linked(file.create_group("g"))(file),
    "other numbers": lambda file: file[KERNEL].write_direct(np.ones((2, 2), "f")),
    "more": lambda file: file.create_dataset("layers/dense_1/vars/0", data=np.ones(2)),
    "less": lambda file: file.pop(KERNEL),
    "no optimizer's step": lambda file: file.pop("optimizer/vars/0"),
}


@pytest.mark.parametrize("what", H5)
def test_hostile_hdf5(what, written, tmp_path):
    files, expected, other = written
    content = h5_with(files, H5[what])
    assert tried(tmp_path / "w.h5", content, expected, other)
    with zipfile.ZipFile(io.BytesIO(files["m.keras"])) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    assert tried(tmp_path / "m.keras", archive_of((members | {"model.weights.h5": content}).items()), expected, other)


def configured(files, change):
    with zipfile.ZipFile(io.BytesIO(files["m.keras"])) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    config = json.loads(members["config.json"])
    changed = change(config)
    members["config.json"] = changed if isinstance(changed, (bytes, str)) else json.dumps(config)
    return archive_of(members.items())


def layer(number, **changes):
    return lambda config: config["config"]["layers"][number].update(changes)


def option(number, **changes):
    return lambda config: config["config"]["layers"][number]["config"].update(changes)


CONFIGURATIONS = {
    "a list": lambda config: "[]", "nothing": lambda config: "", "no text": lambda config: b"\xff\xfe{",
    "deep": lambda config: "[" * 100_000, "deep in a layer": lambda config: '{"config":' * 5000 + "1" + "}" * 5000,
    "NaN": option(2, units=float("nan")), "too many units": option(2, units=10**12), "negative": option(2, units=-1),
    "many units": option(2, units=10**8), "huge input": option(0, batch_shape=[None, 3, 10**9]),
    "other units": option(2, units=3), "no class": layer(1, class_name="Nothing"),
    "a function": layer(1, class_name="load_model"), "a number": layer(1, class_name=3),
    "no configuration": layer(1, config=None),
    "an optimizer": layer(1, class_name="Adam"),
    "a layer, no model": lambda config: config.update(config["config"]["layers"][2]),
    "long strings": option(2, bias_constraint={"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "U500000000"}}),
    "many unknown words": lambda config: config["config"]["layers"].insert(1, {"class_name": "IntegerLookup", "config": {
        "vocabulary": [1], "num_oov_indices": 10**10}}),
    "a function that sets": lambda config: config["config"]["layers"].insert(1, {"class_name": "Lambda", "config": {
        "function": {"module": "keras.random", "class_name": "function", "config": "set_seed"}}}),
    "no layers": lambda config: config["config"].pop("layers"),
    "a word": lambda config: config["config"].update(layers="abc"),
    "an unknown loss": lambda config: config["compile_config"].update(loss="nothing"),
    "an unknown optimizer": lambda config: config["compile_config"].update(optimizer={"class_name": "os"}),
    "bomb": lambda config: "[" + "0," * (5 << 20) + "0]",
    "a lambda": lambda config: config["config"]["layers"].append({"class_name": "Lambda", "config": {"function": {
        "class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}}}),
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_hostile_configurations(what, written, tmp_path):
    files, expected, other = written
    assert tried(tmp_path / "m.keras", configured(files, CONFIGURATIONS[what]), expected, other)


def test_a_vocabulary_in_another_file_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("a\nb")
    model = Sequential([Input((1,), dtype="string"), StringLookup(vocabulary=["a"])])
    model.save(tmp_path / "m.keras")
    evil = configured({"m.keras": (tmp_path / "m.keras").read_bytes()}, option(1, vocabulary=str(tmp_path / "secret")))
    (tmp_path / "m.keras").write_bytes(evil)
    with pytest.raises(ValueError, match=r"m\.keras: .* names a vocabulary file"):
        load_model(tmp_path / "m.keras")


def test_hostile_tensors(written, tmp_path):
    files, expected, other = written
    content = files["w.safetensors"]
    size = int.from_bytes(content[:8], "little")
    head = json.loads(content[8:8 + size])
    for change in ({"dtype": "I32"}, {"dtype": "BF16"}, {"shape": [4]}, {"shape": [10**9, 10**9]}, {"shape": None},
                   {"data_offsets": [0, 10**12]}, {"data_offsets": [-4, 12]}):
        changed = json.dumps({**head, KERNEL: {**head[KERNEL], **change}}).encode()
        changed = len(changed).to_bytes(8, "little") + changed + content[8 + size:]
        assert tried(tmp_path / "w.safetensors", changed, expected, other)
    for begin in (2**63, 2**40, 0, 5):
        assert tried(tmp_path / "w.safetensors", begin.to_bytes(8, "little") + content[8:], expected, other)


MEASURED = """
import resource, sys
from nblayers.models import load_model
import h5py
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_model(sys.argv[1])
except ValueError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5", "metadata.json"])
def test_a_bomb_is_not_unpacked(member, written, tmp_path):
    """Once 3 MB that unpack to 3 GB took 2.9 GB of memory."""
    files, _, _ = written
    with zipfile.ZipFile(io.BytesIO(files["m.keras"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            if name != member:
                archive.writestr(name, data)
        with archive.open(member, "w", force_zip64=True) as file:
            for _ in range(20):
                file.write(bytes(10**7))
    assert (tmp_path / "m.keras").stat().st_size < 2e6
    ran = subprocess.run([sys.executable, "-c", MEASURED, tmp_path / "m.keras"], capture_output=True, text=True)
    assert int(ran.stdout) < 50_000, ran.stderr                 # KiB
