// The pixel values of every layer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { colorRamp, cssColor, opaque, rampGradient, rgba } from "../../../ui/components/color.js";
import { valueColors } from "../../../ui/components/network_diagram/tensors.js";
import { cornerOf, samplesOf } from "../../../ui/components/viewer/paint.js";
import {
  classColors,
  fillPixels,
  MORE_ANSWERS,
  maskPair,
  RIGHT,
  sampleIndices,
  TWO_ANSWERS,
  VALUE_RAMP,
  VEIL,
  WRONG,
} from "../../../ui/components/viewer/pixels.js";
import { initialState } from "../../../ui/components/viewer/state.js";

const ROAD = [128, 64, 128];
const SKY = [70, 130, 180];
const SAFE_SKY = [1, 2, 3];
const CLASSES = [
  { name: "road", color: ROAD, safe: [9, 9, 9] },
  { name: "sky", color: SKY, safe: SAFE_SKY },
];
const NONE = 255; // the id of what has no class

const pane = (id, kind, ids, extra = {}) => ({
  ...{
    id,
    title: id,
    kind,
    note: "",
    shown: true,
    working_size: null,
    stride: null,
    confidence: null,
    entropy: null,
    runnerUp: null,
    compared: [],
  },
  ids: ids && Uint8Array.from(ids),
  ...extra,
});

/** A model of 3 × 2 pixels. */
function makeModel() {
  const first = pane("first", "mask", [0, 0, 1, 0, 1, 1]);
  const second = pane("second", "mask", [0, 1, 1, 0, 1, 0]);
  const third = pane("third", "mask", [0, 2, 1, 0, 1, 0]);
  const truth = pane("truth", "truth", [0, 1, 1, NONE, 1, 0]);
  const disagreement = pane("all", "disagreement", null, { compared: [first, second, third] });
  return { width: 3, height: 2, classes: CLASSES, panes: [first, second, third, truth, disagreement], truth };
}

const ALL = { columns: Int32Array.from([0, 1, 2]), rows: Int32Array.from([0, 1]) };

function draw(changes, paneId = "first", { model = makeModel(), samples = ALL } = {}) {
  const pixels = new Uint32Array(samples.columns.length * samples.rows.length);
  const shown = model.panes.find(({ id }) => id === paneId);
  fillPixels(pixels, model, shown, { ...initialState(), ...changes }, samples);
  return [...pixels];
}

/** What a canvas makes of a color that lies over an opaque one. */
function blend(over, under) {
  const alpha = (over >>> 24) / 255;
  return [0, 8, 16].map((shift) => Math.round(((over >> shift) & 255) * alpha + ((under >> shift) & 255) * (1 - alpha)));
}

test("a color is the four bytes of a canvas: red, green, blue, opacity", () => {
  assert.deepEqual([...new Uint8Array(Uint32Array.of(rgba(1, 2, 3, 250)).buffer)], [1, 2, 3, 250]);
  assert.equal(opaque(rgba(1, 2, 3, 4)), rgba(1, 2, 3, 255));
  assert.equal(cssColor(rgba(1, 2, 3, 4)), "rgb(1,2,3)");
});

test("a ramp goes through its stops", () => {
  const ramp = colorRamp([
    [0, 0, 0],
    [100, 0, 50],
    [255, 255, 255],
  ]);
  assert.equal(ramp.length, 256);
  assert.equal(ramp[0], rgba(0, 0, 0, 255));
  assert.equal(ramp[51], rgba(40, 0, 20, 255)); // a fifth of the whole, two fifths of the first part
  assert.equal(ramp[255], rgba(255, 255, 255, 255));
  assert.match(rampGradient(ramp), /^linear-gradient\(90deg, rgb\(0,0,0\),.*rgb\(255,255,255\)\)$/);
});

test("the overlay is each class's color with the opacity that is chosen", () => {
  const road = rgba(...ROAD, 153);
  const sky = rgba(...SKY, 153);
  assert.deepEqual(draw({ opacity: 0.6 }), [road, road, sky, road, sky, sky]);
});

test("over a photo, the overlay is the mix of both", () => {
  const [pixel] = draw({ opacity: 0.6 });
  assert.deepEqual(blend(pixel, rgba(255, 255, 255, 255)), [179, 140, 179]);
  assert.deepEqual(blend(pixel, rgba(0, 0, 0, 255)), [77, 38, 77]);
  assert.deepEqual(blend(draw({ opacity: 0 })[0], rgba(10, 20, 30, 255)), [10, 20, 30]);
});

test("the mask alone is opaque, and black where there is no class", () => {
  const model = makeModel();
  assert.deepEqual(draw({ layer: "mask", opacity: 0.1 }, "truth", { model }).slice(2, 4), [
    rgba(...SKY, 255),
    rgba(0, 0, 0, 255),
  ]);
});

test("what has no class is clear in the overlay", () => {
  assert.equal(draw({}, "truth")[3], 0);
});

test("a hidden class is clear, and one that is shown alone hides the others", () => {
  assert.deepEqual(draw({ opacity: 1, hidden: new Set([0]) }).slice(1, 3), [0, rgba(...SKY, 255)]);
  assert.deepEqual(draw({ opacity: 1, hidden: new Set([1]), solo: 1 }).slice(1, 3), [0, rgba(...SKY, 255)]);
});

