// One script, two uses: inlined in a page of its own, and as the module of a widget in Jupyter.
const SVG = "http://www.w3.org/2000/svg";
const BLUE = [0, 114, 178], VERMILION = [213, 94, 0];            // Okabe and Ito's: told apart without colour vision
const PAPER = { light: [255, 255, 255], dark: [24, 28, 36] };
const BRIGHT = { light: [BLUE, VERMILION], dark: [[86, 180, 233], [255, 158, 74]] };
const COLUMN = 10, ROW = 21;                                     // of a picture's places, in its own units
const SMALL = 2500;                                              // cells of a map that are drawn one by one

// ---- small things ----

function node(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

function math(markup) {                                          // MathML, made by the page's own Python
  const made = node("span", { class: "math" });
  made.innerHTML = markup;
  return made;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

function decoded(text, precise) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), data = new DataView(bytes.buffer);
  const numbers = precise ? new Float64Array(bytes.length / 8) : new Float32Array(bytes.length / 4);
  for (let i = 0; i < numbers.length; i++) numbers[i] = precise ? data.getFloat64(8 * i, true) : data.getFloat32(4 * i, true);
  return numbers;
}

// The whole row of numbers: of an array that resembles an earlier one only the runs are written in which it differs.
function expanded(numbers, changed) {
  const more = changed.map(([, , size, runs]) => size - runs.reduce((sum, n, i) => sum + (i % 2 ? n : 0), 0));
  const row = new numbers.constructor(more.reduce((a, b) => a + b, numbers.length));
  let from = 0, end = 0;
  const take = (count, at) => {
    row.set(numbers.subarray(from, from + count), at);
    from += count;
  };
  for (const [start, like, size, runs] of changed) {
    take(start - end, end);
    if (like >= 0) row.copyWithin(start, like, like + size);      // else they are zeros
    for (let i = 0; i < runs.length; i += 2) take(runs[i + 1], start + runs[i]);
    end = start + size;
  }
  take(numbers.length - from, end);
  return row;
}

function written(x, digits = 4) {
  if (x === undefined) return "?";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const [mantissa, exponent] = (size < 1e-3 || size >= 1e5 ? x.toExponential(digits - 2) : x.toPrecision(digits)).split("e");
  const short = String(Number(mantissa)).replace("-", "−");
  const raised = (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)];
  return exponent === undefined ? short : `${short}·10${[...String(Number(exponent))].map(raised).join("")}`;
}

// A tree in letters, as short as may be.
function plainly(tree) {
  if (!Array.isArray(tree)) return String(tree);
  const [operation, a, b] = tree;
  if (operation === "T") return `(${plainly(a)})ᵀ`;
  if (b === undefined) return `${operation}(${plainly(a)})`;
  return `(${plainly(a)} ${{ "*": "·", "-": "−" }[operation] ?? operation} ${plainly(b)})`;
}

// Where the element of `target` with this flat index lies in an array that is stretched to target's shape; -1 where none fits.
function stretched(shape, target, flat) {
  let at = 0, step = 1;
  for (let i = 1; i <= Math.max(shape.length, target.length); i++) {
    const size = target[target.length - i] ?? 1, own = shape[shape.length - i] ?? 1;
    const index = flat % size;
    flat = Math.floor(flat / size);
    if (own !== 1 && own !== size) return -1;
    at += (own === 1 ? 0 : index) * step;
    step *= own;
  }
  return at;
}

// ---- what a view says ----

class View {
  constructor(plain) {
    Object.assign(this, plain);
    this.pool = expanded(decoded(plain.numbers, plain.precise), plain.changed);
    this.steps = plain.steps.map(([operation, t, at, parts, operands, marks, focus, place], index) => {
      const what = this.operations[operation], panel = this.panels[what.panel];
      return { index, what, panel, t, at, parts, operands, marks: marks ?? [], focus, place: place ?? "", phase: panel.phase,
               name: panel.name, layer: this.layers[panel.layer] };
    });
    this.writers = new Map();                                    // of each place in the pool, the steps that computed it
    for (const step of this.steps) {
      if (!this.writers.has(step.at)) this.writers.set(step.at, []);
      this.writers.get(step.at).push(step);
    }
  }

  rest(shape, batched) { return batched ? shape.slice(1) : shape; }

  // One number of an array of the pool: of a sample, at a flat index into `target`, the shape that a sample's value has.
  element(at, shape, batched, sample, flat, target) {
    if (at < 0) return undefined;
    const own = this.rest(shape, batched), place = stretched(own, target, flat);
    if (place < 0 || (batched && sample >= shape[0])) return undefined;
    return this.pool[at + (batched ? sample * product(own) : 0) + place];
  }

  value(step, sample, flat) {
    const { shape, batched, blank } = step.what;
    const x = this.element(step.at, shape, batched, sample, flat, this.rest(shape, batched));
    return blank && Number.isNaN(x) ? undefined : x;
  }

  operand(step, name, sample, flat, target, byChannel = false) {
    const { operands, operand_shapes, operands_batched } = step.what, i = operands.indexOf(name);
    if (i < 0) return undefined;
    const shape = byChannel ? [...operand_shapes[i], 1] : operand_shapes[i];
    return this.element(step.operands[i], shape, operands_batched[i], sample, flat, target);
  }

  // The shape of what a tree computes for one sample, as far as its operands tell; [] for a number.
  shapeOf(step, tree) {
    if (typeof tree === "number") return [];
    if (typeof tree === "string") {
      const i = step.what.operands.indexOf(tree);
      return i < 0 ? [] : this.rest(step.what.operand_shapes[i], step.what.operands_batched[i]);
    }
    if (tree[0] === "T") return this.shapeOf(step, tree[1]).toReversed();
    const larger = (a, b) => (b.length > a.length || product(b) > product(a) ? b : a);
    return tree.slice(1).map((part) => this.shapeOf(step, part)).reduce(larger, []);
  }

  // The terms of a row of a times a column of b, as pairs of factors; none where one of them is not on the page.
  terms(step, [, a, b], sample, flat, target) {
    const left = this.shapeOf(step, a), right = this.shapeOf(step, b), count = left.at(-1);
    if (!left.length || left.length > 2 || right.length !== 2 || right[0] !== count) return [];
    const width = target.at(-1) ?? 1, column = flat % width, row = left.length === 2 ? Math.floor(flat / width) : 0;
    const found = Array.from({ length: count }, (_, k) => [this.compute(step, a, sample, row * count + k, left),
                                                            this.compute(step, b, sample, k * right[1] + column, right)]);
    return found.some((pair) => pair.includes(undefined)) ? [] : found;
  }

  // What a tree computes at one place of `target`, the shape of a sample's value.
  compute(step, tree, sample, flat, target = this.rest(step.what.shape, step.what.batched)) {
    if (typeof tree === "number") return tree;
    if (typeof tree === "string") return this.operand(step, tree, sample, flat, target);
    const [operation, ...rest] = tree;
    if (operation === "@") {
      const terms = this.terms(step, tree, sample, flat, target);
      return terms.length ? terms.reduce((sum, [a, b]) => sum + a * b, 0) : undefined;
    }
    if (operation === "T") {
      const [rows, columns] = target;
      return this.compute(step, rest[0], sample, (flat % columns) * rows + Math.floor(flat / columns), [columns, rows]);
    }
    if (operation === "channel" && typeof rest[0] === "string") return this.operand(step, rest[0], sample, flat, target, true);
    const numbers = rest.map((part) => this.compute(step, part, sample, flat, target)), [a, b] = numbers;
    if (numbers.includes(undefined)) return undefined;
    return { "+": a + b, "-": a - b, "*": a * b, "/": a / b, "^": a ** b, neg: -a, tanh: Math.tanh(a), exp: Math.exp(a),
             log: Math.log(a), sqrt: Math.sqrt(a), max: Math.max(...numbers), min: Math.min(...numbers),
             sigmoid: 1 / (1 + Math.exp(-a)) }[operation];
  }

