// The tensor of a node: its values, their colors and its picture.

import { colorRamp, rgba } from "../color.js";
import { inflate } from "../inflate.js";

/** @import { Rgb } from "../color.js" */
/** @import { Shares } from "../geometry.js" */

/** @typedef {"photo" | "ids" | "strength" | "score"} NodeKind */
/** @typedef {{ name: string, color: Rgb }} ClassInfo */
/** @typedef {[from: string, to: string]} Edge Two nodes, by id. */

/**
 * A tensor as Python sends it: `Node` in __init__.py.
 *
 * @typedef {object} PackedNode
 * @property {string} id
 * @property {string} title
 * @property {string} shape
 * @property {number} column of the drawing, from 1
 * @property {number} row of the drawing, from 1
 * @property {string} text description
 * @property {NodeKind} kind
 * @property {number} width in pixels of the photo, or in cells of the tensor
 * @property {number} height
 * @property {string} data base64: a JPEG, or deflated bytes: train ids, or values from `low` to `high` in 255 steps
 * @property {number} low
 * @property {number} high
 */

/** @typedef {PackedNode & { picture: ImageBitmap, values: Uint8Array | null }} TensorNode A node of a photo has no values. */

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} text
 * @property {string} node the enlarged node
 * @property {Edge[]} edges the highlighted edges
 */

/**
 * @typedef {object} DiagramFacts
 * @property {Edge[]} edges
 * @property {Step[]} steps
 * @property {ClassInfo[]} classes
 * @property {Shares} point
 */

/** @typedef {DiagramFacts & { nodes: PackedNode[] }} DiagramData */
/** @typedef {DiagramFacts & { nodes: TensorNode[] }} DiagramModel */

/** Blue below zero, nearly black at it, orange above. */
export const SCORE_RAMP = colorRamp([
  [96, 196, 255],
  [28, 92, 160],
  [16, 18, 24],
  [176, 84, 20],
  [255, 196, 92],
]);

/** Dark to bright. */
export const STRENGTH_RAMP = colorRamp([
  [16, 18, 24],
  [24, 84, 92],
  [64, 170, 140],
  [250, 240, 150],
]);

/**
 * The color of each value of a tensor.
 *
 * @param {Exclude<NodeKind, "photo">} kind
 * @param {ClassInfo[]} classes
 * @returns {Uint32Array}
 */
export function valueColors(kind, classes) {
  if (kind === "score") return SCORE_RAMP;
  if (kind === "strength") return STRENGTH_RAMP;
  return Uint32Array.from({ length: 256 }, (_, id) => rgba(...(classes[id]?.color ?? /** @type {Rgb} */ ([0, 0, 0])), 255));
}

/**
 * @param {string} text
 * @returns {Uint8Array}
 */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * Makes the picture of a node, of the tensor's own size, and its values, to be read under the pointer.
 *
 * @param {PackedNode} node
 * @param {ClassInfo[]} classes
 * @returns {Promise<TensorNode>}
 */
export async function openNode(node, classes) {
  const bytes = fromBase64(node.data);
  if (node.kind === "photo") {
    const photo = new Blob([/** @type {BlobPart} */ (bytes)], { type: "image/jpeg" });
    return { ...node, values: null, picture: await createImageBitmap(photo) };
  }
  const values = await inflate(bytes);
  const colors = valueColors(node.kind, classes);
  const pixels = new ImageData(node.width, node.height);
  new Uint32Array(pixels.data.buffer).set(Uint32Array.from(values, (value) => colors[value]));
  return { ...node, values, picture: await createImageBitmap(pixels) };
}

/**
 * The value that a byte of a tensor stands for.
 *
 * @param {Pick<PackedNode, "low" | "high">} node
 * @param {number} byte
 * @returns {number}
 */
export function tensorValue({ low, high }, byte) {
  return low + (byte / 255) * (high - low);
}

/**
 * The cell of a tensor at a point of the photo.
 *
 * @param {Pick<PackedNode, "width" | "height">} node
 * @param {Shares} point
 * @returns {{ column: number, row: number }}
 */
export function cellAt({ width, height }, [x, y]) {
  return { column: Math.floor(x * width), row: Math.floor(y * height) };
}
