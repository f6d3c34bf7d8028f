// A transposed convolution by hand: n x n inputs, all 1, each laid out as a k x k kernel every s cells, p cut off around.
// Output size (n - 1) s - 2 p + k: Dumoulin, Visin 2016, chapter 4. Uneven overlap as checkerboard: Odena et al. 2016.

const INPUTS = 5, CELL = 34;
const PRESETS = {
  "As FCN starts: 2, 4, 1": { s: 2, k: 4, p: 1, kind: "bilinear" },
  "Checkerboard: 2, 3, 0": { s: 2, k: 3, p: 0, kind: "ones" },
  "Blocks: 3, 3, 0": { s: 3, k: 3, p: 0, kind: "ones" },
  "Gaps: 3, 2, 0": { s: 3, k: 2, p: 0, kind: "ones" },
  "A stride of 1: 1, 3, 1": { s: 1, k: 3, p: 1, kind: "ones" },
};
const KINDS = { bilinear: "bilinear", ones: "all ones" };
const LIMITS = { s: [1, 4], k: [1, 8], p: [0, 3] };
const NAMES = { s: "Stride", k: "Kernel", p: "Padding" };

// One side of the kernel: the outer product of two is the kernel.
function side({ k, s, kind }) {
  if (kind === "ones") return Array(k).fill(1);
  const middle = (k - 1) / 2, reach = Math.max(k / 2, 0.5 + 1e-9); // a tent as wide as the kernel
  const tent = Array.from({ length: k }, (_, i) => 1 - Math.abs(i - middle) / reach);
  const total = tent.reduce((sum, value) => sum + value, 0);
  return tent.map((value) => (value * s) / total); // so that what is even stays as it is
}