  part(step, k, sample, flat) {
    const part = step.what.parts[k], { shape, batched } = step.what;
    if (part.tree !== null) return this.compute(step, part.tree, sample, flat);
    const own = part.shape, over = batched && own.length === shape.length && own[0] === shape[0];
    return this.element(step.parts[k], own, over, sample, flat, this.rest(shape, batched));
  }

  // The step that computed an operand, before this one: c_prev is a c, dc_next the dc_prev of the step after.
  origin(step, name) {
    const i = step.what.operands.indexOf(name);
    if (i < 0) return undefined;
    const names = [name, name.replace(/_prev$/, ""), name.replace(/_next$/, "_prev")];
    return this.writers.get(step.operands[i])?.findLast((one) => one.index < step.index && names.includes(one.name));
  }

  label(step) { return step.t < 0 ? step.name : `${step.name}[${step.t}]`; }
}

// ---- heat maps ----

const tables = {};

function colours(theme) {                                        // from -1 to 1 in 511 steps
  return tables[theme] ??= Array.from({ length: 511 }, (_, i) => {
    const x = (i - 255) / 255, end = BRIGHT[theme][x < 0 ? 0 : 1], share = Math.abs(x) ** 0.7;
    return PAPER[theme].map((c, k) => Math.round(c + (end[k] - c) * share));
  });
}

function counted(number, word) {
  return `${number} ${number === 1 ? word : word.replace(/([^e])y$/, "$1ie") + "s"}`;
}

