// What a pane shows, drawn for the pixels on the screen only: the cost of a redraw does not grow with the photo.

const VEIL = rgba(0, 0, 0, 170);
const RIGHT = [34, 197, 94];
const WRONG = [236, 72, 153];
const MANY = 256;

function rgba(r, g, b, a) {
  return ((a << 24) | (b << 16) | (g << 8) | r) >>> 0; // as canvases hold it on little-endian machines, which all browsers' are
}

// Dark blue over green to yellow: readable in grey and with any colour vision.
const RAMP = Uint32Array.from({ length: MANY }, (_, i) => {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const at = (i / (MANY - 1)) * (stops.length - 1);
  const low = stops[Math.floor(at)], high = stops[Math.min(stops.length - 1, Math.floor(at) + 1)];
  return rgba(...low.map((value, c) => Math.round(value + (high[c] - value) * (at % 1))), 255);
});

// The colour of each train id under the present choices.
function lookup(model, state) {
  const table = new Uint32Array(MANY);
  const alpha = state.layer === "mask" ? 255 : Math.round(255 * state.opacity);
  model.classes.forEach((one, id) => {
    const [r, g, b] = state.safe ? one.safe : one.color;
    if (state.lit !== null) table[id] = id === state.lit ? rgba(r, g, b, 235) : VEIL;
    else table[id] = isShown(state, id) ? rgba(r, g, b, alpha) : 0;
  });
  if (state.layer === "mask") table.fill(rgba(0, 0, 0, 255), model.classes.length); // what has no class
  return table;
}

function isShown(state, id) {
  return state.solo === null ? !state.hidden.has(id) : state.solo === id;
}

// The photo's column (or row) under each of `count` screen pixels, -1 outside.
function span(count, first, step, limit) {
  const found = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const at = Math.floor(first + (i + 0.5) * step);
    found[i] = at >= 0 && at < limit ? at : -1;
  }
  return found;
}

// Draws `pane` into the columns left..right of a canvas. `view` has the photo's point at the canvas's middle and the screen pixels
// per photo pixel.
function paint(ctx, model, pane, state, view, left, right) {
  const width = right - left, height = ctx.canvas.height;
  if (width <= 0 || height <= 0) return;
  const step = 1 / view.scale;
  const x0 = view.x - (ctx.canvas.width / 2 - left) * step, y0 = view.y - (height / 2) * step;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, 0, width, height);
  ctx.clip();
  ctx.clearRect(left, 0, width, height);
  ctx.imageSmoothingEnabled = view.scale < 3;
  ctx.imageSmoothingQuality = "medium";
  if (!(pane.ids && state.layer === "mask" && state.lit === null && state.threshold === 0)) {
    ctx.drawImage(model.bitmap, left - x0 * view.scale, -y0 * view.scale, model.width * view.scale, model.height * view.scale);
  }
  if (pane.ids) {
    const picture = ctx.createImageData(width, height);
    const out = new Uint32Array(picture.data.buffer);
    fill(out, model, pane, state, span(width, x0, step, model.width), span(height, y0, step, model.height));
    lay(ctx, picture, left);
  }
  if (state.grid && pane.stride) rule(ctx, model, pane, view, x0, y0, left, right);
  ctx.restore();
}

function fill(out, model, pane, state, columns, rows) {
  const pair = maskPair(model, state);
  if (state.cell && pair) return fillCell(out, model, pair, state.cell, columns, rows);
  if (state.layer === "confidence" && pane.sure) return fillSure(out, model, pane, columns, rows);
  if (state.layer === "error" && model.truth && pane.kind !== "truth") return fillError(out, model, pane, state, columns, rows);
  const table = lookup(model, state);
  if (state.layer === "disagreement" && pair?.includes(pane)) {
    return fillDiffering(out, model, pane, pair[0] === pane ? pair[1] : pair[0], table, columns, rows);
  }
  if (state.layer === "outlines") return fillOutlines(out, model, pane, table, columns, rows);
  fillIds(out, model, pane, table, columns, rows);
  if (state.threshold > 0 && pane.sure) fade(out, model, pane, state.threshold, columns, rows);
}

// The two chosen panes, where both name classes.
function maskPair(model, state) {
  const pair = state.pair?.map((id) => model.panes.find((pane) => pane.id === id));
  return pair?.every((pane) => pane?.ids) ? pair : null;
}

function each(out, model, columns, rows, value) {
  let o = 0;
  for (const row of rows) {
    const base = row * model.width;
    for (const column of columns) out[o++] = row < 0 || column < 0 ? 0 : value(base + column);
  }
}

