// The player: a stage with its controls. It is the same in a notebook and in a page that opens from a file.
import { Vector3 } from "three";
import { blend, Run } from "./data.js";
import { addStyle, watchTheme } from "./page.js";
import { Stage } from "./stage.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const GLIDE = 150; // live frames further apart than this [ms] are shown at once
const REST = 250; // after so long without motion [ms] a fine picture is drawn
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  back: "M3 2.5h2v11H3zM13 2.5v11L6 8z",
  forward: "M11 2.5h2v11h-2zM3 2.5v11L10 8z",
  home: "M2 2h4.5v1.6H3.6v2.9H2zM9.5 2H14v4.5h-1.6V3.6H9.5zM2 9.5h1.6v2.9h2.9V14H2zM12.4 9.5H14V14H9.5v-1.6h2.9zM6 6h4v4H6z",
};

export class Player {
  /**
   * @param root an empty element that the player fills; its size decides the player's.
   * @param onSeek called with the time [s] that the user went to.
   */
  constructor(root, { height = "420px", onSeek = () => {} } = {}) {
    this.root = root;
    this.onSeek = onSeek;
    this.time = 0;
    this.speed = 1;
    this.playing = false;
    this.dirty = false;
    this.seen = true;
    this.ended = new AbortController();
    addStyle(root.ownerDocument);
    this.#build(height);
    try {
      this.stage = new Stage(this.canvas, () => this.invalidate());
    } catch (error) {
      this.#tell(`This browser gives no WebGL, so nothing can be shown in 3D. (${error.message})`);
      return;
    }
    this.#listen();
    watchTheme(root, (theme) => this.#wear(theme), this.ended.signal);
  }

  setGeometry(table, buffer) {
    if (!this.stage) return;
    this.run = null;
    this.shown = null;
    this.stage.setGeometry(table, buffer);
    this.poses = new Float32Array(7 * table.links.length);
    const bodies = table.bodies.slice(0, 12).join(", ") + (table.bodies.length > 12 ? ", …" : "");
    this.canvas.setAttribute(
      "aria-label",
      `3D view of ${bodies}. Arrow keys turn it, plus and minus zoom, Home shows all, space plays and pauses.`,
    );
    this.#showBar();
  }

  /** A live frame: links × 7. It glides there, so that few frames a second still look like motion. */
  show(poses) {
    if (!this.stage || poses.length !== this.poses.length) return;
    const now = performance.now();
    const wait = now - (this.came ?? -Infinity);
    this.came = now;
    this.run = null;
    this.#showBar();
    if (this.shown && wait < GLIDE) this.glide = { from: this.poses.slice(), to: poses, start: now, span: wait };
    else this.#put(poses);
    this.shown = poses;
    this.invalidate();
  }

  /** A recorded run; times [s] (frames), poses frames × links × 7. It waits at its start. */
  replay(times, poses) {
    if (!this.stage) return;
    this.glide = null;
    this.run = new Run(times, poses, this.poses.length / 7);
    this.playing = false;
    this.#showBar();
    this.#go(this.run.start);
  }

  /** Show another time of the run [s], without telling anybody. */
  seek(time) {
    if (this.run) this.#go(time);
  }

  /** Draw at the next frame of the browser. */
  invalidate() {
    this.dirty = true;
    if (!this.asked && this.seen && !this.ended.signal.aborted) this.asked = requestAnimationFrame((now) => this.#tick(now));
  }

  dispose() {
    this.ended.abort();
    cancelAnimationFrame(this.asked);
    clearTimeout(this.told);
    clearTimeout(this.rest);
    this.sizes?.disconnect();
    this.sight?.disconnect();
    this.stage?.dispose();
    this.root.replaceChildren();
  }

  // ---- time

  #tick(now) {
    this.asked = 0;
    const passed = Math.min(0.25, (now - (this.before ?? now)) / 1000);
    this.before = this.playing ? now : undefined;
    if (this.playing) this.#advance(passed);
    if (this.glide) this.#move(now);
    if (this.dirty && this.stage.size) {
      this.dirty = false;
      this.#draw();
    }
    if (this.playing || this.glide) this.invalidate();
  }

  /** Draw; when nothing has moved for a while, once more and finer. */
  #draw() {
    if (this.stage.draw()) this.invalidate();
    this.#turnAxes();
    clearTimeout(this.rest);
    if (this.stage.soft) this.rest = setTimeout(() => this.stage.draw(true), REST);
  }