class HeatMap {
  constructor(pane, panel, index, large = false) {
    Object.assign(this, { pane, panel, index, large });
    this.steps = pane.view.steps.filter((step) => step.panel === panel);
    this.spans = new Map();
    this.measure();
    this.canvas = node("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "heat map", "aria-label": this.name(),
      onpointermove: (event) => this.point(event), onpointerdown: (event) => this.point(event),
      onpointerleave: () => this.say(), onclick: (event) => this.choose(event), onfocus: () => this.focus(true),
      onblur: () => this.focus(false), onkeydown: (event) => this.key(event),
    });
    this.output = node("output", { "aria-live": "off" });
    const caption = node("figcaption", {}, node("span", { class: "name" }, math(pane.view.formulas[panel.label]), " ",
                                                node("span", { class: "words" }, panel.words)), this.output);
    this.box = node("figure", { class: "map", "data-name": panel.name, "data-phase": panel.phase }, caption,
                    node("div", { class: "sheet" }, this.canvas));
    this.drawn = "";
  }

  // Rows, columns and tiles: a value over time has a column for each step; an image has a tile for each channel.
  measure() {
    const first = this.steps[0], rest = this.pane.view.rest(first.what.shape, first.what.batched);
    this.rest = rest;
    if (this.panel.over_time) {
      this.times = Math.max(first.layer.times, ...this.steps.map((step) => step.t + 1));
      [this.rows, this.columns, this.tiles] = [product(rest), this.times, 1];
    } else if (rest.length < 3) {
      const [rows, columns] = rest.length === 2 ? rest : [1, rest[0] ?? 1];
      [this.rows, this.columns, this.tiles] = this.panel.turned ? [columns, rows, 1] : [rows, columns, 1];
    } else {
      [this.rows, this.columns] = rest;
      this.tiles = product(rest.slice(2));
    }
    this.high = this.rows / this.panel.planes;                    // rows of a plane
  }

  name() {
    const { words, name, over_time: over, turned, axes } = this.panel;
    const [down, across] = axes && this.tiles === 1 ? axes : over || turned ? ["unit", "time step"] : ["row", "column"];
    const channels = this.tiles > 1 ? ` by ${this.tiles} channels` : "";
    return `${name}${words ? `, ${words}` : ""}: ${counted(this.rows, down)} by ${counted(this.columns, across)}${channels}; ` +
      "arrow keys choose a number, Enter shows how it was computed";
  }

  // The step whose value a column shows now: the last that wrote it, at or before the step that the page is at.
  writer(column, upto = this.pane.at) {
    const fits = (step) => step.index <= upto && (!this.panel.over_time || step.t === column);
    return this.steps.findLast(fits);
  }

  flat(row, column, tile = 0) {
    if (this.panel.over_time) return row;
    if (this.panel.turned) return column * this.rows + row;
    return (row * this.columns + column) * this.tiles + tile;
  }

  span() {
    const sample = this.pane.sample;
    if (!this.spans.has(sample)) {
      let most = 0;
      for (const { at, what: { shape, batched } } of this.steps) {
        const size = product(this.pane.view.rest(shape, batched)), start = at + (batched ? sample * size : 0);
        for (let i = start; i < start + size; i++) {                // NaN is never larger
          const x = Math.abs(this.pane.view.pool[i]);
          if (x > most && Number.isFinite(x)) most = x;
        }
      }
      this.spans.set(sample, most || 1);
    }
    return this.spans.get(sample);
  }

  // What is shown, as values; undefined where nothing is computed yet.
  values() {
    const { view, sample } = this.pane, wide = this.columns * this.tiles;
    const found = new Array(this.rows * wide);
    const writers = this.panel.over_time ? this.byTime() : null, last = writers ? null : this.writer(0);
    for (let column = 0; column < this.columns; column++) {
      const step = writers ? writers[column] : last;
      if (!step) continue;
      const { shape, batched } = step.what, size = product(view.rest(shape, batched));
      const start = step.at + (batched ? sample * size : 0);
      if (batched && sample >= shape[0]) continue;
      for (let tile = 0; tile < this.tiles; tile++)
        for (let row = 0; row < this.rows; row++) {
          const flat = this.flat(row, column, tile);
          const x = flat < size ? view.pool[start + flat] : undefined;
          found[row * wide + tile * this.columns + column] = step.what.blank && Number.isNaN(x) ? undefined : x;
        }
    }
    return found;
  }

  byTime() {
    const found = [];
    for (const step of this.steps) if (step.index <= this.pane.at) found[step.t] = step;
    return found;
  }

  paint(force = false) {
    const live = this.pane.step.panel === this.panel, marks = this.pane.step.marks.filter(([panel]) => panel === this.index);
    this.box.classList.toggle("live", live);
    let seen = 0;
    while (seen < this.steps.length && this.steps[seen].index <= this.pane.at) seen++;
    const chosen = this.chosen();
    const key = JSON.stringify([seen, this.pane.sample, live && chosen, this.pane.theme, marks]);
    if (key === this.drawn && !force) return;
    this.width ||= this.canvas.parentNode.clientWidth;             // asked once: the answer takes a whole layout
    if (!this.width) return;
    this.drawn = key;
    this.draw(this.width, marks, chosen, live);
    if (!this.output.dataset.pointed) this.say();
  }

  draw(width, marks, chosen, live) {
    const wide = this.columns * this.tiles, gaps = (this.tiles - 1) * 6;
    const cell = clamp((width - gaps) / wide, 1, this.large ? 64 : 46);
    const tall = clamp(cell, this.rows > 40 ? 2 : 4, this.large ? 30 : 22);
    Object.assign(this, { cell, tall });
    const ratio = window.devicePixelRatio || 1, height = this.top(this.rows - 1) + tall, across = wide * cell + gaps;
    this.canvas.width = Math.round(across * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${across}px`;
    this.canvas.style.height = `${height}px`;
    const g = this.canvas.getContext("2d");
    g.scale(ratio, ratio);
    const values = this.values(), span = this.span(), table = colours(this.pane.theme);
    const colour = (x) => table[Number.isNaN(x) ? 255 : Math.round(255 + 255 * clamp(x / span, -1, 1))];
    if (values.length > SMALL) this.fill(g, values, colour);
    else this.cells(g, values, colour, span);
    this.outlines(g, marks, chosen, live);
  }

  top(row) { return row * this.tall + Math.floor(row / this.high) * 6; }

  left(column, tile) { return (tile * this.columns + column) * this.cell + tile * 6; }

  fill(g, values, colour) {
    const wide = this.columns * this.tiles, image = new ImageData(wide, this.rows), { data } = image;
    for (let i = 0; i < values.length; i++) {
      if (values[i] === undefined) continue;
      const rgb = colour(values[i]), at = 4 * i;
      data[at] = rgb[0];
      data[at + 1] = rgb[1];
      data[at + 2] = rgb[2];
      data[at + 3] = 255;
    }
    const sheet = new OffscreenCanvas(wide, this.rows);
    sheet.getContext("2d").putImageData(image, 0, 0);
    g.imageSmoothingEnabled = false;
    for (let tile = 0; tile < this.tiles; tile++)
      for (let row = 0; row < this.rows; row += this.high)
        g.drawImage(sheet, tile * this.columns, row, this.columns, this.high, this.left(0, tile), this.top(row),
                    this.columns * this.cell, this.high * this.tall);
  }

  // Cells with a gap between them; where there is room with their numbers, else with a bar in those below zero.
  cells(g, values, colour, span) {
    const wide = this.columns * this.tiles, gap = this.cell > 5 ? 1 : 0, printed = this.cell >= 38 && this.tall >= 14;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.font = "11px system-ui, sans-serif";
    values.forEach((x, i) => {
      if (x === undefined) return;
      const row = Math.floor(i / wide), place = i % wide;
      const left = this.left(place % this.columns, Math.floor(place / this.columns)), top = this.top(row);
      const [r, green, b] = colour(x);
      g.fillStyle = `rgb(${r},${green},${b})`;
      g.fillRect(left, top, this.cell - gap, this.tall - gap);
      g.fillStyle = 0.3 * r + 0.59 * green + 0.11 * b > 128 ? "#10141b" : "#ffffff";
      const text = printed ? written(x, 2) : "", size = printed ? Math.min(11, 11 * (this.cell - 3) / g.measureText(text).width) : 0;
      if (size >= 8.5) {
        g.font = `${size}px system-ui, sans-serif`;
        g.fillText(text, left + this.cell / 2, top + this.tall / 2);
        g.font = "11px system-ui, sans-serif";
      } else if (x < 0 && this.cell >= 7 && Math.abs(x) > span / 50) g.fillRect(left + this.cell / 4, top + this.tall / 2 - 0.75,
                                                                              this.cell / 2 - gap, 1.5);
    });
  }

  outlines(g, marks, chosen, live) {
    const ink = getComputedStyle(this.pane.root).getPropertyValue("--ink");
    g.strokeStyle = ink;
    g.lineWidth = 2;
    const frame = (row, column, tile, high, wide) => g.strokeRect(this.left(column, tile) + 1, this.top(row) + 1,
                                                                  wide * this.cell - 2, high * this.tall - 2);
    const { t } = this.pane.step;
    if (this.panel.over_time && t >= 0 && live) frame(0, t, 0, this.rows, 1);
    for (const [, rows, columns, channel, sample] of marks)
      for (let tile = 0; tile < this.tiles; tile++) {
        if ((channel >= 0 && channel !== tile) || (sample >= 0 && sample !== this.pane.sample)) continue;
        const whole = rows[2] === 1 && columns[2] === 1;            // else the places of a patch lie apart
        if (whole) frame(rows[0], columns[0], tile, rows[1] - rows[0], columns[1] - columns[0]);
        for (let row = rows[0]; row < rows[1] && !whole; row += rows[2])
          for (let column = columns[0]; column < columns[1]; column += columns[2]) frame(row, column, tile, 1, 1);
      }
    if (live) {
      g.lineWidth = 3;
      frame(chosen.row, chosen.column, chosen.tile, 1, 1);
    }
  }

  // The chosen number: of all that has time steps the unit is chosen once.
  chosen() {
    const { unit, own } = this.pane;
    if (this.panel.over_time) {
      const t = this.pane.step.panel === this.panel || this.pane.step.t >= 0 ? clamp(this.pane.step.t, 0, this.columns - 1) : 0;
      return { row: Math.min(unit, this.rows - 1), column: this.cursor ?? t, tile: 0 };
    }
    if (!own.has(this.panel)) own.set(this.panel, this.largest());
    return own.get(this.panel);
  }

  // The unit to which the largest gradients came.
  strongest() {
    const sums = Array.from({ length: this.rows }, (_, row) => this.steps.reduce(
      (sum, step) => sum + Math.abs(this.pane.view.value(step, this.pane.sample, row) ?? 0), 0));
    return sums.indexOf(Math.max(...sums));
  }

  // Where the largest number stands that the last step of this map computed: chosen until someone chooses another.
  largest() {
    const step = this.steps.at(-1), most = { size: -1, row: 0, column: 0, tile: 0 };
    for (let row = 0; row < this.rows; row++)
      for (let column = 0; column < this.columns; column++)
        for (let tile = 0; tile < this.tiles; tile++) {
          const size = Math.abs(this.pane.view.value(step, this.pane.sample, this.flat(row, column, tile)) ?? 0);
          if (size > most.size) Object.assign(most, { size, row, column, tile });
        }
    return { row: most.row, column: most.column, tile: most.tile };
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const tile = clamp(Math.floor(x / (this.columns * this.cell + 6)), 0, this.tiles - 1);
    const row = Math.floor((y - 6 * Math.floor(y / (this.high * this.tall + 6))) / this.tall);
    return { row: clamp(row, 0, this.rows - 1), tile,
             column: clamp(Math.floor((x - this.left(0, tile)) / this.cell), 0, this.columns - 1) };
  }

  // What is said is announced of the map that has the focus, not of all maps at each step.
  focus(has) {
    this.output.setAttribute("aria-live", has ? "polite" : "off");
    this.say(has ? this.chosen() : undefined);
  }

  point(event) { this.say(this.under(event)); }

  place({ row, column, tile }) {
    const { labels } = this.pane.view;
    const label = labels?.[column] === undefined ? "" : ` “${labels[column]}”`;
    const masked = this.panel.over_time && this.pane.isMasked(this.steps[0].layer, column) ? ", masked" : "";
    if (this.panel.axes && this.tiles === 1) return `${this.panel.axes[0]} ${row}, ${this.panel.axes[1]} ${column}`;
    if (this.panel.over_time || this.panel.turned) return `t ${column}${label}, unit ${row}${masked}`;
    if (this.rest.length < 2) return `[${column}]`;
    const places = [];                                           // a tile has the places of all axes behind the second
    for (const size of this.rest.slice(2).toReversed()) {
      places.unshift(tile % size);
      tile = Math.floor(tile / size);
    }
    const plane = this.panel.planes > 1 ? [Math.floor(row / this.high)] : [];
    return `[${[...plane, row % this.high, column, ...(this.tiles > 1 ? places : [])].join(", ")}]`;
  }

  say(cell) {
    if (!cell) {
      delete this.output.dataset.pointed;
      const span = written(this.span(), 2), range = `−${span} … ${span}`;
      if (this.output.textContent !== range) this.output.textContent = range;
      return;
    }
    const step = this.writer(cell.column);
    const x = step && this.pane.view.value(step, this.pane.sample, this.flat(cell.row, cell.column, cell.tile));
    this.output.dataset.pointed = "yes";
    this.output.textContent = `${this.place(cell)}: ${step ? written(x, 5) : "not computed yet"}`;
  }

  choose(event) { this.take(this.under(event)); }

  // Choose a number, and go to the step that computed it.
  take(cell) {
    if (this.panel.over_time) this.pane.unit = cell.row;
    else this.pane.own.set(this.panel, cell);
    this.cursor = undefined;
    const step = this.writer(cell.column) ?? this.writer(cell.column, Infinity);
    this.pane.scope.go(this.pane.position(step));
  }

  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }, move = moves[event.key];
    if (event.key === "Enter") this.take(this.chosen());
    else if (!move) return;
    else {
      const { row, column, tile } = this.chosen(), last = this.columns * this.tiles - 1;
      const along = clamp(tile * this.columns + column + move[1], 0, last);        // from one channel into the next
      const cell = { row: clamp(row + move[0], 0, this.rows - 1), column: along % this.columns,
                     tile: Math.floor(along / this.columns) };
      if (this.panel.over_time) [this.pane.unit, this.cursor] = [cell.row, cell.column];
      else this.pane.own.set(this.panel, cell);
      this.pane.refresh();
      this.say(cell);
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

// ---- the network ----

// One step of the layer, or what it computes: nodes and edges, of which an operation lights some.
class Picture {
  constructor(plain) {
    const nodes = Object.fromEntries(plain.nodes.map((one) => [one.name, one]));
    const width = (plain.width + 1) * COLUMN, height = (plain.height + 0.6) * ROW;
    this.root = node("svg:svg", { viewBox: `0 0 ${width} ${height}`, class: "picture", role: "img",
                                  "aria-label": plain.title });
    this.edges = plain.edges.map((edge) => this.root.appendChild(this.edge(edge, nodes)));
    this.above = this.root.appendChild(node("svg:g"));              // signs; lit edges lie below them and over all others
    for (const [x, y, sign] of plain.signs)
      this.above.append(node("svg:g", { class: "sign" },
                            node("svg:rect", { x: x * COLUMN - 5 - 4 * sign.length, y: y * ROW + 1, width: 10 + 8 * sign.length,
                                               height: 18, rx: 9 }),
                            node("svg:text", { x: x * COLUMN, y: y * ROW + 15 }, sign)));
    this.plain = plain;
    this.labels = Object.fromEntries(plain.nodes.map(({ name, label }) => [name, label]));
    this.nodes = Object.fromEntries(plain.nodes.map((one) => [one.name, this.root.appendChild(this.value(one))]));
    for (const { name, at } of plain.nodes) this.nodes[name].at = at[0] / plain.width;
  }

  half({ kind, label }) { return kind === "end" ? [9 + 4 * [...label].length, 11] : [18 + 3 * [...label].length, 17]; }

  edge({ start, end, path }, nodes) {
    const points = path.map(([x, y]) => [x * COLUMN, y * ROW + 10]);
    points[0] = this.cut(points[0], points[1], this.half(nodes[start]));
    points[points.length - 1] = this.cut(points.at(-1), points.at(-2), this.half(nodes[end]));
    const line = points.map((point) => point.join()).join(" ");
    const tip = (at, from) => {                                 // an arrowhead that ends at a point
      const [dx, dy] = [Math.sign(at[0] - from[0]), Math.sign(at[1] - from[1])];
      const back = [at[0] - 9 * dx, at[1] - 9 * dy];
      return `M${at}L${back[0] - 5 * dy},${back[1] - 5 * dx}L${back[0] + 5 * dy},${back[1] + 5 * dx}z`;
    };
    return node("svg:g", { class: "edge" }, node("svg:polyline", { points: line }),
                node("svg:path", { class: "tip there", d: tip(points.at(-1), points.at(-2)) }),
                node("svg:path", { class: "tip back", d: tip(points[0], points[1]) }));
  }

  cut(at, towards, [wide, high]) {
    const [dx, dy] = [Math.sign(towards[0] - at[0]), Math.sign(towards[1] - at[1])];
    return [at[0] + dx * wide, at[1] + dy * high];
  }

  value(one) {
    const [wide, high] = this.half(one), [x, y] = [one.at[0] * COLUMN, one.at[1] * ROW + 10];
    return node("svg:g", { class: `value ${one.kind}` },
                node("svg:rect", { x: x - wide, y: y - high, width: 2 * wide, height: 2 * high, rx: 7 }),
                node("svg:text", { x, y: y + 6 }, one.label));
  }

  light(step) {
    const { node: name, gets, gives } = step.what.light ?? { node: "", gets: [], gives: [] };
    this.root.classList.toggle("backward", step.phase === "backward");
    this.edges.forEach((edge, i) => {
      edge.classList.toggle("gets", gets.includes(i));
      edge.classList.toggle("gives", gives.includes(i));
      if (gets.includes(i) || gives.includes(i)) this.root.insertBefore(edge, this.above);
    });
    for (const [key, value] of Object.entries(this.nodes)) value.classList.toggle("on", key === name);
    this.root.setAttribute("aria-label", this.told(name, gets, gives));
  }

  // What is lit, in words.
  told(name, gets, gives) {
    const ends = (edges) => [...new Set(edges.flatMap((i) => [this.plain.edges[i].start, this.plain.edges[i].end]))]
      .filter((one) => one !== name).map((one) => this.labels[one]).join(", ");
    const from = ends(gets), to = ends(gives);
    return [`${this.plain.title}${name ? `, now at ${this.labels[name]}` : ""}`, from && `from ${from}`, to && `on to ${to}`]
      .filter(Boolean).join("; ");
  }
}

// The time steps of the layers side by side, as many as there is room for, the current one among them.
class Unrolled {
  constructor(pane) {
    this.pane = pane;
    this.layers = pane.view.layers.filter((layer) => layer.times > 0);
    this.root = node("svg:svg", { class: "unrolled", role: "group", "aria-label": "the network, unrolled over time" });
  }

  draw() {
    const width = (this.pane.width ||= this.pane.head.clientWidth) || 320, apart = 112, { step } = this.pane;
    const total = Math.max(...this.layers.map((layer) => layer.times));
    const shown = Math.min(total, Math.max(2, Math.floor((width - 40) / apart)));
    if (step.t >= 0) this.centre = step.t;
    const first = clamp((this.centre ?? 0) - Math.floor(shown / 2), 0, total - shown);
    const many = this.layers.length > 1, row = many ? 156 : 134, high = row * this.layers.length;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.dataset.at : undefined;
    this.root.replaceChildren();
    this.root.setAttribute("viewBox", `0 0 ${shown * apart + 40} ${high}`);
    this.root.style.maxWidth = `${shown * apart + 40}px`;
    this.layers.forEach((layer, i) => {
      for (let t = first; t < first + shown; t++)
        this.cell(layer, t, 20 + (t - first) * apart, row * i + (many ? 20 : 0), t === first + shown - 1);
      if (many) this.text("path", 4, row * i + 13, layer.path.split("/").at(-1));
    });
    if (first > 0) this.text("more", 9, 70, "…");
    if (first + shown < total) this.text("more", shown * apart + 31, 70, "…");
    if (focused) this.root.querySelector(`[data-at="${focused}"]`)?.focus();
  }

  text(kind, x, y, text) { this.root.append(node("svg:text", { class: kind, x, y }, text)); }

  cell(layer, t, x, y, isLast) {
    const { step, view, at } = this.pane, here = step.layer === layer && step.t === t, backward = step.phase === "backward";
    const lit = here ? this.lit(step) : {};
    const done = (phase) => view.steps.some((one) => one.index <= at && one.layer === layer && one.t === t && one.phase === phase);
    const states = layer.kind === "lstm" ? [["C", 54], ["h", 80]] : [["h", 67]];
    for (const [name, dy] of states)
      for (const side of ["left", "right"]) {
        const key = `${name}_${(side === "left") !== layer.backwards ? "prev" : "next"}`;
        if (side === "right" && !isLast && !lit[key]) continue;     // the next cell draws it
        if (side === "left" && this.isLitBefore(layer, t, name)) continue;
        const [from, to] = side === "left" ? [x > 20 ? x - 26 : x, x + 24] : [x + 86, isLast ? x + 112 : x + 136];
        this.arrow(from, y + dy, to, y + dy, lit[key], layer.backwards !== Boolean(backward && lit[key]));
        this.text("state", (from + to) / 2, y + dy - 5, name);
      }
    this.arrow(x + 55, y + 118, x + 55, y + 94, lit.x, backward && lit.x);
    this.arrow(x + 55, y + 40, x + 55, y + 18, lit.y, backward && lit.y);
    this.text("end", x + 55, y + 130, view.labels?.[t] === undefined ? "x" : `“${view.labels[t]}”`);
    this.text("end", x + 55, y + 13, "h");
    const ways = `${done("forward") ? "→" : "·"} ${done("backward") ? "←" : "·"}`;
    const go = () => this.pane.scope.go(this.pane.position(this.first(layer, t)));
    const onkeydown = (event) => {
      if (![" ", "Enter"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      go();
    };
    const which = this.layers.indexOf(layer), of = this.layers.length > 1 ? ` of ${layer.path.split("/").at(-1)}` : "";
    this.root.append(node("svg:g", { class: `step${here ? " on" : ""}${backward ? " backward" : ""}`, role: "button",
                                     tabindex: "0", "data-at": `${which}-${t}`, "aria-current": here ? "step" : false,
                                     "aria-label": `time step ${t}${of}`, onclick: go, onkeydown },
                          node("svg:rect", { x: x + 24, y: y + 40, width: 62, height: 54, rx: 9 }),
                          node("svg:text", { x: x + 55, y: y + 62 }, `t = ${t}`),
                          node("svg:text", { class: "done", x: x + 55, y: y + 82 }, ways)));
  }

  // Whether the cell to the left has drawn the edge between the two as lit.
  isLitBefore(layer, t, name) {
    const { step } = this.pane;
    if (step.layer !== layer || step.t !== t - 1) return false;
    return Boolean(this.lit(step)[`${name}_${layer.backwards ? "prev" : "next"}`]);
  }

  lit(step) {
    const { light } = step.what, picture = this.pane.view.pictures[step.layer.picture], found = {};
    if (!light || !picture) return found;
    for (const [kind, edges] of [["gets", light.gets], ["gives", light.gives]])
      for (const i of edges)
        for (const end of [picture.edges[i].start, picture.edges[i].end])
          if (["x", "y", "h_prev", "h_next", "C_prev", "C_next"].includes(end)) found[end] = kind;
    if (["h_prev", "C_prev", "x"].includes(light.node)) found[light.node] = "gives";
    return found;
  }

  arrow(x1, y1, x2, y2, lit, turned) {
    if (turned) [x1, y1, x2, y2] = [x2, y2, x1, y1];
    const [dx, dy] = [Math.sign(x2 - x1), Math.sign(y2 - y1)], back = [x2 - 8 * dx, y2 - 8 * dy];
    const tip = `M${x2},${y2}L${back[0] - 4 * dy},${back[1] - 4 * dx}L${back[0] + 4 * dy},${back[1] + 4 * dx}z`;
    const kind = `edge ${lit ?? ""}${this.pane.step.phase === "backward" && lit ? " backward" : ""}`;
    this.root.append(node("svg:g", { class: kind }, node("svg:polyline", { points: `${x1},${y1} ${x2},${y2}` }),
                          node("svg:path", { class: "tip there", d: tip })));
  }

  first(layer, t) {
    const { view, step } = this.pane;
    const of = (phase) => view.steps.find((one) => one.layer === layer && one.t === t && one.phase === phase);
    return of(step.phase) ?? of("forward");
  }
}

// ---- one network and where it is ----

class Pane {
  constructor(scope, plain) {
    this.scope = scope;
    this.view = new View(plain);
    this.at = 0;
    this.sample = this.unit = 0;
    this.own = new Map();
    this.build();
    const map = this.maps.find(({ panel }) => panel.over_time && panel.phase === "backward");
    if (map) this.unit = map.strongest();
  }

  get theme() { return this.scope.theme; }
  get step() { return this.view.steps[this.at]; }
  position(step) { return step ? this.scope.positionOf(this, step.index) : this.scope.now; }

  build() {
    const { view } = this;
    this.pictures = view.pictures.map((plain) => new Picture(plain));
    this.unrolled = new Unrolled(this);
    this.where = node("p", { class: "where" });
    const { two } = this.scope, [first, second] = two ? ["h3", "h4"] : ["h2", "h3"];
    this.title = node(first, { class: "title", tabindex: "-1" });
    this.sentence = node("p", { class: "sentence", "aria-live": "polite" });
    this.difference = node("p", { class: "difference", "aria-live": "polite", hidden: true });
    this.formula = node("div", { class: "formula" });
    this.figures = node("div", { class: "figures", role: "group", "aria-label": "the formula with its numbers" });
    this.ledger = node("div", { class: "ledger" });
    this.code = node("div", { class: "code" });
    this.main = node("div", { class: "main" });
    this.network = node("div", { class: "network" });
    this.table = node("details", { class: "table", ontoggle: () => this.fillTable() },
                      node("summary", {}, "these numbers as a table"));
    this.gallery = node("div", { class: "gallery" });
    this.maps = view.panels.map((panel, i) => new HeatMap(this, panel, i));
    this.larger = view.panels.map((panel, i) => new HeatMap(this, panel, i, true));
    for (const [phase, text] of [["forward", "values, forward"], ["backward", "gradients, backward"]])
      view.layers.forEach((layer, i) => {
        const found = this.maps.filter((map) => map.panel.phase === phase && map.panel.layer === i);
        if (!found.length) return;
        this.gallery.append(node(second, { class: "phase" }, view.layers.length > 1 && layer.path ? `${layer.path}: ${text}` : text),
                            node("div", { class: "maps" }, found.map((map) => map.box)));
      });
    this.head = node("div", { class: "head" }, this.unrolled.layers.length ? this.unrolled.root : null);
    const columns = node("div", { class: "columns" }, node("div", {}, this.network, this.code),
      node("div", {}, this.title, this.sentence, this.difference, this.formula, this.figures, this.ledger, this.main, this.table));
    this.root = node("section", { class: "pane", "aria-label": two ? view.title : false }, two ? node("h2", {}, view.title) : null, this.where, this.head,
                     columns, this.gallery,
                     view.left_out.length ? node("p", { class: "where" }, `Too large for a page: ${view.left_out.join(", ")}`) : null);
  }

  samples() {
    const { view } = this;
    if (view.samples < 2 || !view.operations.some((what) => what.batched)) return null;
    const choose = (event) => { this.sample = Number(event.target.value); this.scope.refresh(); };
    const options = Array.from({ length: view.samples }, (_, i) => node("option", { value: i }, String(i)));
    return node("label", {}, "sample ", node("select", { onchange: choose }, options));
  }

  show(at) {
    this.at = at;
    for (const map of [...this.maps, ...this.larger]) map.cursor = undefined;
    const { panel, focus } = this.step;
    const { row, tile } = this.own.get(panel) ?? { row: 0, tile: 0 };
    if (focus) this.own.set(panel, { row: focus[0] ?? row, column: focus[1], tile });
    this.refresh();
  }

  refresh() {
    const { view, step } = this;
    this.flat = this.flatChosen();
    const time = step.t < 0 ? "" : ` · t = ${step.t}${step.layer.times ? ` of 0 … ${step.layer.times - 1}` : ""}`;
    this.where.textContent = `${step.phase}${time}${view.layers.length > 1 && step.layer.path ? ` · ${step.layer.path}` : ""}` +
      (step.place ? ` · ${step.place}` : "");
    this.root.dataset.phase = step.phase;
    this.title.replaceChildren(math(view.formulas[step.panel.label]),
                               step.t < 0 ? "" : node("span", { class: "time" }, `[${step.t}]`),
                               node("span", { class: "words" }, step.panel.words),
                               node("span", { class: "mark" }, step.what.equation));
    this.sentence.textContent = this.said();
    this.formula.replaceChildren(step.what.formula < 0 ? "" : math(view.formulas[step.what.formula]));
    this.figures.replaceChildren(...this.numbers());
    this.fillLedger();
    this.fillCode();
    this.fillNetwork();
    const large = this.larger[view.panels.indexOf(step.panel)];
    if (this.main.firstChild !== large.box) this.main.replaceChildren(large.box);
    large.paint();
    for (const map of this.maps) map.paint();
    this.fillTable();
    cancelAnimationFrame(this.scrolling);
    this.scrolling = requestAnimationFrame(() => this.scroll());
  }

  flatChosen() {
    const map = this.larger[this.view.panels.indexOf(this.step.panel)], { row, column, tile } = map.chosen();
    return map.flat(row, map.panel.over_time ? this.step.t : column, tile);
  }

  placeChosen() {
    const { what, panel } = this.step, map = this.larger[this.view.panels.indexOf(panel)];
    const sample = what.batched ? `sample ${this.sample}, ` : "";
    return sample + (panel.over_time ? `unit ${this.flat}` : map.place(map.chosen()));
  }

  said() {
    const { view, step, sample, flat } = this, { words, phase } = step.panel;
    const time = `${step.t < 0 ? "" : `, time step ${step.t}`}${step.place ? `, ${step.place}` : ""}`, value = written(view.value(step, sample, flat));
    const parts = step.what.parts.map((part, k) => `${written(view.part(step, k, sample, flat))} by ${part.by}`);
    const sum = parts.length ? ` = ${parts.join(" + ").replaceAll("+ −", "− ")}` : "";
    return `${phase === "forward" ? "Forward" : "Backward"}${time}: ${words || step.name}. ` +
      `At ${this.placeChosen()} it is ${value}${sum}.${this.saidOfMask()}`;
  }

  isMasked(layer, t) { return layer.masked?.[this.sample]?.includes(t) ?? false; }

  saidOfMask() {
    const { step, sample } = this;
    if (!this.isMasked(step.layer, step.t)) return "";
    const what = step.phase === "forward" ? "what is computed here is thrown away, the state before stays"
      : "what arrives goes on to the step before as it is, and nothing goes to the weights and the input";
    return ` Sample ${sample} is masked here: ${what}.`;
  }

  // The formula with numbers in the place of its letters.
  numbers() {
    const { view, step, sample, flat } = this;
    if (step.what.tree === null || !this.isInFocus()) return [];
    const value = view.value(step, sample, flat);
    return [node("span", { class: "whole" }, this.number(value, view.label(step))), " = ", ...this.spelled(step.what.tree, 0),
            node("p", { class: "place" }, `at ${this.placeChosen()}; click a number of a map to choose another, or one here to go ` +
                                          "where it was computed")];
  }

  // A window's formula is about the place that it fills.
  isInFocus() {
    const { focus, panel, what } = this.step, { row, column } = this.larger[this.view.panels.indexOf(panel)].chosen();
    return !focus || !what.blank || (row === (focus[0] ?? row) && column === focus[1]);
  }

  number(x, name, origin) {
    const inside = [node("b", {}, x === undefined ? "…" : written(x)), node("i", {}, name)];
    if (!origin) return node("span", { class: "number" }, inside);
    return node("button", { class: "number", type: "button", title: `computed in step ${this.position(origin) + 1}`,
                            onclick: () => { this.scope.go(this.position(origin)); this.title.focus(); } }, inside);
  }

  spelled(tree, least) {
    const { view, step, sample, flat } = this;
    if (typeof tree === "number") return [written(tree)];
    const given = tree;
    if (tree[0] === "channel" && typeof tree[1] === "string") tree = tree[1];
    if (typeof tree === "string") {
      const x = view.compute(step, given, sample, flat);
      const shown = this.number(x, tree, x === undefined ? undefined : view.origin(step, tree));
      return x < 0 && least > 1 ? ["(", shown, ")"] : [shown];
    }
    const [operation, a, ...others] = tree, [b] = others, level = { "+": 1, "-": 1, "*": 2, "/": 2, neg: 2, "^": 3, "@": 2 }[operation];
    if (operation === "@") return this.dot(tree);
    if (level === undefined)
      return [{ sigmoid: "σ" }[operation] ?? operation, "(", ...this.spelled(a, 0),
              ...others.flatMap((part) => [", ", ...this.spelled(part, 0)]), ")"];
    const inside = operation === "neg" ? ["−", ...this.spelled(a, 3)]
      : operation === "^" ? [...this.spelled(a, 4), node("sup", {}, ...this.spelled(b, 0))]
      : [...this.spelled(a, level), { "+": " + ", "-": " − ", "*": " · ", "/": " / " }[operation],
         ...this.spelled(b, operation === "-" || operation === "/" ? level + 1 : level)];
    return level < least ? ["(", ...inside, ")"] : inside;
  }

  dot(tree) {
    const { view, step, sample, flat } = this, target = view.rest(step.what.shape, step.what.batched);
    const terms = view.terms(step, tree, sample, flat, target);
    const [left, right] = tree.slice(1).map(plainly);
    if (!terms.length) return [this.number(undefined, `${left} ${right}`)];
    const sum = terms.reduce((all, [a, b]) => all + a * b, 0), most = 3;
    const factor = (x) => (x < 0 ? `(${written(x, 3)})` : written(x, 3));
    const few = terms.slice(0, most).map(([a, b]) => `${factor(a)}·${factor(b)}`).join(" + ");
    const title = `${few}${terms.length > most ? ` + … (${terms.length} products)` : ""}`;
    return [node("span", { class: "number dot" }, node("b", {}, written(sum)), node("i", {}, `${left} ${right} = ${title}`))];
  }

  // What a gradient, or another sum, is the sum of.
  fillLedger() {
    const { view, step, sample, flat } = this, { parts } = step.what;
    this.ledger.replaceChildren();
    if (!parts.length) return;
    const size = product(view.rest(step.what.shape, step.what.batched));
    const rows = parts.map((part, k) => ({ part, here: view.part(step, k, sample, flat),
                                           norm: this.norm(size, (i) => view.part(step, k, sample, i)) }));
    const most = Math.max(...rows.map((row) => Math.abs(row.here ?? 0)), 1e-30);
    const line = ({ here, norm }, name, kind) => node("tr", { class: kind }, node("th", { scope: "row" }, name),
      node("td", {}, written(here)), node("td", { class: "bar" }, kind ? null : this.bar((here ?? 0) / most)),
      node("td", {}, written(norm)));
    const whole = { here: view.value(step, sample, flat), norm: this.norm(size, (i) => view.value(step, sample, i)) };
    const heads = ["through", `at ${this.placeChosen()}`, "", "norm"].map((text) => node("th", { scope: "col" }, text));
    const named = ({ formula, by }) => [math(view.formulas[formula]), node("small", {}, by)];
    this.ledger.append(node("table", {}, node("caption", {}, `${view.label(step)} is the sum of`),
      node("thead", {}, node("tr", {}, heads)),
      node("tbody", {}, rows.map((row) => line(row, named(row.part), "")), line(whole, "together", "whole"))));
  }

  norm(size, read) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (read(i) ?? NaN) ** 2;
    return Math.sqrt(sum);
  }

  bar(share) {
    const wide = 50 * Math.abs(share), left = share < 0 ? 50 - wide : 50;
    return node("svg:svg", { viewBox: "0 0 100 14", class: share < 0 ? "negative" : "positive", "aria-hidden": "true" },
                node("svg:line", { x1: 50, x2: 50, y1: 0, y2: 14 }),
                node("svg:rect", { x: left, y: 2, width: wide, height: 10 }),
                node("svg:text", { x: share < 0 ? 54 : 40, y: 11 }, share < 0 ? "−" : "+"));
  }

  fillCode() {
    const { code } = this.step.what;
    if (!code) return this.code.replaceChildren();
    const [which, line] = code, { path, name, first, lines } = this.view.functions[which];
    if (this.shownCode !== which) {
      this.shownCode = which;
      this.listing = node("ol", { start: first }, lines.map((text) => node("li", {}, node("code", {}, text || " "))));
      this.codeName = node("summary", {});
      const listing = node("div", { class: "listing", tabindex: "0", role: "region", "aria-label": "code" }, this.listing);
      this.code.replaceChildren(node("details", { open: true }, this.codeName, listing));
    } else if (!this.code.firstChild) this.code.append(this.listing.closest("details"));
    this.codeName.replaceChildren(`${path}, line ${first + line}: `, node("code", {}, name));
    for (const one of this.listing.querySelectorAll(".on")) { one.classList.remove("on"); one.removeAttribute("aria-current"); }
    const lit = this.listing.children[line];
    lit?.classList.add("on");
    lit?.setAttribute("aria-current", "true");
  }

  // What is lit is brought into sight, inside its own box only: after everything else, since each question takes a layout.
  scroll() {
    const box = this.listing?.parentNode, line = this.listing?.querySelector(".on");
    const lit = this.pictures[this.step.layer.picture]?.nodes[this.step.what.light?.node]?.at;
    const hidden = this.network.scrollWidth - this.network.clientWidth;
    const top = line && box.scrollHeight > box.clientHeight ? line.offsetTop - box.clientHeight / 2 : 0;
    if (line) box.scrollTop = top;
    if (lit && hidden > 0) this.network.scrollLeft = hidden * lit;
  }

  fillNetwork() {
    if (this.unrolled.layers.length) this.unrolled.draw();
    const picture = this.pictures[this.step.layer.picture];
    if (!picture) return this.fillPatches();
    if (this.network.firstChild !== picture.root) this.network.replaceChildren(picture.root, this.legend());
    picture.light(this.step);
  }

  // In the place of a picture the arrays in which the step outlines a patch.
  fillPatches() {
    const { marks, panel } = this.step, marked = [...new Set(marks.map(([i]) => i))].map((i) => this.larger[i]);
    const maps = marked.filter((map) => map.panel !== panel);
    this.network.replaceChildren(...maps.map((map) => map.box));
    for (const map of maps) map.paint();
  }

  legend() {
    return node("p", { class: "legend" }, node("span", { class: "key gets" }, "what it is made from"),
                node("span", { class: "key gives" }, "where it goes"),
                node("span", {}, "solid: values go forward · dashed: gradients come back"));
  }

  fillTable() {
    if (!this.table.open) return;
    const map = this.larger[this.view.panels.indexOf(this.step.panel)], values = map.values(), wide = map.columns * map.tiles;
    const columns = values.length > SMALL && this.step.t >= 0 ? [this.step.t] : [...Array(Math.min(wide, SMALL)).keys()];
    const rows = [...Array(Math.min(map.rows, 500)).keys()], over = !map.panel.axes && (map.panel.over_time || map.panel.turned);
    const head = node("tr", {}, node("td", {}), columns.map((c) => node("th", { scope: "col" }, over ? `t ${c}` : String(c))));
    const number = (x) => node("td", {}, x === undefined ? "" : written(x));
    const body = rows.map((r) => node("tr", {}, node("th", { scope: "row" }, over ? `unit ${r}` : String(r)),
                                      columns.map((c) => number(values[r * wide + c]))));
    const caption = `${this.step.name}${this.step.what.batched ? `, sample ${this.sample}` : ""}`;
    const table = node("table", {}, node("caption", {}, caption), node("thead", {}, head), node("tbody", {}, body));
    this.table.replaceChildren(this.table.firstChild, node("div", { class: "wide", tabindex: "0", role: "region",
                                                                     "aria-label": "table" }, table));
  }
}

// ---- the controls, for one network or for two ----

class Scope {
  constructor(plain, root, isPage) {
    this.root = root;
    this.isPage = isPage;
    this.two = Boolean(plain.panes);
    this.title = plain.title;
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.theme = this.themeAround();
    this.panes = (plain.panes ?? [plain]).map((one) => new Pane(this, one));
    this.pairs = plain.pairs ?? plain.steps.map((_, i) => [i]);
    this.differences = plain.differences ?? [];
    this.now = 0;
    this.build();
    this.listen();
  }

  get length() { return this.pairs.length; }

  positionOf(pane, index) {
    const which = this.panes.indexOf(pane), found = this.pairs.findIndex((pair) => pair[which] === index);
    return found < 0 ? this.now : found;
  }

  build() {
    const button = (text, label, act) => node("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    this.play = button("▶", "play (space)", () => this.toggle());
    this.slider = node("input", { type: "range", min: 0, max: this.length - 1, value: 0, "aria-label": "step",
                                  oninput: () => this.go(Number(this.slider.value)) });
    this.count = node("output", { class: "count", "aria-live": "off" });
    this.shade = button("", "light or dark", () => this.setTheme(this.theme === "dark" ? "light" : "dark"));
    const first = () => this.go(this.differences[0]);
    this.bar = node("div", { class: "bar", role: "group", "aria-label": "controls" },
      button("⇤", "first step (Home)", () => this.go(0)),
      button("←", "step back (left arrow)", () => this.go(this.now - 1)), this.play,
      button("→", "step on (right arrow)", () => this.go(this.now + 1)),
      button("⇥", "last step (End)", () => this.go(this.length - 1)),
      node("div", { class: "slide" }, this.slider, this.strip()), this.count, this.panes[0].samples(),
      this.differences.length ? node("button", { type: "button", class: "first", onclick: first }, "first difference") : null,
      this.shade);
    const keys = node("details", { class: "keys" }, node("summary", {}, "keys"),
      node("p", {}, "← → one step, Page Up and Page Down a time step, Home and End, space to play. " +
                    "On a map: arrow keys choose a number, Enter shows how it was computed."));
    const panes = node("div", { class: `panes${this.two ? " two" : ""}` }, this.panes.map((pane) => pane.root));
    this.root.classList.add("microscope");
    this.root.append(node("h1", {}, this.title), this.bar, keys, panes);
    this.setTheme(this.theme);
  }

  // Under the slider: which part is forward and which backward, and where the two networks differ.
  strip() {
    const { steps } = this.panes[0].view, forward = this.pairs.filter(([i]) => steps[i].phase === "forward").length;
    const made = node("div", { class: "phases", "aria-hidden": "true" }, node("span", { class: "forward" }, "forward"),
                      node("span", { class: "backward" }, "backward"));
    made.children[0].style.flexGrow = forward;
    made.children[1].style.flexGrow = this.length - forward;
    for (const at of this.differences.slice(0, 200)) {
      const mark = node("i", { title: `differs in step ${at + 1}` });
      mark.style.left = `${100 * at / Math.max(1, this.length - 1)}%`;
      made.append(mark);
    }
    return made;
  }

  listen() {
    this.onkey = (event) => this.key(event);
    this.onhash = () => this.read();
    this.onscheme = () => this.setTheme(this.themeAround());
    this.onmessage = ({ source, data }) => {
      if (source === window.parent && source !== window && ["light", "dark"].includes(data?.theme)) this.setTheme(data.theme);
    };
    this.around = new MutationObserver(this.onscheme);
    (this.isPage ? document : this.root).addEventListener("keydown", this.onkey);
    if (this.isPage) window.addEventListener("hashchange", this.onhash);
    if (this.isPage) window.addEventListener("message", this.onmessage);
    else this.around.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
    this.scheme.addEventListener("change", this.onscheme);
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.root);
    for (const pane of this.panes) this.swipe(pane.head);
  }

  swipe(box) {
    let from = null;
    box.addEventListener("touchstart", ({ touches }) => { from = touches.length === 1 ? touches[0].clientX : null; },
                         { passive: true });
    box.addEventListener("touchend", (event) => {
      const moved = from === null ? 0 : event.changedTouches[0].clientX - from;
      if (Math.abs(moved) > 40) this.go(this.now + (moved < 0 ? 1 : -1));
    });
  }

  close() {
    clearInterval(this.timer);
    this.sizes.disconnect();
    (this.isPage ? document : this.root).removeEventListener("keydown", this.onkey);
    window.removeEventListener("hashchange", this.onhash);
    window.removeEventListener("message", this.onmessage);
    this.around.disconnect();
    this.scheme.removeEventListener("change", this.onscheme);
  }

  // Light or dark as the page around it, where that says so: JupyterLab and VS Code do. Else as the system.
  themeAround() {
    const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
    if (!this.isPage && jpThemeLight) return jpThemeLight === "true" ? "light" : "dark";
    if (!this.isPage && vscodeThemeKind) return vscodeThemeKind.includes("light") ? "light" : "dark";
    return this.scheme.matches ? "dark" : "light";
  }

  setTheme(theme) {
    this.theme = theme;
    this.root.dataset.theme = theme;
    if (this.isPage) document.documentElement.dataset.theme = theme;
    this.shade.textContent = theme === "dark" ? "☀ light" : "☾ dark";
    this.refresh();
  }

  resized() {
    const width = this.root.clientWidth;
    if (width === this.width) return;
    this.width = width;
    for (const pane of this.panes) {
      for (const map of [...pane.maps, ...pane.larger]) [map.drawn, map.width] = ["", 0];
      pane.width = 0;
      pane.refresh();
    }
  }

  refresh() {
    if (!this.ready) return;
    for (const pane of this.panes) {
      pane.sample = Math.min(this.panes[0].sample, pane.view.samples - 1);
      pane.refresh();
    }
    this.compare();
  }

  start() {
    this.ready = true;
    this.now = -1;
    if (!this.isPage || !this.read()) this.go(this.first ?? 0);
  }

  // #step=12 counts from 1, as the page does.
  read() {
    const wanted = Number(new URLSearchParams(location.hash.slice(1)).get("step"));
    if (!Number.isInteger(wanted) || wanted < 1) return false;
    if (wanted - 1 !== this.now) this.go(wanted - 1);
    return true;
  }

  go(wanted) {
    const now = clamp(wanted, 0, this.length - 1);
    this.now = now;
    this.panes.forEach((pane, i) => pane.show(this.pairs[now][i]));
    this.slider.value = now;
    this.count.textContent = `step ${now + 1} of ${this.length}`;
    const [{ where, view, step }] = this.panes;
    this.slider.setAttribute("aria-valuetext", `${now + 1} of ${this.length}: ${where.textContent}, ${view.label(step)}`);
    Object.assign(this.root.dataset, { step: now + 1, phase: step.phase });
    if (this.isPage) history.replaceState(null, "", `#step=${now + 1}`);
    this.told?.(now + 1);
    if (now === this.length - 1) this.stop();
    this.compare();
  }

  // Of two networks that compute the same: how far the right one's value is from the left one's.
  compare() {
    if (!this.two) return;
    const [left, right] = this.panes, [a, b] = [left.step, right.step];
    right.difference.hidden = !this.differences.includes(this.now);
    if (right.difference.hidden) return;
    const size = product(left.view.rest(a.what.shape, a.what.batched));
    let [most, where] = [-1, 0];
    for (let i = 0; i < size; i++) {
      const apart = Math.abs(left.view.value(a, left.sample, i) - right.view.value(b, right.sample, i));
      if (apart > most) [most, where] = [apart, i];
    }
    const first = this.now === this.differences[0] ? "The first step that differs: " : "Differs: ";
    const [ours, theirs] = [left.view.value(a, left.sample, where), right.view.value(b, right.sample, where)];
    right.difference.textContent = `${first}by ${written(most)} at most in this sample, at [${where}]: ` +
      `${written(ours)} on the left, ${written(theirs)} here.`;
  }

  // To where another time step, layer or phase begins.
  jump(by) {
    const group = (i) => {
      const { phase, t, layer } = this.panes[0].view.steps[this.pairs[i][0]];
      return `${phase} ${t} ${layer.path}`;
    };
    let at = this.now;
    if (by > 0) {
      while (at < this.length - 1 && group(at) === group(this.now)) at++;
    } else if (at > 0) {
      at--;
      while (at > 0 && group(at - 1) === group(at)) at--;
    }
    this.go(at);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { tagName } = event.target, inSlider = event.target === this.slider;
    const acts = { PageDown: () => this.jump(1), PageUp: () => this.jump(-1) };
    const steps = { ArrowRight: () => this.go(this.now + 1), ArrowLeft: () => this.go(this.now - 1), Home: () => this.go(0),
                    End: () => this.go(this.length - 1) };
    if (!inSlider && tagName !== "SELECT") Object.assign(acts, steps);
    if (!["BUTTON", "SELECT", "SUMMARY"].includes(tagName)) acts[" "] = () => this.toggle();
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
  }

  toggle() {
    if (this.timer) return this.stop();
    if (this.now === this.length - 1) this.go(0);
    this.timer = setInterval(() => this.go(this.now + 1), 700);
    this.announce("off");                                        // else one step would be read into the other
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-label", "pause (space)");
  }

  announce(how) {
    for (const pane of this.panes) for (const one of [pane.sentence, pane.difference]) one.setAttribute("aria-live", how);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.announce("polite");
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "play (space)");
  }
}

// `model` holds the view, and the step where it opens, from 1; as a widget it is told of each step.
function render({ model, el }, isPage = false) {
  const scope = new Scope(model.get("view"), el, isPage);
  scope.first = (model.get("step") ?? 1) - 1;
  el.microscope = scope;                                         // for whoever wants to move it from a script
  if (!isPage) {
    el.tabIndex = 0;
    el.dataset.lmSuppressShortcuts = "true";                     // Jupyter would take the arrow keys
    scope.told = (step) => { model.set("step", step); model.save_changes(); };
    model.on("change:step", () => { if (model.get("step") - 1 !== scope.now) scope.go(model.get("step") - 1); });
  }
  requestAnimationFrame(() => scope.start());
  return () => scope.close();
}

export default { render };
