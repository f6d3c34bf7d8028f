// The prediction of every pane under the pointer: class, confidence, runner-up.

import { createElement } from "../dom.js";
import { originalPixel, probe } from "./model.js";
import { swatch } from "./swatch.js";

/** @import { Pane, Probe } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

export class Readout {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.element = createElement("div", { class: "probe", "aria-live": "polite" });
  }

  refresh() {
    const { viewer } = this;
    const { shownModel, state } = viewer;
    const point = viewer.pointer ?? state.crosshair ?? state.pinned;
    const answers = shownModel.panes.flatMap((pane) => {
      const answer = point && probe(shownModel, pane, point);
      return answer ? [this.answer(pane, answer)] : [];
    });
    if (!point || !answers.length) {
      this.element.replaceChildren(createElement("span", { class: "hint" }, this.hint()));
      return;
    }
    const { x, y } = originalPixel(shownModel, point);
    this.element.replaceChildren(createElement("span", { class: "where" }, `x ${x}, y ${y}`), ...answers);
  }

  /** @returns {string} */
  hint() {
    return this.viewer.shownModel.panes.some((pane) => pane.ids)
      ? "Point at the photo to read the predictions; click to pin a pixel. Scroll or pinch to zoom."
      : "The masks are being computed.";
  }

  /**
   * @param {Pane} pane
   * @param {Probe} answer
   * @returns {HTMLElement}
   */
  answer(pane, { id, name, confidence, runnerUp }) {
    return createElement(
      "span",
      { class: "answer", "data-pane": pane.id },
      createElement("em", {}, pane.title),
      swatch(this.viewer, id),
      createElement("b", {}, name),
      confidence === undefined ? "" : ` ${Math.round(100 * confidence)}%`,
      runnerUp ? createElement("small", {}, `runner-up ${runnerUp}`) : "",
    );
  }
}
