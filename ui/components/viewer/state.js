// What a person can choose in the viewer, and what is chosen at first.

/** @import { Layer, ViewerState } from "./types.js" */

/** @type {Readonly<Record<Layer, string>>} */
export const LAYERS = {
  overlay: "Overlay",
  mask: "Mask",
  outlines: "Outlines",
  confidence: "Confidence",
  entropy: "Entropy",
  error: "Errors",
  disagreement: "Disagreement",
};

export const LAYER_NAMES = /** @type {Layer[]} */ (Object.keys(LAYERS));

/**
 * The choices that a link leaves out.
 *
 * @type {Readonly<Pick<ViewerState, "layer" | "opacity" | "threshold" | "grid" | "safe" | "swipe">>}
 */
export const DEFAULTS = { layer: "overlay", opacity: 0.6, threshold: 0, grid: false, safe: false, swipe: false };

/** More panes than these would be too small. */
export const MAX_PANES = 6;

/** @returns {ViewerState} */
export function initialState() {
  return {
    ...DEFAULTS,
    divider: 0.5,
    hidden: new Set(),
    solo: null,
    highlighted: null,
    cell: null,
    pair: null,
    panes: new Map(),
    crosshair: null,
    pinned: null,
    help: false,
  };
}
