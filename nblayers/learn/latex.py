r"""LaTeX maths as two-dimensional Unicode text for terminals: `\frac{a}{b}` becomes a stacked fraction.

A subset: what lessons use. A command that is not known stays as it was written, and so does a formula that cannot be read.
"""
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

GREEK_NAMES = ("alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau "
               "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega")
GREEK = dict(zip(GREEK_NAMES.split(), "αβγδεεζηθϑικλμνξπρστυφφχψωΓΔΘΛΞΠΣΥΦΨΩ", strict=True))
ORDINARY = GREEK | dict(
    partial="∂", nabla="∇", infty="∞", ell="ℓ", top="⊤", bot="⊥", emptyset="∅", hbar="ℏ", prime="′", forall="∀", exists="∃",
    ldots="…", dots="…", dotsc="…", cdots="⋯", dotsb="⋯", vdots="⋮", ddots="⋱", degree="°", lvert="|", rvert="|", vert="|",
    lVert="‖", rVert="‖", Vert="‖", checkmark="✓", square="□")
BINARY = dict(
    cdot="·", times="×", odot="⊙", otimes="⊗", oplus="⊕", circ="∘", ast="∗", star="⋆", pm="±", mp="∓", div="÷", cup="∪",
    cap="∩", land="∧", lor="∨", setminus="∖", bullet="•", oslash="⊘")
RELATIONS = dict(
    leq="≤", le="≤", geq="≥", ge="≥", neq="≠", ne="≠", approx="≈", equiv="≡", sim="∼", simeq="≃", propto="∝", ll="≪", gg="≫",
    to="→", rightarrow="→", longrightarrow="⟶", leftarrow="←", gets="←", leftrightarrow="↔", Rightarrow="⇒", implies="⇒",
    Leftarrow="⇐", Leftrightarrow="⇔", iff="⇔", mapsto="↦", subset="⊂", subseteq="⊆", supset="⊃", mid="|", parallel="∥",
    colon=":", notin="∉", coloneqq="≔", lt="<", gt=">") | {"in": "∈"}
OPEN = dict(langle="⟨", lfloor="⌊", lceil="⌈", lbrace="{", lbrack="[")
CLOSE = dict(rangle="⟩", rfloor="⌋", rceil="⌉", rbrace="}", rbrack="]")
LARGE = dict(sum="∑", prod="∏", int="∫", bigcup="⋃", bigcap="⋂", oint="∮")
FUNCTIONS = ("sin cos tan sinh cosh tanh cot sec exp log ln max min arg lim sup inf det dim ker gcd deg Pr argmax argmin "
             "softmax diag")
WITH_LIMITS = {"∑", "∏", "⋃", "⋂", "max", "min", "lim", "sup", "inf", "argmax", "argmin", "arg max", "arg min"}
SPACES = {",": " ", ":": " ", ";": " ", " ": " ", "~": " ", "!": "", "quad": "  ", "qquad": "    ", "enspace": " "}
IGNORED = {"displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "nonumber", "notag", "big", "Big", "bigg", "Bigg",
           "bigl", "bigr", "Bigl", "Bigr"}
TEXTS = {"text", "textbf", "textit", "textrm", "texttt", "mbox"}
FONTS = {"mathrm", "mathbf", "mathit", "mathsf", "mathtt", "boldsymbol", "bm", "mathop", "mathbin", "mathrel", "boxed"}
ACCENTS = dict(tilde="\u0303", widetilde="\u0303", hat="\u0302", widehat="\u0302", bar="\u0304", overline="\u0304",
               dot="\u0307", ddot="\u0308", vec="\u20d7", underline="\u0332")
