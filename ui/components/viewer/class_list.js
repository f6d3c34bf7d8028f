// The classes of the masks as chips: each hides its class, isolates it or highlights it.

import { createElement } from "../dom.js";
import { isShown } from "./pixels.js";
import { classCssColor, formatShare, swatch } from "./swatch.js";

/** @import { PresentClass } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

export class ClassList {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.element = createElement("div", { class: "chips", role: "group", "aria-label": "Classes" });
  }

  /** Takes the classes of another model. */
  rebuild() {
    this.element.replaceChildren(...this.viewer.shownModel.present.map((present) => this.chip(present)));
  }

  /**
   * @param {PresentClass} present
   * @returns {HTMLElement}
   */
  chip({ id, share }) {
    const { viewer } = this;
    const { name } = viewer.shownModel.classes[id];
    const shareText = createElement("small", { title: "largest share in any mask" }, formatShare(share));
    const show = createElement(
      "button",
      { type: "button", "data-class": name, title: `Show or hide ${name}`, onclick: () => this.toggle(id) },
      ...[swatch(viewer, id), name, shareText],
    );
    const only = createElement(
      "button",
      {
        type: "button",
        class: "only",
        title: `Only ${name}`,
        "aria-label": `Show only ${name}`,
        onclick: () => viewer.set({ solo: viewer.state.solo === id ? null : id }),
      },
      "only",
    );
    const highlight = () => viewer.set({ highlighted: id });
    const stop = () => viewer.set({ highlighted: null });
    const attributes = {
      class: "chip",
      "data-id": id,
      // a finger means to press
      onpointerenter: (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && highlight(),
      onpointerleave: stop,
      onfocusin: (/** @type {any} */ event) => event.target.matches(":focus-visible") && highlight(),
      onfocusout: stop,
    };
    return createElement("span", attributes, show, only);
  }

  /** @param {number} id */
  toggle(id) {
    const hidden = new Set(this.viewer.state.hidden);
    if (!hidden.delete(id)) hidden.add(id);
    this.viewer.set({ hidden, solo: null });
  }

  /** Updates the chips to the state. */
  refresh() {
    const { state, shownModel } = this.viewer;
    for (const chip of /** @type {Iterable<HTMLElement>} */ (this.element.children)) {
      const id = Number(chip.dataset.id);
      const [show, only] = chip.children;
      show.setAttribute("aria-pressed", String(isShown(state, id)));
      only.setAttribute("aria-pressed", String(state.solo === id));
      const color = /** @type {HTMLElement} */ (show.querySelector("i"));
      color.style.background = classCssColor(shownModel.classes, state.safe, id);
    }
  }
}
