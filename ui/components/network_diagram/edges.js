// The lines between the nodes, as SVG.

/** @import { Edge } from "./tensors.js" */

/**
 * Where a node is drawn.
 *
 * @typedef {object} NodeBox
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 * @property {string} column
 * @property {string} row
 */

const SVG = "http://www.w3.org/2000/svg";
const GAP = 2; // between a line's end and a node
const BEND = 20; // how far left of a node's middle a bent line leaves it
const MARKER =
  '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" ' +
  'orient="auto"><path d="M0 0L8 4L0 8z"/></marker>';

/**
 * The way of an edge: straight within a row or a column, else bent.
 *
 * @param {NodeBox} from
 * @param {NodeBox} to
 * @returns {string} the d of an SVG path
 */
export function edgePath(from, to) {
  const middleX = (/** @type {NodeBox} */ box) => (box.left + box.right) / 2;
  const middleY = (/** @type {NodeBox} */ box) => (box.top + box.bottom) / 2;
  if (from.row === to.row) {
    const isRight = middleX(to) > middleX(from);
    const end = isRight ? to.left - GAP : to.right + GAP;
    return `M${isRight ? from.right : from.left} ${middleY(from)}L${end} ${middleY(to)}`;
  }
  if (from.column === to.column) return `M${middleX(from)} ${from.bottom}L${middleX(to)} ${to.top - GAP}`;
  const start = middleX(from) - BEND;
  return `M${start} ${from.bottom}Q${start} ${middleY(to)} ${to.right + GAP} ${middleY(to)}`;
}

/** @returns {SVGSVGElement} */
export function createEdgeLayer() {
  return document.createElementNS(SVG, "svg");
}

/**
 * @param {HTMLElement} node
 * @returns {NodeBox}
 */
function boxOf({ offsetLeft, offsetTop, offsetWidth, offsetHeight, style }) {
  return {
    left: offsetLeft,
    top: offsetTop,
    right: offsetLeft + offsetWidth,
    bottom: offsetTop + offsetHeight,
    column: style.gridColumnStart,
    row: style.gridRowStart,
  };
}

/**
 * Draws the edges between where the nodes are now.
 *
 * @param {SVGSVGElement} layer
 * @param {Edge[]} edges
 * @param {Edge[]} lit
 * @param {Map<string, HTMLElement>} nodes
 */
export function drawEdges(layer, edges, lit, nodes) {
  const litKeys = new Set(lit.map(String));
  const definitions = document.createElementNS(SVG, "defs");
  definitions.innerHTML = MARKER;
  const paths = edges.map((edge) => {
    const [from, to] = edge.map((id) => boxOf(/** @type {HTMLElement} */ (nodes.get(id))));
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", edgePath(from, to));
    path.setAttribute("marker-end", "url(#arrow)");
    if (litKeys.has(String(edge))) path.setAttribute("class", "lit");
    return path;
  });
  layer.replaceChildren(definitions, ...paths);
}
