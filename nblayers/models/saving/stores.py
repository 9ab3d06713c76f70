"""Arrays by name in a file: HDF5 as Keras writes it, NumPy's archive, safetensors.

Each array has a checksum over its name, dtype, shape and numbers. A store that is read tells the shapes first; what it then
reads is as large as it said. Nothing in a file is run, and no other file is looked at: no pickles, no links, no data that lie
elsewhere, no compression that could unpack to more.
"""
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nblayers.models.saving.archive import Archive
from nblayers.models.saving.files import needed

ENDINGS = (".h5", ".npz", ".safetensors")
_KINDS = "fiub"                         # of numbers
_MARK = "nblayers_checksums"            # in a file whose arrays all have a checksum
_DEEPEST = 100                          # groups in groups of an HDF5 file
_UNPACKED = {2, 3}                      # the HDF5 filters that leave the size as it is: shuffle and fletcher32


class Entry(NamedTuple):
    """An array in a file: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Store:
    """The arrays in a file, to be read one by one.

    Attributes:
        entries: what there is, by name.
        in_order: the names in a file of nblayers 0.1, whose arrays go by their order; else None.
    """

    entries: dict[str, Entry]
    in_order: list[str] | None = None

    def read(self, name: str) -> np.ndarray:
        """One array.

        Raises:
            ValueError: it is not what was written.
        """
        array, checksum = self._read(name)
        if checksum is not None and checksum != checksum_of(name, array):
            raise ValueError(f"the array {name!r} is damaged: its checksum is not that of its numbers")
        return array

    def _read(self, name: str) -> tuple[np.ndarray, int | None]:
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many numbers all arrays hold."""
        return sum(math.prod(entry.shape) for entry in self.entries.values())

    def check_size(self, size: int) -> None:
        """See that all arrays lie in `size` bytes, each in its own.

        Raises:
            ValueError: they are larger: compressed, or one array under many names.
        """
        held = sum(math.prod(entry.shape) * entry.dtype.itemsize for entry in self.entries.values())
        if held > size:
            raise ValueError(f"its arrays are said to have {held} bytes, more than the {size} of the file")

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def checksum_of(name: str, array: np.ndarray) -> int:
    """CRC-32 of what an array is and of its numbers, the least significant byte first."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    head = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode("utf-8", "surrogateescape"))
    return zlib.crc32(plain.reshape(-1).view(np.uint8).data, head)


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """The arrays of a file of weights, by its ending."""
    if path.suffix == ".safetensors":
        yield TensorStore(path)
    else:
        with open(path, "rb") as file, H5Store(file, path) if path.suffix == ".h5" else NpzStore(Archive(file)) as store:
            yield store


def packed(arrays: Mapping[str, np.ndarray], names: Mapping[str, str], path: Path) -> bytes:
    """The content of a file of weights, by its ending.

    Arguments:
        arrays: by name.
        names: of the layers, by their paths; HDF5 files hold them, as Keras' do.
    """
    if path.suffix == ".h5":
        return h5_of(arrays, names, path)
    return npz_of(arrays) if path.suffix == ".npz" else tensors_of(arrays, path)


# HDF5

def h5_of(arrays: Mapping[str, np.ndarray], names: Mapping[str, str], path: Path) -> bytes:
    """An HDF5 file as Keras writes it: a group for each layer, in it a group "vars" that knows the layer's name."""
    h5py, content = needed("h5py", path), io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs[_MARK] = "crc32"
        for layer, name in names.items():
            file.create_group(f"{layer}/vars".lstrip("/")).attrs["name"] = name[:1000]
        for name, array in arrays.items():
            file[name] = array
            file[name].attrs["crc32"] = np.uint32(checksum_of(name, array))
    return content.getvalue()


