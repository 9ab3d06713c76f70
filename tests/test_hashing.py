"""Hashing: TensorFlow's values for every length, in three rooms, and how integers are laid out for it."""
import numpy as np
import pytest
from helpers import rooms_agree

import kernels
from nblayers.devices import array_module, to_numpy
from nblayers.layers.preprocessing.hashes import decimal_buffer, hash_text, hashed, offsets_of

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")      # in the simulator, which computes in Python

KEYS = [(0, 0), (1, 2), (2**64 - 1, 2**63 + 12345)]
NUMBERS = np.array([0, 1, -1, 9, 10, -9, -10, 99, 100, 12345678901234567, 2**63 - 1, -2**63])
MOST = 2**63 - 1            # as many buckets as TensorFlow can have: nearly the whole hash is seen


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def random_strings(lengths):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, n, dtype=np.uint8).tobytes() for n in lengths]


def hashed_strings(strings, room, key=None):
    """The hashes of byte strings, in a room."""
    text = np.frombuffer(bytearray(b"".join(strings)), np.uint8)
    offsets = offsets_of(np.array([len(string) for string in strings], np.int64))
    return to_numpy(hash_text(text, offsets[:-1], offsets[1:], kernels.get(room), array_module(room), key))


def decimals(numbers):
    return [str(number).encode() for number in numbers.tolist()]


def fingerprints(tf, strings):
    return np.ascontiguousarray(tf.fingerprint(tf.constant(strings))).view("<u8")[:, 0]


@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_farm_hash_is_tensorflows(room, tf):
    strings = random_strings(range(301))
    np.testing.assert_array_equal(hashed_strings(strings, room), fingerprints(tf, strings))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_sip_hash_is_tensorflows(room, key, tf):
    strings = random_strings(range(301))
    raw = [number - 2**64 if number >= 2**63 else number for number in key]     # TensorFlow's attribute is signed
    expected = tf.strings.to_hash_bucket_strong(strings, MOST, key=raw).numpy()
    np.testing.assert_array_equal(hashed_strings(strings, room, key) % np.uint64(MOST), expected.astype(np.uint64))


def test_sip_hash_is_the_papers():
    """The value that its authors print, of 15 bytes with the key 0 … 15."""
    text, key = bytes(range(15)), np.frombuffer(bytes(range(16)), "<u8")
    assert hashed_strings([text], "cpu", key.tolist()) == [0xA129CA6149BE45E5]


@pytest.mark.parametrize("key", [None, (3, 4)])
def test_simulated_hashes(key):
    strings = random_strings([0, 1, 3, 4, 7, 8, 15, 16, 17, 32, 33, 64, 65, 128, 129, 200])
    np.testing.assert_array_equal(hashed_strings(strings, "cuda", key), hashed_strings(strings, "cpu", key))


@pytest.mark.parametrize("numbers", [NUMBERS, np.array([0, 7, 2**64 - 1], np.uint64), np.zeros(0, np.int64)], ids=str)
def test_rooms_agree_on_decimals(numbers):
    lengths, = rooms_agree("hashing", "decimal_lengths", [numbers], [np.full(numbers.size, -1)])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    text, = rooms_agree("hashing", "decimal_text", [numbers, offsets], [np.zeros(offsets[-1], np.uint8)])
    assert text.tobytes().decode() == "".join(map(str, numbers.tolist()))


@pytest.mark.parametrize("size", [0, 1, 5])
def test_rooms_agree_on_combined_hashes(size, rng):
    first, second = rng.integers(0, 2**64 - 1, (2, size), np.uint64, endpoint=True)
    rooms_agree("hashing", "combine_hashes", [first, second], [np.zeros(size, np.uint64)])


def test_combined_hashes_are_tensorflows(tf, rng):
    first, second = rng.integers(-2**63, 2**63 - 1, (2, 50))
    seed, result = np.full(50, 0xDECAFCAFFE, np.uint64), np.zeros(50, np.uint64)
    for numbers in (first, second):
        kernels.get("cpu").hashing.combine_hashes(seed, numbers.view(np.uint64), result)
        seed = result.copy()
    crossed = tf.sparse.cross_hashed([tf.constant(n[:, None]) for n in (first, second)], num_buckets=2**62).values.numpy()
    np.testing.assert_array_equal(result % np.uint64(2**62), crossed.astype(np.uint64))


def test_many_strings_are_shared_between_threads(rng):
    cpu, numbers = kernels.get("cpu"), rng.integers(-10**6, 10**6, 20_000)
    for key in (None, (1, 2)):
        many = hashed(numbers, cpu, np, key)
        parts = [hashed(part, cpu, np, key) for part in np.split(numbers, 10)]
        np.testing.assert_array_equal(many, np.concatenate(parts))
    np.testing.assert_array_equal(hashed(numbers, cpu, np), hashed_strings(decimals(numbers), "cpu"))


def test_integers_are_hashed_as_decimal_text(device):
    xp, room = array_module(device), kernels.get(device)
    text, offsets = decimal_buffer(xp.array(NUMBERS[:5]), room, xp)
    assert to_numpy(text).tobytes() == b"01-1910" and to_numpy(offsets).tolist() == [0, 1, 2, 4, 5, 7]
    np.testing.assert_array_equal(to_numpy(hashed(xp.array(NUMBERS), room, xp)), hashed_strings(decimals(NUMBERS), device))
