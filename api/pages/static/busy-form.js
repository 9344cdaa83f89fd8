// <busy-form>: around a form. Once it has been sent its button says so, and a second click sends
// nothing. A page that comes back from the history is as it was.

customElements.define("busy-form", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", this);
    addEventListener("pageshow", this);
  }

  disconnectedCallback() {
    this.removeEventListener("submit", this);
    removeEventListener("pageshow", this);
  }

  handleEvent(event) {
    if (event.type === "pageshow") return this.set(false);
    if (this.busy) return event.preventDefault();
    this.set(true, event.submitter);
  }

  set(busy, button) {
    this.busy = busy;
    const buttons = button ? [button] : this.querySelectorAll("[aria-busy]");
    for (const one of buttons) {
      if (busy) one.setAttribute("aria-busy", "true");
      else one.removeAttribute("aria-busy");
    }
  }
});
