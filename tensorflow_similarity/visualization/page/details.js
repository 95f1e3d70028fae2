// What stands beside the plot: one point with its neighbours, or some points.

// More pictures than that tell nothing.
const MOST_SHOWN = 60;

class Details {
  constructor(facts, pictures, pick) {
    this.facts = facts;
    this.pictures = pictures;
    this.pick = pick;
    this.box = document.getElementById("details");
    this.tip = document.getElementById("tip");
    this.none();
  }

  none() {
    this.box.textContent = this.facts.nNeighbors
      ? "Click a point for its nearest neighbours."
      : "Click a point to keep it here.";
  }

  one(i) {
    const heading = document.createElement("h2");
    const nearest = this.facts.nearest(i);
    heading.textContent = nearest.length ? "Nearest neighbours of" : "Point";
    const picked = document.createElement("div");
    picked.className = "picked";
    picked.append(...this.parts(i));
    const list = document.createElement("ol");
    for (const [j, distance] of nearest) {
      const agree = this.facts.agree(i, j);
      const row = document.createElement("li");
      row.className = agree === null ? "" : agree ? "right" : "wrong";
      row.append(this.button(j, distance, agree));
      list.append(row);
    }
    this.box.replaceChildren(heading, picked, list);
    this.box.scrollTop = 0;
  }

  some(points, what) {
    if (!points.length && !what) return this.none();
    const heading = document.createElement("h2");
    const more = points.length > MOST_SHOWN ? `, the first ${MOST_SHOWN} shown` : "";
    heading.textContent = `${points.length.toLocaleString("en")} ${what}${more}`;
    const list = document.createElement(this.pictures.sheet ? "div" : "ol");
    if (this.pictures.sheet) list.className = "gallery";
    for (const i of points.slice(0, MOST_SHOWN)) {
      if (this.pictures.sheet) {
        list.append(this.thumbnail(i));
      } else {
        const row = document.createElement("li");
        row.append(this.button(i));
        list.append(row);
      }
    }
    this.box.replaceChildren(heading, list);
    return this.box;
  }

  // The pointer's own box, at (x, y) of the window; hidden without a point.
  hover(i, x, y, distance) {
    this.tip.hidden = i < 0;
    if (i < 0) return;
    if (this.hovered !== i || this.distance !== distance) {
      this.tip.replaceChildren(...this.parts(i, distance));
      [this.hovered, this.distance] = [i, distance];
    }
    // On the side of the pointer where there is room.
    const { width, height } = this.tip.getBoundingClientRect();
    const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
    const top = y + 14 + height > innerHeight ? y - 14 - height : y + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${Math.max(0, top)}px`;
  }

  // One line on label and distance, one on the rest.
  button(i, distance, agree = null) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.point = i;
    button.onclick = () => this.pick(i);
    const words = document.createElement("div");
    const mark = agree === null ? "" : agree ? " \u2713" : " \u00d7";
    const first = document.createElement("b");
    first.textContent = `${this.facts.label(i)}${mark} `;
    const far = distance === undefined ? "" : distance.toPrecision(4);
    const rest = this.facts.columnNames.map((name) => this.facts.columns[name][i]);
    const second = document.createElement("span");
    second.className = "rest";
    second.textContent = [...rest, `id ${this.facts.ids[i]}`].join(" \u00b7 ");
    words.append(first, far, second);
    const picture = this.pictures.draw(i, 40);
    button.append(...(picture ? [picture, words] : [words]));
    return button;
  }

  thumbnail(i) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.point = i;
    button.title = [this.facts.label(i), this.facts.ids[i]].filter(Boolean).join(" - ");
    button.onclick = () => this.pick(i);
    button.append(this.pictures.draw(i, 36));
    return button;
  }

  // Picture and words of one point.
  parts(i, distance) {
    const words = document.createElement("div");
    const say = (name, text) => {
      const line = document.createElement("span");
      line.className = "fact";
      const bold = document.createElement("b");
      bold.textContent = name;
      line.append(bold, ` ${text}`);
      words.append(line);
    };
    if (this.facts.labels) say("label", this.facts.label(i));
    if (distance !== undefined) say("distance", distance.toPrecision(4));
    for (const name of this.facts.columnNames) say(name, this.facts.columns[name][i]);
    say("id", this.facts.ids[i]);
    const picture = this.pictures.draw(i);
    return picture ? [picture, words] : [words];
  }
}
