// The page: what is shown at the time of the slider.

const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"]];

class Page {
  constructor(scene, bodies, k3d) {
    Object.assign(this, { scene, bodies, k3d, time: scene.start, playing: false, drawn: 0, pending: null });
    this.span = scene.end - scene.start;
    this.times = [...new Set(bodies.flatMap((body) => body.motion.times))].sort((a, b) => a - b);
    fillControls(this);
    this.arrange();
  }

  get field() { return byId("field").value; }

  // Along the horizontal axis in which the bodies are thinner; overlaid bodies share their place.
  arrange() {
    const extent = (axis) => Math.max(...this.bodies.map((b) => b.high(axis) - b.motion.low[axis]));
    const axis = extent(0) < extent(1) ? 0 : 1, step = 1.3 * extent(axis) || 1;
    const over = byId("layout").value === "over";
    this.bodies.forEach((body, index) => {
      body.offset = [0, 0, 0];
      // Through the others, the first one is seen.
      body.mesh.opacity = over && index > 0 ? 0.5 : 1;
      if (!over) body.offset[axis] = (index - (this.bodies.length - 1) / 2) * step;
    });
    const low = [0, 1, 2].map((k) => Math.min(...this.bodies.map((b) => b.motion.low[k] + b.offset[k])));
    const high = [0, 1, 2].map((k) => Math.max(...this.bodies.map((b) => b.high(k) + b.offset[k])));
    this.bounds = { low, high, radius: Math.hypot(...low.map((x, k) => high[k] - x)) / 2 || 1 };
  }

  fit() {
    const { low, high, radius } = this.bounds, target = low.map((x, k) => (x + high[k]) / 2);
    const { clientWidth: width, clientHeight: height } = byId("canvas");
    const narrow = Math.min(1, width / height), distance = radius / Math.sin(Math.PI / 7) / narrow;
    // From further above, bodies side by side hide less of each other.
    const side = this.bodies.length > 1 && byId("layout").value === "side";
    const eye = (side ? [0.35, -0.62, 0.7] : [0.45, -0.8, 0.4]).map((part, k) => target[k] + part * distance);
    this.k3d.setCamera([...eye, ...target, 0, 0, 1]);
  }

  async load() {
    for (const body of this.bodies) body.frame(this.time, this.field, this.scene.colors);
    await this.k3d.load({ objects: this.bodies.map((body) => body.mesh) });
    await this.label();
    this.fit();
    await this.repaint();
  }

  repaint() {
    this.drawBar();
    return this.request();
  }

  async label() {
    const side = this.bodies.length > 1 && byId("layout").value === "side";
    for (const [index, body] of this.bodies.entries()) {
      const { low } = body.motion, position = [0, 1, 2].map((k) => (k === 2 ? body.high(2) : (low[k] + body.high(k)) / 2) + body.offset[k]);
      const text = { type: "Text", id: 1000000 + index, visible: side, text: escaped(body.motion.name), is_html: true, position, color: 0x222222, size: 1, reference_point: "cb", on_top: true, label_box: false };
      if (side) await this.k3d.load({ objects: [text] }); else if (index in (this.labels ?? {})) await this.k3d.removeObject(text.id);
    }
    this.labels = side ? this.bodies : [];
  }

  async show() {
    for (const body of this.bodies) {
      await this.k3d.reload(body.mesh, body.frame(this.time, this.field, this.scene.colors), true);
      for (const marks of body.marks) await this.showMarks(marks, body.offset);
    }
    await this.k3d.getWorld().render(true);
    this.drawn += 1;
    const index = nearest(this.times, this.time);
    byId("clock").textContent = `${shortNumber(this.time)} s, frame ${index + 1} of ${this.times.length}`;
    byId("time").value = this.span ? (this.time - this.scene.start) / this.span : 0;
  }

  async showMarks(marks, offset) {
    const { points } = marks, drawn = Boolean(this.k3d.getObjectById(points.id));
    const wanted = byId("points").checked && marks.move(this.time, offset, 0.025 * this.bounds.radius);
    if (wanted && drawn) await this.k3d.reload(points, { positions: points.positions }, true);
    else if (wanted) await this.k3d.load({ objects: [points] });
    else if (drawn) await this.k3d.removeObject(points.id);
  }

