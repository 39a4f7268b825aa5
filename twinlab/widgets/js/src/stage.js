// The scene: meshes on links, light, ground, camera. It draws when told to and knows nothing of time.
import {
  BasicShadowMap, Box3, BufferAttribute, BufferGeometry, Color, DirectionalLight, Group, HemisphereLight, Mesh,
  MeshLambertMaterial, MeshStandardMaterial, PCFShadowMap, PerspectiveCamera, Raycaster, Scene, SRGBColorSpace, Vector2,
  Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { toCreasedNormals } from "three/addons/utils/BufferGeometryUtils.js";
import { unpackMeshes } from "./data.js";
import { Ground } from "./ground.js";

const PARKED = -5; // links below this are not on the line yet [m]
const FROM = new Vector3(0.86, -0.62, 0.62); // where the camera looks from at first
const CREASE = Math.PI / 5;
const LOOKS = {
  light: { back: 0xf2f4f6, line: 0xaab3bc, sky: 0xffffff, earth: 0xc3c8ce, shadow: 0.22 },
  dark: { back: 0x181b20, line: 0x4e5762, sky: 0xe6ecf8, earth: 0x555b65, shadow: 0.5 },
};
const FINE = 2; // pixel ratio of a picture that stands still, where the processor draws

export class Stage {
  /** Raises an Error if the browser gives no WebGL. */
  constructor(canvas, onChange) {
    this.soft = drawnByProcessor(canvas.ownerDocument);
    this.renderer = new WebGLRenderer({ canvas, antialias: !this.soft, preserveDrawingBuffer: true });
    this.ratio = this.soft ? 1 : Math.min(2, globalThis.devicePixelRatio || 1);
    this.renderer.setPixelRatio(this.ratio);
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = this.soft ? BasicShadowMap : PCFShadowMap;
    this.renderer.shadowMap.autoUpdate = false;
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(32, 1, 0.02, 60);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = true;
    this.controls.dampingFactor = 0.15;
    this.controls.maxPolarAngle = 0.98 * (Math.PI / 2);
    this.controls.minDistance = 0.1;
    this.controls.maxDistance = 20;
    this.controls.addEventListener("change", onChange);
    this.controls.addEventListener("start", () => { this.turned = true; });
    this.onChange = onChange;
    this.links = [];
    this.geometries = [];
    this.materials = [];
    this.#light();
    this.theme = "light";
  }

  /** Take the meshes and names of a twin; poses follow. */
  setGeometry(table, buffer) {
    this.#clear();
    this.table = table;
    this.geometries = unpackMeshes(table, buffer).map(geometry);
    this.links = table.links.map(() => Object.assign(new Group(), { matrixAutoUpdate: true, visible: false }));
    for (const visual of table.visuals) {
      const own = table.meshes[visual.mesh].coloured;
      const material = this.soft
        ? new MeshLambertMaterial({ vertexColors: own })
        : new MeshStandardMaterial({ vertexColors: own, roughness: 0.6, metalness: 0 });
      if (!own) material.color.setRGB(...visual.colour, SRGBColorSpace);
      const mesh = new Mesh(this.geometries[visual.mesh], material);
      mesh.position.fromArray(visual.pose, 0);
      mesh.quaternion.fromArray(visual.pose, 3);
      mesh.castShadow = mesh.receiveShadow = true;
      mesh.userData.name = table.links[visual.link];
      this.materials.push(material);
      this.links[visual.link].add(mesh);
    }
    this.scene.add(...this.links);
    this.framed = false;
  }

  /** Put the links at poses, links × 7; the first ones decide what the camera shows. */
  setPoses(poses) {
    this.links.forEach((link, i) => {
      link.position.fromArray(poses, 7 * i);
      link.quaternion.fromArray(poses, 7 * i + 3);
      link.visible = link.position.z > PARKED;
    });
    this.renderer.shadowMap.needsUpdate = true;
    if (!this.framed) this.#frame();
  }

  setTheme(theme) {
    const look = LOOKS[theme];
    this.theme = theme;
    this.scene.background = new Color(look.back);
    this.ground.look(look.line, look.shadow);
    this.sky.color.set(look.sky);
    this.sky.groundColor.set(look.earth);
  }

  resize(width, height) {
    this.renderer.setSize(width, height, false);
    this.size = [width, height];
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (!this.turned) this.home();
  }

  /** Look at everything from the first direction again. */
  home() {
    if (!this.framed) return;
    this.turned = false; // as long as the user leaves the camera alone, it goes with the view's size
    const back = FROM.clone().normalize();
    const right = new Vector3(0, 0, 1).cross(back).normalize();
    const up = back.clone().cross(right);
    const tall = Math.tan((this.camera.fov * Math.PI) / 360);
    const wide = tall * this.camera.aspect;
    const middle = this.middle.clone();
    let distance = 1;
    for (let round = 0; round < 8; round++) {
      // where the outermost points are, as shares of the picture: their middle is moved to the picture's middle
      const seen = { low: [Infinity, Infinity], high: [-Infinity, -Infinity] };
      let needed = 0.2;
      for (const corner of this.corners) {
        const from = corner.clone().sub(middle);
        const [x, y, near] = [from.dot(right) / wide, from.dot(up) / tall, from.dot(back)];
        needed = Math.max(needed, near + Math.abs(x), near + Math.abs(y));
        [x, y].forEach((value, i) => {
          seen.low[i] = Math.min(seen.low[i], value / Math.max(0.1, distance - near));
          seen.high[i] = Math.max(seen.high[i], value / Math.max(0.1, distance - near));
        });
      }
      middle.addScaledVector(right, ((seen.low[0] + seen.high[0]) / 2) * distance * wide);
      middle.addScaledVector(up, ((seen.low[1] + seen.high[1]) / 2) * distance * tall);
      distance = needed;
    }
    this.controls.target.copy(middle);
    this.camera.position.copy(middle).addScaledVector(back, 1.06 * distance);
    this.controls.update();
    this.onChange();
  }

  /** Draw one picture; true if the camera still glides. A fine one takes longer and has smooth edges. */
  draw(fine = false) {
    const glides = this.controls.update();
    const ratio = this.soft && fine ? FINE : this.ratio;
    if (this.renderer.getPixelRatio() !== ratio) this.renderer.setPixelRatio(ratio);
    this.renderer.render(this.scene, this.camera);
    return glides;
  }

  /** The name of the link under a point of the canvas (0–1 from the left, 0–1 from the top), or "". */
  pick(x, y) {
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2(2 * x - 1, 1 - 2 * y), this.camera);
    const shown = this.links.filter((link) => link.visible);
    return ray.intersectObjects(shown, true)[0]?.object.userData.name ?? "";
  }

  dispose() {
    this.#clear();
    this.controls.dispose();
    this.ground.geometry.dispose();
    this.ground.material.dispose();
    this.sun.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  #clear() {
    this.scene.remove(...this.links);
    for (const owned of [...this.geometries, ...this.materials]) owned.dispose();
    this.links = this.geometries = this.materials = [];
    this.materials = [];
  }

  #light() {
    this.sky = new HemisphereLight(0xffffff, 0xffffff, 1.75);
    this.sky.position.set(0, 0, 1); // three's hemisphere stands on y otherwise
    this.sun = new DirectionalLight(0xfffaf2, 1.75);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.setScalar(this.soft ? 1024 : 2048);
    this.sun.shadow.normalBias = 0.004;
    this.sun.shadow.bias = -0.0004;
    this.sun.shadow.radius = 3;
    this.ground = new Ground();
    this.scene.add(this.sky, this.sun, this.sun.target, this.ground);
  }

  /** Fit ground, light and camera to what is on the line now. */
  #frame() {
    this.scene.updateMatrixWorld(true);
    const shown = this.links.filter((link) => link.visible && link.children.length);
    if (!shown.length) return;
    const boxes = shown.map((link) => new Box3().expandByObject(link));
    const box = boxes.reduce((all, one) => all.union(one), new Box3());
    this.corners = boxes.flatMap(corners);
    this.middle = box.getCenter(new Vector3());
    this.framed = true;
    const radius = Math.max(0.2, box.getSize(new Vector3()).length() / 2);
    this.ground.lie(new Vector3(this.middle.x, this.middle.y, box.min.z - 0.001), 4 * radius);
    this.sun.target.position.copy(this.middle);
    this.sun.position.copy(this.middle).add(new Vector3(0.45, -0.7, 1.5).multiplyScalar(2 * radius));
    const shadow = this.sun.shadow.camera;
    Object.assign(shadow, { left: -radius, right: radius, bottom: -radius, top: radius, near: 0.1, far: 6 * radius });
    shadow.updateProjectionMatrix();
    this.home();
  }
}

