// What Streamlit calls at every rerun. One viewer lives as long as its place on the page.

import { componentRoot } from "../dom.js";
import { unpack } from "./model.js";
import { Viewer } from "./viewer.js";

/** @type {WeakMap<HTMLElement, Viewer>} */
const viewers = new WeakMap();

/**
 * @param {import("../dom.js").ComponentArguments<Uint8Array | ArrayBuffer>} component
 * @returns {() => void} what Streamlit calls when it takes the component away
 */
export default function ({ parentElement, data, setStateValue }) {
  const root = componentRoot(parentElement, "viewer");
  const viewer = viewers.get(root) ?? new Viewer(root, (point) => setStateValue("point", point));
  viewers.set(root, viewer);
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const key = `${bytes.length} ${bytes.subarray(4, 84).join()}`; // the header begins with the digest of all
  if (key !== viewer.key) {
    viewer.key = key;
    unpack(bytes, viewer.model).then((model) => viewer.key === key && viewer.show(model));
  }
  return () => {
    if (root.isConnected) return;
    viewer.end();
    viewers.delete(root);
  };
}
