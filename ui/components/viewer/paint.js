// What a pane shows, drawn on its canvas.

import { context2d } from "../dom.js";
import { fillPixels, sampleIndices } from "./pixels.js";

/** @import { CanvasView, Model, Pane, Samples, Size, ViewerState } from "./types.js" */

/** @typedef {{ left: number, right: number }} Columns The part of a canvas that is drawn, in its pixels. */
/** @typedef {{ x: number, y: number }} Corner The photo's point at the upper left corner of that part. */

/**
 * Draws a pane into some columns of a canvas.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Model} model
 * @param {Pane} pane
 * @param {ViewerState} state
 * @param {CanvasView} view
 * @param {Columns} part
 */
export function paint(context, model, pane, state, view, part) {
  const { left, right } = part;
  const width = right - left;
  const height = context.canvas.height;
  if (width <= 0 || height <= 0) return;
  const corner = cornerOf(context.canvas, view, left);
  context.save();
  context.beginPath();
  context.rect(left, 0, width, height);
  context.clip();
  context.clearRect(left, 0, width, height);
  context.imageSmoothingEnabled = view.scale < 3;
  context.imageSmoothingQuality = "medium";
  if (!coversPhoto(pane, state)) {
    const { scale } = view;
    context.drawImage(model.bitmap, left - corner.x * scale, -corner.y * scale, model.width * scale, model.height * scale);
  }
  if (pane.ids || pane.kind === "disagreement") {
    const picture = context.createImageData(width, height);
    const samples = samplesOf({ width, height }, model, corner, view.scale);
    fillPixels(new Uint32Array(picture.data.buffer), model, pane, state, samples);
    drawOver(context, picture, left);
  }
  if (state.grid && pane.stride) drawGrid(context, model, pane, view, corner, part);
  context.restore();
}

/**
 * @param {Size} canvas
 * @param {CanvasView} view
 * @param {number} left the first column that is drawn
 * @returns {Corner}
 */
export function cornerOf(canvas, view, left) {
  const step = 1 / view.scale;
  return { x: view.x - (canvas.width / 2 - left) * step, y: view.y - (canvas.height / 2) * step };
}

/**
 * @param {Size} part of the canvas
 * @param {Size} photo
 * @param {Corner} corner
 * @param {number} scale
 * @returns {Samples}
 */
export function samplesOf(part, photo, corner, scale) {
  const step = 1 / scale;
  return {
    columns: sampleIndices(part.width, corner.x, step, photo.width),
    rows: sampleIndices(part.height, corner.y, step, photo.height),
  };
}

/**
 * Whether the mask hides the photo everywhere.
 *
 * @param {Pane} pane
 * @param {ViewerState} state
 * @returns {boolean}
 */
function coversPhoto(pane, state) {
  return Boolean(pane.ids) && state.layer === "mask" && state.highlighted === null && state.threshold === 0;
}

/** @type {CanvasRenderingContext2D | null} */
let scratch = null;

/**
 * Draws a picture over what is there; putImageData alone would replace it.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {ImageData} picture
 * @param {number} left
 */
function drawOver(context, picture, left) {
  scratch ??= context2d(document.createElement("canvas"));
  const { canvas } = scratch;
  if (canvas.width < picture.width) canvas.width = picture.width;
  if (canvas.height < picture.height) canvas.height = picture.height;
  scratch.putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, picture.width, picture.height, left, 0, picture.width, picture.height);
}

/**
 * The grid that the network scores on, unless it is too fine to be seen.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Size} photo
 * @param {Pane} pane
 * @param {CanvasView} view
 * @param {Corner} corner
 * @param {Columns} part
 */
function drawGrid(context, photo, pane, { scale }, corner, { left, right }) {
  const [workWidth, workHeight] = /** @type {[number, number]} */ (pane.working_size);
  const stride = /** @type {number} */ (pane.stride);
  const gapX = (stride * photo.width * scale) / workWidth;
  const gapY = (stride * photo.height * scale) / workHeight;
  if (gapX < 4) return;
  context.strokeStyle = "#ffffff80";
  context.lineWidth = 1;
  context.beginPath();
  const photoLeft = left - corner.x * scale;
  const photoTop = -corner.y * scale;
  const photoRight = photoLeft + photo.width * scale;
  const photoBottom = photoTop + photo.height * scale;
  for (let x = photoLeft; x <= Math.min(right, photoRight) + 1; x += gapX) {
    if (x < left) continue;
    context.moveTo(Math.round(x) + 0.5, Math.max(0, photoTop));
    context.lineTo(Math.round(x) + 0.5, photoBottom);
  }
  for (let y = photoTop; y <= Math.min(context.canvas.height, photoBottom) + 1; y += gapY) {
    if (y < 0) continue;
    context.moveTo(Math.max(left, photoLeft), Math.round(y) + 0.5);
    context.lineTo(photoRight, Math.round(y) + 0.5);
  }
  context.stroke();
}
