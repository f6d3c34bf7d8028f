// The network as nodes and edges; each node draws its tensor. One node is enlarged; a click there moves the point.

import { rampGradient } from "../color.js";
import { componentRoot, context2d, createElement } from "../dom.js";
import { pointInContainedPicture } from "../geometry.js";
import { createEdgeLayer, drawEdges } from "./edges.js";
import { cellAt, openNode, SCORE_RAMP, STRENGTH_RAMP, tensorValue } from "./tensors.js";

/** @import { Shares } from "../geometry.js" */
/** @import { DiagramData, DiagramModel, TensorNode } from "./tensors.js" */

/**
 * How a tensor is painted: the least width of its picture, and of the circle at the point, as parts of that width, the radius and
 * the lines.
 *
 * @typedef {object} PaintStyle
 * @property {number} minWidth
 * @property {number} radiusPart
 * @property {number} linePart
 */

/** @type {PaintStyle} */
const SMALL = { minWidth: 240, radiusPart: 14, linePart: 130 };
/** @type {PaintStyle} */
const LARGE = { minWidth: 800, radiusPart: 50, linePart: 560 };

const OVERVIEW =
  "The encoder (top row, left to right) lowers the resolution; the decoder (right to left) restores it. " +
  "Choose a node to enlarge it, or go step by step.";

/** @type {WeakMap<HTMLElement, Diagram>} */
const diagrams = new WeakMap();

class Diagram {
  /**
   * @param {HTMLElement} root
   * @param {(point: Shares) => void} send
   */
  constructor(root, send) {
    this.root = root;
    /** @type {string | undefined} the data that are shown or being decoded */
    this.key = undefined;
    /** @type {DiagramModel | undefined} */
    this.model = undefined;
    this.step = 0; // 0: the whole network
    /** @type {string | null} the enlarged node */
    this.chosen = null;
    /** @type {Map<string, HTMLElement>} the nodes on the page, by id */
    this.nodes = new Map();
    this.steps = createElement("div", { class: "steps", role: "group", "aria-label": "Steps from coarse to fine" });
    this.stepText = createElement("p", { class: "step-text", "aria-live": "polite" });
    this.edges = createEdgeLayer();
    this.title = createElement("h4");
    this.canvas = createElement("canvas", { "aria-hidden": "true" });
    this.readout = createElement("p", { class: "readout", "aria-live": "polite" });
    this.ramp = createElement("div", { class: "ramp" });
    this.text = createElement("p");
    const parts = [this.title, this.canvas, this.readout, this.ramp, this.text];
    this.large = createElement("figure", { class: "large", style: "margin: 0" }, ...parts);
    this.graph = createElement("div", { class: "graph" });
    this.dialog = createElement("dialog", { "aria-label": "Selected tensor", onclose: () => this.place() });
    this.scroll = createElement("div", { class: "scroll" }, this.graph);
    root.replaceChildren(this.steps, this.stepText, this.scroll, this.dialog);
    this.canvas.addEventListener("pointermove", (event) => this.read(this.pointAt(event)));
    this.canvas.addEventListener("pointerleave", () => this.read(this.shownModel.point));
    this.canvas.addEventListener("click", (event) => send(this.pointAt(event)));
    this.observer = new ResizeObserver(() => {
      this.place();
      this.drawEdges();
    });
    this.observer.observe(root);
  }

  /** The model, for what is called only while there is one. */
  get shownModel() {
    return /** @type {DiagramModel} */ (this.model);
  }

  /** The node that is seen large. */
  get chosenNode() {
    return /** @type {TensorNode} */ (this.shownModel.nodes.find((node) => node.id === this.chosen));
  }

  /** @param {DiagramModel} model */
  show(model) {
    const { nodes, steps } = model;
    this.model = model;
    if (!nodes.some((node) => node.id === this.chosen)) this.chosen = steps[steps.length - 1].node;
    this.step = Math.min(this.step, steps.length);
    this.steps.replaceChildren(
      ...["Whole network", ...steps.map((step) => step.title)].map((title, index) =>
        createElement("button", { type: "button", onclick: () => this.goTo(index) }, title),
      ),
    );
    this.nodes = new Map(nodes.map((node) => [node.id, this.makeNode(node)]));
    this.graph.replaceChildren(this.edges, ...this.nodes.values());
    this.place();
    this.refresh();
  }

  /**
   * @param {TensorNode} node
   * @returns {HTMLElement}
   */
  makeNode(node) {
    const canvas = createElement("canvas", { "aria-hidden": "true" });
    paintTensor(canvas, node, this.shownModel.point, SMALL);
    const attributes = {
      class: "node",
      type: "button",
      "data-node": node.id,
      style: `grid-column: ${node.column}; grid-row: ${node.row}`,
      onclick: () => {
        this.chosen = node.id;
        this.refresh();
      },
    };
    const title = createElement("b", {}, node.title);
    return createElement("button", attributes, canvas, title, createElement("small", {}, node.shape));
  }

  /** @param {number} step */
  goTo(step) {
    this.step = step;
    if (step) this.chosen = this.shownModel.steps[step - 1].node;
    this.refresh();
  }