  // Only one drawing at a time: what is asked for meanwhile is drawn once, after it.
  request() {
    this.again = true;
    this.pending ??= (async () => {
      while (this.again) {
        this.again = false;
        await this.show();
      }
      this.pending = null;
    })();
    return this.pending;
  }

  play(on) {
    this.playing = on && this.span > 0;
    byId("play").textContent = this.playing ? "❚❚" : "▶";
    let last = null;
    const tick = async (now) => {
      if (!this.playing) return;
      if (last !== null) this.time += ((now - last) / 1000) * Number(byId("speed").value);
      if (this.time > this.scene.end) this.time = this.scene.start;
      last = now;
      await this.request();
      requestAnimationFrame(tick);
    };
    if (this.playing) requestAnimationFrame(tick);
  }

  drawGrid() {
    const { low, high } = this.bounds;
    this.k3d.setGridVisible(byId("grid").checked);
    this.k3d.setGrid([...low, ...high]);
    this.request();
  }

  // To the frame after the present one, or before it.
  step(by) {
    const index = nearest(this.times, this.time) + by;
    this.seek(this.times[Math.min(Math.max(index, 0), this.times.length - 1)]);
  }

  seek(time) {
    this.time = time;
    return this.request();
  }

  drawBar() {
    const range = this.scene.fields[this.field];
    byId("bar").hidden = !range;
    if (!range) return;
    const [low, high] = range;
    const [, name, unit] = this.field.match(/^(.*?)\s*(?:\[(.*)\])?$/);
    const largest = Math.max(Math.abs(low), Math.abs(high));
    const [factor, prefix] = (unit && PREFIXES.find(([size]) => largest >= size)) || [1, ""];
    byId("bar-title").textContent = unit ? `${name} [${prefix}${unit}]` : name;
    const ticks = byId("bar-ticks").children, pen = byId("bar-colors").getContext("2d"), map = this.scene.colors;
    [low, (low + high) / 2, high].forEach((value, k) => { ticks[k].textContent = shortNumber(value / factor); });
    const gradient = pen.createLinearGradient(0, 0, 256, 0);
    for (let i = 0; i < map.length; i += 4) gradient.addColorStop(map[i], css(map.slice(i + 1, i + 4)));
    pen.fillStyle = gradient;
    pen.fillRect(0, 0, 256, 1);
  }
}

function shortNumber(value) { return Number(value.toPrecision(3)).toString(); }
function css(rgb) { return `rgb(${rgb.map((part) => Math.round(255 * part)).join(" ")})`; }
function escaped(text) { return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`); }

// Without a graphics card, smooth edges would cost half of the frames.
function drawnBySoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) throw new Error("this browser has no WebGL 2.");
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return names !== null && /swiftshader|llvmpipe|software/i.test(gl.getParameter(names.UNMASKED_RENDERER_WEBGL));
}

async function start() {
  const scene = JSON.parse(byId("scene").textContent);
  const [buffer, source] = await Promise.all(["data", "renderer"].map((id) => inflated(byId(id).textContent)));
  let library = null;
  window.define = (name, needed, make) => { library = make(); };
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(source);
  document.head.append(script);
  const options = {
    menuVisibility: false, cameraAutoFit: false, gridVisible: false, axesHelper: 0, colorbarObjectId: 0,
    axes: ["x", "y", "z"].map((axis) => `${axis}\\,[\\mathrm{m}]`), renderOnChange: false, antialias: drawnBySoftware() ? 0 : 1,
  };
  const k3d = new library.K3D(library.ThreeJsProvider, byId("canvas"), options);
  const bodies = scene.motions.map((motion, index) => new Body(unpackedMotion(motion, buffer), index, scene.plain[index % scene.plain.length]));
  window.page = new Page(scene, bodies, k3d);
  await window.page.load();
  byId("message").hidden = true;
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  byId("message").textContent = `The motion cannot be shown: ${error.message}\nThe page needs WebGL and a browser of 2023 or later.`;
  console.error(error);
});
