// The list of classes, which hides them, and the choice of colours.

// Letters of a long name's end, which stay where there is no room for all of it.
const END = 12;

class Classes {
  // changed(visible) is told which points are shown; coloured(colouring) how.
  constructor(facts, changed, coloured) {
    this.facts = facts;
    this.changed = changed;
    this.coloured = coloured;
    // Of each colouring the numbers of its hidden classes.
    this.hidden = facts.colourings.map(() => new Set());
    this.visible = new Uint8Array(facts.n).fill(1);
    this.list = document.getElementById("classes");
    this.choice = document.getElementById("colour");
    facts.colourings.forEach(({ name }, i) => this.choice.add(new Option(name, i)));
    this.choice.onchange = () => this.choose(Number(this.choice.value));
    document.getElementById("all").onclick = () => this.showAll();
    this.choose(0);
  }

  choose(which) {
    this.which = which;
    this.choice.value = which;
    const colouring = this.facts.colourings[which];
    this.drawScale(colouring);
    this.drawList(colouring);
    this.coloured(colouring);
  }

  drawScale({ names, palette, low, high }) {
    const scale = document.getElementById("scale");
    scale.hidden = names.length > 0;
    const [from, bar, to] = scale.children;
    from.textContent = Number(low.toPrecision(4));
    to.textContent = Number(high.toPrecision(4));
    bar.style.background = `linear-gradient(to right, ${palette.join(",")})`;
  }

  drawList({ names, palette, values }) {
    const counts = new Uint32Array(names.length);
    if (names.length) for (const value of values) counts[value] += 1;
    this.list.replaceChildren(...names.map((name, code) => {
      const row = document.createElement("li");
      row.innerHTML = '<label><input type="checkbox"><span class="swatch"></span>' +
        '<span class="name"></span><span class="count"></span></label>' +
        '<button type="button">only</button>';
      const box = row.querySelector("input");
      box.checked = !this.hidden[this.which].has(code);
      box.onchange = () => this.toggle(code, box.checked);
      row.querySelector("button").onclick = () => this.only(code);
      row.querySelector(".swatch").style.background = palette[code];
      row.querySelector(".name").append(...this.cuttable(name));
      row.title = name;
      row.querySelector(".count").textContent = counts[code].toLocaleString("en");
      return row;
    }));
  }

  // A name's beginning, which may be cut, and its end: endings often differ.
  cuttable(name) {
    const letters = [...name];
    if (letters.length <= 2 * END) return [name];
    return [letters.slice(0, -END), letters.slice(-END)].map((part) => {
      const span = document.createElement("span");
      span.textContent = part.join("");
      return span;
    });
  }

  toggle(code, shown) {
    this.hidden[this.which][shown ? "delete" : "add"](code);
    this.update();
  }

  only(code) {
    const { names } = this.facts.colourings[this.which];
    this.hidden[this.which] = new Set(names.keys());
    this.hidden[this.which].delete(code);
    this.update();
  }

  showAll() {
    for (const codes of this.hidden) codes.clear();
    this.update();
  }

  update() {
    this.visible.fill(1);
    this.facts.colourings.forEach(({ values }, which) => {
      const codes = this.hidden[which];
      if (!codes.size) return;
      for (let i = 0; i < values.length; i++) {
        if (codes.has(values[i])) this.visible[i] = 0;
      }
    });
    this.list.querySelectorAll("input").forEach((box, code) => {
      box.checked = !this.hidden[this.which].has(code);
    });
    this.changed(this.visible);
  }
}
