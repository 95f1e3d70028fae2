// What the page knows of its points, unpacked from the block of facts.

const unpacked = (text, Kind) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
};

class Facts {
  constructor(block) {
    const given = JSON.parse(block.textContent);
    block.remove();
    Object.assign(this, given);
    this.n = given.ids.length;
    this.neighbors = unpacked(given.neighbors, Int32Array);
    this.distances = unpacked(given.distances, Float32Array);
    for (const colouring of this.colourings) {
      colouring.values = unpacked(colouring.values, Float32Array);
    }
    // The first colouring is by label, where there are labels.
    this.labels = this.labelled ? this.colourings[0] : null;
    this.columnNames = Object.keys(this.columns);
  }

  hasLabel(i) {
    return this.labels !== null && this.labels.values[i] !== this.unlabelled;
  }

  label(i) {
    return this.labels === null ? "" : this.labels.names[this.labels.values[i]];
  }

  // Whether two points have one label; null where either has none.
  agree(i, j) {
    if (!this.hasLabel(i) || !this.hasLabel(j)) return null;
    return this.labels.values[i] === this.labels.values[j];
  }

  // [number, distance] of the nearest others, nearest first.
  nearest(i) {
    const k = this.nNeighbors;
    return Array.from({ length: k }, (_, rank) => [
      this.neighbors[i * k + rank],
      this.distances[i * k + rank],
    ]);
  }

  // Points whose id is the text, or whose label or texts have it in them.
  search(text) {
    const asked = text.trim().toLowerCase();
    if (!asked) return [];
    this.lowered ??= {
      names: this.labels?.names.map((name) => name.toLowerCase()),
      columns: this.columnNames.map((name) =>
        this.columns[name].map((item) => item.toLowerCase())),
    };
    const { names, columns } = this.lowered;
    const named = names?.map((name) => name.includes(asked));
    const found = [];
    for (let i = 0; i < this.n; i++) {
      if (this.ids[i].toLowerCase() === asked || named?.[this.labels.values[i]] ||
          columns.some((column) => column[i].includes(asked))) found.push(i);
    }
    return found;
  }
}
