// The bodies and points of the page as objects of k3d, which draws them.

function shaped(data) { return { data, shape: [data.length / 3, 3] }; }

const IDENTITY = { data: new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), shape: [4, 4] };
const EMPTY = { data: new Float32Array(0), shape: [0] };
const MARKS = [0xd62728, 0x222222, 0xe377c2, 0x17becf];

class Body {
  constructor(motion, index, plain) {
    this.motion = motion;
    this.offset = [0, 0, 0];
    // The numbers of objects are those of bodies, then a hundred for the points of each.
    this.marks = motion.points.map((points, kind) => new Marks(points, kind, 1000 + 100 * index + kind));
    this.vertices = new Float32Array(3 * motion.vertices);
    this.attribute = new Float32Array(motion.vertices);
    this.plain = [0, ...plain, 1, ...plain];
    this.mesh = {
      type: "Mesh", id: 1 + index, visible: true, color: 0xffffff, flat_shading: true, side: "front", opacity: 1,
      opacity_function: EMPTY, colors: EMPTY, opacities: EMPTY, triangles_attribute: EMPTY, normals: EMPTY,
      uvs: EMPTY, uvs2: EMPTY, volume: EMPTY, volume_bounds: EMPTY, slice_planes: [], model_matrix: IDENTITY,
      wireframe: false, roughness: 0.6, metalness: 0, indices: { data: motion.triangles, shape: [motion.triangles.length / 3, 3] },
      vertices: shaped(this.vertices), attribute: { data: this.attribute, shape: [motion.vertices] },
      color_range: [0, 1],
    };
  }

  // Positions between two frames are on the straight line from one to the other.
  move(time) {
    const { times, codes, low, scale, vertices: count } = this.motion;
    const [before, after, share] = located(times, time), row = 3 * count;
    for (let i = 0, a = before * row, b = after * row; i < row; i++, a++, b++) {
      const axis = i % 3;
      this.vertices[i] = low[axis] + this.offset[axis] + scale[axis] * (codes[a] + share * (codes[b] - codes[a]));
    }
    return [before, after, share];
  }

  paint(field, before, after, share) {
    const codes = this.motion.colors[field], count = this.motion.vertices;
    if (!codes) return this.attribute.fill(0);
    for (let i = 0, a = before * count, b = after * count; i < count; i++, a++, b++) {
      this.attribute[i] = (codes[a] + share * (codes[b] - codes[a])) / 255;
    }
  }

  // What k3d has to redraw of the mesh at a time. A body without the field has one colour.
  frame(time, field, colors) {
    const { mesh } = this, changes = { vertices: mesh.vertices, attribute: mesh.attribute };
    this.paint(field, ...this.move(time));
    if (field !== this.field) {
      const map = new Float32Array(this.motion.colors[field] ? colors : this.plain);
      this.field = field;
      changes.color_map = mesh.color_map = { data: map, shape: [map.length] };
    }
    if (mesh.opacity !== this.opacity) changes.opacity = this.opacity = mesh.opacity;
    return changes;
  }

  high(axis) { return this.motion.low[axis] + 65535 * this.motion.scale[axis]; }
}

// The points of one kind of a body, at the nearest time at which they were observed.
class Marks {
  constructor({ name, times, count, all }, kind, id) {
    const color = MARKS[kind % MARKS.length];
    // Those over which others are drawn are larger; many are smaller.
    Object.assign(this, { name, times, count, all, color, share: 0.85 ** kind * Math.min(1, (50 / count) ** 0.4) });
    this.points = {
      type: "Points", id, visible: true, color, shader: "3d", point_size: 1, point_sizes: EMPTY, mesh_detail: 2, opacity: 1,
      opacities: EMPTY, opacity_function: EMPTY, colors: EMPTY, attribute: EMPTY, color_map: EMPTY, color_range: [],
      roughness: 0.6, metalness: 0, model_matrix: IDENTITY, positions: shaped(new Float32Array(3 * count)),
    };
  }

  // Whether there is a point at a time. One that was not observed then is drawn where another one is.
  move(time, offset, size) {
    const { all, count } = this, positions = this.points.positions.data, start = 3 * count * nearest(this.times, time);
    const seen = (point) => !Number.isNaN(all[start + 3 * point] + all[start + 3 * point + 1] + all[start + 3 * point + 2]);
    let other = 0;
    while (other < count && !seen(other)) other++;
    this.points.point_size = this.share * size;
    if (other === count) return false;
    for (let point = 0; point < count; point++) {
      const from = start + 3 * (seen(point) ? point : other);
      for (let axis = 0; axis < 3; axis++) positions[3 * point + axis] = all[from + axis] + offset[axis];
    }
    return true;
  }
}
