/*!
This file contains three.js, https://threejs.org, under this licence:

The MIT License

Copyright © 2010-2026 three.js authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN
THE SOFTWARE.
*/
// Two doors: `render` for the notebook (anywidget), and pages that carry their data in a script element.
import { aligned, framesFirst, fromBase64, gunzip } from "./data.js";
import { renderPictures } from "./pictures.js";
import { Player } from "./player.js";

/** anywidget: what a model asks for; gives the function that ends it. */
export function render(context) {
  return context.model.get("_kind") === "pictures" ? renderPictures(context) : renderPlayer(context);
}

function renderPlayer({ model, el }) {
  const root = el.ownerDocument.createElement("div");
  el.append(root);
  const player = new Player(root, {
    height: model.get("_height"),
    onSeek(time) {
      model.set("seek", time);
      model.save_changes();
    },
  });
  const floats = (name) => new Float32Array(aligned(model.get(name)));
  const act = {
    geometry: () => player.setGeometry(model.get("_table"), aligned(model.get("_mesh"))),
    poses() {
      const times = floats("_times");
      if (times.length) player.replay(times, floats("_run"));
      else player.show(floats("_live"));
    },
    seek: () => player.seek(model.get("seek")),
  };
  const wanted = new Set();
  const flush = () => {
    for (const what of Object.keys(act)) if (wanted.has(what)) act[what]();
    wanted.clear();
  };
  // what one message changes comes as one event for each trait; geometry must be first and nothing done twice
  const want = (...what) => () => {
    if (!wanted.size) queueMicrotask(flush);
    for (const one of what) wanted.add(one);
  };
  const changes = {
    "change:_table": want("geometry", "poses", "seek"),
    "change:_mesh": want("geometry", "poses", "seek"),
    "change:_times": want("poses", "seek"),
    "change:_run": want("poses", "seek"),
    "change:_live": want("poses"),
    "change:seek": want("seek"),
  };
  for (const [event, then] of Object.entries(changes)) model.on(event, then);
  want("geometry", "poses", "seek")();
  return () => {
    for (const [event, then] of Object.entries(changes)) model.off(event, then);
    player.dispose();
  };
}

/** A page: the data stands in a script element; the player comes before it. */
async function mount(script) {
  const root = document.createElement("div");
  script.before(root);
  const data = JSON.parse(script.textContent);
  const player = new Player(root, { height: data.height });
  const unpack = (name) => gunzip(fromBase64(data[name]));
  player.setGeometry(data.table, await unpack("mesh"));
  const times = new Float32Array(await unpack("times"));
  const poses = framesFirst(await unpack("run"), Math.max(1, times.length));
  if (times.length) player.replay(times, poses);
  else player.show(poses);
}

document.querySelectorAll("script.twinlab-data").forEach(mount);
