// From the pointer to a pixel, under any zoom and pan.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cellInBox, clamp, pointInBox, pointInContainedPicture } from "../../../ui/components/geometry.js";
import { pointAfterKey } from "../../../ui/components/linked_images/linked_images.js";
import { edgePath } from "../../../ui/components/network_diagram/edges.js";
import { differences, isInside, originalPixel, probe, workingIndex } from "../../../ui/components/viewer/model.js";
import { cornerOf, samplesOf } from "../../../ui/components/viewer/paint.js";
import { arrangePanes, View } from "../../../ui/components/viewer/view.js";

const PHOTO = { width: 200, height: 100 };
const MARGINS = { gap: 10, caption: 26 };

/** A view of the photo in panes of 400 × 300. */
function makeView() {
  const view = new View(PHOTO);
  view.resize(PHOTO, 400, 300);
  return view;
}

function near(actual, expected) {
  for (const key of Object.keys(expected)) {
    assert.ok(Math.abs(actual[key] - expected[key]) < 1e-9, `${key}: ${actual[key]}, not ${expected[key]}`);
  }
}

test("at first the whole photo is seen, in the middle of a pane", () => {
  const view = makeView();
  assert.equal(view.isWhole, true);
  assert.equal(view.scale, 2);
  near(view.toPhoto({ x: 0, y: 50 }), { x: 0, y: 0 });
  near(view.toPhoto({ x: 400, y: 250 }), { x: 200, y: 100 });
  assert.equal(isInside(PHOTO, view.toPhoto({ x: 10, y: 49 })), false); // above the photo
});

test("zooming keeps the photo's point under the pointer", () => {
  const view = makeView();
  const pointer = { x: 301, y: 120 };
  const before = view.toPhoto(pointer);
  view.zoom(3, pointer);
  assert.equal(view.scale, 6);
  near(view.toPhoto(pointer), before);
  view.zoom(1.7, pointer);
  near(view.toPhoto(pointer), before);
});

test("a pane's point and the photo's lead to each other", () => {
  const view = makeView();
  view.zoom(4, { x: 100, y: 100 });
  view.pan(-33, 21);
  near(view.toPane(view.toPhoto({ x: 17, y: 280 })), { x: 17, y: 280 });
});

test("zoom stays between the whole photo and 48 screen pixels a pixel", () => {
  const view = makeView();
  view.zoom(1e6, view.middle);
  assert.equal(view.scale, 48);
  view.zoom(1e-6, view.middle);
  assert.equal(view.scale, 2);
  assert.equal(view.isWhole, true);
});

test("panning moves the photo with the pointer, and stops at its edges", () => {
  const view = makeView();
  view.zoom(4, view.middle);
  const point = view.toPhoto({ x: 200, y: 150 });
  view.pan(24, -16);
  near(view.toPhoto({ x: 224, y: 134 }), point);
  view.pan(1e6, 1e6);
  near(view.toPhoto({ x: 0, y: 0 }), { x: 0, y: 0 });
  view.pan(-1e6, -1e6);
  near(view.toPhoto({ x: 400, y: 300 }), { x: 200, y: 100 });
});

test("one to one is a photo pixel on a pixel of the screen", () => {
  const view = new View({ width: 4000, height: 3000 });
  view.resize({ width: 4000, height: 3000 }, 400, 300);
  view.oneToOne(2);
  assert.equal(view.scale, 0.5);
});

test("a resize shows the whole photo again, or keeps what was in the middle", () => {
  const view = makeView();
  view.resize(PHOTO, 200, 200);
  assert.equal(view.isWhole, true);
  view.zoom(8, { x: 50, y: 100 });
  const { x, y, scale } = view;
  view.resize(PHOTO, 250, 150);
  near(view, { x, y, scale });
});

test("a link's region is seen across, and a point can be brought into sight", () => {
  const view = makeView();
  view.showRegion({ x: 60, y: 40, across: 50 });
  near(view, { x: 60, y: 40, scale: 8 });
  view.reveal({ x: 150, y: 40 });
  const { x } = view.toPane({ x: 150, y: 40 });
  assert.ok(x >= 0 && x <= 400, String(x));
});

test("what is pointed at is what is drawn there", () => {
  const view = makeView();
  view.zoom(5.3, { x: 120, y: 160 });
  view.pan(13, -7);
  const ratio = 1.5; // the screen's pixels per CSS pixel
  const canvas = { width: 600, height: 450 };
  const canvasView = { x: view.x, y: view.y, scale: view.scale * ratio };
  const { columns, rows } = samplesOf(canvas, PHOTO, cornerOf(canvas, canvasView, 0), canvasView.scale);
  for (const [column, row] of [
    [0, 0],
    [599, 449],
    [123, 321],
    [400, 17],
  ]) {
    const { x, y } = view.toPhoto({ x: (column + 0.5) / ratio, y: (row + 0.5) / ratio });
    assert.deepEqual([Math.floor(x), Math.floor(y)], [columns[column], rows[row]]);
  }
});

const MODEL = { width: 4, height: 2, photo_size: [40, 20], classes: [{ name: "road" }, { name: "sky" }] };