class H5Store(Store):
    """The arrays of an open HDF5 file, ours or Keras'."""

    def __init__(self, file: Any, path: Path) -> None:
        self._h5py = needed("h5py", path)
        self._file = self._h5py.File(file, "r")
        self._marked = _MARK in self._file.attrs
        self._datasets = {name: self._checked(name, dataset) for name, dataset in self._found().items()}
        self.entries = {name: Entry(dataset.shape, dataset.dtype) for name, dataset in self._datasets.items()}
        if "weights" in self._file.attrs and not self._marked:
            self.in_order = [str(name) for name in self._file.attrs["weights"]]
        self.check_size(file.seek(0, io.SEEK_END))

    def _found(self) -> dict[str, Any]:
        """The datasets by name, found by going from group to group; links are not followed."""
        h5py = self._h5py
        found: dict[str, Any] = {}
        waiting: list[tuple[str, Any, int]] = [("", self._file, 0)]
        seen = set()
        while waiting:
            path, group, depth = waiting.pop()
            address = h5py.h5o.get_info(group.id).addr
            if address in seen or depth > _DEEPEST:
                raise ValueError("its groups lie in each other")
            seen.add(address)
            for key in group:
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise ValueError(f"{path + key!r} is a link to somewhere else, which is not followed")
                item = group[key]
                if isinstance(item, h5py.Group):
                    waiting.append((f"{path}{key}/", item, depth + 1))
                elif isinstance(item, h5py.Dataset):
                    found[path + key] = item
        return found

    def _checked(self, name: str, dataset: Any) -> Any:
        plan, h5d = dataset.id.get_create_plist(), self._h5py.h5d
        if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
            raise ValueError(f"the numbers of {name!r} lie in another file, which is not opened")
        if dataset.shape is None or dataset.dtype.kind not in _KINDS or dataset.dtype.subdtype is not None:
            raise ValueError(f"expected {name!r} to be an array of numbers, got dtype {dataset.dtype}")
        filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
        if not filters <= _UNPACKED:
            raise ValueError(f"expected {name!r} without compression, as Keras writes it, got {dataset.compression or filters}")
        if plan.get_layout() == h5d.CHUNKED and math.prod(plan.get_chunk()) > max(2 * dataset.size, 4096):
            raise ValueError(f"expected {name!r} in parts no larger than its shape {dataset.shape}, got {plan.get_chunk()}")
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ValueError(f"{name!r} is said to hold {dataset.nbytes} bytes, of which {dataset.id.get_storage_size()} "
                             "are there")
        return dataset

    def _read(self, name: str) -> tuple[np.ndarray, int | None]:
        dataset = self._datasets[name]
        checksum = dataset.attrs.get("crc32")
        if checksum is None and self._marked:
            raise ValueError(f"the checksum of {name!r} is missing")
        return dataset[()] if dataset.shape else np.array(dataset[()]), None if checksum is None else int(checksum)

    def close(self) -> None:
        self._file.close()


# NumPy's archive, whose members have a checksum each

def npz_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)         # type: ignore[arg-type]
    return content.getvalue()


class NpzStore(Store):
    """The arrays of an archive such as a `.npz` file."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._starts: dict[str, int] = {}
        self.entries = {}
        for member in self._archive.names:
            if not member.endswith(".npy"):
                raise ValueError(f"expected arrays, each in a member that ends in .npy, got {member!r}")
            self.entries[member.removesuffix(".npy")] = self._entry(member)
        if not any(is_path(name) for name in self.entries):
            self.in_order = list(self.entries)

    def _entry(self, member: str) -> Entry:
        head = io.BytesIO(self._archive.begin(member, 11_000))
        version = np.lib.format.read_magic(head)
        read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"expected {member!r} in version 1.0 or 2.0 of NumPy's format, got {version}")
        shape, in_columns, dtype = read(head)
        if dtype.kind not in _KINDS:
            raise ValueError(f"expected {member!r} to be an array of numbers, got dtype {dtype}")
        if in_columns and len(shape) > 1:
            raise ValueError(f"expected {member!r} in the order of rows, got that of columns")
        self._starts[member] = head.tell()
        if min(shape, default=0) < 0 or self._archive.size(member) != head.tell() + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{member!r} is not as long as its shape {shape} and dtype {dtype} say")
        return Entry(tuple(map(int, shape)), dtype)

    def _read(self, name: str) -> tuple[np.ndarray, int | None]:
        entry, member = self.entries[name], f"{name}.npy"
        content = self._archive.read(member, self._archive.size(member))
        return np.frombuffer(content, entry.dtype, offset=self._starts[member]).reshape(entry.shape), None


def is_path(name: str) -> bool:
    """Whether a name is a place in a model, such as "layers/dense/vars/0"; older files have names of weights."""
    group, _, variable = name.rpartition("/")
    return group.rpartition("/")[2] == "vars" and (variable.isdigit() or variable == "idf_weights")


# safetensors

def tensors_of(arrays: Mapping[str, np.ndarray], path: Path) -> bytes:
    checksums = {name: checksum_of(name, array) for name, array in arrays.items()}
    content: bytes = needed("safetensors.numpy", path).save(dict(arrays), {_MARK: json.dumps(checksums)})
    return content


class TensorStore(Store):
    """The arrays of a `.safetensors` file."""

    def __init__(self, path: Path) -> None:
        self._file = needed("safetensors", path).safe_open(str(path), framework="numpy")
        said = (self._file.metadata() or {}).get(_MARK)
        self._checksums = None if said is None else json.loads(said)
        self.entries = {}
        names = self._file.keys()
        for name in names:
            part = self._file.get_slice(name)
            dtype = _DTYPES.get(part.get_dtype())
            if dtype is None:
                raise ValueError(f"expected {name!r} to be of one of the dtypes {', '.join(_DTYPES)}, got {part.get_dtype()}")
            self.entries[name] = Entry(tuple(part.get_shape()), np.dtype(dtype))

    def _read(self, name: str) -> tuple[np.ndarray, int | None]:
        if self._checksums is not None and not isinstance(self._checksums.get(name), int):
            raise ValueError(f"the checksum of {name!r} is missing")
        return self._file.get_tensor(name), None if self._checksums is None else self._checksums[name]


_DTYPES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
           "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64"}
