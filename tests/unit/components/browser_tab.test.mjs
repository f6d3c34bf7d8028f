// Which session a tab had before, and which entries its history gets.

import assert from "node:assert/strict";
import { test } from "node:test";

import { formerSession, lacksUploadCookie } from "../../../ui/components/browser_tab/browser_tab.js";
import { mergeCorrections } from "../../../ui/components/browser_tab/history.js";

const present = { token: "present", hasBatch: false };

test("a new tab, and a rerun of the page, have no former session", () => {
  assert.equal(formerSession(null, present), null);
  assert.equal(formerSession(JSON.stringify({ token: "present", hasBatch: true }), present), null);
});

test("a reload reports the former session and whether it had a batch", () => {
  const stored = JSON.stringify({ token: "former", hasBatch: true });
  assert.deepEqual(formerSession(stored, present), { token: "former", hasBatch: true });
});

test("what another program stored is ignored", () => {
  for (const stored of ["no JSON", "{}", '{"token": 3}', "null"]) assert.equal(formerSession(stored, present), null);
});

test("uploads are refused inside another site without the cookie only", () => {
  const document = { cookie: "a=1; _streamlit_xsrf=2|3" };
  assert.equal(lacksUploadCookie({ top: 1, self: 2, document: { cookie: "a_streamlit_xsrf=1" } }), true);
  assert.equal(lacksUploadCookie({ top: 1, self: 2, document }), false);
  assert.equal(lacksUploadCookie({ top: 1, self: 1, document: { cookie: "" } }), false);
});

/** A window with a history, whose entries are listed. */
function makeWindow(address) {
  const entries = [address];
  const listeners = {};
  const window = {
    location: { href: address },
    addEventListener: (name, listener) => {
      listeners[name] = listener;
    },
    history: {
      pushState: (_state, _unused, url) => {
        entries.push(url);
        window.location.href = new URL(url, window.location.href).href;
      },
      replaceState: (_state, _unused, url) => {
        entries[entries.length - 1] = url;
        window.location.href = new URL(url, window.location.href).href;
      },
    },
  };
  return { window, entries, listeners };
}

test("only the first address after a press is an entry", () => {
  const { window, entries, listeners } = makeWindow("http://street/");
  mergeCorrections(window);
  window.history.pushState({}, "", "/?photo=6");
  assert.deepEqual(entries, ["/?photo=6"]);
  listeners.pointerdown();
  window.history.pushState({}, "", "/?photo=6&detail=Fine");
  window.history.pushState({}, "", "/inside?photo=6&detail=Fine");
  window.history.pushState({}, "", "/inside?photo=6");
  listeners.keydown();
  window.history.pushState({}, "", "/inside?photo=34");
  listeners.pointerdown();
  listeners.popstate();
  window.history.pushState({}, "", "/inside?photo=11");
  assert.deepEqual(entries, ["/?photo=6", "/inside?photo=6", "/inside?photo=11"]);
});
