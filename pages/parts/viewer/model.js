// One packed blob -> what the viewer draws from. The layout is that of pages/parts/viewer/__init__.py: four bytes with the length of
// the header (little-endian), the header (JSON), the sections that it lists. Every array but the photo is deflated.

async function unpack(bytes, last) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const section = ([offset, length]) => bytes.subarray(start + offset, start + offset + length);
  const array = async (place) => (place ? new Uint8Array(await inflate(section(place))) : null);
  const decoded = last?.photo_digest === header.photo_digest ? last.bitmap : null; // masks come after their photo
  const bitmap = decoded ?? createImageBitmap(new Blob([section(header.photo)], { type: "image/jpeg" }));
  const panes = header.panes.map(async (pane) => ({
    ...pane,
    ids: await array(pane.ids),
    sure: await array(pane.sure),
    second: await array(pane.second),
  }));
  const model = { ...header, bitmap: await bitmap, panes: await Promise.all(panes) };
  model.truth = model.panes.find((pane) => pane.kind === "truth") ?? null;
  return model;
}

function inflate(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

// What is known of one point of the photo in one pane; null for the photo itself and outside.
function probe(model, pane, x, y) {
  if (!pane.ids || x < 0 || y < 0 || x >= model.width || y >= model.height) return null;
  const column = Math.floor(x), row = Math.floor(y), id = pane.ids[row * model.width + column];
  const found = { id, name: className(model, id) };
  if (pane.sure) {
    const at = workIndex(model, pane, column, row);
    found.sure = pane.sure[at] / 255;
    if (pane.second[at] !== id) found.second = className(model, pane.second[at]); // on an edge the coarser grid may say the other
  }
  return found;
}

function className(model, id) {
  return model.classes[id]?.name ?? "no class";
}

function workIndex(model, pane, x, y) {
  const [width, height] = pane.work;
  return Math.floor((y * height) / model.height) * width + Math.floor((x * width) / model.width);
}

// What two panes say where they differ: [{a, b, share}], the largest share first.
function differences(a, b) {
  const counts = new Uint32Array(65536);
  for (let i = 0; i < a.ids.length; i++) if (a.ids[i] !== b.ids[i]) counts[(a.ids[i] << 8) | b.ids[i]]++;
  const found = [];
  counts.forEach((count, k) => {
    if (count) found.push({ a: k >> 8, b: k & 255, share: count / a.ids.length });
  });
  return found.sort((one, other) => other.share - one.share);
}
