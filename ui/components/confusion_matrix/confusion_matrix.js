// The matrix as a table of buttons: correct predictions in the page's color, errors in orange.

import { componentRoot, createElement } from "../dom.js";

/** @typedef {[truth: number, prediction: number]} Cell */
/** @typedef {{ name: string, color: import("../color.js").Rgb }} ClassInfo */

/**
 * @typedef {object} ConfusionMatrixData
 * @property {(number | null)[][]} shares rows: ground truth, columns: prediction; null: undefined
 * @property {string[][]} texts description of each cell
 * @property {Cell | null} chosen
 * @property {ClassInfo[]} classes
 */

const HINT = "Rows: ground truth. Columns: prediction. Point at a cell to read it; click it to see its images.";

/** @type {WeakMap<HTMLElement, ConfusionMatrix>} */
const instances = new WeakMap();

/**
 * How strong the color of a share is, 0 to 1: the root lets rare mistakes be seen.
 *
 * @param {number} share
 * @returns {number}
 */
export function depthOf(share) {
  return Math.sqrt(share);
}

/**
 * A share in percent; nothing for what rounds to none.
 *
 * @param {number} share
 * @returns {string}
 */
export function cellText(share) {
  return share >= 0.005 ? String(Math.round(100 * share)) : "";
}

class ConfusionMatrix {
  /**
   * @param {HTMLElement} root
   * @param {ConfusionMatrixData} data
   */
  constructor(root, data) {
    this.root = root;
    this.data = data;
    /** @type {(cell: Cell) => void} */
    this.send = () => {};
    this.key = "";
    this.chosen = data.chosen;
    this.description = createElement("p", { "aria-live": "polite" });
  }

  /** @param {ConfusionMatrixData} data */
  show(data) {
    this.data = data;
    this.chosen = data.chosen;
    this.root.replaceChildren(createElement("div", { class: "scroll" }, this.makeTable()), this.description);
    this.describe(this.chosen);
  }

  /** @returns {HTMLTableElement} */
  makeTable() {
    const { classes } = this.data;
    const swatch = (/** @type {ClassInfo} */ { color }) => createElement("i", { style: `background: rgb(${color})` });
    const corner = createElement("th", { class: "corner" }, "truth ↓", createElement("br"), "prediction →");
    const columns = classes.map((info) =>
      createElement("th", { scope: "col" }, createElement("div", {}, info.name), swatch(info)),
    );
    const rows = classes.map((info, truth) => {
      const header = createElement("th", { scope: "row" }, info.name, swatch(info));
      const cells = classes.map((_, prediction) => createElement("td", {}, this.makeButton([truth, prediction])));
      return createElement("tr", {}, header, ...cells);
    });
    const head = createElement("thead", {}, createElement("tr", {}, corner, ...columns));
    return createElement("table", {}, head, createElement("tbody", {}, ...rows));
  }

  /**
   * @param {Cell} cell
   * @returns {HTMLButtonElement}
   */
  makeButton(cell) {
    const [truth, prediction] = cell;
    const share = this.data.shares[truth][prediction];
    const label = this.data.texts[truth][prediction];
    if (share === null) return createElement("button", { type: "button", disabled: "", "aria-label": label });
    const depth = depthOf(share);
    const describe = () => this.describe(cell);
    const attributes = {
      type: "button",
      "data-cell": cell.join(),
      "aria-label": label,
      class: depth > 0.72 ? "strong" : "",
      style: `--share: ${depth.toFixed(3)}; --tone: ${truth === prediction ? "#0f766e" : "#c2410c"}`,
      "aria-pressed": String(this.chosen?.join() === cell.join()),
      onpointerenter: describe,
      onfocus: describe,
      onpointerleave: () => this.describe(this.chosen),
      onclick: () => this.choose(cell),
    };
    return createElement("button", attributes, cellText(share));
  }

  /** @param {Cell | null} cell */
  describe(cell) {
    this.description.textContent = cell ? this.data.texts[cell[0]][cell[1]] : HINT;
  }

  /** @param {Cell} cell */
  choose(cell) {
    this.chosen = cell;
    for (const button of this.root.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.cell === cell.join()));
    }
    this.send(cell);
  }
}

/** @param {import("../dom.js").ComponentArguments<ConfusionMatrixData>} component */
export default function ({ parentElement, data, setStateValue }) {
  const root = componentRoot(parentElement, "confusion-matrix");
  const matrix = instances.get(root) ?? new ConfusionMatrix(root, data);
  instances.set(root, matrix);
  matrix.send = (cell) => setStateValue("cell", cell);
  const key = JSON.stringify(data);
  if (matrix.key === key) return;
  matrix.key = key;
  matrix.show(data);
}