function fillIds(out, model, pane, table, columns, rows) {
  const { ids } = pane, count = columns.length;
  let o = 0;
  for (let y = 0; y < rows.length; y++) {
    if (rows[y] < 0) { o += count; continue; }
    const base = rows[y] * model.width;
    for (let x = 0; x < count; x++, o++) if (columns[x] >= 0) out[o] = table[ids[base + columns[x]]];
  }
}

function fillOutlines(out, model, pane, table, columns, rows) {
  const { ids } = pane, count = columns.length;
  for (let y = 0; y + 1 < rows.length; y++) {
    if (rows[y] < 0 || rows[y + 1] < 0) continue;
    const base = rows[y] * model.width, below = rows[y + 1] * model.width;
    for (let x = 0; x + 1 < count; x++) {
      if (columns[x] < 0 || columns[x + 1] < 0) continue;
      const id = ids[base + columns[x]], right = ids[base + columns[x + 1]], under = ids[below + columns[x]];
      if (id === right && id === under) continue;
      const color = table[id] ? table[id] | 0xff000000 : 0; // outlines are opaque; a hidden class has none
      const at = y * count + x;
      out[at] = out[at + 1] = out[at + count] = color >>> 0;
    }
  }
}

function fillSure(out, model, pane, columns, rows) {
  walkWork(model, pane, columns, rows, (o, at) => { out[o] = RAMP[pane.sure[at]]; });
}

function fade(out, model, pane, threshold, columns, rows) {
  const least = Math.round(255 * threshold);
  walkWork(model, pane, columns, rows, (o, at) => {
    if (pane.sure[at] < least) out[o] = ((out[o] & 0xffffff) | (((out[o] >>> 24) * 0.12) << 24)) >>> 0;
  });
}

function walkWork(model, pane, columns, rows, visit) {
  const [width, height] = pane.work, count = columns.length;
  const across = Int32Array.from(columns, (c) => (c < 0 ? -1 : Math.min(width - 1, Math.floor((c * width) / model.width))));
  for (let y = 0; y < rows.length; y++) {
    if (rows[y] < 0) continue;
    const base = Math.min(height - 1, Math.floor((rows[y] * height) / model.height)) * width;
    for (let x = 0; x < count; x++) if (across[x] >= 0) visit(y * count + x, base + across[x]);
  }
}

function fillError(out, model, pane, state, columns, rows) {
  const truth = model.truth.ids, { ids } = pane;
  const right = rgba(...RIGHT, Math.round(90 * state.opacity)), wrong = rgba(...WRONG, Math.round(90 + 165 * state.opacity));
  each(out, model, columns, rows, (i) => (truth[i] >= model.classes.length ? VEIL : ids[i] === truth[i] ? right : wrong));
}

function fillDiffering(out, model, pane, other, table, columns, rows) {
  each(out, model, columns, rows, (i) => (pane.ids[i] === other.ids[i] ? VEIL : (table[pane.ids[i]] | 0xff000000) >>> 0));
}

function fillCell(out, model, [a, b], cell, columns, rows) {
  const amber = rgba(255, 196, 0, 255);
  each(out, model, columns, rows, (i) => (a.ids[i] === cell[0] && b.ids[i] === cell[1] ? amber : VEIL));
}

let scratch = null;

// Lays a picture over what is drawn already; putImageData alone would replace it.
function lay(ctx, picture, left) {
  scratch ??= document.createElement("canvas").getContext("2d");
  if (scratch.canvas.width < picture.width) scratch.canvas.width = picture.width;
  if (scratch.canvas.height < picture.height) scratch.canvas.height = picture.height;
  scratch.putImageData(picture, 0, 0);
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(scratch.canvas, 0, 0, picture.width, picture.height, left, 0, picture.width, picture.height);
}

// The grid that the network scores on.
function rule(ctx, model, { stride, work }, view, x0, y0, left, right) {
  const gapX = (stride * model.width * view.scale) / work[0], gapY = (stride * model.height * view.scale) / work[1];
  if (gapX < 4) return;
  ctx.strokeStyle = "#ffffff80";
  ctx.lineWidth = 1;
  ctx.beginPath();
  const inside = { right: (model.width - x0) * view.scale + left, bottom: (model.height - y0) * view.scale };
  for (let x = left - x0 * view.scale; x <= Math.min(right, inside.right) + 1; x += gapX) {
    if (x < left) continue;
    ctx.moveTo(Math.round(x) + 0.5, Math.max(0, -y0 * view.scale));
    ctx.lineTo(Math.round(x) + 0.5, inside.bottom);
  }
  for (let y = -y0 * view.scale; y <= Math.min(ctx.canvas.height, inside.bottom) + 1; y += gapY) {
    if (y < 0) continue;
    ctx.moveTo(Math.max(left, left - x0 * view.scale), Math.round(y) + 0.5);
    ctx.lineTo(inside.right, Math.round(y) + 0.5);
  }
  ctx.stroke();
}
