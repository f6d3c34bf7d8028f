// Where every pane looks at: the photo's point in the middle, and the CSS pixels per photo pixel. All panes share one.

import { clamp } from "../geometry.js";

/** @import { Point, Region, Size } from "./types.js" */

const MAX_SCALE = 48;

export class View {
  /** @param {Size} photo */
  constructor(photo) {
    this.photo = photo;
    this.width = 1;
    this.height = 1;
    this.minScale = fittingScale(photo, this);
    this.scale = this.minScale;
    this.x = photo.width / 2;
    this.y = photo.height / 2;
  }

  /**
   * Takes the panes' new size; what was seen stays in the middle.
   *
   * @param {Size} photo
   * @param {number} width
   * @param {number} height
   */
  resize(photo, width, height) {
    const wasWhole = this.isWhole;
    this.photo = photo;
    this.width = width;
    this.height = height;
    this.minScale = fittingScale(photo, this);
    if (wasWhole) this.fit();
    else this.clamp();
  }

  /** Whether the whole photo is seen. */
  get isWhole() {
    return this.scale <= this.minScale * 1.0001;
  }

  /** Shows the whole photo. */
  fit() {
    this.scale = this.minScale;
    this.clamp();
  }

  /**
   * Shows one pixel of the photo on one of the screen.
   *
   * @param {number} pixelRatio the screen's pixels per CSS pixel
   */
  oneToOne(pixelRatio) {
    this.zoom(1 / pixelRatio / this.scale, this.middle);
  }

  /** The middle of a pane. */
  get middle() {
    return { x: this.width / 2, y: this.height / 2 };
  }

  /**
   * Zooms; the photo's point under a pane's point stays where it is.
   *
   * @param {number} factor
   * @param {Point} fixed of the pane
   */
  zoom(factor, fixed) {
    const before = this.toPhoto(fixed);
    this.scale = clamp(this.scale * factor, this.minScale, Math.max(MAX_SCALE, this.minScale));
    const after = this.toPhoto(fixed);
    this.x += before.x - after.x;
    this.y += before.y - after.y;
    this.clamp();
  }

  /**
   * Shows a part of the photo that a link names.
   *
   * @param {Region} region
   */
  showRegion({ x, y, across }) {
    this.scale = Math.max(this.minScale, Math.min(MAX_SCALE, this.width / across));
    this.x = x;
    this.y = y;
    this.clamp();
  }

  /**
   * Moves the photo by CSS pixels.
   *
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.clamp();
  }

  /**
   * Brings a point of the photo into sight.
   *
   * @param {Point} point
   */
  reveal({ x, y }) {
    const halfX = (0.45 * this.width) / this.scale;
    const halfY = (0.45 * this.height) / this.scale;
    this.x = clamp(this.x, x - halfX, x + halfX);
    this.y = clamp(this.y, y - halfY, y + halfY);
    this.clamp();
  }

  /** Keeps the panes within the photo; a side that is seen whole stays in the middle. */
  clamp() {
    this.x = clampMiddle(this.x, this.width / 2 / this.scale, this.photo.width);
    this.y = clampMiddle(this.y, this.height / 2 / this.scale, this.photo.height);
  }

  /**
   * A pane's point -> the photo's.
   *
   * @param {Point} point
   * @returns {Point}
   */
  toPhoto({ x, y }) {
    return { x: this.x + (x - this.width / 2) / this.scale, y: this.y + (y - this.height / 2) / this.scale };
  }

  /**
   * The photo's point -> a pane's.
   *
   * @param {Point} point
   * @returns {Point}
   */
  toPane({ x, y }) {
    return { x: (x - this.x) * this.scale + this.width / 2, y: (y - this.y) * this.scale + this.height / 2 };
  }
}

/**
 * @param {Size} photo
 * @param {Size} pane
 * @returns {number}
 */
function fittingScale(photo, pane) {
  return Math.min(pane.width / photo.width, pane.height / photo.height);
}

/**
 * @param {number} value
 * @param {number} half of what is seen
 * @param {number} size of the photo
 * @returns {number}
 */
function clampMiddle(value, half, size) {
  return 2 * half >= size ? size / 2 : clamp(value, half, size - half);
}

/** @typedef {Size & { across: number }} Arrangement How many panes stand beside each other, and the size of each. */

/**
 * So many panes of a shape beside and below each other that the photo is as large as it can be. What is far taller or wider than
 * the window is shown whole in a pane that is not.
 *
 * @param {number} count
 * @param {number} ratio of the photo, width / height
 * @param {Size} space
 * @param {{ gap: number, caption: number }} margins
 * @returns {Arrangement}
 */
export function arrangePanes(count, ratio, space, { gap, caption }) {
  const isPhone = space.width < 600;
  let best = { across: 1, width: 0, height: 0 };
  let bestSeen = 0;
  for (let across = 1; across <= (isPhone ? 1 : count); across++) {
    const down = isPhone ? 1 : Math.ceil(count / across); // a phone's panes are scrolled through
    const maxHeight = Math.max(120, (space.height - (gap + caption) * down) / down);
    const width = Math.min((space.width - gap * (across - 1)) / across, Math.max(maxHeight * ratio, 120));
    const height = Math.min(width / ratio, maxHeight);
    const seen = Math.min(width, height * ratio);
    if (seen <= 0.97 * bestSeen) continue; // fewer rows are better than a slightly larger photo
    best = { across, width: Math.floor(width), height: Math.max(1, Math.round(height)) };
    bestSeen = seen;
  }
  return best;
}
