// The pictures of cameras: one canvas each, drawn from raw pixels, with its name and a note.
import { aligned } from "./data.js";
import { addStyle, watchTheme } from "./page.js";

/** anywidget: canvases on a model; gives the function that ends it. */
export function renderPictures({ model, el }) {
  addStyle(el.ownerDocument);
  el.classList.add("twinlab-pictures");
  const ended = new AbortController();
  watchTheme(el, () => {}, ended.signal);
  let shown = [];
  const build = () => {
    el.replaceChildren();
    shown = model.get("_table").map(({ name, width, height }) => {
      const figure = el.ownerDocument.createElement("figure");
      const canvas = el.ownerDocument.createElement("canvas");
      const caption = el.ownerDocument.createElement("figcaption");
      const note = el.ownerDocument.createElement("span");
      Object.assign(canvas, { width, height });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Picture of ${name}`);
      caption.textContent = name;
      figure.append(canvas, note, caption);
      el.append(figure);
      return { canvas, note, picture: new ImageData(width, height) };
    });
    draw();
  };
  const draw = () => {
    const bytes = new Uint8Array(aligned(model.get("_pixels")));
    const notes = model.get("_notes");
    let at = 0;
    shown.forEach(({ canvas, note, picture }, i) => {
      const pixels = picture.data;
      if (bytes.length < at + (3 * pixels.length) / 4) return;
      for (let p = 0; p < pixels.length; p += 4, at += 3) {
        pixels[p] = bytes[at];
        pixels[p + 1] = bytes[at + 1];
        pixels[p + 2] = bytes[at + 2];
        pixels[p + 3] = 255;
      }
      canvas.getContext("2d").putImageData(picture, 0, 0);
      note.textContent = notes[i] ?? "";
    });
  };
  model.on("change:_table", build);
  model.on("change:_pixels", draw);
  build();
  return () => {
    model.off("change:_table", build);
    model.off("change:_pixels", draw);
    ended.abort();
  };
}
