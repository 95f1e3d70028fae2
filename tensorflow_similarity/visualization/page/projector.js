// The plot, and what the pointer does on it.

// A pointer so many pixels from a point is on it.
const REACH = 8;

// Whether WebGL runs on a graphics card. Where a program stands in for one it is many
// times slower than the canvas, on which Bokeh draws some of many points while they move.
const hasGraphicsCard = () => {
  const options = { failIfMajorPerformanceCaveat: true };
  const gl = document.createElement("canvas").getContext("webgl", options);
  if (gl === null) return false;
  const named = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
};

class Projector {
  static async start(target, facts) {
    const [root] = facts.plot.doc.roots;
    if (!hasGraphicsCard()) root.attributes.output_backend = "canvas";
    const views = await Bokeh.embed.embed_item(facts.plot, target);
    delete facts.plot;
    const [view] = views.roots ?? views;
    return new Projector(view, facts);
  }

  constructor(view, facts) {
    this.view = view;
    this.figure = view.model;
    const find = (name) => this.figure.document.get_model_by_name(name);
    [this.source, this.marks, this.colours, this.shown] =
      ["points", "marks", "colours", "shown"].map(find);
    this.facts = facts;
    [this.x, this.y] = [this.source.data.x, this.source.data.y];
    this.picked = -1;
    this.pictures = new Pictures(facts.pictures);
    this.details = new Details(facts, this.pictures, (i) => this.pick(i));
    this.classes = new Classes(
      facts, (visible) => this.show(visible), (colouring) => this.colour(colouring));
    this.colourWhileMoving();
    this.listen();
  }

  // Bokeh would draw those of the points that it moves in grey.
  colourWhileMoving() {
    const [renderer] = this.figure.renderers;
    const moving = this.view.views?.find_one(renderer)?.decimated_glyph;
    moving?.model.setv({ fill_color: renderer.glyph.fill_color, fill_alpha: 1 });
  }

  listen() {
    this.figure.on_event("mousemove", (event) => this.hover(event));
    this.figure.on_event("mouseleave", () => this.details.hover(-1));
    this.figure.on_event("tap", (event) => this.tap(event));
    this.figure.on_event("panstart", () => this.details.hover(-1));
    this.figure.on_event("reset", () => this.clear());
    // What the pointer was on has moved.
    for (const moved of ["resize", "scroll"]) {
      addEventListener(moved, () => this.details.hover(-1));
    }
    this.source.selected.properties.indices.change.connect(() => this.selected());
    const search = document.getElementById("search");
    search.oninput = () => this.search(search.value);
  }

  // Pixels on the plot per unit of the data.
  scales() {
    const { width, height } = this.view.frame.bbox;
    const { x_range: x, y_range: y } = this.figure;
    return [width / (x.end - x.start), height / (y.end - y.start)];
  }

  // The nearest shown point within reach; -1 if there is none.
  at(x, y) {
    const [across, up] = this.scales();
    const reach = Math.max(REACH, this.size / 2);
    let [best, least] = [-1, reach * reach];
    for (let i = 0; i < this.facts.n; i++) {
      const right = (this.x[i] - x) * across;
      if (right > reach || right < -reach || !this.classes.visible[i]) continue;
      const above = (this.y[i] - y) * up;
      const squared = right * right + above * above;
      if (squared < least) [best, least] = [i, squared];
    }
    return best;
  }

  // Where point i is in the window, {x, y}.
  place(i) {
    const { left, top } = this.view.el.getBoundingClientRect();
    const { x_scale, y_scale } = this.view.frame;
    return { x: left + x_scale.compute(this.x[i]), y: top + y_scale.compute(this.y[i]) };
  }

  hover({ x, y, sx, sy }) {
    const i = this.at(x, y);
    const { left, top } = this.view.el.getBoundingClientRect();
    this.details.hover(i, left + sx, top + sy, this.distanceTo(i));
  }

  // From the picked point, known for its neighbours.
  distanceTo(i) {
    if (this.picked < 0 || i < 0) return undefined;
    return this.facts.nearest(this.picked).find(([j]) => j === i)?.[1];
  }

  tap({ x, y }) {
    const i = this.at(x, y);
    if (i >= 0) this.pick(i); else this.clear();
  }

  pick(i) {
    this.picked = i;
    const neighbors = this.facts.nearest(i).map(([j]) => j);
    const ringed = [i, ...neighbors].filter((j) => this.classes.visible[j]);
    this.marks.data = {
      x: ringed.map((j) => this.x[j]),
      y: ringed.map((j) => this.y[j]),
      size: ringed.map((j) => (j === i ? 18 : 11)),
    };
    this.details.one(i);
  }

  clear() {
    this.picked = -1;
    this.marks.data = { x: [], y: [], size: [] };
    this.source.selected.indices = [];
    this.details.none();
  }

  // After a lasso or a box, or a search.
  selected() {
    const points = [...this.source.selected.indices];
    if (this.searching) return;
    if (points.length) this.details.some(points, "points selected");
    else if (this.picked < 0) this.details.none();
  }

  search(text) {
    const found = this.facts.search(text);
    this.searching = true;
    this.source.selected.indices = found;
    this.searching = false;
    const asked = text.trim() !== "";
    document.getElementById("found").textContent =
      asked ? `${found.length.toLocaleString("en")} found` : "";
    if (asked) this.details.some(found, "points found");
    else this.details.none();
  }

  show(visible) {
    const all = visible.every((one) => one);
    this.shown.indices = all ? null : Array.from(visible.keys()).filter((i) => visible[i]);
    if (this.picked >= 0) this.pick(this.picked);
  }

  colour({ values, palette, low, high }) {
    this.colours.setv({ palette, low, high });
    this.source.data = { ...this.source.data, value: values };
  }

  get size() {
    return this.figure.renderers[0].glyph.size.value ?? 0;
  }
}

const facts = new Facts(document.getElementById("facts"));
window.projector = Projector.start(document.getElementById("plot"), facts);
