// What a person chose <-> the page's address, so that a link shows the same. Python's own choices (weights, sample) stand there too
// and are left alone.

const DEFAULTS = { layer: "overlay", opacity: 0.6, threshold: 0, grid: false, safe: false, swipe: false };

// The address's choices; what it does not say is left out, what makes no sense too.
function readLink(classes) {
  const given = new URLSearchParams(location.search), found = {};
  const id = (name) => classes.findIndex((one) => one.name === name);
  const list = (key) => given.get(key)?.split(",").filter(Boolean);
  const number = (key) => (/^\d{1,3}$/.test(given.get(key) ?? "") ? Math.min(100, Number(given.get(key))) / 100 : undefined);
  if (given.get("layer") in LAYERS) found.layer = given.get("layer");
  for (const key of ["opacity", "threshold"]) if (number(key) !== undefined) found[key] = number(key);
  for (const key of ["grid", "safe"]) if (given.has(key)) found[key] = true;
  if (number("swipe") !== undefined) Object.assign(found, { swipe: true, divider: number("swipe") });
  if (given.has("hide")) found.hidden = new Set(list("hide").map(id).filter((one) => one >= 0));
  if (id(given.get("only")) >= 0) found.solo = id(given.get("only"));
  if (given.has("panes")) found.panes = new Set(list("panes"));
  if (list("pair")?.length === 2) found.pair = list("pair");
  const at = given.get("at")?.split(",").map(Number);
  if (at?.length === 3 && at.every((value) => value > 0 && value < 1e6)) found.at = { x: at[0], y: at[1], across: at[2] };
  return found;
}

function writeLink(viewer) {
  const { state, model, view, linkedView, linkedPanes } = viewer, { classes } = model;
  const percents = (value) => String(Math.round(100 * value));
  const seen = linkedView ?? { x: view.x, y: view.y, across: view.width / view.scale };
  // A link that is read stays as it is until all that it names is there: it may be copied, or read again, before.
  const awaited = [...(linkedPanes ?? [])].filter((id) => !state.panes.has(id));
  const panes = model.panes.filter((pane) => (awaited.length ? viewer.chosen(pane) : viewer.has(pane))).map((pane) => pane.id);
  const said = {
    panes: state.panes.size > 0 && [...panes, ...awaited].join(),
    layer: state.layer !== DEFAULTS.layer && state.layer,
    opacity: state.opacity !== DEFAULTS.opacity && percents(state.opacity),
    threshold: state.threshold > 0 && percents(state.threshold),
    hide: state.hidden.size > 0 && [...state.hidden].map((id) => classes[id].name).join(),
    only: state.solo !== null && classes[state.solo].name,
    pair: (state.swipe || state.layer === "disagreement") && state.pair?.join(),
    swipe: state.swipe && percents(state.divider),
    grid: state.grid && "1",
    safe: state.safe && "1",
    at: (linkedView || !view.whole) && [seen.x, seen.y, seen.across].map((value) => Number(value.toPrecision(7))).join(),
  };
  const address = new URL(location.href);
  for (const [key, value] of Object.entries(said)) {
    if (value) address.searchParams.set(key, value);
    else address.searchParams.delete(key);
  }
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}
