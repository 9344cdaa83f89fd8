// <leave-soon after="3">: follows the link inside it after so many seconds, says so, and lets
// people stay. A page that comes back from the history stays as well.

customElements.define("leave-soon", class extends HTMLElement {
  connectedCallback() {
    this.way = this.querySelector("[data-way]");
    this.said = this.querySelector("[data-said]");
    this.stay = this.querySelector("[data-stay]");
    this.stay.hidden = false;
    this.stay.addEventListener("click", this);
    addEventListener("pageshow", this);
    const seconds = Number(this.getAttribute("after"));
    this.said.textContent = `You go there by yourself in ${seconds} seconds.`;
    this.timer = setTimeout(() => location.assign(this.way.href), seconds * 1_000);
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    removeEventListener("pageshow", this);
  }

  handleEvent(event) {
    if (event.type === "pageshow" && !event.persisted) return;
    clearTimeout(this.timer);
    this.stay.hidden = true;
    this.said.textContent = "You stay here. The button leads back.";
    this.way.focus();
  }
});
