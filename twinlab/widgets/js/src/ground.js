// The floor: a grid of 1 m and 0.1 m that fades with distance, and the shadows that fall on it, in one draw.
import { CircleGeometry, Color, Mesh, ShadowMaterial, Vector3 } from "three";

const GRID = /* glsl */ `
  uniform vec3 line;
  uniform vec3 middle;
  uniform float reach;
  varying vec2 vGround;
  float lines(float cell, float width) {
    vec2 at = vGround / cell;
    vec2 wide = fwidth(at);
    vec2 near = abs(fract(at - 0.5) - 0.5) / max(wide, 1e-6);
    vec2 on = clamp(0.5 * width + 0.5 - near, 0.0, 1.0) * clamp(0.5 - 2.0 * wide, 0.0, 0.3) / 0.3;
    return max(on.x, on.y);
  }`;

const MIX = /* glsl */ `
  float fade = 1.0 - smoothstep(0.25, 1.0, length(vGround - middle.xy) / reach);
  float drawn = max(0.7 * lines(1.0, 1.2), 0.26 * lines(0.1, 1.0));
  float shade = gl_FragColor.a;
  float cover = shade + drawn * (1.0 - shade);
  gl_FragColor = vec4(line * (drawn * (1.0 - shade)) / max(cover, 1e-4), cover * fade);`;

export class Ground extends Mesh {
  constructor() {
    super(new CircleGeometry(1, 64), new ShadowMaterial({ fog: false, toneMapped: false }));
    this.receiveShadow = true;
    this.uniforms = { line: { value: new Color() }, middle: { value: new Vector3() }, reach: { value: 1 } };
    this.material.onBeforeCompile = (shader) => {
      Object.assign(shader.uniforms, this.uniforms);
      shader.vertexShader = shader.vertexShader
        .replace("void main() {", "varying vec2 vGround;\nvoid main() {")
        .replace("#include <begin_vertex>", "#include <begin_vertex>\nvGround = (modelMatrix * vec4(position, 1.0)).xy;");
      shader.fragmentShader = shader.fragmentShader
        .replace("void main() {", `${GRID}\nvoid main() {`)
        .replace("#include <fog_fragment>", MIX);
    };
  }

  /** Lie around a point and reach so far [m]. */
  lie(middle, reach) {
    this.position.copy(middle);
    this.scale.setScalar(reach);
    this.uniforms.middle.value.copy(middle);
    this.uniforms.reach.value = reach;
  }

  /** Colour of the lines (shown as it is) and how dark shadows are, 0–1. */
  look(line, shadow) {
    this.uniforms.line.value.setHex(line, "srgb-linear"); // the shader writes it after the conversion to sRGB
    this.material.opacity = shadow;
  }
}