  /** Puts the large picture into the drawing's empty corner, before it on a phone, or into the dialog while that is open. */
  place() {
    if (this.dialog.open) this.dialog.append(this.large);
    else if (matchMedia("(max-width: 640px)").matches) this.root.insertBefore(this.large, this.scroll);
    else this.graph.append(this.large);
  }

  toggleDialog() {
    if (this.dialog.open) {
      this.dialog.close();
      return;
    }
    this.dialog.showModal();
    this.place();
    this.refresh();
  }

  /** Shows what is chosen. */
  refresh() {
    const step = this.shownModel.steps[this.step - 1];
    [...this.steps.children].forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === this.step));
    });
    this.stepText.textContent = step ? step.text : OVERVIEW;
    const lit = new Set((step?.edges ?? []).flat());
    for (const [id, element] of this.nodes) {
      element.setAttribute("aria-pressed", String(id === this.chosen));
      element.classList.toggle("dim", Boolean(step) && !lit.has(id));
    }
    this.refreshLarge();
    this.read(this.shownModel.point);
    this.drawEdges();
    const chosen = this.nodes.get(this.chosen ?? ""); // on a phone the drawing is wider than the screen
    if (chosen) this.scroll.scrollLeft = chosen.offsetLeft - (this.scroll.clientWidth - chosen.offsetWidth) / 2;
  }

  refreshLarge() {
    const node = this.chosenNode;
    const label = this.dialog.open ? "Close" : "Enlarge";
    const enlarge = createElement("button", { type: "button", onclick: () => this.toggleDialog() }, label);
    this.title.replaceChildren(node.title, createElement("small", {}, node.shape), enlarge);
    paintTensor(this.canvas, node, this.shownModel.point, LARGE);
    this.text.textContent = node.text;
    this.ramp.hidden = !(node.kind === "score" || node.kind === "strength");
    this.ramp.style.display = this.ramp.hidden ? "none" : "";
    const gradient = rampGradient(node.kind === "score" ? SCORE_RAMP : STRENGTH_RAMP);
    const bar = createElement("i", { style: `background: ${gradient}` });
    this.ramp.replaceChildren(node.low.toFixed(1), bar, node.high.toFixed(1));
  }

  /**
   * @param {MouseEvent} event
   * @returns {Shares}
   */
  pointAt(event) {
    const ratio = this.canvas.width / this.canvas.height;
    return pointInContainedPicture(this.canvas.getBoundingClientRect(), ratio, event.clientX, event.clientY);
  }

  /**
   * Reads the chosen tensor at a point.
   *
   * @param {Shares} point
   */
  read(point) {
    const node = this.chosenNode;
    const { column, row } = cellAt(node, point);
    if (!node.values) {
      this.readout.replaceChildren(`x ${column}, y ${row}: click to move the point`);
      return;
    }
    const value = node.values[row * node.width + column];
    const cell = `cell ${column}, ${row}: `;
    if (node.kind !== "ids") {
      this.readout.replaceChildren(`${cell}${tensorValue(node, value).toFixed(2)}`);
      return;
    }
    const { name, color } = this.shownModel.classes[value];
    this.readout.replaceChildren(cell, createElement("i", { style: `background: rgb(${color})` }), name);
  }

  drawEdges() {
    if (!this.model) return;
    const { edges, steps } = this.model;
    drawEdges(this.edges, edges, steps[this.step - 1]?.edges ?? [], this.nodes);
  }

  /** Lets go of the page. */
  end() {
    this.observer.disconnect();
  }
}

/**
 * Paints a tensor, each cell at least one pixel, and a circle at the point.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {TensorNode} node
 * @param {Shares} point
 * @param {PaintStyle} style
 */
function paintTensor(canvas, node, point, { minWidth, radiusPart, linePart }) {
  const scale = Math.max(1, Math.ceil(minWidth / node.width));
  canvas.width = node.width * scale;
  canvas.height = node.height * scale;
  const context = context2d(canvas);
  context.imageSmoothingEnabled = false;
  context.drawImage(node.picture, 0, 0, canvas.width, canvas.height);
  for (const [color, width] of /** @type {const} */ ([
    ["#000", 3],
    ["#ffd60a", 1.4],
  ])) {
    context.strokeStyle = color;
    context.lineWidth = (width * canvas.width) / linePart;
    context.beginPath();
    context.arc(point[0] * canvas.width, point[1] * canvas.height, canvas.width / radiusPart, 0, 7);
    context.stroke();
  }
}

/**
 * @param {import("../dom.js").ComponentArguments<DiagramData>} component
 * @returns {() => void} what Streamlit calls when it takes the component away
 */
export default function ({ parentElement, data, setStateValue }) {
  const root = componentRoot(parentElement, "network-diagram");
  const diagram = diagrams.get(root) ?? new Diagram(root, (point) => setStateValue("point", point));
  diagrams.set(root, diagram);
  const key = JSON.stringify(data);
  if (key !== diagram.key) {
    diagram.key = key;
    Promise.all(data.nodes.map((node) => openNode(node, data.classes))).then((nodes) => {
      if (diagram.key === key) diagram.show({ ...data, nodes });
    });
  }
  return () => {
    if (root.isConnected) return;
    diagram.end();
    diagrams.delete(root);
  };
}
