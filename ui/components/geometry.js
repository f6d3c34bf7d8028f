// From the pointer to a place in a picture, without the page: all of it is arithmetic.

/** @typedef {{ left: number, top: number, width: number, height: number }} Box A rectangle of the page, in CSS pixels. */
/** @typedef {[number, number]} Shares A point of a picture, x and y, each from 0 to just below 1. */

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {number}
 */
export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/**
 * A share of a picture's side. It stays below 1, so that it always lies in a pixel.
 *
 * @param {number} value
 * @returns {number}
 */
export function clampShare(value) {
  return clamp(value, 0, 0.9999);
}

/**
 * Where the pointer is in a picture that fills its box.
 *
 * @param {Box} box
 * @param {number} clientX
 * @param {number} clientY
 * @returns {Shares}
 */
export function pointInBox(box, clientX, clientY) {
  return [clampShare((clientX - box.left) / box.width), clampShare((clientY - box.top) / box.height)];
}

/**
 * Where the pointer is in a picture of a ratio (width / height) that CSS shows whole in a box, at its left and in the middle of its
 * height: object-fit contain, object-position left.
 *
 * @param {Box} box
 * @param {number} ratio
 * @param {number} clientX
 * @param {number} clientY
 * @returns {Shares}
 */
export function pointInContainedPicture(box, ratio, clientX, clientY) {
  const width = Math.min(box.width, box.height * ratio);
  const height = width / ratio;
  return pointInBox({ left: box.left, top: box.top + (box.height - height) / 2, width, height }, clientX, clientY);
}

/**
 * The cell of a grid of count x count cells under the pointer.
 *
 * @param {Box} box
 * @param {number} count
 * @param {number} clientX
 * @param {number} clientY
 * @returns {{ x: number, y: number }}
 */
export function cellInBox(box, count, clientX, clientY) {
  const cell = (/** @type {number} */ share) => clamp(Math.floor(share * count), 0, count - 1);
  return { x: cell((clientX - box.left) / box.width), y: cell((clientY - box.top) / box.height) };
}
