// <live-region src="/path">: a part of a page that the server draws anew whenever a "live" event
// comes from a <live-stream> inside it, or "changed" from the document. What it gets is put in place
// of its [data-live-part] children by their names; focus and what is open stay where they are.

const PAUSE_MS = 250; // many events in a row are one look

// A part without what moves by itself: elements of ours change what is in them, and a count-down
// has another time in each answer.
function still(part) {
  const copy = part.cloneNode(true);
  for (const it of copy.querySelectorAll("count-down, copy-button")) {
    it.removeAttribute("now");
    it.replaceChildren();
  }
  return copy;
}

customElements.define("live-region", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("live", this);
    document.addEventListener("changed", this);
  }

  disconnectedCallback() {
    this.removeEventListener("live", this);
    document.removeEventListener("changed", this);
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  handleEvent() {
    this.missed = this.looking;
    if (!this.looking) this.timer ??= setTimeout(() => this.look(), PAUSE_MS);
  }

  async look() {
    this.timer = undefined;
    this.looking = true;
    try {
      const answer = await fetch(this.getAttribute("src"), { headers: { "X-Part": "1" } });
      if (answer.status === 401) return location.reload(); // the login has ended: it says so
      if (answer.ok) this.put(await answer.text());
    } catch {
      // The line is cut. The stream notices as well, and its next "ready" brings us back here.
    } finally {
      this.looking = false;
      if (this.missed) this.handleEvent();
    }
  }

  put(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.querySelectorAll("[data-live-part]")) {
      const name = part.dataset.livePart;
      const old = this.querySelector(`[data-live-part="${CSS.escape(name)}"]`);
      if (!old || still(old).isEqualNode(still(part))) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      const open = old.querySelector("details[open]") !== null;
      old.replaceWith(document.adoptNode(part));
      if (open) part.querySelector("details")?.setAttribute("open", "");
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
    this.dispatchEvent(new Event("drawn", { bubbles: true }));
  }
});
