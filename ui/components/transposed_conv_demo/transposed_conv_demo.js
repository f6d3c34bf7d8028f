// An interactive transposed convolution: two grids, and sliders for the settings.

import { componentRoot, context2d, createElement } from "../dom.js";
import { cellInBox, clamp } from "../geometry.js";
import { contributions, INPUTS, kernelSide, limitedPadding, outputSide, outputSize, verdict } from "./arithmetic.js";

/** @import { Contribution, KernelKind, Settings } from "./arithmetic.js" */

/** @typedef {"input" | "output"} Side */
/** @typedef {{ side: Side, x: number, y: number }} Spot The cell under the pointer. */
/** @typedef {"stride" | "kernel" | "padding"} SliderKey */

/**
 * What a grid shows of each of its cells.
 *
 * @typedef {object} Cells
 * @property {number} count along one side
 * @property {number} size of a cell, in CSS pixels
 * @property {(x: number, y: number) => number} brightness 0 to 1
 * @property {(x: number, y: number) => boolean} isMarked
 * @property {(x: number, y: number) => string} label
 */

const CELL = 34; // CSS pixels
const OUTPUT_WIDTH = 520; // CSS pixels

/** @type {Record<string, Settings>} */
const PRESETS = {
  "FCN initialization: 2, 4, 1": { stride: 2, kernel: 4, padding: 1, kind: "bilinear" },
  "Checkerboard: 2, 3, 0": { stride: 2, kernel: 3, padding: 0, kind: "ones" },
  "Blocks: 3, 3, 0": { stride: 3, kernel: 3, padding: 0, kind: "ones" },
  "Gaps: 3, 2, 0": { stride: 3, kernel: 2, padding: 0, kind: "ones" },
  "Stride 1: 1, 3, 1": { stride: 1, kernel: 3, padding: 1, kind: "ones" },
};

/** @type {Record<KernelKind, string>} */
const KINDS = { bilinear: "bilinear", ones: "all ones" };

/** @type {[key: SliderKey, name: string, low: number, high: number][]} */
const SLIDERS = [
  ["stride", "Stride", 1, 4],
  ["kernel", "Kernel", 1, 8],
  ["padding", "Padding", 0, 3],
];

/** @type {Record<string, [dx: number, dy: number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const HINT =
  "Point at an output to see which inputs contribute to it. Point at an input to see the outputs that it contributes to. " +
  "Copies of the kernel, scaled by the inputs, are placed stride cells apart and added where they overlap.";

/** @type {WeakMap<HTMLElement, Demo>} */
const instances = new WeakMap();

class Demo {
  /** @param {HTMLElement} root */
  constructor(root) {
    /** @type {Settings} */
    this.settings = { ...Object.values(PRESETS)[0] };
    /** @type {Spot | null} */
    this.spot = null;
    this.presets = this.makePresets();
    this.sliders = SLIDERS.map((slider) => this.makeSlider(...slider));
    this.kinds = this.makeKinds();
    this.input = createElement("canvas", { tabindex: "0", role: "img" });
    this.output = createElement("canvas", { tabindex: "0", role: "img" });
    this.inputCaption = createElement("figcaption");
    this.outputCaption = createElement("figcaption");
    this.explanation = createElement("p", { class: "explanation", "aria-live": "polite" });
    this.verdict = createElement("p", { class: "verdict", "aria-live": "polite" });
    const input = createElement("figure", {}, this.inputCaption, this.input);
    const output = createElement("figure", {}, this.outputCaption, this.output);
    root.replaceChildren(
      createElement("div", { class: "row" }, this.presets),
      createElement("div", { class: "row" }, ...this.sliders.map(({ label }) => label), this.kinds),
      createElement("div", { class: "grids" }, input, output),
      ...[this.explanation, this.verdict],
    );
    this.listen(this.input, "input");
    this.listen(this.output, "output");
    this.set({});
  }

  makePresets() {
    const buttons = Object.entries(PRESETS).map(([name, preset]) =>
      createElement("button", { type: "button", onclick: () => this.set(preset) }, name),
    );
    return createElement("span", { role: "group", "aria-label": "Examples" }, ...buttons);
  }

  makeKinds() {
    const buttons = /** @type {KernelKind[]} */ (Object.keys(KINDS)).map((kind) =>
      createElement("button", { type: "button", "data-kind": kind, onclick: () => this.set({ kind }) }, KINDS[kind]),
    );
    return createElement("span", { role: "group", "aria-label": "Kernel values" }, ...buttons);
  }

  /**
   * @param {SliderKey} key
   * @param {string} name
   * @param {number} low
   * @param {number} high
   */
  makeSlider(key, name, low, high) {
    const oninput = () => this.set({ [key]: Number(input.value) });
    const input = createElement("input", { type: "range", min: low, max: high, "aria-label": name, oninput });
    const output = createElement("output");
    return { key, input, output, label: createElement("label", {}, name, input, output) };
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Side} side
   */
  listen(canvas, side) {
    const point = (/** @type {PointerEvent} */ event) => {
      const box = canvas.getBoundingClientRect();
      this.point({ side, ...cellInBox(box, this.count(side), event.clientX, event.clientY) });
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.point(null));
    canvas.addEventListener("keydown", (event) => this.pressKey(side, event));
  }

