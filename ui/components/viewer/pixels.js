// The colors of a pane's pixels, computed for the pixels on the screen only: the cost of a redraw does not grow with the photo.

import { colorRamp, opaque, rgba } from "../color.js";

/** @import { ClassInfo, ClassPair, MaskModel, MaskPane, Pane, Rgb, Samples, Size, ViewerState } from "./types.js" */

/** @type {Rgb} */
export const RIGHT = [34, 197, 94];
/** @type {Rgb} */
export const WRONG = [236, 72, 153];
/** @type {Rgb} */
export const TWO_ANSWERS = [255, 196, 0];
/** @type {Rgb} */
export const MORE_ANSWERS = [236, 72, 153];
/** Darkens what is not the point of a layer. */
export const VEIL = rgba(0, 0, 0, 170);
const SELECTED = rgba(255, 196, 0, 255);
const BLACK = rgba(0, 0, 0, 255);
const FADED = 0.12; // of the opacity

/** Dark blue over green to yellow, for values at working resolution: readable in gray and with any color vision. */
export const VALUE_RAMP = colorRamp([
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
]);

/**
 * The color of each train id under the present choices.
 *
 * @param {ClassInfo[]} classes
 * @param {ViewerState} state
 * @returns {Uint32Array}
 */
export function classColors(classes, state) {
  const table = new Uint32Array(256);
  const alpha = state.layer === "mask" ? 255 : Math.round(255 * state.opacity);
  classes.forEach(({ color, safe }, id) => {
    const [red, green, blue] = state.safe ? safe : color;
    if (state.highlighted !== null) table[id] = id === state.highlighted ? rgba(red, green, blue, 235) : VEIL;
    else table[id] = isShown(state, id) ? rgba(red, green, blue, alpha) : 0;
  });
  if (state.layer === "mask") table.fill(BLACK, classes.length); // what has no class
  return table;
}

/**
 * @param {Pick<ViewerState, "solo" | "hidden">} state
 * @param {number} id
 * @returns {boolean}
 */
export function isShown(state, id) {
  return state.solo === null ? !state.hidden.has(id) : state.solo === id;
}

/**
 * The photo's column (or row) under each of `count` pixels of a canvas, -1 outside.
 *
 * @param {number} count
 * @param {number} first the photo's coordinate at the first pixel's edge
 * @param {number} step the photo's pixels per pixel of the canvas
 * @param {number} limit the photo's size
 * @returns {Int32Array}
 */
export function sampleIndices(count, first, step, limit) {
  const result = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const index = Math.floor(first + (i + 0.5) * step);
    result[i] = index >= 0 && index < limit ? index : -1;
  }
  return result;
}

/**
 * The two chosen panes, where both name classes.
 *
 * @param {Pick<MaskModel, "panes">} model
 * @param {Pick<ViewerState, "pair">} state
 * @returns {[MaskPane, MaskPane] | null}
 */
export function maskPair(model, state) {
  const pair = state.pair?.map((id) => model.panes.find((pane) => pane.id === id));
  return pair?.every((pane) => pane?.ids) ? /** @type {[MaskPane, MaskPane]} */ (pair) : null;
}

/**
 * Fills the pixels of a pane's layer; what lies outside the photo stays clear.
 *
 * @param {Uint32Array} pixels row by row, clear
 * @param {MaskModel} model
 * @param {Pane} pane
 * @param {ViewerState} state
 * @param {Samples} samples
 */
export function fillPixels(pixels, model, pane, state, samples) {
  const pair = maskPair(model, state);
  if (state.cell && pair) return fillCell(pixels, model, pair, state.cell, samples);
  if (pane.kind === "disagreement") return fillAnswerCounts(pixels, model, pane, samples);
  if (state.layer === "confidence" && pane.confidence) return fillValues(pixels, model, pane, pane.confidence, samples);
  if (state.layer === "entropy" && pane.entropy) return fillValues(pixels, model, pane, pane.entropy, samples);
  const mask = /** @type {MaskPane} */ (pane);
  if (state.layer === "error" && model.truth && pane.kind !== "truth") return fillErrors(pixels, model, mask, state, samples);
  const table = classColors(model.classes, state);
  if (state.layer === "disagreement" && pair?.includes(mask)) {
    return fillDifferences(pixels, model, mask, pair[0] === mask ? pair[1] : pair[0], table, samples);
  }
  if (state.layer === "outlines") return fillOutlines(pixels, model, mask, table, samples);
  fillClasses(pixels, model, mask, table, samples);
  if (state.threshold > 0 && pane.confidence) fadeBelowThreshold(pixels, model, pane, state.threshold, samples);
}

/**
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {Samples} samples
 * @param {(index: number) => number} colorAt the color at an index of the mask
 */
function fillEach(pixels, size, { columns, rows }, colorAt) {
  let position = 0;
  for (const row of rows) {
    const base = row * size.width;
    for (const column of columns) pixels[position++] = row < 0 || column < 0 ? 0 : colorAt(base + column);
  }
}

/**
 * Each class in its own color. The layer that is drawn most has no call for each pixel.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {MaskPane} pane
 * @param {Uint32Array} table
 * @param {Samples} samples
 */