let byProcessor; // asked once a page, as a context is needed to ask

/** Whether WebGL runs on the processor here, where smooth edges and soft shadows cost too much while things move. */
function drawnByProcessor(page) {
  byProcessor ??= askRenderer(page);
  return byProcessor;
}

function askRenderer(page) {
  const gl = page.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

function geometry({ positions, indices, colours }) {
  const indexed = new BufferGeometry();
  indexed.setAttribute("position", new BufferAttribute(positions, 3));
  indexed.setIndex(new BufferAttribute(indices, 1));
  const flat = indexed.toNonIndexed();
  flat.scale(1000, 1000, 1000); // toCreasedNormals takes points within 0.01 units for the same; make that 0.01 mm
  const out = toCreasedNormals(flat, CREASE);
  out.scale(0.001, 0.001, 0.001);
  if (colours) out.setAttribute("color", new BufferAttribute(cornerColours(colours), 3));
  return out;
}

/** Linear colours of all corners from sRGB bytes, one each face. */
function cornerColours(colours) {
  const linear = new Float32Array(3 * colours.length);
  const colour = new Color();
  for (let i = 0; i < colours.length; i += 3) {
    colour.setRGB(colours[i] / 255, colours[i + 1] / 255, colours[i + 2] / 255, SRGBColorSpace);
    for (let corner = 0; corner < 3; corner++) colour.toArray(linear, 3 * i + 3 * corner);
  }
  return linear;
}

function corners({ min, max }) {
  const out = [];
  for (const x of [min.x, max.x]) for (const y of [min.y, max.y]) for (const z of [min.z, max.z]) out.push(new Vector3(x, y, z));
  return out;
}