test("a highlighted class stands out of a veil", () => {
  const table = classColors(CLASSES, { ...initialState(), highlighted: 1 });
  assert.deepEqual([table[0], table[1]], [VEIL, rgba(...SKY, 235)]);
});

test("safe colors take the place of the classes' own", () => {
  assert.equal(draw({ opacity: 1, safe: true })[2], rgba(...SAFE_SKY, 255));
});

test("outlines are opaque, where the class changes to the right or below", () => {
  const road = rgba(...ROAD, 255);
  // 0 0 1   The middle of the upper row changes to its right and below; a line is two pixels wide.
  // 0 1 1
  assert.deepEqual(draw({ layer: "outlines" }), [0, road, road, 0, road, 0]);
  assert.deepEqual(draw({ layer: "outlines", hidden: new Set([0]) }), [0, 0, 0, 0, 0, 0]);
});

test("errors are green where right, pink where wrong, dark where the truth has no class", () => {
  const right = rgba(...RIGHT, 45);
  const wrong = rgba(...WRONG, 173);
  assert.deepEqual(draw({ layer: "error", opacity: 0.5 }), [right, wrong, right, VEIL, right, wrong]);
  assert.equal(draw({ layer: "error", opacity: 1 }, "truth")[0], rgba(...ROAD, 255)); // a truth has no errors
});

test("a difference shows the pane's own class where the other says otherwise", () => {
  const pair = ["first", "second"];
  assert.deepEqual(draw({ layer: "disagreement", pair }), [VEIL, rgba(...ROAD, 255), VEIL, VEIL, VEIL, rgba(...SKY, 255)]);
  assert.deepEqual(draw({ layer: "disagreement", pair }, "second")[1], rgba(...SKY, 255));
});

test("a cell of the table lights up its own pixels only", () => {
  const lit = rgba(255, 196, 0, 255);
  const changes = { layer: "disagreement", pair: ["first", "second"], cell: [0, 1] };
  assert.deepEqual(draw(changes), [VEIL, lit, VEIL, VEIL, VEIL, VEIL]);
});

test("a disagreement counts the classes that its masks name", () => {
  const two = rgba(...TWO_ANSWERS, 230);
  const three = rgba(...MORE_ANSWERS, 240);
  assert.deepEqual(draw({}, "all"), [VEIL, three, VEIL, VEIL, VEIL, two]);
});

for (const layer of ["confidence", "entropy"]) {
  test(`${layer} is read at working resolution`, () => {
    const model = makeModel();
    Object.assign(model.panes[0], { working_size: [1, 2], [layer]: Uint8Array.of(0, 255) });
    const [low, high] = [VALUE_RAMP[0], VALUE_RAMP[255]];
    assert.deepEqual(draw({ layer }, "first", { model }), [low, low, low, high, high, high]);
  });
}

test("below the threshold an eighth of the opacity stays", () => {
  const model = makeModel();
  Object.assign(model.panes[0], { working_size: [1, 2], confidence: Uint8Array.of(127, 128) });
  const pixels = draw({ opacity: 1, threshold: 0.5 }, "first", { model });
  assert.equal(pixels[0], rgba(...ROAD, 30));
  assert.equal(pixels[3], rgba(...ROAD, 255));
});

test("pixels outside the photo stay clear on every layer", () => {
  const samples = { columns: Int32Array.from([-1, 0]), rows: Int32Array.from([1, -1]) };
  for (const layer of ["overlay", "mask", "outlines", "error", "disagreement"]) {
    const pixels = draw({ layer, opacity: 1, pair: ["first", "second"] }, "first", { samples });
    assert.deepEqual([pixels[0], pixels[2], pixels[3]], [0, 0, 0], layer);
  }
});

test("samples are the photo's pixels under the middles of a canvas's", () => {
  assert.deepEqual([...sampleIndices(4, 0, 0.5, 2)], [0, 0, 1, 1]); // twice as large
  assert.deepEqual([...sampleIndices(2, 0, 2, 4)], [1, 3]); // half as large
  assert.deepEqual([...sampleIndices(4, -1, 1, 2)], [-1, 0, 1, -1]); // with a margin
});

test("a part of a canvas sees the same pixels as the whole canvas there", () => {
  const photo = { width: 10, height: 6 };
  const canvas = { width: 40, height: 24 };
  const view = { x: 4.3, y: 3.1, scale: 5 };
  const whole = samplesOf(canvas, photo, cornerOf(canvas, view, 0), view.scale);
  const part = samplesOf({ width: 15, height: 24 }, photo, cornerOf(canvas, view, 25), view.scale);
  assert.deepEqual([...part.columns], [...whole.columns].slice(25));
  assert.deepEqual([...part.rows], [...whole.rows]);
});

test("a pair needs two panes that name classes", () => {
  const model = makeModel();
  assert.equal(maskPair(model, { pair: ["first", "all"] }), null);
  assert.equal(maskPair(model, { pair: ["first", "gone"] }), null);
  assert.equal(maskPair(model, { pair: null }), null);
  assert.deepEqual(maskPair(model, { pair: ["first", "truth"] }), [model.panes[0], model.panes[3]]);
});

test("a tensor of train ids has the classes' colors, and black for what has none", () => {
  const colors = valueColors("ids", CLASSES);
  assert.deepEqual([colors[1], colors[NONE]], [rgba(...SKY, 255), rgba(0, 0, 0, 255)]);
  assert.notDeepEqual(valueColors("score", CLASSES), valueColors("strength", CLASSES));
});
