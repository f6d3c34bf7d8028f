// Remembers in the browser's tab which session of the server it had. A reload, or a new connection, gets a new
// session; the token of the former one lets the server hand over what the visitor had there.

import { mergeCorrections } from "./history.js";

/** @typedef {{ token: string, hasBatch: boolean }} TabSession */

const STORAGE_KEY = "street-fcn-session";

/**
 * The session that the tab had before, if it is another one.
 *
 * @param {string | null} stored
 * @param {TabSession} present
 * @returns {TabSession | null}
 */
export function formerSession(stored, present) {
  if (!stored) return null;
  try {
    const { token, hasBatch } = JSON.parse(stored);
    if (typeof token !== "string" || token === present.token) return null;
    return { token, hasBatch: hasBatch === true };
  } catch {
    return null; // another program wrote it
  }
}

/**
 * Whether the server will refuse uploads: inside another site a browser withholds the cookie that protects them.
 *
 * @param {{ top: unknown, self: unknown, document: { cookie: string } }} window
 */
export function lacksUploadCookie({ top, self, document }) {
  return top !== self && !/(^|; )_streamlit_xsrf=/.test(document.cookie);
}

/** @param {import("../dom.js").ComponentArguments<TabSession>} component */
export default function ({ data, setTriggerValue, setStateValue }) {
  mergeCorrections(window);
  if (lacksUploadCookie(window)) setStateValue("lacksCookie", true);
  try {
    const former = formerSession(sessionStorage.getItem(STORAGE_KEY), data);
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(data));
    if (former) setTriggerValue("former", former);
  } catch {
    // the storage is closed in a frame without permissions: a reload then starts anew
  }
}