class Toy {
  constructor(root) {
    this.state = { ...Object.values(PRESETS)[0] };
    this.spot = null;
    this.presets = make("span", { role: "group", "aria-label": "Examples" }, ...Object.entries(PRESETS).map(([name, preset]) =>
      make("button", { type: "button", onclick: () => this.set(preset) }, name)));
    this.sliders = Object.fromEntries(Object.keys(LIMITS).map((key) => {
      const input = make("input", { type: "range", min: LIMITS[key][0], max: LIMITS[key][1], "aria-label": NAMES[key], oninput: () => this.set({ [key]: Number(input.value) }) });
      return [key, { input, value: make("output", {}) }];
    }));
    this.kinds = make("span", { role: "group", "aria-label": "Kernel values" }, ...Object.entries(KINDS).map(([kind, name]) =>
      make("button", { type: "button", "data-kind": kind, onclick: () => this.set({ kind }) }, name)));
    this.given = make("canvas", { tabindex: "0", role: "img" });
    this.made = make("canvas", { tabindex: "0", role: "img" });
    this.givenSaid = make("figcaption", {});
    this.madeSaid = make("figcaption", {});
    this.told = make("p", { class: "told", "aria-live": "polite" });
    this.verdict = make("p", { class: "verdict", "aria-live": "polite" });
    root.replaceChildren(
      make("div", { class: "row" }, this.presets),
      make("div", { class: "row" }, ...Object.entries(this.sliders).map(([key, { input, value }]) => make("label", {}, NAMES[key], input, value)), this.kinds),
      make("div", { class: "grids" }, make("figure", {}, this.givenSaid, this.given), make("figure", {}, this.madeSaid, this.made)),
      this.told, this.verdict,
    );
    for (const [canvas, of] of [[this.given, "input"], [this.made, "output"]]) {
      const point = (event) => this.point(canvas, of, event);
      canvas.addEventListener("pointermove", point);
      canvas.addEventListener("pointerdown", point);
      canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.point(canvas, of, null));
      canvas.addEventListener("keydown", (event) => this.key(of, event));
    }
    this.set({});
  }

  get size() {
    const { s, k, p } = this.state;
    return (INPUTS - 1) * s - 2 * p + k;
  }

  set(changes) {
    const next = { ...this.state, ...changes };
    next.p = Math.min(next.p, Math.floor((next.k - 1) / 2)); // more would cut off whole inputs
    this.state = next;
    this.spot = null;
    this.kernel = side(next);
    for (const [key, { input, value }] of Object.entries(this.sliders)) {
      input.value = next[key];
      value.textContent = next[key];
    }
    for (const button of this.kinds.children) button.setAttribute("aria-pressed", String(button.dataset.kind === next.kind));
    [...this.presets.children].forEach((button, i) => {
      const preset = Object.values(PRESETS)[i];
      button.setAttribute("aria-pressed", String(Object.keys(preset).every((key) => preset[key] === next[key])));
    });
    this.draw();
  }

  point(canvas, of, event) {
    if (!event) this.spot = null;
    else {
      const box = canvas.getBoundingClientRect(), count = of === "input" ? INPUTS : this.size;
      const place = (value, from, length) => Math.min(count - 1, Math.max(0, Math.floor(((value - from) / length) * count)));
      this.spot = { of, x: place(event.clientX, box.left, box.width), y: place(event.clientY, box.top, box.height) };
    }
    this.draw();
  }

  key(of, event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const count = of === "input" ? INPUTS : this.size, from = this.spot?.of === of ? this.spot : { x: 0, y: 0 };
    const within = (value) => Math.min(count - 1, Math.max(0, value));
    this.spot = { of, x: within(from.x + by[0]), y: within(from.y + by[1]) };
    this.draw();
  }

  // Along one side: [input, place in the kernel] of every input that reaches an output.
  reached(output) {
    const { s, p, k } = this.state, found = [];
    for (let i = 0; i < INPUTS; i++) {
      const tap = output + p - i * s;
      if (tap >= 0 && tap < k) found.push([i, tap]);
    }
    return found;
  }

  along(output) {
    return this.reached(output).reduce((sum, [, tap]) => sum + this.kernel[tap], 0);
  }

  draw() {
    const { s, k, p } = this.state, { size, spot } = this;
    const values = Array.from({ length: size }, (_, i) => this.along(i));
    const counts = Array.from({ length: size }, (_, i) => this.reached(i).length);
    const touching = (x, y) => {
      if (!spot) return false;
      if (spot.of === "input") return spot.x === x && spot.y === y;
      return this.reached(spot.x).some(([i]) => i === x) && this.reached(spot.y).some(([i]) => i === y);
    };
    const touched = (x, y) => {
      if (!spot) return false;
      if (spot.of === "output") return spot.x === x && spot.y === y;
      return this.reached(x).some(([i]) => i === spot.x) && this.reached(y).some(([i]) => i === spot.y);
    };
    const most = Math.max(...values) ** 2;
    this.grid(this.given, INPUTS, CELL + 10, () => 1, touching, () => "1");
    const cell = Math.max(12, Math.min(CELL, Math.floor(520 / size)));
    const label = (x, y) => (cell >= 24 ? String(Number((values[x] * values[y]).toFixed(2))) : "");
    this.grid(this.made, size, cell, (x, y) => (values[x] * values[y]) / most, touched, label);
    this.givenSaid.textContent = `Input, ${INPUTS} × ${INPUTS}, all 1`;
    this.madeSaid.textContent = `Output, ${size} × ${size} = (${INPUTS} − 1) · ${s} − 2 · ${p} + ${k}`;
    this.tell();
    const inner = [...Array(size).keys()].filter((i) => Math.ceil((i + p - k + 1) / s) >= 0 && Math.floor((i + p) / s) < INPUTS);
    this.verdict.textContent = this.judge(inner.map((i) => counts[i]), inner.map((i) => values[i]));
  }

  // What is to be said of the outputs that the border does not change: how many inputs reach them, and their values, along one side.
  judge(counts, values) {
    const { k, s } = this.state, least = Math.min(...counts), most = Math.max(...counts);
    if (!counts.length) return "The kernel is so large that the border changes every output of this small grid.";
    if (least === 0) return "The kernel is smaller than the stride: some outputs are reached by no input at all.";
    const even = Math.max(...values) - Math.min(...values) < 1e-6;
    const inputs = (n) => `${n} input${n === 1 ? "" : "s"}`;
    if (k % s) {
      const end = even ? "These kernel values make up for it." : "Equal inputs give unequal outputs: a checkerboard.";
      return `${k} is no multiple of ${s}: away from the border, outputs are reached by ${least ** 2} to ${inputs(most ** 2)}. ${end}`;
    }
    return `${k} is a multiple of ${s}: away from the border, every output is reached by ${inputs(most ** 2)}${even ? ", and equal inputs give equal outputs" : ""}.`;
  }

  tell() {
    const { spot } = this, { k } = this.state;
    if (!spot) this.told.textContent = "Point at an output to see which inputs reach it; point at an input to see where its kernel is laid. Every input, multiplied by the kernel, is laid down every stride cells; where kernels overlap they are added.";
    else if (spot.of === "input") this.told.textContent = `Input (${spot.x}, ${spot.y}) is multiplied by the ${k} × ${k} kernel and added to these outputs.`;
    else {
      const terms = this.reached(spot.y).flatMap(([j, v]) => this.reached(spot.x).map(([i, u]) => `${Number((this.kernel[u] * this.kernel[v]).toFixed(4))} · input (${i}, ${j})`));
      this.told.textContent = terms.length ? `Output (${spot.x}, ${spot.y}) = ${terms.join(" + ")}` : `No input reaches output (${spot.x}, ${spot.y}).`;
    }
  }

  grid(canvas, count, cell, bright, marked, label) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(count * cell * ratio);
    canvas.style.width = `${count * cell}px`;
    const ctx = canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.font = `${Math.min(13, cell * 0.36)}px sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let y = 0; y < count; y++) {
      for (let x = 0; x < count; x++) {
        const value = bright(x, y);
        ctx.fillStyle = `hsl(174 ${Math.round(20 + 45 * value)}% ${Math.round(12 + 48 * value)}%)`;
        ctx.fillRect(x * cell, y * cell, cell - 1, cell - 1);
        ctx.fillStyle = value > 0.65 ? "#06201d" : "#e6fffb";
        ctx.fillText(label(x, y), (x + 0.5) * cell, (y + 0.5) * cell);
      }
    }
    ctx.strokeStyle = "#ffb703";
    ctx.lineWidth = 2.5;
    for (let y = 0; y < count; y++) for (let x = 0; x < count; x++) if (marked(x, y)) ctx.strokeRect(x * cell + 1, y * cell + 1, cell - 3, cell - 3);
  }
}

export default function ({ parentElement }) {
  const root = parentElement.querySelector(".toy");
  root.toy ??= new Toy(root);
}
