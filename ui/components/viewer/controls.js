// Buttons, sliders and the list of keys. They are created once per model and later only updated, so that the keyboard
// focus stays where it is.

import { createElement } from "../dom.js";
import { ClassList } from "./class_list.js";
import { DifferenceTable } from "./difference_table.js";
import { KEYS } from "./keyboard.js";
import { answersLegend, confidenceLegend, entropyLegend, errorLegend } from "./legends.js";
import { writeLink } from "./link.js";
import { LAYER_NAMES, LAYERS, MAX_PANES } from "./state.js";

/** @import { View } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

/** @typedef {{ label: HTMLLabelElement, input: HTMLInputElement, output: HTMLOutputElement }} Slider */

const COPIED = 4000; // milliseconds

export class Controls {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.paneButtons = createElement("div", { class: "choice", role: "group", "aria-label": "Panes" });
    this.layerButtons = layerButtons(viewer);
    this.opacity = slider(viewer, "Opacity", "opacity", "Opacity of the masks");
    this.threshold = slider(viewer, "Min. confidence", "threshold", "Fades pixels below this confidence");
    this.toggles = {
      swipe: toggleButton(viewer, "swipe", "Swipe", "Two panes in one, with a divider"),
      grid: toggleButton(viewer, "grid", "Grid", "The output grid of each network"),
      safe: toggleButton(viewer, "safe", "Color-blind safe", "Colors that differ in any color vision"),
      help: toggleButton(viewer, "help", "?", "Keyboard help"),
    };
    this.share = button("Copy link", "Copy a link to this view", () => this.copyLink());
    this.showAll = button("Show all classes", "Some classes are hidden", () => viewer.set({ hidden: new Set(), solo: null }));
    this.tools = createElement("div", { class: "tools" }, this.paneButtons, this.layerButtons, this.showAll, this.opacity.label);
    this.moreTools = this.makeMoreTools();
    this.differences = new DifferenceTable(viewer);
    this.confidenceLegend = confidenceLegend();
    this.entropyLegend = entropyLegend();
    this.errorLegend = errorLegend();
    this.answersLegend = answersLegend();
    this.classes = new ClassList(viewer);
    this.keys = keysDialog(viewer);
  }

  makeMoreTools() {
    const { viewer, toggles } = this;
    const change = (/** @type {(view: View) => void} */ action) => () => {
      action(viewer.view);
      viewer.viewChanged();
    };
    const buttons = [
      button(
        "−",
        "Zoom out",
        change((view) => view.zoom(1 / 1.5, view.middle)),
      ),
      button(
        "+",
        "Zoom in",
        change((view) => view.zoom(1.5, view.middle)),
      ),
      button(
        "Fit",
        "The whole photo",
        change((view) => view.fit()),
      ),
      button(
        "1:1",
        "One photo pixel per screen pixel",
        change((view) => view.oneToOne(window.devicePixelRatio || 1)),
      ),
      ...[toggles.swipe, toggles.grid, toggles.safe, this.share, toggles.help],
    ];
    return createElement(
      "div",
      { class: "tools more" },
      this.threshold.label,
      createElement("span", { class: "choice" }, ...buttons),
    );
  }

  /** Takes the panes and classes of another model. */
  rebuild() {
    const { viewer } = this;
    this.paneButtons.replaceChildren(
      ...viewer.shownModel.panes.map((pane) => {
        const title = `Show or hide ${pane.title}`;
        const attributes = { type: "button", "data-pane": pane.id, title, onclick: () => viewer.togglePane(pane) };
        return createElement("button", attributes, pane.title);
      }),
    );
    this.differences.rebuild();
    this.classes.rebuild();
  }

  /** Updates every control to the state. */
  refresh() {
    const { state, shownModel, layer } = this.viewer;
    const { panes } = shownModel;
    const shown = panes.filter((pane) => this.viewer.isOnScreen(pane));
    this.refreshButtons(shown.map((pane) => pane.id));
    for (const key of /** @type {const} */ (["opacity", "threshold"])) {
      const percent = Math.round(100 * state[key]);
      this[key].input.value = String(percent);
      this[key].output.textContent = `${percent}%`;
    }
    this.opacity.label.hidden = !["overlay", "error"].includes(layer);
    this.threshold.label.hidden = !["overlay", "mask"].includes(layer) || !panes.some((pane) => pane.confidence);
    this.showAll.hidden = state.solo === null && !state.hidden.size;
    this.toggles.swipe.hidden = panes.length < 2;
    this.toggles.grid.hidden = !panes.some((pane) => pane.stride);
    this.confidenceLegend.hidden = layer !== "confidence";
    this.entropyLegend.hidden = layer !== "entropy";
    this.errorLegend.hidden = layer !== "error";
    this.answersLegend.hidden = !shown.some((pane) => pane.kind === "disagreement");
    if (state.help && !this.keys.open) this.keys.showModal();
    if (!state.help && this.keys.open) this.keys.close();
    this.classes.refresh();
    this.differences.refresh();
  }

  /** @param {string[]} shown the panes on the screen, by id */
  refreshButtons(shown) {
    const { state, layer, layers } = this.viewer;
    for (const child of /** @type {Iterable<HTMLButtonElement>} */ (this.paneButtons.children)) {
      const isShown = shown.includes(child.dataset.pane ?? "");
      child.setAttribute("aria-pressed", String(isShown));
      child.disabled = isShown ? shown.length === 1 : shown.length >= MAX_PANES;
    }
    for (const child of /** @type {Iterable<HTMLButtonElement>} */ (this.layerButtons.children)) {
      child.hidden = !layers.some((name) => name === child.dataset.layer);
      child.setAttribute("aria-checked", String(child.dataset.layer === layer));
    }
    for (const key of /** @type {const} */ (["grid", "swipe", "safe", "help"])) {
      this.toggles[key].setAttribute("aria-pressed", String(state[key]));
    }
  }

  async copyLink() {
    writeLink(this.viewer);
    const note = this.viewer.shownModel.own ? " (without your photo)" : "";
    try {
      await navigator.clipboard.writeText(location.href);
      this.share.textContent = `Copied${note}`;
    } catch {
      this.share.textContent = `Copy the page's address${note}`; // insecure pages may not write to the clipboard
    }
    setTimeout(() => {
      this.share.textContent = "Copy link";
    }, COPIED);
  }
}

