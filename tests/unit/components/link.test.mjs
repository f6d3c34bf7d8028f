// What a link says, and what of it makes no sense.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLink } from "../../../ui/components/viewer/link.js";

const CLASSES = [{ name: "road" }, { name: "traffic light" }];

test("an empty address chooses nothing", () => {
  assert.deepEqual(parseLink("", CLASSES), {});
});

test("every choice is read", () => {
  const search =
    "?layer=outlines&opacity=40&threshold=5&grid=1&safe=1&swipe=30&hide=road&only=traffic+light&panes=photo,8s&pair=8s,32s&at=10,20.5,300";
  assert.deepEqual(parseLink(search, CLASSES), {
    layer: "outlines",
    opacity: 0.4,
    threshold: 0.05,
    grid: true,
    safe: true,
    swipe: true,
    divider: 0.3,
    hidden: new Set([0]),
    solo: 1,
    panes: new Set(["photo", "8s"]),
    pair: ["8s", "32s"],
    region: { x: 10, y: 20.5, across: 300 },
  });
});

test("what makes no sense is left out", () => {
  const search = "?layer=toString&opacity=1e1&threshold=-3&swipe=&only=moon&pair=8s&at=1,2&weights=other";
  assert.deepEqual(parseLink(search, CLASSES), {});
  assert.deepEqual(parseLink("?at=1,0,5&opacity=900&hide=moon", CLASSES), { opacity: 1, hidden: new Set() });
});
