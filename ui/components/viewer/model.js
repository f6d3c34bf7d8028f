// Unpacks the viewer's message. `pack` in __init__.py defines the layout: four bytes with the length of the header
// (little-endian), the header (JSON), the sections that it lists. Every array but the photo is deflated.

import { inflate } from "../inflate.js";

/** @import { HeaderFacts, MaskPane, Model, PackedHeader, PackedPane, Pane, Point, Probe, ReadSection, Section, Size, UnpackedPane } from "./types.js" */

/**
 * Reads the header of a message.
 *
 * @param {Uint8Array} bytes
 * @returns {{ header: PackedHeader, section: ReadSection }}
 */
export function parsePacked(bytes) {
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  return { header, section: ([offset, length]) => bytes.subarray(start + offset, start + offset + length) };
}

/**
 * @param {PackedHeader} header
 * @param {ReadSection} section
 * @returns {Promise<UnpackedPane[]>}
 */
export function unpackPanes(header, section) {
  const array = async (/** @type {Section | null} */ place) => (place ? inflate(section(place)) : null);
  const unpackPane = async (/** @type {PackedPane} */ { ids, confidence, runner_up, entropy, ...facts }) => ({
    ...facts,
    ids: await array(ids),
    confidence: await array(confidence),
    runnerUp: await array(runner_up),
    entropy: await array(entropy),
  });
  return Promise.all(header.panes.map(unpackPane));
}

/**
 * @param {Uint8Array} bytes
 * @param {Model} [previous] its photo is reused if it is the same: masks follow their photo
 * @returns {Promise<Model>}
 */
export async function unpack(bytes, previous) {
  const { header, section } = parsePacked(bytes);
  const decoded = previous?.photo_digest === header.photo_digest ? previous.bitmap : decodePhoto(section(header.photo));
  const [bitmap, unpacked] = await Promise.all([decoded, unpackPanes(header, section)]);
  const panes = linkPanes(unpacked);
  return { ...header, bitmap, panes, truth: panes.find((pane) => pane.kind === "truth") ?? null };
}

/**
 * Puts panes in the place of the ids in `compared`.
 *
 * @param {UnpackedPane[]} panes
 * @returns {Pane[]}
 */
export function linkPanes(panes) {
  /** @type {Pane[]} */
  const linked = panes.map((pane) => ({ ...pane, compared: [] }));
  const byId = new Map(linked.map((pane) => [pane.id, pane]));
  linked.forEach((pane, index) => {
    pane.compared = panes[index].compared.flatMap((id) => byId.get(id) ?? []);
  });
  return linked;
}

/**
 * @param {Uint8Array} jpeg
 * @returns {Promise<ImageBitmap>}
 */
function decodePhoto(jpeg) {
  return createImageBitmap(new Blob([/** @type {BlobPart} */ (jpeg)], { type: "image/jpeg" }));
}

/**
 * The prediction of a pane at a point of the photo; null for the photo itself and outside.
 *
 * @param {Size & Pick<HeaderFacts, "classes">} model
 * @param {Pick<Pane, "ids" | "confidence" | "runnerUp" | "working_size">} pane
 * @param {Point} point
 * @returns {Probe | null}
 */
export function probe(model, pane, { x, y }) {
  if (!pane.ids || !isInside(model, { x, y })) return null;
  const column = Math.floor(x);
  const row = Math.floor(y);
  const id = pane.ids[row * model.width + column];
  /** @type {Probe} */
  const answer = { id, name: className(model, id) };
  if (pane.confidence && pane.runnerUp && pane.working_size) {
    const index = workingIndex(model, pane.working_size, column, row);
    answer.confidence = pane.confidence[index] / 255;
    // at an edge the runner-up of the coarser grid may be the class itself
    if (pane.runnerUp[index] !== id) answer.runnerUp = className(model, pane.runnerUp[index]);
  }
  return answer;
}

/**
 * @param {Size} size
 * @param {Point} point
 * @returns {boolean}
 */
export function isInside({ width, height }, { x, y }) {
  return x >= 0 && y >= 0 && x < width && y < height;
}

/**
 * A point of the photo as it is shown -> the pixel of the photo itself.
 *
 * @param {Size & Pick<HeaderFacts, "photo_size">} model
 * @param {Point} point
 * @returns {Point}
 */
export function originalPixel(model, { x, y }) {
  const [width, height] = model.photo_size;
  return { x: Math.floor((x * width) / model.width), y: Math.floor((y * height) / model.height) };
}

/**
 * @param {Pick<HeaderFacts, "classes">} model
 * @param {number} id
 * @returns {string}
 */
export function className(model, id) {
  return model.classes[id]?.name ?? "no class";
}

/**
 * The place in an array of working resolution of a pixel of the photo as it is shown.
 *
 * @param {Size} shown
 * @param {[width: number, height: number]} working_size
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
export function workingIndex(shown, [width, height], x, y) {
  return Math.floor((y * height) / shown.height) * width + Math.floor((x * width) / shown.width);
}

/** @typedef {{ first: number, second: number, share: number }} Difference */

/**
 * The class pairs of two panes where they differ, the largest share first.
 *
 * @param {Pick<MaskPane, "ids">} first
 * @param {Pick<MaskPane, "ids">} second
 * @returns {Difference[]}
 */
export function differences(first, second) {
  const counts = new Uint32Array(65536);
  const length = first.ids.length;
  for (let i = 0; i < length; i++) if (first.ids[i] !== second.ids[i]) counts[(first.ids[i] << 8) | second.ids[i]]++;
  /** @type {Difference[]} */
  const result = [];
  counts.forEach((count, key) => {
    if (count) result.push({ first: key >> 8, second: key & 255, share: count / length });
  });
  return result.sort((left, right) => right.share - left.share);
}