  /** @param {Partial<Settings>} changes */
  set(changes) {
    const settings = { ...this.settings, ...changes };
    settings.padding = limitedPadding(settings);
    this.settings = settings;
    this.spot = null;
    for (const { key, input, output } of this.sliders) {
      input.value = output.textContent = String(settings[key]);
    }
    for (const child of /** @type {Iterable<HTMLElement>} */ (this.kinds.children)) {
      child.setAttribute("aria-pressed", String(child.dataset.kind === settings.kind));
    }
    Object.values(PRESETS).forEach((preset, index) => {
      const isChosen = /** @type {(keyof Settings)[]} */ (Object.keys(preset)).every((key) => preset[key] === settings[key]);
      this.presets.children[index].setAttribute("aria-pressed", String(isChosen));
    });
    this.draw();
  }

  /**
   * @param {Side} side
   * @returns {number} its cells along one side
   */
  count(side) {
    return side === "input" ? INPUTS : outputSize(this.settings);
  }

  /** @param {Spot | null} spot */
  point(spot) {
    this.spot = spot;
    this.draw();
  }

  /**
   * @param {Side} side
   * @param {KeyboardEvent} event
   */
  pressKey(side, event) {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const limit = this.count(side) - 1;
    const { x, y } = this.spot?.side === side ? this.spot : { x: 0, y: 0 };
    this.point({ side, x: clamp(x + arrow[0], 0, limit), y: clamp(y + arrow[1], 0, limit) });
  }

  /**
   * Whether an input reaches an output, along one side.
   *
   * @param {number} input
   * @param {number} output
   * @returns {boolean}
   */
  reaches(input, output) {
    return contributions(this.settings, output).some((contribution) => contribution.input === input);
  }

  /**
   * Whether a cell is the one under the pointer, or has to do with it.
   *
   * @param {Side} side
   * @param {number} x
   * @param {number} y
   * @returns {boolean}
   */
  isMarked(side, x, y) {
    const { spot } = this;
    if (!spot) return false;
    if (spot.side === side) return spot.x === x && spot.y === y;
    if (side === "input") return this.reaches(x, spot.x) && this.reaches(y, spot.y);
    return this.reaches(spot.x, x) && this.reaches(spot.y, y);
  }

  draw() {
    const { stride, kernel, padding } = this.settings;
    const values = outputSide(this.settings);
    const count = values.length;
    const most = Math.max(...values) ** 2;
    drawGrid(this.input, {
      count: INPUTS,
      size: CELL + 10,
      brightness: () => 1,
      isMarked: (x, y) => this.isMarked("input", x, y),
      label: () => "1",
    });
    const size = clamp(Math.floor(OUTPUT_WIDTH / count), 12, CELL);
    drawGrid(this.output, {
      count,
      size,
      brightness: (x, y) => (values[x] * values[y]) / most,
      isMarked: (x, y) => this.isMarked("output", x, y),
      label: (x, y) => (size >= 24 ? String(Number((values[x] * values[y]).toFixed(2))) : ""),
    });
    this.inputCaption.textContent = `Input, ${INPUTS} × ${INPUTS}, all 1`;
    this.outputCaption.textContent = `Output, ${count} × ${count} = (${INPUTS} − 1) · ${stride} − 2 · ${padding} + ${kernel}`;
    this.explanation.textContent = this.explain();
    this.verdict.textContent = verdict(this.settings);
  }

  /** @returns {string} */
  explain() {
    const { spot, settings } = this;
    if (!spot) return HINT;
    const { side, x, y } = spot;
    const { kernel } = settings;
    if (side === "input")
      return `Input (${x}, ${y}) is multiplied by the ${kernel} × ${kernel} kernel and added to these outputs.`;
    const weights = kernelSide(settings);
    const term = (/** @type {Contribution} */ column, /** @type {Contribution} */ row) =>
      `${Number((weights[column.tap] * weights[row.tap]).toFixed(4))} · input (${column.input}, ${row.input})`;
    const terms = contributions(settings, y).flatMap((row) => contributions(settings, x).map((column) => term(column, row)));
    return terms.length ? `Output (${x}, ${y}) = ${terms.join(" + ")}` : `No input contributes to output (${x}, ${y}).`;
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Cells} cells
 */
function drawGrid(canvas, { count, size, brightness, isMarked, label }) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(count * size * ratio);
  canvas.style.width = `${count * size}px`;
  const context = context2d(canvas);
  context.scale(ratio, ratio);
  context.font = `${Math.min(13, size * 0.36)}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let y = 0; y < count; y++) {
    for (let x = 0; x < count; x++) {
      const value = brightness(x, y);
      context.fillStyle = `hsl(174 ${Math.round(20 + 45 * value)}% ${Math.round(12 + 48 * value)}%)`;
      context.fillRect(x * size, y * size, size - 1, size - 1);
      context.fillStyle = value > 0.65 ? "#06201d" : "#e6fffb";
      context.fillText(label(x, y), (x + 0.5) * size, (y + 0.5) * size);
    }
  }
  // the marks come last: they lie over the cells beside them
  context.strokeStyle = "#ffb703";
  context.lineWidth = 2.5;
  for (let y = 0; y < count; y++) {
    for (let x = 0; x < count; x++) if (isMarked(x, y)) context.strokeRect(x * size + 1, y * size + 1, size - 3, size - 3);
  }
}

/** @param {import("../dom.js").ComponentArguments<null>} component */
export default function ({ parentElement }) {
  const root = componentRoot(parentElement, "transposed-conv-demo");
  if (!instances.has(root)) instances.set(root, new Demo(root));
}
