// Mouse and touch -> zoom, pan, probe. Every pane answers alike, since all share one view.

import { clamp } from "../geometry.js";

/** @import { Point } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

const DIVIDER_REACH = 16; // CSS pixels
const CLICK_REACH = 5; // CSS pixels that a pointer may move in a click
const DOUBLE_CLICK = 400; // milliseconds
const WHEEL_PAUSE = 250; // milliseconds

// A turn of the wheel goes on as it began: who scrolls the page past the panes does not zoom them.
const wheel = { lastTime: 0, zooms: false };
window.addEventListener(
  "wheel",
  (event) => {
    if (event.target instanceof Element && event.target.closest(".viewer canvas")) return;
    wheel.lastTime = event.timeStamp;
    wheel.zooms = false;
  },
  { passive: true },
);

/**
 * What the pointers on a canvas do.
 *
 * @typedef {object} Gesture
 * @property {Map<number, Point>} pointers those that are down
 * @property {number} distance that they moved
 * @property {boolean} movesDivider
 * @property {number} lastLift when one was last lifted
 * @property {Point | null} pinnedBefore the pin before the first click of a double click
 */

/**
 * Where a pointer is on a canvas, in CSS pixels.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {MouseEvent} event
 * @returns {Point}
 */
function pointOnCanvas(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

/**
 * @param {Viewer} viewer
 * @param {HTMLCanvasElement} canvas
 */
export function listenToPointers(viewer, canvas) {
  /** @type {Gesture} */
  const gesture = { pointers: new Map(), distance: 0, movesDivider: false, lastLift: 0, pinnedBefore: null };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    const point = pointOnCanvas(canvas, event);
    gesture.pointers.set(event.pointerId, point);
    gesture.distance = 0;
    const divider = viewer.dividerOf(canvas);
    gesture.movesDivider = divider !== null && Math.abs(point.x - divider) < DIVIDER_REACH;
  });
  canvas.addEventListener("pointermove", (event) => movePointer(viewer, gesture, event, pointOnCanvas(canvas, event)));
  const lift = (/** @type {PointerEvent} */ event) => liftPointer(viewer, gesture, event, pointOnCanvas(canvas, event));
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => viewer.hover(null));
  canvas.addEventListener("dblclick", (event) => {
    viewer.view.zoom(event.shiftKey ? 0.5 : 2, pointOnCanvas(canvas, event));
    viewer.set({ pinned: gesture.pinnedBefore });
    viewer.sendPoint();
  });
  canvas.addEventListener("wheel", (event) => turnWheel(viewer, event, pointOnCanvas(canvas, event)), { passive: false });
}

/**
 * @param {Viewer} viewer
 * @param {Gesture} gesture
 * @param {PointerEvent} event
 * @param {Point} point
 */
function movePointer(viewer, gesture, event, point) {
  const before = gesture.pointers.get(event.pointerId);
  if (!before) {
    if (event.pointerType !== "touch") viewer.hover(viewer.view.toPhoto(point));
    return;
  }
  const fingers = [...gesture.pointers].filter(([id]) => id !== event.pointerId).map(([, finger]) => finger);
  gesture.distance += Math.hypot(point.x - before.x, point.y - before.y);
  if (gesture.movesDivider) viewer.set({ divider: clamp(point.x / viewer.view.width, 0, 1) });
  else if (fingers.length === 1) pinch(viewer, before, point, fingers[0]);
  else viewer.view.pan(point.x - before.x, point.y - before.y);
  gesture.pointers.set(event.pointerId, point);
  viewer.viewChanged();
}

/**
 * Zooms by the distance of two fingers, and pans by the way of their middle.
 *
 * @param {Viewer} viewer
 * @param {Point} before of the finger that moved
 * @param {Point} after
 * @param {Point} resting the finger that did not
 */
function pinch(viewer, before, after, resting) {
  const distance = (/** @type {Point} */ point) => Math.hypot(point.x - resting.x, point.y - resting.y);
  const middle = { x: (after.x + resting.x) / 2, y: (after.y + resting.y) / 2 };
  viewer.view.zoom(distance(after) / Math.max(1, distance(before)), middle);
  viewer.view.pan((after.x - before.x) / 2, (after.y - before.y) / 2);
}

/**
 * @param {Viewer} viewer
 * @param {Gesture} gesture
 * @param {PointerEvent} event
 * @param {Point} point
 */
function liftPointer(viewer, gesture, event, point) {
  if (!gesture.pointers.delete(event.pointerId) || event.type === "pointercancel") return;
  if (event.timeStamp - gesture.lastLift > DOUBLE_CLICK) gesture.pinnedBefore = viewer.state.pinned;
  gesture.lastLift = event.timeStamp;
  if (gesture.distance < CLICK_REACH && !gesture.movesDivider) viewer.pin(viewer.view.toPhoto(point));
  gesture.movesDivider = false;
}

/**
 * @param {Viewer} viewer
 * @param {WheelEvent} event
 * @param {Point} point
 */
function turnWheel(viewer, event, point) {
  // zooming out of a photo that is seen whole scrolls the page
  if (event.timeStamp - wheel.lastTime > WHEEL_PAUSE) wheel.zooms = event.deltaY < 0 || !viewer.view.isWhole;
  wheel.lastTime = event.timeStamp;
  if (!wheel.zooms) return;
  event.preventDefault();
  viewer.view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), point);
  viewer.hover(viewer.view.toPhoto(point));
  viewer.viewChanged();
}