test("a probe names the class, how sure the network is, and what comes second", () => {
  const pane = {
    ids: Uint8Array.of(0, 0, 1, 1, 0, 0, 255, 1),
    working_size: [2, 1],
    confidence: Uint8Array.of(255, 51),
    runnerUp: Uint8Array.of(1, 1),
  };
  assert.deepEqual(probe(MODEL, pane, { x: 0.2, y: 1.9 }), { id: 0, name: "road", confidence: 1, runnerUp: "sky" });
  assert.deepEqual(probe(MODEL, pane, { x: 3, y: 0 }), { id: 1, name: "sky", confidence: 0.2 }); // the same class is not said twice
  assert.equal(probe(MODEL, pane, { x: 2.5, y: 1.5 }).name, "no class");
});

test("outside the photo, and in the photo's own pane, there is nothing to say", () => {
  const pane = { ids: new Uint8Array(8), working_size: null, confidence: null, runnerUp: null, entropy: null };
  for (const point of [
    { x: -0.1, y: 0 },
    { x: 4, y: 0 },
    { x: 0, y: 2 },
  ])
    assert.equal(probe(MODEL, pane, point), null);
  assert.equal(probe(MODEL, { ...pane, ids: null }, { x: 1, y: 1 }), null);
  assert.deepEqual(probe(MODEL, pane, { x: 1, y: 1 }), { id: 0, name: "road" });
});

test("a pin is handed on in the photo's own pixels", () => {
  assert.deepEqual(originalPixel(MODEL, { x: 3.99, y: 1.25 }), { x: 39, y: 12 });
});

test("the last pixel lies in the last cell of the working resolution", () => {
  assert.equal(workingIndex({ width: 100, height: 50 }, [7, 3], 99, 49), 20);
  assert.equal(workingIndex({ width: 100, height: 50 }, [7, 3], 0, 0), 0);
});

test("differences are counted by pair of classes, the largest first", () => {
  const first = { ids: Uint8Array.of(0, 0, 0, 1, 2, 255) };
  const second = { ids: Uint8Array.of(0, 1, 1, 1, 0, 0) };
  assert.deepEqual(differences(first, second), [
    { first: 0, second: 1, share: 2 / 6 },
    { first: 2, second: 0, share: 1 / 6 },
    { first: 255, second: 0, share: 1 / 6 },
  ]);
});

test("panes fill the window so that the photo is large", () => {
  const wide = arrangePanes(4, 2, { width: 1200, height: 700 }, MARGINS);
  assert.deepEqual(wide, { across: 2, width: 595, height: 298 });
  assert.equal(arrangePanes(4, 2, { width: 390, height: 600 }, MARGINS).across, 1); // a phone
  const tall = arrangePanes(1, 0.01, { width: 1000, height: 600 }, MARGINS);
  assert.ok(tall.width >= 120 && tall.height <= 600, JSON.stringify(tall));
});

const BOX = { left: 100, top: 50, width: 200, height: 100 };

test("a point of a picture is a share of its sides, and lies in it", () => {
  assert.deepEqual(pointInBox(BOX, 150, 125), [0.25, 0.75]);
  assert.deepEqual(pointInBox(BOX, 0, 1e4), [0, 0.9999]);
});

test("a picture that is smaller than its box stands at its left, in the middle of its height", () => {
  assert.deepEqual(pointInContainedPicture(BOX, 1, 150, 75), [0.5, 0.25]); // 100 × 100
  assert.deepEqual(pointInContainedPicture(BOX, 4, 200, 100), [0.5, 0.5]); // 200 × 50
  assert.deepEqual(pointInContainedPicture(BOX, 4, 200, 60), [0.5, 0]); // above it
});

test("a cell of a grid is found by its place", () => {
  assert.deepEqual(cellInBox(BOX, 5, 299, 51), { x: 4, y: 0 });
  assert.deepEqual(cellInBox(BOX, 5, 300, 49), { x: 4, y: 0 }); // just outside
});

test("arrow keys move a point, and no other key does", () => {
  assert.deepEqual(pointAfterKey([0.5, 0.5], "ArrowLeft"), [0.48, 0.5]);
  assert.deepEqual(pointAfterKey([0.99, 0.5], "ArrowRight"), [0.9999, 0.5]);
  assert.equal(pointAfterKey([0.5, 0.5], "a"), null);
  assert.equal(clamp(7, 0, 5), 5);
});

test("an edge is straight within a row or a column, else bent", () => {
  const box = (left, top, column, row) => ({ left, top, right: left + 40, bottom: top + 20, column, row });
  assert.equal(edgePath(box(0, 0, "1", "1"), box(100, 0, "2", "1")), "M40 10L98 10");
  assert.equal(edgePath(box(100, 0, "2", "1"), box(0, 0, "1", "1")), "M100 10L42 10");
  assert.equal(edgePath(box(0, 0, "1", "1"), box(0, 100, "1", "2")), "M20 20L20 98");
  assert.equal(edgePath(box(100, 0, "2", "1"), box(0, 100, "1", "2")), "M100 20Q100 110 42 110");
});
