// What all components make their elements with.

/**
 * An event listener, an attribute's value, or nothing: null and undefined leave the attribute out.
 *
 * @typedef {string | number | null | undefined | ((event: any) => void)} AttributeValue
 */

/**
 * Makes an element with attributes, listeners (on…) and children.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, AttributeValue>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function createElement(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * The drawing context of a canvas. Every browser that runs Streamlit has one.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function context2d(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/**
 * What Streamlit hands to a component at every rerun of the page.
 *
 * @template Data
 * @typedef {object} ComponentArguments
 * @property {HTMLElement} parentElement
 * @property {Data} data
 * @property {(name: string, value: unknown) => void} setStateValue
 * @property {(name: string, value: unknown) => void} setTriggerValue
 */

/**
 * The element that a component draws into.
 *
 * @param {HTMLElement} parent
 * @param {string} className
 * @returns {HTMLElement}
 */
export function componentRoot(parent, className) {
  return /** @type {HTMLElement} */ (parent.querySelector(`.${className}`));
}
