// Link: what is on screen as the fragment of the address, and back; and between the two frames of a comparison.

class Link {
  // `words()` says what is on screen as texts by name; `show(words)` brings a URLSearchParams to the screen.
  constructor(words, show) {
    Object.assign(this, { words, show, text: "", timer: 0, isSilent: false });
    window.addEventListener("hashchange", () => this.restore(location.hash.slice(1)));
    if (window.parent === window) return;
    // Only the page around this frame may steer it, and all it can say is such a fragment.
    window.addEventListener("message", (event) => {
      if (event.source === window.parent && typeof event.data?.pointseg === "string") this.restore(event.data.pointseg);
    });
  }

  restore(text) {
    if (text === this.text) return;
    this.isSilent = true;
    this.show(new URLSearchParams(text));
    this.isSilent = false;
    // As this page would say it, which may be less: nobody moved anything here, so it tells nobody.
    this.text = this.said();
    this.keep();
  }

  said() {
    return new URLSearchParams(this.words()).toString().replaceAll("%2C", ",");
  }

  // After anything on screen has changed.
  changed() {
    if (this.isSilent) return;
    const text = this.said();
    if (text === this.text) return;
    this.text = text;
    if (window.parent !== window) window.parent.postMessage({ pointseg: text }, "*");
    this.keep();
  }

  // Browsers refuse addresses that change many times a second.
  keep() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (location.hash !== `#${this.text}`) history.replaceState(null, "", `#${this.text}`);
    }, 200);
  }
}

function numbersOf(text, count) {
  const numbers = (text ?? "").split(",").map(Number);
  return numbers.length === count && numbers.every(Number.isFinite) ? numbers : null;
}
