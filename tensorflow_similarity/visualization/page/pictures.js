// Thumbnails, cut from the sprite sheet when they are shown.

class Pictures {
  constructor(sheet) {
    this.sheet = sheet;
    if (sheet === null) return;
    const image = new Image();
    image.src = sheet.uri;
    // Decoded once and kept: drawing from an <img> may decode the sheet anew each time.
    this.ready = image.decode().then(() => createImageBitmap(image)).then((bitmap) => {
      this.bitmap = bitmap;
      delete sheet.uri;
    });
  }

  // A canvas with picture i, of the size asked for; null without pictures.
  draw(i, size = this.sheet?.size) {
    if (this.sheet === null) return null;
    const { tile, columns } = this.sheet;
    const canvas = document.createElement("canvas");
    canvas.className = "picture";
    canvas.width = canvas.height = size;
    canvas.dataset.point = i;
    const paint = () => {
      const context = canvas.getContext("2d");
      // Enlarged pixels stay pixels.
      context.imageSmoothingEnabled = tile > size;
      const left = (i % columns) * tile, top = Math.floor(i / columns) * tile;
      context.drawImage(this.bitmap, left, top, tile, tile, 0, 0, size, size);
    };
    if (this.bitmap) paint(); else this.ready.then(paint);
    return canvas;
  }
}