/**
 * @param {string} label
 * @param {string} title
 * @param {() => void} action
 * @returns {HTMLButtonElement}
 */
function button(label, title, action) {
  const name = /[a-z]{3}/i.test(label) ? label : title; // screen readers skip symbols
  return createElement("button", { type: "button", title, "aria-label": name, onclick: action }, label);
}

/**
 * @param {Viewer} viewer
 * @param {"swipe" | "grid" | "safe" | "help"} key
 * @param {string} label
 * @param {string} title
 * @returns {HTMLButtonElement}
 */
function toggleButton(viewer, key, label, title) {
  return button(label, title, () => viewer.set({ [key]: !viewer.state[key] }));
}

/**
 * @param {Viewer} viewer
 * @returns {HTMLElement}
 */
function layerButtons(viewer) {
  const buttons = LAYER_NAMES.map((layer) => {
    const attributes = { type: "button", role: "radio", "data-layer": layer, onclick: () => viewer.set({ layer }) };
    return createElement("button", attributes, LAYERS[layer]);
  });
  return createElement("div", { class: "choice", role: "radiogroup", "aria-label": "Layer" }, ...buttons);
}

/**
 * @param {Viewer} viewer
 * @param {string} name
 * @param {"opacity" | "threshold"} key
 * @param {string} title
 * @returns {Slider}
 */
function slider(viewer, name, key, title) {
  const input = createElement("input", { type: "range", min: 0, max: 100, "aria-label": name });
  const output = createElement("output");
  input.addEventListener("input", () => viewer.set({ [key]: Number(input.value) / 100 }));
  return { input, output, label: createElement("label", { title }, name, input, output) };
}

/**
 * @param {Viewer} viewer
 * @returns {HTMLDialogElement}
 */
function keysDialog(viewer) {
  const close = () => viewer.set({ help: false });
  const rows = KEYS.flatMap(([key, action]) => [createElement("dt", {}, key), createElement("dd", {}, action)]);
  const attributes = { class: "keys", "aria-label": "Keyboard shortcuts", onclose: close };
  return createElement("dialog", attributes, createElement("dl", {}, ...rows), button("Close", "Close", close));
}
