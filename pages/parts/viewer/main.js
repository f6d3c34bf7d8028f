// What Streamlit calls at every rerun. One viewer lives as long as its place on the page.

const viewers = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".viewer");
  let viewer = viewers.get(root);
  if (!viewer) {
    viewer = new Viewer(root, (point) => setStateValue("point", point));
    viewers.set(root, viewer);
  }
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
