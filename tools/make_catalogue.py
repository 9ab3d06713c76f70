"""Write lessons/catalogue.json, the formula index, from the project's catalogue.

    python tools/make_catalogue.py CATALOGUE.json

Each entry has an id, a name, the path of the same thing in Keras (or null), and its formula as Markdown (or null), in which
a displayed formula stands between $$ and $$.
"""
import json
import re
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[1] / "lessons" / "catalogue.json"
ABSOLUTE = {"001.02.softsign", "001.04.L1", "001.04.L1L2"}      # whose bars are absolute values; the others' are norms
BY_HAND = {
    "002.Linear": "$$y = x W^T + b$$ x (batch, in), W (out, in), b (out)",
    "004.RNN": "$$h_t = \\tanh(W_{hx} x_t + W_{hh} h_{t-1} + b_h)$$ $$y_t = W_{yh} h_t + b_y$$",
    "004.Attention": "$$e = \\tanh(x W + b)$$ $$a = \\text{softmax}_t(e)$$ $$\\text{output} = \\sum_t a_t x_t$$",
}


def markdown(identifier: str, formula: str | None) -> str | None:
    """The catalogue's formula as Markdown for `nblayers.learn.terminal.LessonText`."""
    if formula is None or identifier in BY_HAND:
        return BY_HAND.get(identifier)
    text = re.sub(r"\\text\{(\w+)@(\w+)\}", r"\\text{\1\\_\2}", formula.strip())
    text = re.sub(r"\\\[(.*?)\\\]", lambda found: " (" + found[1].replace(" \\cdot ", ", then ") + ")", text)
    if identifier in ABSOLUTE:
        text = text.replace("\\|", "|")
    if "$" not in text:
        parts = re.split(r"(?<!\\); ", text)
        return " ".join(f"$${part}$$" for part in parts) if re.search(r"[=\\\[(]", text) and "SVD" not in text else text
    if "$$" in text:
        return text
    lines = [re.sub(r"^\$([^$]+)\$", r"$$\1$$", line.strip()) for line in text.split("<br>")]
    return " ".join(lines)


def main() -> None:
    entries = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    index = [{"id": entry["id"], "name": entry["document_name"], "keras": entry.get("keras"),
              "formula": markdown(entry["id"], entry["formula"])} for entry in entries]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    OUTPUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
