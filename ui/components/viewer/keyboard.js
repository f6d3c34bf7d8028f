// Keyboard shortcuts of the viewer.

import { clamp } from "../geometry.js";

/** @import { Viewer } from "./viewer.js" */

/** @typedef {[dx: number, dy: number]} Direction */

/** @type {[key: string, action: string][]} */
export const KEYS = [
  ["+ −", "zoom in, out"],
  ["0", "whole photo"],
  ["1", "one photo pixel per screen pixel"],
  ["arrows", "move the photo, the crosshair or the divider"],
  ["C", "crosshair on, off (shift: steps of ten pixels)"],
  ["Enter", "pin the point under the crosshair"],
  ["L", "next layer"],
  ["[ ]", "opacity down, up"],
  ["G", "output grid of each network"],
  ["S", "swipe between two panes; the arrows or < > move the divider"],
  ["P", "color-blind safe colors"],
  ["Esc", "unpin, show all classes, close"],
  ["?", "this list"],
];

/** @type {Record<string, Direction>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {Viewer} viewer
 * @param {KeyboardEvent} event
 */
export function pressKey(viewer, event) {
  if (!isForViewer(event) || !viewer.model) return;
  const arrow = ARROWS[event.key];
  const actions = keyActions(viewer);
  const action = arrow
    ? () => pressArrow(viewer, arrow, event.shiftKey ? 10 : 1)
    : (actions[event.key] ?? actions[event.key.toLowerCase()]);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation(); // Streamlit has keys of its own: c clears its cache
  action();
  viewer.viewChanged();
}

/**
 * Whether a key is not one of the browser's, nor of the control that has the focus.
 *
 * @param {KeyboardEvent} event
 * @returns {boolean}
 */
function isForViewer(event) {
  const target = /** @type {Element} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return false;
  // buttons and sliders have their own use of these
  return Boolean(target.closest(".group")) || !(/^(Arrow|Enter)/.test(event.key) || target.closest("dialog"));
}

/**
 * What each key does, arrows left out.
 *
 * @param {Viewer} viewer
 * @returns {Record<string, () => void>}
 */
function keyActions(viewer) {
  const { view, state, layers } = viewer;
  const rounded = (/** @type {number} */ value) => clamp(Math.round(100 * value) / 100, 0, 1);
  return {
    "+": () => view.zoom(1.5, view.middle),
    "=": () => view.zoom(1.5, view.middle),
    "-": () => view.zoom(1 / 1.5, view.middle),
    0: () => view.fit(),
    1: () => view.oneToOne(window.devicePixelRatio || 1),
    c: () => {
      viewer.pointer = null;
      viewer.set({ crosshair: state.crosshair ? null : { x: Math.floor(view.x) + 0.5, y: Math.floor(view.y) + 0.5 } });
    },
    enter: () => state.crosshair && viewer.pin(state.crosshair),
    l: () => viewer.set({ layer: layers[(layers.indexOf(viewer.layer) + 1) % layers.length] }),
    "[": () => viewer.set({ opacity: rounded(state.opacity - 0.1) }),
    "]": () => viewer.set({ opacity: rounded(state.opacity + 0.1) }),
    g: () => viewer.set({ grid: !state.grid }),
    s: () => viewer.set({ swipe: !state.swipe }),
    "<": () => viewer.set({ divider: rounded(state.divider - 0.02) }),
    ">": () => viewer.set({ divider: rounded(state.divider + 0.02) }),
    p: () => viewer.set({ safe: !state.safe }),
    "?": () => viewer.set({ help: !state.help }),
    escape: () => {
      viewer.set({ help: false, crosshair: null, solo: null, cell: null });
      if (state.pinned) viewer.pin(null);
    },
  };
}

/**
 * Moves the crosshair where there is one, else the divider where there is one, else the photo.
 *
 * @param {Viewer} viewer
 * @param {Direction} direction
 * @param {number} step
 */
function pressArrow(viewer, [dx, dy], step) {
  const { view, state } = viewer;
  viewer.pointer = null; // a mouse that rests on a pane
  if (state.swipe && !state.crosshair && dx) return viewer.set({ divider: clamp(state.divider + (dx * step) / 100, 0, 1) });
  if (!state.crosshair) return view.pan(-dx * 40, -dy * 40);
  const { width, height } = view.photo;
  const crosshair = {
    x: clamp(state.crosshair.x + dx * step, 0.5, width - 0.5),
    y: clamp(state.crosshair.y + dy * step, 0.5, height - 0.5),
  };
  view.reveal(crosshair);
  viewer.set({ crosshair });
}
