// What a user clicks and types, and the legend.

const byId = (id) => document.getElementById(id);
const SPEEDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

function fillControls(page) {
  const { bodies, scene, span } = page;
  const options = (id, texts) => byId(id).append(...texts.map(([text, value]) => new Option(text, value)));
  options("field", [...Object.keys(scene.fields).map((name) => [name, name]), ["none", ""]]);
  options("speed", SPEEDS.map((speed) => [`×${speed}`, speed]));
  // A motion of less than four seconds is slowed down to them.
  byId("speed").value = SPEEDS.filter((speed) => speed <= 1 && span / speed >= 4).at(-1) ?? SPEEDS[0];
  byId("layout").value = scene.overlaid ? "over" : "side";
  byId("time").disabled = byId("play").disabled = span === 0;
  byId("layout-label").hidden = bodies.length < 2;
  byId("points-label").hidden = !bodies.some((body) => body.marks.length);
  bodies.forEach((body) => addToLegend(body.motion.name, css(body.plain.slice(1, 4))));
  const kinds = new Map(bodies.flatMap((body) => body.marks.map((marks) => [marks.name, marks.color])));
  kinds.forEach((color, name) => addToLegend(name, `#${color.toString(16).padStart(6, "0")}`, "dot"));
  listen(page);
}

function listen(page) {
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  on("play", "click", () => page.play(!page.playing));
  on("time", "input", () => page.seek(page.scene.start + page.span * Number(byId("time").value)));
  on("field", "change", () => page.repaint());
  on("points", "change", () => page.request());
  on("grid", "change", () => page.drawGrid());
  on("reset", "click", () => {
    page.fit();
    page.request();
  });
  on("layout", "change", async () => {
    page.arrange();
    await page.label();
    page.fit();
    page.drawGrid();
  });
  document.addEventListener("keydown", (event) => {
    const { tagName, type } = event.target;
    // Space presses a button that has the focus, as everywhere.
    if (tagName === "SELECT" || (event.key === " " && (tagName === "BUTTON" || type === "checkbox"))) return;
    const keys = { " ": () => page.play(!page.playing), ArrowLeft: () => page.step(-1), ArrowRight: () => page.step(1) };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

function addToLegend(text, color, kind = "") {
  const row = document.createElement("div"), swatch = document.createElement("i");
  swatch.className = kind;
  swatch.style.background = color;
  row.append(swatch, text);
  byId("legend").append(row);
}
