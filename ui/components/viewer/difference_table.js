// The choice of two panes, and a table of the class pairs where they differ.

import { createElement } from "../dom.js";
import { className, differences } from "./model.js";
import { maskPair } from "./pixels.js";
import { formatShare, swatch } from "./swatch.js";

/** @import { Difference } from "./model.js" */
/** @import { MaskPane } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

const MAX_CELLS = 24;
const LARGEST_CELLS = 4; // beside the choice of the panes

export class DifferenceTable {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.selects = /** @type {const} */ ([0, 1]).map((end) =>
      createElement("select", {
        "aria-label": end ? "Second pane" : "First pane",
        onchange: (event) => this.choose(end, event.target.value),
      }),
    );
    this.largest = createElement("span", { class: "most" });
    this.pair = createElement("div", { class: "pair" }, this.selects[0], "against", this.selects[1], this.largest);
    this.matrix = createElement("div", { class: "matrix" });
    /** @type {string | null} what the table was made for */
    this.key = null;
  }

  /** Takes the panes of another model. */
  rebuild() {
    const { panes } = this.viewer.shownModel;
    for (const select of this.selects) {
      select.replaceChildren(...panes.map((pane) => createElement("option", { value: pane.id }, pane.title)));
    }
    this.key = null;
  }

  /** Updates the controls to the state. */
  refresh() {
    const { state, layer } = this.viewer;
    const { pair } = state;
    const isDifference = layer === "disagreement";
    this.pair.hidden = !pair || !(isDifference || state.swipe);
    this.matrix.hidden = this.largest.hidden = this.pair.hidden || !isDifference;
    if (this.pair.hidden || !pair) return;
    this.selects.forEach((select, end) => {
      select.value = pair[end];
    });
    if (this.matrix.hidden) return;
    const key = `${pair} ${state.safe}`;
    if (this.key !== key) this.count();
    this.key = key;
    for (const cell of this.cells()) {
      cell.setAttribute("aria-pressed", String(state.cell?.join() === cell.dataset.cell));
    }
  }

  /**
   * The buttons of all cells that are shown.
   *
   * @returns {HTMLButtonElement[]}
   */
  cells() {
    const buttons = (/** @type {HTMLElement} */ part) => [...part.querySelectorAll("button")];
    return [...buttons(this.largest), ...buttons(this.matrix)];
  }

  /**
   * Chooses a pane; one that stood at the opposite end changes places with it.
   *
   * @param {0 | 1} end
   * @param {string} id
   */
  choose(end, id) {
    const { pair } = this.viewer.state;
    if (!pair) return;
    /** @type {[string, string]} */
    const next = [...pair];
    if (next[1 - end] === id) next[1 - end] = next[end];
    next[end] = id;
    this.viewer.set({ pair: next, cell: null });
  }

  /** Counts where the two panes differ and rebuilds the table. */
  count() {
    const { shownModel, state } = this.viewer;
    const pair = maskPair(shownModel, state);
    if (!pair) {
      this.matrix.replaceChildren(createElement("p", {}, "Choose two masks: one of these panes has no classes."));
      this.largest.replaceChildren();
      return;
    }
    const all = differences(...pair);
    const shown = all.slice(0, MAX_CELLS);
    this.largest.replaceChildren(
      ...shown.slice(0, LARGEST_CELLS).map((difference) => this.largestButton(pair, shown, difference)),
    );
    this.matrix.replaceChildren(createElement("p", {}, this.summary(all)));
    if (all.length) this.matrix.append(createElement("div", { class: "scroll" }, this.table(pair, shown)));
  }

  /**
   * @param {Difference[]} all
   * @returns {string}
   */
  summary(all) {
    const sum = (/** @type {Difference[]} */ parts) => parts.reduce((total, { share }) => total + share, 0);
    const rest = sum(all.slice(MAX_CELLS));
    const hint = all.length ? " Choose a cell to highlight its pixels." : "";
    const more = rest > 0 ? ` Rarer pairs (${formatShare(rest)} in total) are omitted.` : "";
    return `The masks differ on ${formatShare(sum(all))} of the image.${hint}${more}`;
  }

  /**
   * @param {[MaskPane, MaskPane]} pair
   * @param {Difference[]} shown
   * @returns {HTMLTableElement}
   */
  table(pair, shown) {
    const ids = (/** @type {"first" | "second"} */ end) =>
      [...new Set(shown.map((difference) => difference[end]))].sort((left, right) => left - right);
    const header = (/** @type {"row" | "col"} */ scope, /** @type {number} */ id) =>
      createElement("th", { scope }, swatch(this.viewer, id), className(this.viewer.shownModel, id));
    const cell = (/** @type {number} */ first, /** @type {number} */ second) => {
      const difference = shown.find((entry) => entry.first === first && entry.second === second);
      if (!difference) return createElement("td");
      return createElement("td", {}, this.button(pair, shown, difference, formatShare(difference.share)));
    };
    const corner = createElement("th", {}, `${pair[0].title} ↓  ${pair[1].title} →`);
    const head = createElement("tr", {}, corner, ...ids("second").map((id) => header("col", id)));
    const rows = ids("first").map((first) =>
      createElement("tr", {}, header("row", first), ...ids("second").map((second) => cell(first, second))),
    );
    return createElement("table", {}, createElement("thead", {}, head), createElement("tbody", {}, ...rows));
  }

  /**
   * @param {[MaskPane, MaskPane]} pair
   * @param {Difference[]} shown
   * @param {Difference} difference
   * @returns {HTMLButtonElement}
   */
  largestButton(pair, shown, difference) {
    const name = (/** @type {number} */ id) => [swatch(this.viewer, id), className(this.viewer.shownModel, id)];
    const share = createElement("small", {}, formatShare(difference.share));
    return this.button(pair, shown, difference, ...name(difference.first), " → ", ...name(difference.second), share);
  }

  /**
   * A button that highlights the pixels of a cell.
   *
   * @param {[MaskPane, MaskPane]} pair
   * @param {Difference[]} shown
   * @param {Difference} difference
   * @param {...(Node | string)} children
   * @returns {HTMLButtonElement}
   */
  button(pair, shown, { first, second, share }, ...children) {
    const { viewer } = this;
    const name = (/** @type {number} */ id) => className(viewer.shownModel, id);
    const text = `${pair[0].title}: ${name(first)}, ${pair[1].title}: ${name(second)}; ${formatShare(share)}`;
    const cell = `${first},${second}`;
    const attributes = {
      type: "button",
      "data-cell": cell,
      title: text,
      "aria-label": text,
      style: `--share: ${Math.sqrt(share / shown[0].share).toFixed(3)}`,
      onclick: () => viewer.set({ cell: viewer.state.cell?.join() === cell ? null : [first, second] }),
    };
    return createElement("button", attributes, ...children);
  }
}
