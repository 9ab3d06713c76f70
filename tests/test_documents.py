"""Every program of the five documents has its place in these tests.

`INDEX` says where each begins in its document and where its text is kept here. The documents themselves lie beside the
repository, not in it: where they do, the index is compared with them.
"""
import re
from pathlib import Path

import programs_catalogue
import programs_pytorch
import programs_recurrent
import pytest
from programs_catalogue import LAMBDA, PROGRAMS, TABLES

ROOT = Path(__file__).resolve().parents[1]
RECURRENT, PYTORCH, CATALOGUE = "test_programs_recurrent.py", "test_programs_pytorch.py", "test_programs_catalogue.py"
D3, FIT, SHAPES = programs_recurrent.DOCUMENT_003, programs_recurrent.COMPILE_AND_FIT, programs_recurrent.SHAPES_003
D4, TYPES = programs_recurrent, programs_recurrent.TYPES

# document, first line, program, the file of its tests
INDEX = [
    *(("000", line, text, CATALOGUE) for line, text in LAMBDA.values()),
    *(("001", line, text, CATALOGUE) for line, text in PROGRAMS.values()),
    ("002", 26, programs_pytorch.LINEAR_002, PYTORCH),
    ("002", 63, programs_pytorch.CONVOLUTION_002, PYTORCH),
    ("002", 114, programs_pytorch.POOLING_002, PYTORCH),
    ("002", 247, programs_pytorch.RNN_002, PYTORCH),
    ("002", 344, programs_pytorch.EMBEDDING_002, PYTORCH),
    ("003", 20, D3["SimpleRNN"][0] + FIT, RECURRENT),
    ("003", 59, D3["two SimpleRNN"][0] + FIT, RECURRENT),
    ("003", 107, D3["LSTM"][0] + FIT, RECURRENT),
    ("003", 150, D3["GRU"][0] + FIT, RECURRENT),
    ("003", 194, D3["TimeDistributed"][0] + FIT, RECURRENT),
    *(("003", line, text, RECURRENT) for line, text in zip((242, 248, 254, 266), SHAPES, strict=True)),
    ("004", 69, TYPES["SimpleRNN"], RECURRENT),
    ("004", 85, TYPES["LSTM"], RECURRENT),
    ("004", 102, TYPES["GRU"], RECURRENT),
    ("004", 119, TYPES["Bidirectional"], RECURRENT),
    ("004", 135, TYPES["stacked"], RECURRENT),
    ("004", 196, D4.CLASSIFICATION, RECURRENT),
    ("004", 306, D4.FORECASTING, RECURRENT),
    ("004", 403, D4.TEXT_GENERATION, RECURRENT),
    ("004", 499, D4.ENCODER_DECODER, RECURRENT),
    ("004", 584, programs_pytorch.LSTM_004, PYTORCH),
    ("004", 693, D4.MASKING, RECURRENT),
    ("004", 713, programs_pytorch.PACKED_004, PYTORCH),
    ("004", 739, D4.ATTENTION, RECURRENT),
    ("004", 775, D4.BIDIRECTIONAL, RECURRENT),
    ("004", 802, D4.CLIPPING, RECURRENT),
    ("004", 822, D4.DROPOUT, RECURRENT),
    ("004", 843, D4.REGULARIZATION, RECURRENT),
]


def documents():
    """The lines of each document, by its number."""
    homes = [home / "shared" / "documents" for home in (ROOT, *ROOT.parents)]
    home = next((home for home in homes if home.is_dir()), None)
    if home is None:
        pytest.skip("the documents lie beside the repository, in shared/documents")
    return {path.name[:3]: path.read_text(encoding="utf-8").split("\n") for path in home.glob("*.txt")}


def comparable(text):
    """Lines that are not empty, with the imports of nblayers; TensorFlow itself is imported and not used, `tf.keras` apart."""
    text = text.replace("import tensorflow as tf\n", "").replace("import nblayers\n", "")
    text = text.replace("tensorflow.keras", "nblayers").replace("tf.keras", "nblayers")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    indentation = len(lines[0]) - len(lines[0].lstrip())
    return [line[indentation:] for line in lines]


def beginnings(lines):
    """The first lines of the code of fences and of cells: counted from 1, empty lines left out."""
    found, inside = [], False
    for number, line in enumerate(lines, 1):
        fence = line.strip().startswith("```")
        if (fence and not inside) or re.match(r"In \[[\d ]*(None)?\]:", line):
            found.append(next(n for n in range(number + 1, len(lines) + 1) if lines[n - 1].strip()))
        inside ^= fence
    return found


def cells(line):
    """The programs in a row of a table: a `\\n` there is a line break, behind blanks."""
    return [re.sub(r"[ \t]*\\n", "\n", text).strip("\n ") for text in re.findall("```python(.*?)```", line)]


def test_every_program_is_indexed():
    """But for document 002's last cell, which is empty."""
    indexed = {(document, line) for document, line, _, _ in INDEX}
    found = {(document, line) for document, lines in documents().items() for line in beginnings(lines)}
    assert found - indexed == {("002", 350)}
    assert indexed <= found


@pytest.mark.parametrize("document, line, program, _", INDEX, ids=lambda value: value if str(value).isdigit() else "")
def test_programs_stand_as_in_the_document(document, line, program, _):
    program = comparable(program)
    text = "\n".join(documents()[document][line - 1:line + 200])
    assert comparable(text)[:len(program)] == program


@pytest.mark.parametrize("table", TABLES)
def test_tables_stand_as_in_the_document(table):
    """Every program of the table, and no other."""
    rows, lines = TABLES[table], documents()["001"]
    given = [(line, program.strip("\n ")) for line, program in rows.values()]
    first, last = min(given)[0], max(given)[0]
    assert given == [(n, program) for n in range(first, last + 1) for program in cells(lines[n - 1])]


def test_no_table_is_left_out():
    found = sum(len(cells(line)) for line in documents()["001"] if line.startswith("|"))
    assert found == sum(map(len, TABLES.values())) == 161


def test_programs_are_run():
    """Each text is named in the file of its tests; test_programs_catalogue counts the rows of the tables itself."""
    for module, file in ((programs_recurrent, RECURRENT), (programs_pytorch, PYTORCH), (programs_catalogue, CATALOGUE)):
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        body = text[text.index("\n)\n"):]
        names = [name for name in vars(module) if name.isupper() and name not in TABLES]
        assert [name for name in names if not re.search(rf"\b{name}\b", body)] == []
