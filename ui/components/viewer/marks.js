// What is drawn over all panes: the pin, the crosshair and the divider. Places are in CSS pixels, `ratio` is the canvas's pixels per
// CSS pixel. Each mark has a dark edge, so that it is seen on any photo.

/** @import { Point } from "./types.js" */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} place
 * @param {number} ratio
 */
export function drawPin(context, { x, y }, ratio) {
  for (const [style, width] of /** @type {const} */ ([
    ["#000c", 3],
    ["#ffd60a", 1.5],
  ])) {
    context.strokeStyle = style;
    context.lineWidth = width * ratio;
    context.beginPath();
    context.arc(x * ratio, y * ratio, 6 * ratio, 0, 7);
    context.stroke();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} place
 * @param {number} ratio
 */
export function drawCrosshair(context, { x, y }, ratio) {
  for (const [style, width, reach] of /** @type {const} */ ([
    ["#000a", 3, 9],
    ["#fff", 1, 8],
  ])) {
    context.strokeStyle = style;
    context.lineWidth = width * ratio;
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ]) {
      context.moveTo((x + 3 * dx) * ratio, (y + 3 * dy) * ratio);
      context.lineTo((x + reach * dx) * ratio, (y + reach * dy) * ratio);
    }
    context.stroke();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} split the canvas's column between two panes
 * @param {number} ratio
 */
export function drawDivider(context, split, ratio) {
  const { height } = context.canvas;
  context.fillStyle = "#fff";
  context.fillRect(split - ratio, 0, 2 * ratio, height);
  context.beginPath();
  context.arc(split, height / 2, 10 * ratio, 0, 7);
  context.fill();
}
