// The viewer itself: its state, its panes, when it draws.

import { context2d, createElement } from "../dom.js";
import { Controls } from "./controls.js";
import { pressKey } from "./keyboard.js";
import { parseLink, writeLink } from "./link.js";
import { drawCrosshair, drawDivider, drawPin } from "./marks.js";
import { isInside, originalPixel } from "./model.js";
import { paint } from "./paint.js";
import { listenToPointers } from "./pointer.js";
import { Readout } from "./readout.js";
import { initialState, LAYER_NAMES, MAX_PANES } from "./state.js";
import { arrangePanes, View } from "./view.js";

/** @import { Layer, Model, Pane, Point, Region, Size, ViewerState } from "./types.js" */

/** @typedef {(point: Point | null) => void} SendPoint */
/** @typedef {Pane[]} Slot What one canvas shows: a pane, or two with a divider between them. */

const MARGINS = { gap: 10, caption: 26 };
const SEND_DELAY = 300; // milliseconds: no double click follows
const LINK_DELAY = 300; // milliseconds: browsers allow only so many changes of the address
const UNPIN_REACH = 6; // CSS pixels

export class Viewer {
  /**
   * @param {HTMLElement} root
   * @param {SendPoint} send hands the pinned point to Python
   */
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.state = initialState();
    /** @type {string | undefined} the message that is shown, or on its way */
    this.key = undefined;
    /** @type {Model | undefined} */
    this.model = undefined;
    this.view = new View({ width: 1, height: 1 });
    /** @type {Layer[]} those for which the model has what they need */
    this.layers = [];
    /** @type {Map<HTMLCanvasElement, Slot>} */
    this.canvases = new Map();
    /** @type {Point | null} where the pointer is on the photo */
    this.pointer = null;
    /** @type {Region | null | undefined} what a link shows, until a person looks elsewhere */
    this.linkedRegion = undefined;
    /** @type {Set<string> | null | undefined} the panes of a link, until all are there */
    this.linkedPanes = undefined;
    /** @type {string | null} what the panes were made for */
    this.layoutKey = null;
    /** @type {string} the point that Python knows */
    this.sentPoint = "null";
    /** @type {number | undefined} */
    this.frame = undefined;
    /** @type {number | undefined} */
    this.sendTimer = undefined;
    /** @type {number | undefined} */
    this.linkTimer = undefined;
    this.controls = new Controls(this);
    this.readout = new Readout(this);
    this.grid = createElement("div", { class: "panes" });
    this.group = this.makeGroup();
    this.place();
    root.addEventListener("keydown", (event) => pressKey(this, event));
    this.resized = () => this.layout();
    this.observer = new ResizeObserver(this.resized);
    this.observer.observe(this.group);
    window.addEventListener("resize", this.resized);
  }

  makeGroup() {
    const label = "Viewer. Press ? for keyboard shortcuts. The table of classes below contains the same data as text.";
    return createElement("div", { class: "group", tabindex: "0", role: "application", "aria-label": label }, this.grid);
  }

  place() {
    const { tools, moreTools, differences, classes, keys } = this.controls;
    const { confidenceLegend, entropyLegend, errorLegend, answersLegend } = this.controls;
    this.root.replaceChildren(
      ...[tools, moreTools, differences.pair, this.group, this.readout.element],
      ...[confidenceLegend, entropyLegend, errorLegend, answersLegend, differences.matrix, classes.element, keys],
    );
  }

  /** The model, for what is called only while there is one. */
  get shownModel() {
    return /** @type {Model} */ (this.model);
  }

  /**
   * Shows a new photo or new masks; what a person chose stays.
   *
   * @param {Model} model
   */
  show(model) {
    const { state } = this;
    const isFirst = !this.model;
    const isSamePhoto = this.model?.photo_digest === model.photo_digest;
    this.model = model;
    const { region, panes, ...choices } = isFirst ? parseLink(location.search, model.classes) : {};
    Object.assign(state, choices);
    this.linkedPanes ??= panes;
    this.applyLinkedPanes(model);
    this.choosePair(model);
    this.layers = this.layersOf(model);
    Object.assign(state, { cell: null, highlighted: null }); // the chip under the mouse is made anew
    if (!isSamePhoto) {
      Object.assign(state, { pinned: null, crosshair: null });
      this.sendPoint();
      this.view = new View(model);
    }
    if (!model.waiting && !model.present.some(({ id }) => id === state.solo)) state.solo = null;
    this.view.photo = model;
    this.linkedRegion ??= region;
    this.layoutKey = null;
    this.controls.rebuild();
    this.set({});
  }

  /** @param {Model} model */
  applyLinkedPanes(model) {
    const { linkedPanes, state } = this;
    if (linkedPanes) {
      for (const { id } of model.panes) if (!state.panes.has(id)) state.panes.set(id, linkedPanes.has(id));
    }
    if (!model.waiting) this.linkedPanes = null;
  }

  /**
   * Whether both panes of the chosen pair are there.
   *
   * @param {Model} model
   * @returns {boolean}
   */
  hasPair(model) {
    return Boolean(this.state.pair?.every((id) => model.panes.some((pane) => pane.id === id)));
  }

  /**
   * Compares the first mask with the last that is shown, unless a pair is chosen that is there or may come.
   *
   * @param {Model} model
   */
  choosePair(model) {
    const masks = model.panes.filter((pane) => pane.kind === "mask");
    if (this.hasPair(model) || masks.length < 2 || (this.state.pair && model.waiting)) return;
    const last = masks.findLast((pane) => pane.shown) ?? masks[masks.length - 1];
    this.state.pair = [masks[0].id, last.id];
  }

  /**
   * @param {Model} model
   * @returns {Layer[]}
   */
  layersOf(model) {
    /** @type {Partial<Record<Layer, boolean>>} */
    const available = {
      error: Boolean(model.truth),
      disagreement: this.hasPair(model),
      confidence: model.panes.some((pane) => pane.confidence),
      entropy: model.panes.some((pane) => pane.entropy),
    };
    return LAYER_NAMES.filter((layer) => available[layer] ?? true);
  }

  /**
   * Whether a person chose a pane, or it came as shown and nobody chose otherwise.
   *
   * @param {Pane} pane
   * @returns {boolean}
   */
  isChosen({ id, shown }) {
    return this.state.panes.get(id) ?? shown;
  }

  /**
   * Whether a pane is on the screen: as chosen; where nothing is that was chosen (it may be on its way yet), as it came.
   *
   * @param {Pane} pane
   * @returns {boolean}
   */
  isOnScreen(pane) {
    return this.shownModel.panes.some((candidate) => this.isChosen(candidate)) ? this.isChosen(pane) : pane.shown;
  }

  /** @param {Pane} pane */
  togglePane(pane) {
    this.set({ panes: new Map(this.state.panes).set(pane.id, !this.isOnScreen(pane)) });
  }

  /** The layer that is drawn: the chosen one, where there is what it needs. */
  get layer() {
    return this.layers.includes(this.state.layer) ? this.state.layer : "overlay";
  }

  /**
   * What is on the screen: all panes that are chosen, or two in one.
   *
   * @returns {Slot[]}
   */
  get slots() {
    const { panes } = this.shownModel;
    const { swipe, pair } = this.state;
    if (swipe && pair) {
      const slot = pair.flatMap((id) => panes.find((pane) => pane.id === id) ?? []);
      if (slot.length === 2) return [slot];
    }
    const shown = panes.filter((pane) => this.isOnScreen(pane));
    return shown.slice(0, MAX_PANES).map((pane) => [pane]);
  }

  /** Makes the panes anew where they, or the room for them, changed. */
  layout() {
    const width = this.group.clientWidth;
    const { model } = this;
    if (!model || !width) return;
    const { slots } = this;
    const space = { width, height: Math.max(260, window.innerHeight * 0.72) };
    const size = arrangePanes(slots.length, model.width / model.height, space, MARGINS);
    const ids = slots.map((slot) => slot.map((pane) => pane.id));
    const key = JSON.stringify([model.digest, ids, size, window.devicePixelRatio]);
    if (key !== this.layoutKey) {
      this.layoutKey = key;
      this.canvases = new Map();
      this.grid.style.gridTemplateColumns = `repeat(${size.across}, ${size.width}px)`;
      this.grid.replaceChildren(...slots.map((slot) => this.makeFigure(slot, size)));
      this.view.resize(model, size.width, size.height);
      if (this.linkedRegion) this.view.showRegion(this.linkedRegion);
      if (!model.waiting) this.linkedRegion = null; // until then the panes are not those of the link
    }
    this.redraw();
  }

  /**
   * @param {Slot} slot
   * @param {Size} size in CSS pixels
   * @returns {HTMLElement}
   */
  makeFigure(slot, size) {
    const ratio = window.devicePixelRatio || 1;
    const canvas = createElement("canvas", { "aria-hidden": "true", "data-pane": slot.map((pane) => pane.id).join("|") });
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(size.height * ratio);
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    this.canvases.set(canvas, slot);
    listenToPointers(this, canvas);
    const text = (/** @type {"title" | "note"} */ key) => slot.flatMap((pane) => pane[key] || []).join(" | ");
    const caption = [createElement("b", {}, text("title")), createElement("span", {}, text("note"))];
    return createElement("figure", {}, canvas, createElement("figcaption", {}, ...caption));
  }

  /**
   * The divider's place on a canvas in CSS pixels; null where there is none.
   *
   * @param {HTMLCanvasElement} canvas
   * @returns {number | null}
   */
  dividerOf(canvas) {
    return this.canvases.get(canvas)?.length === 2 ? this.state.divider * this.view.width : null;
  }

  /**
   * Changes the state, and shows it.
   *
   * @param {Partial<ViewerState>} changes
   */
  set(changes) {
    Object.assign(this.state, changes);
    if (changes.layer) this.state.cell = null;
    if (!this.model) return;
    this.layout();
    this.controls.refresh();
    this.updateLink();
  }

  /** The view was zoomed or panned. */
  viewChanged() {
    this.linkedRegion = null;
    this.redraw();
    this.updateLink();
  }

  updateLink() {
    clearTimeout(this.linkTimer);
    this.linkTimer = window.setTimeout(() => writeLink(this), LINK_DELAY);
  }

  /** @param {Point | null} point of the photo */
  hover(point) {
    this.pointer = point;
    this.redraw();
  }

  /**
   * Pins a point of the photo; the same point again takes the pin away.
   *
   * @param {Point | null} point
   */
  pin(point) {
    const { pinned } = this.state;
    if (point && !isInside(this.shownModel, point)) return;
    const isAgain = point && pinned && Math.hypot(pinned.x - point.x, pinned.y - point.y) * this.view.scale < UNPIN_REACH;
    this.set({ pinned: isAgain ? null : point });
    this.sendPoint();
  }

  /** Sends the pinned point to Python after the time in which a double click can follow. */
  sendPoint() {
    clearTimeout(this.sendTimer);
    this.sendTimer = window.setTimeout(() => {
      const point = this.state.pinned && originalPixel(this.shownModel, this.state.pinned);
      const text = JSON.stringify(point);
      if (text !== this.sentPoint) this.send(point);
      this.sentPoint = text;
    }, SEND_DELAY);
  }

  /** Draws before the screen is shown next, once for all that changed until then. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.model) this.draw();
    });
  }

  draw() {
    const start = performance.now();
    for (const [canvas, slot] of this.canvases) this.drawCanvas(canvas, slot);
    this.readout.refresh();
    performance.measure("viewer redraw", { start, end: performance.now() });
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Slot} slot
   */
  drawCanvas(canvas, [first, second]) {
    const { view, shownModel } = this;
    const { width } = canvas;
    const state = { ...this.state, layer: this.layer };
    const context = context2d(canvas);
    const ratio = width / view.width;
    const canvasView = { x: view.x, y: view.y, scale: view.scale * ratio };
    const split = second ? Math.round(state.divider * width) : width;
    paint(context, shownModel, first, state, canvasView, { left: 0, right: split });
    if (second) paint(context, shownModel, second, state, canvasView, { left: split, right: width });
    const point = this.pointer ?? state.crosshair;
    if (state.pinned) drawPin(context, view.toPane(state.pinned), ratio);
    if (point) drawCrosshair(context, view.toPane(point), ratio);
    if (second) drawDivider(context, split, ratio);
    canvas.style.touchAction = view.isWhole && !second ? "pan-y" : "none";
  }

  /** Lets go of the page. */
  end() {
    this.observer.disconnect();
    window.removeEventListener("resize", this.resized);
    clearTimeout(this.sendTimer);
    clearTimeout(this.linkTimer);
    if (this.frame) cancelAnimationFrame(this.frame);
  }
}
