// <count-down until="unix seconds" now="the server's clock when it wrote this">: how long is left.
// Inside: [data-left], which shows it each second, and role=status, which says it now and then.
// Dispatches "over" when nothing is left. Set `until` anew and it goes on from there.

const SAID_AT_S = [600, 300, 120, 60, 30, 10];

function clock(left) {
  const seconds = String(left % 60).padStart(2, "0");
  return left < 3_600
    ? `${Math.floor(left / 60)}:${seconds}`
    : `${Math.floor(left / 3_600)}:${String(Math.floor(left / 60) % 60).padStart(2, "0")}:${seconds}`;
}

function words(left) {
  const [count, unit] = left < 60 ? [left, "second"] : [Math.round(left / 60), "minute"];
  return `${count} ${unit}${count === 1 ? "" : "s"} left`;
}

customElements.define("count-down", class extends HTMLElement {
  static observedAttributes = ["until"];

  connectedCallback() {
    // The visitor's clock may be wrong; only how it goes on is trusted.
    this.began = performance.now();
    this.now = Number(this.getAttribute("now"));
    this.restart();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  attributeChangedCallback() {
    if (this.isConnected && this.began !== undefined) this.restart();
  }

  get left() {
    const passed = (performance.now() - this.began) / 1_000;
    return Math.max(0, Math.ceil(Number(this.getAttribute("until")) - this.now - passed));
  }

  restart() {
    clearInterval(this.timer);
    this.said = this.left;
    this.timer = setInterval(() => this.tick(), 1_000);
    this.tick();
  }

  tick() {
    const left = this.left;
    this.querySelector("[data-left]").textContent = clock(left);
    const due = SAID_AT_S.find((at) => left <= at && this.said > at);
    if (due !== undefined) {
      this.said = left;
      this.querySelector("[role=status]").textContent = words(left);
    }
    if (left === 0) {
      clearInterval(this.timer);
      this.querySelector("[role=status]").textContent = "Time is up";
      this.dispatchEvent(new Event("over", { bubbles: true }));
    }
  }
});
