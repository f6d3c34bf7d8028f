// Pictures of one photo; a click, or the arrow keys, move the point in all of them.

import { componentRoot, createElement } from "../dom.js";
import { clampShare, pointInBox } from "../geometry.js";

/** @import { Shares } from "../geometry.js" */

/**
 * @typedef {object} Picture
 * @property {string} title
 * @property {string} note
 * @property {string} data a data URL
 * @property {[left: number, top: number, right: number, bottom: number] | null} box in shares of the picture; it may stick out
 */

/** @typedef {{ pictures: Picture[], point: Shares }} LinkedImagesData */

const STEP = 0.02;
const SEND_DELAY = 250; // milliseconds: keys come in bursts

/** @type {Record<string, Shares>} */
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/** @type {WeakMap<HTMLElement, LinkedImages>} */
const instances = new WeakMap();

/**
 * Where a key moves a point; null where it moves none.
 *
 * @param {Shares} point
 * @param {string} key
 * @returns {Shares | null}
 */
export function pointAfterKey(point, key) {
  const step = ARROWS[key];
  return step ? [clampShare(point[0] + step[0]), clampShare(point[1] + step[1])] : null;
}

/**
 * @param {number} share
 * @returns {string}
 */
function percent(share) {
  return `${100 * share}%`;
}

class LinkedImages {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {(point: Shares) => void} */
    this.send = () => {};
    /** @type {string | undefined} */
    this.key = undefined;
    /** @type {Shares} */
    this.point = [0, 0];
    /** @type {HTMLElement[]} */
    this.frames = [];
    /** @type {HTMLElement[]} */
    this.spots = [];
    /** @type {number | undefined} */
    this.sendTimer = undefined;
  }

  /** @param {LinkedImagesData} data */
  show({ pictures, point }) {
    const focused = this.frames.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    this.point = point;
    this.spots = pictures.map(() => createElement("span", { class: "spot" }));
    this.frames = pictures.map((picture, index) => this.makeFrame(picture, this.spots[index]));
    this.placeSpots();
    this.root.replaceChildren(
      ...pictures.map(({ title, note }, index) => {
        const caption = createElement("figcaption", {}, createElement("b", {}, title), createElement("span", {}, note));
        return createElement("figure", {}, this.frames[index], caption);
      }),
    );
    this.frames[focused]?.focus();
  }

  /**
   * @param {Picture} picture
   * @param {HTMLElement} spot
   * @returns {HTMLElement}
   */
  makeFrame({ title, data, box }, spot) {
    const attributes = {
      class: "frame",
      tabindex: "0",
      role: "application",
      "aria-label": `${title}: click or use the arrow keys to move the point`,
      onclick: (/** @type {MouseEvent} */ event) =>
        this.move(pointInBox(frame.getBoundingClientRect(), event.clientX, event.clientY)),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.pressKey(event),
    };
    const frame = createElement("div", attributes, createElement("img", { src: data, alt: "", draggable: "false" }), spot);
    if (box) {
      const [left, top] = box.map(percent);
      const size = `width: ${percent(box[2] - box[0])}; height: ${percent(box[3] - box[1])}`;
      frame.append(createElement("span", { class: "box", style: `left: ${left}; top: ${top}; ${size}` }));
    }
    return frame;
  }

  /** @param {KeyboardEvent} event */
  pressKey(event) {
    const point = pointAfterKey(this.point, event.key);
    if (!point) return;
    event.preventDefault();
    this.move(point);
  }

  /**
   * The mark moves at once; what it means comes when all is computed.
   *
   * @param {Shares} point
   */
  move(point) {
    this.point = point;
    this.placeSpots();
    clearTimeout(this.sendTimer);
    this.sendTimer = window.setTimeout(() => this.send(point), SEND_DELAY);
  }

  placeSpots() {
    const [left, top] = this.point.map(percent);
    for (const spot of this.spots) Object.assign(spot.style, { left, top });
  }
}

/** @param {import("../dom.js").ComponentArguments<LinkedImagesData>} component */
export default function ({ parentElement, data, setStateValue }) {
  const root = componentRoot(parentElement, "linked-images");
  const images = instances.get(root) ?? new LinkedImages(root);
  instances.set(root, images);
  images.send = (point) => setStateValue("point", point);
  const key = JSON.stringify(data);
  if (images.key === key) return;
  images.key = key;
  images.show(data);
}
