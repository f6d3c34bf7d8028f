// Writes the visitor's choices into the page's address and reads them from it. Python's parameters (weights, photo) are
// in the same address and stay unchanged.

import { DEFAULTS, LAYERS } from "./state.js";

/** @import { ClassInfo, Layer, LinkChoices } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * The valid choices of an address.
 *
 * @param {string} search the part of an address from the question mark
 * @param {Pick<ClassInfo, "name">[]} classes
 * @returns {LinkChoices}
 */
export function parseLink(search, classes) {
  const query = new URLSearchParams(search);
  /** @type {LinkChoices} */
  const choices = {};
  const classId = (/** @type {string | null} */ name) => classes.findIndex((info) => info.name === name);
  const list = (/** @type {string} */ key) => query.get(key)?.split(",").filter(Boolean);
  const layer = query.get("layer") ?? "";
  if (Object.hasOwn(LAYERS, layer)) choices.layer = /** @type {Layer} */ (layer);
  for (const key of /** @type {const} */ (["opacity", "threshold"])) {
    const share = parsePercent(query.get(key));
    if (share !== null) choices[key] = share;
  }
  for (const key of /** @type {const} */ (["grid", "safe"])) if (query.has(key)) choices[key] = true;
  const divider = parsePercent(query.get("swipe"));
  if (divider !== null) Object.assign(choices, { swipe: true, divider });
  const hidden = list("hide");
  if (hidden) choices.hidden = new Set(hidden.map(classId).filter((id) => id >= 0));
  const solo = classId(query.get("only"));
  if (solo >= 0) choices.solo = solo;
  const panes = list("panes");
  if (panes) choices.panes = new Set(panes);
  const pair = list("pair");
  if (pair?.length === 2) choices.pair = [pair[0], pair[1]];
  const numbers = query.get("at")?.split(",").map(Number) ?? [];
  if (numbers.length === 3 && numbers.every((value) => value > 0 && value < 1e6)) {
    choices.region = { x: numbers[0], y: numbers[1], across: numbers[2] };
  }
  return choices;
}

/**
 * @param {string | null} text a whole number
 * @returns {number | null} 0 to 1
 */
function parsePercent(text) {
  return text !== null && /^\d{1,3}$/.test(text) ? Math.min(100, Number(text)) / 100 : null;
}

/**
 * @param {number} share
 * @returns {string}
 */
function formatPercent(share) {
  return String(Math.round(100 * share));
}

/**
 * The parameters of a link; those without a value are omitted.
 *
 * @param {Viewer} viewer
 * @returns {Record<string, string | false | undefined>}
 */
function linkParameters(viewer) {
  const { state, view, linkedRegion, linkedPanes } = viewer;
  const { classes, panes } = viewer.shownModel;
  const region = linkedRegion ?? { x: view.x, y: view.y, across: view.width / view.scale };
  // A link that is read stays as it is until all that it names is there: it may be copied, or read again, before.
  const awaited = [...(linkedPanes ?? [])].filter((id) => !state.panes.has(id));
  const shown = panes.filter((pane) => (awaited.length ? viewer.isChosen(pane) : viewer.isOnScreen(pane)));
  return {
    panes: state.panes.size > 0 && [...shown.map((pane) => pane.id), ...awaited].join(),
    layer: state.layer !== DEFAULTS.layer && state.layer,
    opacity: state.opacity !== DEFAULTS.opacity && formatPercent(state.opacity),
    threshold: state.threshold > 0 && formatPercent(state.threshold),
    hide: state.hidden.size > 0 && [...state.hidden].map((id) => classes[id].name).join(),
    only: state.solo !== null && classes[state.solo].name,
    pair: (state.swipe || state.layer === "disagreement") && state.pair?.join(),
    swipe: state.swipe && formatPercent(state.divider),
    grid: state.grid && "1",
    safe: state.safe && "1",
    at:
      (linkedRegion || !view.isWhole) && [region.x, region.y, region.across].map((value) => Number(value.toPrecision(7))).join(),
  };
}

/** @param {Viewer} viewer */
export function writeLink(viewer) {
  const address = new URL(location.href);
  for (const [key, value] of Object.entries(linkParameters(viewer))) {
    if (value) address.searchParams.set(key, value);
    else address.searchParams.delete(key);
  }
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}