CALLIGRAPHIC = dict(zip("BEFHILMNORDSGTPC", "ℬℰℱℋℐℒℳ𝒩𝒪ℛ𝒟𝒮𝒢𝒯𝒫𝒞", strict=True))
BLACKBOARD = dict(zip("CEHNPQRZ1", "ℂ𝔼ℍℕℙℚℝℤ𝟙", strict=True))
SUBSCRIPTS = dict(zip("0123456789+-−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
SUPERSCRIPTS = dict(zip("0123456789+-−=()abcdefghijklmnoprstuvwxyzTW⊤′∗*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵂᵀ′**",
                        strict=True))
LONG_WORD = 4                           # letters of a subscript that is easier to read as `d_input`
FENCES = {"(": "(⎛⎜⎜⎝", ")": ")⎞⎟⎟⎠", "[": "[⎡⎢⎢⎣", "]": "]⎤⎥⎥⎦", "{": "{⎧⎪⎨⎩", "}": "}⎫⎪⎬⎭", "|": "|││││", "‖": "‖‖‖‖‖",
          "⌊": "⌊⎢⎢⎢⎣", "⌋": "⌋⎥⎥⎥⎦", "⌈": "⌈⎡⎢⎢⎢", "⌉": "⌉⎤⎥⎥⎥", "⟨": "⟨╱╱⟨╲", "⟩": "⟩╲╲⟩╱"}
MATRICES = {"matrix": "..", "smallmatrix": "..", "array": "..", "pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}",
            "vmatrix": "||", "Vmatrix": "‖‖", "cases": "{."}
ALIGNED = {"aligned", "align", "align*", "alignedat", "split", "gathered", "gather", "gather*", "eqnarray"}
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)


def width(text: str) -> int:
    """How many columns `text` takes; combining accents take none."""
    return sum(not unicodedata.combining(c) for c in text)


@dataclass(frozen=True)
class Box:
    """A rectangle of text. `kind` is TeX's class of the atom, which decides the space around it."""

    rows: tuple[str, ...]
    base: int = 0               # the row that stands on the line
    kind: str = "ordinary"      # binary, relation, open, close, punctuation, function, fraction, space

    @property
    def width(self) -> int:
        return width(self.rows[0])

    @property
    def below(self) -> int:
        return len(self.rows) - 1 - self.base


def padded(rows: Iterable[str], base: int = 0, align: str = "left", kind: str = "ordinary") -> Box:
    """A box of rows made equally wide."""
    rows = list(rows)
    wide = max(map(width, rows))
    filled = []
    for row in rows:
        free = wide - width(row)
        left = {"left": 0, "centre": free // 2, "right": free}[align]
        filled.append(" " * left + row + " " * (free - left))
    return Box(tuple(filled), base, kind)


def beside(boxes: Sequence[Box]) -> Box:
    """Boxes side by side on one line."""
    if not boxes:
        return Box(("",))
    above, below = max(box.base for box in boxes), max(box.below for box in boxes)
    rows = []
    for line in range(-above, below + 1):
        rows.append("".join(box.rows[line + box.base] if -box.base <= line <= box.below else " " * box.width for box in boxes))
    return Box(tuple(rows), above)


def stacked(boxes: Sequence[Box], base: int, align: str = "centre") -> Box:
    """Boxes one over the other; `base` counts rows from the top."""
    return padded([row for box in boxes for row in box.rows], base, align)


def spaced(boxes: Sequence[Box], tight: bool) -> list[Box]:
    """The boxes of one row with the spaces that TeX would put between them, binary signs told from signs of a number."""
    out: list[Box] = []
    before: Box | None = None
    for box in boxes:
        if box.kind == "binary" and (before is None or before.kind in NOTHING_BEFORE):
            box = replace(box, kind="open")
        if before is not None and _gap(before.kind, box.kind, tight):
            out.append(Box((" ",)))
        out.append(box)
        before = box
    return out


NOTHING_BEFORE = {"binary", "relation", "open", "punctuation", "function"}     # after these a + or − is a number's sign


def _gap(left: str, right: str, tight: bool) -> bool:
    if "space" in (left, right):
        return False
    if left == "function" and right in ("ordinary", "function", "fraction"):
        return True
    if left == "fraction" and right in ("ordinary", "open", "fraction", "function"):
        return True                                         # two bars must not touch, and in a/b c the c stands apart
    if right == "fraction" and left in ("ordinary", "close"):
        return True
    if tight:
        return False
    return left in ("binary", "relation", "punctuation") or right in ("binary", "relation") or (
        right == "function" and left in ("ordinary", "close"))


def fraction(top: Box, bottom: Box) -> Box:
    wide = max(top.width, bottom.width)
    return replace(stacked([top, Box(("─" * wide,)), bottom], len(top.rows)), kind="fraction")


def fence(sign: str, box: Box) -> Box:
    """`sign` made as high as `box`; nothing for the invisible "."."""
    if sign == ".":
        return Box(("",) * len(box.rows), box.base, "space")
    single, first, fill, middle, last = list(FENCES.get(sign, sign * 5))
    high = len(box.rows)
    if high == 1:
        return Box((single,))
    rows = [first, *[fill] * (high - 2), last]
    if high > 2:
        rows[high // 2] = middle
    return Box(tuple(rows), box.base)


def fenced(left: str, box: Box, right: str) -> Box:
    return beside([fence(left, box), box, fence(right, box)])


def _symbols() -> dict[str, Box]:
    boxes = {}
    for signs, kind in ((ORDINARY, "ordinary"), (BINARY, "binary"), (RELATIONS, "relation"), (OPEN, "open"), (CLOSE, "close"),
                        (LARGE, "function"), ({name: name for name in FUNCTIONS.split()}, "function"), (SPACES, "space"),
                        ({c: c for c in "_%&#$"} | {"|": "‖"}, "ordinary"), ({"{": "{"}, "open"), ({"}": "}"}, "close")):
        boxes.update({name: Box((sign,), kind=kind) for name, sign in signs.items()})
    return boxes


SYMBOLS = _symbols()


class _Reader:
    """Reads one formula. `flat` keeps everything on one line, for maths inside a sentence."""

    def __init__(self, tex: str, flat: bool) -> None:
        self.tokens = TOKEN.findall(tex)
        self.at = 0
        self.flat = flat
        self.tag: str | None = None

    def peek(self, skip_space: bool = False) -> str | None:
        if skip_space:
            while self.at < len(self.tokens) and self.tokens[self.at].isspace():
                self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> str:
        if self.at == len(self.tokens):
            raise ValueError("the formula ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def raw(self) -> str:
        """The next {group} as it is written, without its braces."""
        if self.peek(skip_space=True) != "{":
            return self.take()
        self.take()
        depth, text = 1, ""
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if not depth:
                return text
            text += token

    def option(self) -> str:
        """Take an [optional argument]."""
        text = ""
        if self.peek() == "[":
            self.take()
            while (token := self.take()) != "]":
                text += token
        return text

    def row(self, *stops: str, tight: bool = False) -> Box:
        atoms = self.atoms(*stops)
        return atoms[0] if len(atoms) == 1 and atoms[0].kind == "fraction" else beside(spaced(atoms, tight))

    def atoms(self, *stops: str) -> list[Box]:
        boxes = []
        while (token := self.peek(skip_space=True)) is not None and token not in stops:
            if token in ("}", "&"):
                raise ValueError(f"unexpected {token}")
            box = self.scripts(self.atom())
            if box.width or len(box.rows) > 1:
                boxes.append(box)
        return boxes

    def argument(self, tight: bool = False) -> Box:
        if self.peek(skip_space=True) != "{":
            return self.atom()
        return self.group(tight)

    def group(self, tight: bool = False) -> Box:
        self.take()
        box = self.row("}", tight=tight)
        self.take()
        return box

    def scripts(self, base: Box) -> Box:
        sub: Box | None = None
        sup: Box | None = None
        while (token := self.peek(skip_space=True)) in ("_", "^", "'"):
            self.take()
            if token == "_":
                sub = self.argument(tight=True)
            else:
                more = Box(("′",)) if token == "'" else self.argument(tight=True)
                sup = more if sup is None else beside([sup, more])
        if sub is None and sup is None:
            return base
        if not self.flat and len(base.rows) == 1 and base.rows[0] in WITH_LIMITS and (sup or not _translate(sub, SUBSCRIPTS)):
            return replace(self.limits(base, sub, sup), kind="function")
        return replace(self.attached(base, sub, sup), kind=base.kind)

    def limits(self, base: Box, sub: Box | None, sup: Box | None) -> Box:
        over, under = ([sup] if sup else []), ([sub] if sub else [])
        return stacked([*over, base, *under], len(sup.rows) if sup else 0)

    def attached(self, base: Box, sub: Box | None, sup: Box | None) -> Box:
        low, high = _translate(sub, SUBSCRIPTS), _translate(sup, SUPERSCRIPTS)
        if sub is not None and low and sub.rows[0].isalpha() and len(sub.rows[0]) >= LONG_WORD:
            low = None
        if self.flat:
            low = low if low is not None else "_" + _parenthesised(sub)
            high = high if high is not None else "^" + _parenthesised(sup)
            return beside([base, Box((low + high,))])
        if low is None and sub is not None and len(base.rows) == len(sub.rows) == 1:
            low = "_" + _parenthesised(sub)             # no small letters for it: on the line, as one types it
        if low is not None and high is not None and len(base.rows) == 1:
            return beside([base, Box((low + high,))])
        if len(base.rows) == 1 and low:                     # the plain one stays on the line, the other is raised
            base, sub = beside([base, Box((low,))]), None
        elif len(base.rows) == 1 and high:
            base, sup = beside([base, Box((high,))]), None
        up, down = (base.base, base.below) if len(base.rows) > 1 else (1, 1)
        if len(base.rows) > 1:
            sub = Box((low,)) if low else sub
            sup = Box((high,)) if high else sup
        above = [*sup.rows, *[""] * (up - 1)] if sup else []
        below = [*[""] * (down - 1), *sub.rows] if sub else []
        if len(base.rows) > 1 and sup and up == 0:          # nothing over the line: the exponent stands on it
            return beside([base, Box(sup.rows, len(sup.rows) - 1), padded(["", *below], 0)])
        return beside([base, padded([*above, "", *below], len(above))])

    def atom(self) -> Box:
        token = self.take()
        if token == "{":
            self.at -= 1
            return self.group()
        if token in "+*":
            return Box((token,), kind="binary")
        if token == "-":
            return Box(("−",), kind="binary")
        if token in "=<>:":
            return Box((token,), kind="relation")
        if token in ",;":
            return Box((token,), kind="punctuation")
        if token in "([":
            return Box((token,), kind="open")
        if token in ")]":
            return Box((token,), kind="close")
        if token == "~":
            return Box((" ",), kind="space")
        if not token.startswith("\\"):
            return Box((token,))
        return self.command(token[1:])

    def command(self, name: str) -> Box:
        if name in SYMBOLS:
            return SYMBOLS[name]
        if name in IGNORED:
            return Box(("",), kind="space")
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            top, bottom = self.argument(), self.argument()
            return _flat_fraction(top, bottom) if self.flat else fraction(top, bottom)
        if name == "sqrt":
            return self.root()
        if name in TEXTS:
            return Box((re.sub(r"\\(.)", r"\1", self.raw().replace("$", "")),))
        if name in FONTS:
            return self.argument(tight=name != "boxed")
        if name == "operatorname":
            if self.peek() == "*":
                self.take()
            return Box((self.raw().replace(r"\,", " "),), kind="function")
        if name in ("mathcal", "mathscr", "mathbb"):
            letters = BLACKBOARD if name == "mathbb" else CALLIGRAPHIC
            return Box(("".join(letters.get(c, c) for c in self.raw()),))
        if name in ACCENTS:
            return _accented(self.argument(tight=True), ACCENTS[name])
        if name == "left":
            return self.between_fences()
        if name == "begin":
            return self.environment()
        if name in ("underbrace", "overbrace"):
            return self.brace(name)
        if name in ("overset", "stackrel", "underset"):
            return self.over_and_under(name)
        if name in ("tag", "label"):
            text = self.raw()
            self.tag = re.sub(r"\\(.)", r"\1", text) if name == "tag" else self.tag
            return Box(("",), kind="space")
        return self.unknown(name)

    def unknown(self, name: str) -> Box:
        text = "\\" + name
        while self.peek() == "{":
            text += "{" + self.raw() + "}"
        return Box((text,))

    def root(self) -> Box:
        sign = {"3": "∛", "4": "∜"}.get(self.option(), "√")
        box = self.argument()
        if len(box.rows) > 1:
            return beside([Box((sign,)), fenced("(", box, ")")])
        return Box((sign + (box.rows[0] if _one_symbol(box.rows[0]) else f"({box.rows[0]})"),))

    def between_fences(self) -> Box:
        left = self.delimiter()
        box = self.row("\\right")
        self.take()
        return replace(fenced(left, box, self.delimiter()), kind="close")

    def delimiter(self) -> str:
        self.peek(skip_space=True)
        token = self.take()
        if token in (r"\{", r"\}"):
            return token[1]
        if token == r"\|":
            return "‖"
        return SYMBOLS[token[1:]].rows[0] if token[1:] in SYMBOLS else token

    def environment(self) -> Box:
        name = self.raw()
        self.option()
        if name in ("array", "alignedat"):
            self.raw()
        cells: list[list[Box]] = []
        line: list[Box] = []
        while True:
            atoms = self.atoms("&", "\\\\", "\\end")
            line.append(beside(spaced([Box(("",)), *atoms] if line and name in ALIGNED else atoms, tight=False)))
            token = self.take()
            if token == "&":
                continue
            cells.append(line)
            line = []
            if token == "\\end":
                self.raw()
                break
            self.option()
            if self.peek(skip_space=True) == "\\end":       # a last \\ begins no new line
                self.take()
                self.raw()
                break
        if name not in ALIGNED and name not in MATRICES:
            raise ValueError(f"unknown environment {name}")
        if self.flat:
            left, right = list(MATRICES.get(name, "..").replace(".", " "))
            rows = ["".join(box.rows[0] for box in line) if name in ALIGNED else
                    (" " if name == "cases" else ", ").join(box.rows[0] for box in line) for line in cells]
            return Box((left.strip() + "; ".join(rows) + right.strip(),))
        if name in ALIGNED:
            return _grid(cells, ("right", "left"), gap=0)
        body = _grid(cells, ("left", "left") if name == "cases" else ("centre", "centre"), gap=2)
        return fenced(MATRICES[name][0], body, MATRICES[name][1])

    def brace(self, name: str) -> Box:
        body = self.argument()
        mark = "_" if name == "underbrace" else "^"
        label = None
        if self.peek(skip_space=True) == mark:
            self.take()
            label = self.argument()
        if self.flat:
            return body
        wide = max(body.width, 3)
        left = (wide - 3) // 2
        if mark == "_":
            line = Box(("╰" + "─" * left + "┬" + "─" * (wide - 3 - left) + "╯",))
            return replace(stacked([body, line, *([label] if label else [])], body.base), kind=body.kind)
        line = Box(("╭" + "─" * left + "┴" + "─" * (wide - 3 - left) + "╮",))
        return stacked([*([label] if label else []), line, body], (len(label.rows) if label else 0) + 1 + body.base)

    def over_and_under(self, name: str) -> Box:
        mark, body = self.argument(tight=True), self.argument()
        if self.flat:
            return body
        if name == "underset":
            return replace(stacked([body, mark], body.base), kind=body.kind)
        return replace(stacked([mark, body], len(mark.rows) + body.base), kind="relation")


def _translate(box: Box | None, table: dict[str, str]) -> str | None:
    """The text of a script in small letters; "" for none, None where a letter has no small form."""
    if box is None:
        return ""
    text = box.rows[0].replace(" ", "")
    if len(box.rows) > 1 or not all(c in table for c in text):
        return None
    return "".join(table[c] for c in text)


def _one_symbol(text: str) -> bool:
    small = set(SUBSCRIPTS.values()) | set(SUPERSCRIPTS.values())
    return len([c for c in text if c not in small and not unicodedata.combining(c)]) <= 1 or text.isdigit()


def _parenthesised(box: Box | None) -> str:
    text = box.rows[0] if box else ""
    return text if _one_symbol(text) or text.isalnum() else f"({text})"


def _flat_fraction(top: Box, bottom: Box) -> Box:
    def part(box: Box, more: str = "") -> str:
        text = box.rows[0]
        return f"({text})" if re.search(r"[ +−·⊙×/]" + more, text) and text != "−1" else text
    return Box((f"{part(top)}/{part(bottom, r'|^[0-9]+[^0-9]')}",), kind="fraction")


def _accented(box: Box, mark: str) -> Box:
    if len(box.rows) > 1:
        return box
    text = box.rows[0]
    text = "".join(c + mark for c in text) if mark in "\u0332\u0304" else text[:1] + mark + text[1:]
    return Box((unicodedata.normalize("NFC", text),))       # one character where there is one


def _grid(cells: list[list[Box]], align: Sequence[str], gap: int) -> Box:
    """Rows of cells in columns, each column aligned as its entry of `align` says (taken in turns)."""
    columns = max(map(len, cells))
    cells = [line + [Box(("",))] * (columns - len(line)) for line in cells]
    widths = [max(line[j].width for line in cells) for j in range(columns)]
    lines = []
    for line in cells:
        parts = []
        for j, box in enumerate(line):
            free = widths[j] - box.width
            left = {"left": 0, "centre": free // 2, "right": free}[align[j % len(align)]]
            parts += [Box((" " * left,)), box, Box((" " * (free - left + gap * (j < columns - 1)),))]
        lines.append(beside(parts))
    high = sum(len(line.rows) for line in lines)
    base = lines[0].base if len(lines) == 1 else (high - 1) // 2
    return stacked(lines, base, "left")


def _filled(boxes: Sequence[Box], wide: int | None) -> list[Box]:
    """The row broken before relations and signs into lines of at most `wide` columns, where that can be done."""
    pieces = spaced(boxes, tight=False)
    whole = beside(pieces)
    if wide is None or whole.width <= wide:
        return [whole]
    lines: list[list[Box]] = [[]]
    used = 0
    chunk: list[Box] = []
    for piece in [*pieces, Box(("",), kind="relation")]:
        if piece.kind in ("relation", "binary") and chunk:
            needed = sum(box.width for box in chunk)
            if lines[-1] and used + needed > wide:
                lines.append([Box(("    ",))])
                used = 4
            lines[-1] += chunk
            used += needed
            chunk = []
        chunk.append(piece)
    return [beside(line) for line in lines]


def display(tex: str, wide: int | None = None) -> tuple[str, str | None]:
    r"""A displayed formula as text of several lines, and its `\tag`, or None.

    Breaks what is wider than `wide` columns before a relation or a sign. A formula that cannot be read comes back as it is.
    """
    reader = _Reader(tex.strip(), flat=False)
    try:
        lines = _filled(reader.atoms(), wide)
    except (ValueError, IndexError, RecursionError):
        return tex.strip(), None
    rows = []
    for i, line in enumerate(lines):
        tall = len(lines) > 1 and i > 0 and (len(line.rows) > 1 or len(lines[i - 1].rows) > 1)
        rows += [""] * tall + [row.rstrip() for row in line.rows]
    return "\n".join(rows), reader.tag


def in_sentence(text: str) -> str:
    """A line of text with its formulas, `$…$`, as in `inline`."""
    return re.sub(r"\$(.+?)\$", lambda found: inline(found[1]), text)


def inline(tex: str) -> str:
    """A formula inside a sentence, on one line: fractions as a/b."""
    reader = _Reader(tex.strip(), flat=True)
    try:
        return reader.row().rows[0].strip()
    except (ValueError, IndexError, RecursionError):
        return tex.strip()
