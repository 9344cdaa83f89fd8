// <copy-button target="id">: copies the text of the element with that id, and says that it did.
// Inside: a hidden button with a [data-label], and an element with role=status.

const SHOWN_MS = 2_000;

customElements.define("copy-button", class extends HTMLElement {
  connectedCallback() {
    this.button = this.querySelector("button");
    this.label = this.querySelector("[data-label]");
    this.status = this.querySelector("[role=status]");
    this.button.hidden = false;
    this.button.addEventListener("click", this);
  }

  disconnectedCallback() {
    this.button.removeEventListener("click", this);
    clearTimeout(this.timer);
  }

  async handleEvent() {
    const source = document.getElementById(this.getAttribute("target"));
    const text = source.value ?? source.textContent;
    const done = (await this.put(text)) || this.select(source);
    this.say(done ? "Copied" : "Press Ctrl+C");
  }

  // There is no clipboard where a page came over plain http from another machine.
  async put(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  select(source) {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }

  say(text) {
    this.label.textContent = text;
    this.status.textContent = text;
    this.dataset.said = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.label.textContent = "Copy";
      this.status.textContent = "";
      delete this.dataset.said;
    }, SHOWN_MS);
  }
});