function fillClasses(pixels, size, { ids }, table, { columns, rows }) {
  const count = columns.length;
  for (let y = 0; y < rows.length; y++) {
    if (rows[y] < 0) continue;
    const base = rows[y] * size.width;
    const start = y * count;
    for (let x = 0; x < count; x++) if (columns[x] >= 0) pixels[start + x] = table[ids[base + columns[x]]];
  }
}

/**
 * Lines where the class changes to the right or below; they are opaque, and a hidden class has none.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {MaskPane} pane
 * @param {Uint32Array} table
 * @param {Samples} samples
 */
function fillOutlines(pixels, size, { ids }, table, { columns, rows }) {
  const count = columns.length;
  for (let y = 0; y + 1 < rows.length; y++) {
    if (rows[y] < 0 || rows[y + 1] < 0) continue;
    const base = rows[y] * size.width;
    const below = rows[y + 1] * size.width;
    for (let x = 0; x + 1 < count; x++) {
      if (columns[x] < 0 || columns[x + 1] < 0) continue;
      const id = ids[base + columns[x]];
      if (id === ids[base + columns[x + 1]] && id === ids[below + columns[x]]) continue;
      const color = table[id] ? opaque(table[id]) : 0;
      const position = y * count + x;
      pixels[position] = pixels[position + 1] = pixels[position + count] = color;
    }
  }
}

/**
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {Pane} pane
 * @param {Uint8Array} values at working resolution
 * @param {Samples} samples
 */
function fillValues(pixels, size, pane, values, samples) {
  visitWorkingPixels(size, pane, samples, (position, index) => {
    pixels[position] = VALUE_RAMP[values[index]];
  });
}

/**
 * Takes most of the opacity from pixels below the threshold.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {Pane} pane
 * @param {number} threshold
 * @param {Samples} samples
 */
function fadeBelowThreshold(pixels, size, pane, threshold, samples) {
  const confidence = /** @type {Uint8Array} */ (pane.confidence);
  const least = Math.round(255 * threshold);
  visitWorkingPixels(size, pane, samples, (position, index) => {
    if (confidence[index] >= least) return;
    const color = pixels[position];
    pixels[position] = ((color & 0xffffff) | (((color >>> 24) * FADED) << 24)) >>> 0;
  });
}

/**
 * Calls `visit` with the position of each pixel and the index in arrays of working resolution under it.
 *
 * @param {Size} size
 * @param {Pane} pane
 * @param {Samples} samples
 * @param {(position: number, index: number) => void} visit
 */
function visitWorkingPixels(size, pane, { columns, rows }, visit) {
  const [width, height] = /** @type {[number, number]} */ (pane.working_size);
  const count = columns.length;
  const workColumns = columns.map((c) => (c < 0 ? -1 : Math.min(width - 1, Math.floor((c * width) / size.width))));
  for (let y = 0; y < rows.length; y++) {
    if (rows[y] < 0) continue;
    const base = Math.min(height - 1, Math.floor((rows[y] * height) / size.height)) * width;
    for (let x = 0; x < count; x++) if (workColumns[x] >= 0) visit(y * count + x, base + workColumns[x]);
  }
}

/**
 * Correct and wrong pixels, dark where the ground truth has no class.
 *
 * @param {Uint32Array} pixels
 * @param {MaskModel} model
 * @param {MaskPane} pane
 * @param {ViewerState} state
 * @param {Samples} samples
 */
function fillErrors(pixels, model, { ids }, state, samples) {
  const truth = /** @type {MaskPane} */ (model.truth).ids;
  const right = rgba(...RIGHT, Math.round(90 * state.opacity));
  const wrong = rgba(...WRONG, Math.round(90 + 165 * state.opacity));
  fillEach(pixels, model, samples, (index) => {
    if (truth[index] >= model.classes.length) return VEIL;
    return ids[index] === truth[index] ? right : wrong;
  });
}

/**
 * A pane's classes where another pane differs.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {MaskPane} pane
 * @param {MaskPane} reference
 * @param {Uint32Array} table
 * @param {Samples} samples
 */
function fillDifferences(pixels, size, { ids }, reference, table, samples) {
  fillEach(pixels, size, samples, (index) => (ids[index] === reference.ids[index] ? VEIL : opaque(table[ids[index]])));
}

/**
 * How many classes several masks name: dark where one, amber where two, pink where more.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {Pane} pane
 * @param {Samples} samples
 */
function fillAnswerCounts(pixels, size, { compared }, samples) {
  const colors = [VEIL, rgba(...TWO_ANSWERS, 230), rgba(...MORE_ANSWERS, 240)];
  const masks = compared.map((pane) => /** @type {MaskPane} */ (pane).ids);
  fillEach(pixels, size, samples, (index) => colors[Math.min(3, new Set(masks.map((ids) => ids[index])).size) - 1]);
}

/**
 * The pixels of one cell of the difference table.
 *
 * @param {Uint32Array} pixels
 * @param {Size} size
 * @param {[MaskPane, MaskPane]} pair
 * @param {ClassPair} cell
 * @param {Samples} samples
 */
function fillCell(pixels, size, [first, second], cell, samples) {
  const isInCell = (/** @type {number} */ index) => first.ids[index] === cell[0] && second.ids[index] === cell[1];
  fillEach(pixels, size, samples, (index) => (isInCell(index) ? SELECTED : VEIL));
}
