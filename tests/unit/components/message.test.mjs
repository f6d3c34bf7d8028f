// Reads what Python wrote: the committed files, or those of a folder that a Python test names.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inflate } from "../../../ui/components/inflate.js";
import { cellAt, fromBase64, tensorValue } from "../../../ui/components/network_diagram/tensors.js";
import { linkPanes, parsePacked, unpackPanes } from "../../../ui/components/viewer/model.js";

const folder = process.env.FIXTURES ?? fileURLToPath(new URL("fixtures", import.meta.url));
const message = new Uint8Array(readFileSync(join(folder, "message.bin")));
const expected = JSON.parse(readFileSync(join(folder, "message.json"), "utf8"));
const nodes = JSON.parse(readFileSync(join(folder, "nodes.json"), "utf8"));

/** @param {Uint8Array | null} array */
const numbers = (array) => array && [...array];

test("the header says what Python packed", () => {
  const { header, section } = parsePacked(message);
  assert.deepEqual([header.width, header.height], expected.size);
  assert.deepEqual(header.photo_size, expected.photo_size);
  assert.deepEqual(header.present, expected.present);
  assert.equal(header.own, true);
  assert.equal(header.waiting, true);
  assert.equal(header.classes.length, 19);
  assert.deepEqual(Object.keys(header.classes[0]).sort(), ["color", "name", "safe"]);
  assert.deepEqual(numbers(section(header.photo)), expected.photo);
});

test("the header begins with the digest, by which a rerun knows the message", () => {
  const { header } = parsePacked(message);
  assert.ok(new TextDecoder().decode(message.subarray(4, 84)).startsWith(`{"digest": "${header.digest}"`));
  assert.equal(header.digest.length, 64);
});

test("every array is found again, and nothing else is in a pane", async () => {
  const { header, section } = parsePacked(message);
  const panes = await unpackPanes(header, section);
  const readable = panes.map((pane) => ({
    ...pane,
    ids: numbers(pane.ids),
    confidence: numbers(pane.confidence),
    runnerUp: numbers(pane.runnerUp),
    entropy: numbers(pane.entropy),
  }));
  assert.deepEqual(readable, expected.panes);
});

test("a message is read wherever it lies in its buffer", async () => {
  const buffer = new Uint8Array(message.length + 7);
  buffer.set(message, 7);
  const { header, section } = parsePacked(buffer.subarray(7));
  const [, pane] = await unpackPanes(header, section);
  assert.deepEqual(numbers(pane.ids), expected.panes[1].ids);
});

test("a disagreement knows the panes that it compares", async () => {
  const { header, section } = parsePacked(message);
  const panes = linkPanes(await unpackPanes(header, section));
  const compared = panes.find((pane) => pane.kind === "disagreement")?.compared;
  assert.deepEqual(compared, [panes[1], panes[2]]);
});

test("a message that is cut off is an error", async () => {
  assert.throws(() => parsePacked(message.subarray(0, 3)));
  assert.throws(() => parsePacked(message.subarray(0, 100)));
  const { header, section } = parsePacked(message.subarray(0, message.length - 20));
  await assert.rejects(unpackPanes(header, section));
});

for (const [kind, { node, values }] of Object.entries(nodes)) {
  test(`the values of a node of kind ${kind} are found again`, async () => {
    const bytes = await inflate(fromBase64(node.data));
    assert.equal(node.kind, kind);
    assert.equal(bytes.length, node.width * node.height);
    if (kind === "ids") assert.deepEqual([...bytes], values);
    else {
      const halfStep = (node.high - node.low) / 255 / 2 + 1e-9;
      bytes.forEach((byte, index) => {
        assert.ok(Math.abs(tensorValue(node, byte) - values[index]) <= halfStep, `${index}: ${tensorValue(node, byte)}`);
      });
    }
    assert.deepEqual(cellAt(node, [0.9999, 0.5]), { column: 3, row: 1 });
  });
}
