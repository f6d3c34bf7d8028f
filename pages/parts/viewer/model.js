// One packed blob -> what the viewer draws from. The layout is that of pages/parts/viewer/__init__.py: four bytes with the length of
// the header (little-endian), the header (JSON), the sections that it lists. Every array but the photo is deflated.

async function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const section = ([offset, length]) => bytes.subarray(start + offset, start + offset + length);
  const array = async (place) => (place ? new Uint8Array(await inflate(section(place))) : null);
  const model = { ...header };
  model.bitmap = await createImageBitmap(new Blob([section(header.photo)], { type: "image/jpeg" }));
  model.panes = await Promise.all(
    header.panes.map(async (pane) => ({
      ...pane,
      ids: await array(pane.ids),
      sure: await array(pane.sure),
      second: await array(pane.second),
    })),
  );
  model.truth = model.panes.find((pane) => pane.kind === "truth") ?? null;
  return model;
}

function inflate(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

// What is known of one point of the photo in one pane; null for the photo itself and outside.
function probe(model, pane, x, y) {
  if (!pane.ids || x < 0 || y < 0 || x >= model.width || y >= model.height) return null;
  const id = pane.ids[Math.floor(y) * model.width + Math.floor(x)];
  const found = { id, name: model.classes[id]?.name ?? "no class" };
  if (pane.sure) {
    const at = workIndex(model, x, y);
    found.sure = pane.sure[at] / 255;
    found.second = model.classes[pane.second[at]]?.name;
  }
  return found;
}

function workIndex(model, x, y) {
  const [width, height] = model.work;
  const column = Math.min(width - 1, Math.floor((x * width) / model.width));
  return Math.min(height - 1, Math.floor((y * height) / model.height)) * width + column;
}

// {`${a},${b}`: pixels} of the classes that two panes name where they differ.
function differences(model, a, b) {
  const counts = new Uint32Array(65536);
  for (let i = 0; i < a.ids.length; i++) if (a.ids[i] !== b.ids[i]) counts[(a.ids[i] << 8) | b.ids[i]]++;
  const found = [];
  for (let k = 0; k < counts.length; k++) {
    if (counts[k]) found.push({ a: k >> 8, b: k & 255, share: counts[k] / a.ids.length });
  }
  return found.sort((one, other) => other.share - one.share);
}