  #advance(passed) {
    const time = this.time + passed * this.speed;
    this.#go(Math.min(time, this.run.end));
    if (time >= this.run.end) this.#play(false);
  }

  #move(now) {
    const { from, to, start, span } = this.glide;
    const share = Math.min(1, (now - start) / span);
    this.#put(blend(from, to, share, this.poses));
    if (share === 1) this.glide = null;
  }

  #go(time) {
    this.time = Math.min(this.run.end, Math.max(this.run.start, time));
    this.#put(this.run.at(this.time, this.poses));
    this.slider.value = String(this.time);
    const text = this.time.toFixed(2);
    this.clock.textContent = text;
    this.slider.setAttribute("aria-valuetext", `${text} s of ${this.run.end.toFixed(2)} s`);
  }

  #put(poses) {
    if (poses !== this.poses) this.poses.set(poses);
    this.stage.setPoses(this.poses);
    this.invalidate();
  }

  #play(wanted) {
    this.playing = wanted && Boolean(this.run);
    if (this.playing && this.time >= this.run.end) this.#go(this.run.start);
    this.before = undefined;
    setIcon(this.button.play, this.playing ? "pause" : "play", this.playing ? "Pause" : "Play");
    this.invalidate();
  }

  /** The user goes to a time: show it and tell, at most ten times a second. */
  #seek(time) {
    this.#go(time);
    if (this.told) return;
    this.told = setTimeout(() => {
      this.told = 0;
      this.onSeek(this.time);
    }, 100);
  }

  #step(frames) {
    if (!this.run) return;
    this.#play(false);
    const index = this.run.index(this.time + 1e-9);
    this.#seek(this.run.times[Math.min(this.run.length - 1, Math.max(0, index + frames))]);
  }

  // ---- what is on the page

  #build(height) {
    const { root } = this;
    root.classList.add("twinlab");
    root.style.height = height;
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay out of the player
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "3D view of a twin");
    root.innerHTML = `
      <div class="tl-stage">
        <canvas tabindex="0" role="application" aria-label="3D view"></canvas>
        <svg class="tl-axes" viewBox="-30 -30 60 60" aria-hidden="true">${axes()}</svg>
        <div class="tl-corner"></div>
        <div class="tl-name" hidden></div>
        <div class="tl-told" role="status" hidden></div>
      </div>
      <div class="tl-bar" hidden>
        <input type="range" step="any" aria-label="Time of the recorded run">
        <span class="tl-time"><b>0.00</b><span class="tl-end"></span> s</span>
        <select aria-label="Speed of the replay">${SPEEDS.map((s) => `<option value="${s}">${s}×</option>`).join("")}</select>
      </div>`;
    const find = (what) => root.querySelector(what);
    this.canvas = find("canvas");
    this.bar = find(".tl-bar");
    this.slider = find("input");
    this.clock = find(".tl-time b");
    this.name = find(".tl-name");
    this.choice = find("select");
    this.choice.value = "1";
    this.button = {};
    for (const [icon, text] of [["play", "Play"], ["back", "One frame back"], ["forward", "One frame forward"], ["home", "Show all"]]) {
      this.button[icon] = root.ownerDocument.createElement("button");
      this.button[icon].type = "button";
      setIcon(this.button[icon], icon, text);
    }
    this.bar.prepend(this.button.play, this.button.back, this.button.forward);
    find(".tl-corner").append(this.button.home);
  }

  #showBar() {
    this.bar.hidden = !this.run;
    if (!this.run) return;
    this.slider.min = String(this.run.start);
    this.slider.max = String(this.run.end);
    this.root.querySelector(".tl-end").textContent = ` / ${this.run.end.toFixed(2)}`;
    this.#play(false);
  }

  #tell(text) {
    const told = this.root.querySelector(".tl-told");
    told.textContent = text;
    told.hidden = false;
  }

  #listen() {
    const { canvas, button } = this;
    const on = (target, event, act, more) => target.addEventListener(event, act, { signal: this.ended.signal, ...more });
    on(button.play, "click", () => this.#play(!this.playing));
    on(button.back, "click", () => this.#step(-1));
    on(button.forward, "click", () => this.#step(1));
    on(button.home, "click", () => this.stage.home());
    on(this.slider, "input", () => this.#seek(Number(this.slider.value)));
    on(this.choice, "change", () => { this.speed = Number(this.choice.value); });
    on(this.root, "keydown", (event) => this.#key(event));
    on(canvas, "pointerdown", () => canvas.focus({ preventScroll: true }));
    on(canvas, "pointermove", (event) => this.#hover(event));
    on(canvas, "pointerleave", () => { this.name.hidden = true; });
    // the wheel scrolls the page unless the view was clicked on before, or it is a pinch
    on(canvas, "wheel", (event) => {
      this.stage.controls.enableZoom = event.ctrlKey || canvas.ownerDocument.activeElement === canvas;
    }, { capture: true, passive: true });
    on(canvas, "webglcontextlost", (event) => event.preventDefault());
    on(canvas, "webglcontextrestored", () => this.#put(this.poses));
    this.sizes = new ResizeObserver(() => this.#resize());
    this.sizes.observe(canvas.parentElement);
    this.sight = new IntersectionObserver((all) => {
      this.seen = all.at(-1).isIntersecting;
      if (this.seen) this.invalidate();
    });
    this.sight.observe(canvas);
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) return;
    this.stage.resize(width, height);
    this.invalidate();
  }

  #key(event) {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === this.choice) return;
    const atButton = event.target.tagName === "BUTTON";
    const act = {
      ",": () => this.#step(-1),
      ".": () => this.#step(1),
      ...(atButton ? {} : { " ": () => this.#play(!this.playing) }),
      ...(event.target === this.canvas ? this.#turns() : {}),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #turns() {
    const turn = (around, over) => () => {
      const { camera, controls } = this.stage;
      const arm = camera.position.clone().sub(controls.target);
      arm.applyAxisAngle(new Vector3(0, 0, 1), around);
      if (over) arm.applyAxisAngle(arm.clone().cross(new Vector3(0, 0, 1)).normalize(), over);
      camera.position.copy(controls.target).add(arm);
      this.stage.turned = true;
      this.invalidate();
    };
    const zoom = (factor) => () => {
      const { camera, controls } = this.stage;
      camera.position.lerp(controls.target, 1 - factor);
      this.stage.turned = true;
      this.invalidate();
    };
    return {
      ArrowLeft: turn(-0.12, 0), ArrowRight: turn(0.12, 0), ArrowUp: turn(0, 0.1), ArrowDown: turn(0, -0.1),
      "+": zoom(0.88), "=": zoom(0.88), "-": zoom(1.14), Home: () => this.stage.home(),
    };
  }

  #hover(event) {
    if (event.buttons) {
      this.name.hidden = true;
      return;
    }
    const { width, height, left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const text = this.stage.pick(x / width, y / height);
    this.name.hidden = !text;
    this.name.textContent = text;
    const turn = x > 0.7 * width ? "translateX(-100%)" : "";
    this.name.style.transform = `translate(${x + (turn ? -10 : 14)}px, ${y + 12}px) ${turn}`;
  }

  #wear(theme) {
    this.stage.setTheme(theme);
    this.invalidate();
  }

  #turnAxes() {
    const inverse = this.stage.camera.matrixWorldInverse;
    this.root.querySelectorAll(".tl-axes g").forEach((g, i) => {
      const axis = new Vector3().setComponent(i, 1).transformDirection(inverse);
      const [line, text] = g.children;
      line.setAttribute("x2", (19 * axis.x).toFixed(1));
      line.setAttribute("y2", (-19 * axis.y).toFixed(1));
      text.setAttribute("x", (25 * axis.x).toFixed(1));
      text.setAttribute("y", (-25 * axis.y).toFixed(1));
    });
  }
}

function setIcon(button, icon, text) {
  button.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[icon]}"/></svg>`;
  button.title = text;
  button.setAttribute("aria-label", text);
}

function axes() {
  const colours = ["#d6453d", "#3d9a50", "#3f74d1"];
  return colours
    .map((c, i) => `<g><line stroke="${c}" x1="0" y1="0" x2="0" y2="0"/><text fill="${c}">${"xyz"[i]}</text></g>`)
    .join("");
}
