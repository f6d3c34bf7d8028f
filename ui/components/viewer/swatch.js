// How a class and a share look in the controls.

import { createElement } from "../dom.js";

/** @import { ClassInfo } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * The color of a class as CSS; black for what has no class.
 *
 * @param {ClassInfo[]} classes
 * @param {boolean} safe
 * @param {number} id
 * @returns {string}
 */
export function classCssColor(classes, safe, id) {
  const info = classes[id];
  return `rgb(${info ? (safe ? info.safe : info.color) : [0, 0, 0]})`;
}

/**
 * @param {Viewer} viewer
 * @param {number} id
 * @returns {HTMLElement}
 */
export function swatch(viewer, id) {
  return createElement("i", { style: `background: ${classCssColor(viewer.shownModel.classes, viewer.state.safe, id)}` });
}

/**
 * @param {number} share
 * @returns {string}
 */
export function formatShare(share) {
  if (share >= 0.0005) return `${(100 * share).toFixed(1)}%`;
  return share > 0 ? "< 0.1%" : "–";
}
