// What Python sends: packed meshes (widgets/_geometry.py) and poses, as arrays.

/** The bytes of a DataView or typed array in a buffer of their own, so that any typed array fits on them. */
export function aligned(bytes) {
  if (!bytes || !bytes.byteLength) return new ArrayBuffer(0);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/** Meshes of a table: [{positions, indices, colours|null}]. */
export function unpackMeshes(table, buffer) {
  let at = 0;
  const take = (type, count) => {
    const array = new type(buffer, at, count);
    at += Math.ceil(array.byteLength / 4) * 4;
    return array;
  };
  return table.meshes.map(({ vertices, faces, coloured }) => ({
    positions: take(Float32Array, 3 * vertices),
    indices: take(Uint32Array, 3 * faces),
    colours: coloured ? take(Uint8Array, 3 * faces) : null,
  }));
}

/** A recorded run: times [s] and poses, frames × links × 7 (xyz, quaternion xyzw). */
export class Run {
  constructor(times, poses, links) {
    this.times = times;
    this.poses = poses;
    this.width = 7 * links;
  }

  get length() {
    return this.times.length;
  }

  get start() {
    return this.times[0];
  }

  get end() {
    return this.times[this.length - 1];
  }

  /** The last frame that is not later than `time`. */
  index(time) {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  frame(index) {
    return this.poses.subarray(index * this.width, (index + 1) * this.width);
  }

  /** Poses at a time, between two frames; written to `out`. */
  at(time, out) {
    const index = this.index(time);
    const next = Math.min(index + 1, this.length - 1);
    const span = this.times[next] - this.times[index];
    const share = span > 0 ? Math.min(1, Math.max(0, (time - this.times[index]) / span)) : 0;
    return blend(this.frame(index), this.frame(next), share, out);
  }
}

const JUMP = 0.3; // further than this between two frames [m] is no motion: the body was put there

/** Poses a share of the way from `a` to `b`; what jumps stays at `a` until the end. */
export function blend(a, b, share, out) {
  for (let i = 0; i < a.length; i += 7) {
    const jumps = Math.hypot(b[i] - a[i], b[i + 1] - a[i + 1], b[i + 2] - a[i + 2]) > JUMP;
    const s = jumps ? (share < 1 ? 0 : 1) : share;
    for (let k = 0; k < 3; k++) out[i + k] = a[i + k] + s * (b[i + k] - a[i + k]);
    const dot = a[i + 3] * b[i + 3] + a[i + 4] * b[i + 4] + a[i + 5] * b[i + 5] + a[i + 6] * b[i + 6];
    const sign = dot < 0 ? -1 : 1;
    let norm = 0;
    for (let k = 3; k < 7; k++) {
      out[i + k] = (1 - s) * a[i + k] + s * sign * b[i + k];
      norm += out[i + k] ** 2;
    }
    norm = Math.sqrt(norm) || 1;
    for (let k = 3; k < 7; k++) out[i + k] /= norm;
  }
  return out;
}

/** Bytes of a base64 text. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** The buffer that a gzipped array of bytes holds. */
export function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Frames × links × 7 from the order in which pages keep them, links × 7 × frames, which packs better. */
export function framesFirst(buffer, frames) {
  const packed = new Float32Array(buffer);
  const width = packed.length / frames;
  const out = new Float32Array(packed.length);
  for (let j = 0; j < width; j++) for (let i = 0; i < frames; i++) out[i * width + j] = packed[j * frames + i];
  return out;
}
