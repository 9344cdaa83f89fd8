// <live-stream src="/path" after="12">: follows a stream over a websocket, and comes back after
// what it had when the line is cut. Dispatches "live" (bubbling) with each event in `detail`, also
// the first frame of each connection, {"type": "ready"}.
// Its attribute data-state is waiting, live or over; an element [data-live] inside says it in words.

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const NORMAL = 1000;
const WORDS = { waiting: "Reconnecting", live: "Live", over: "Ended" };

customElements.define("live-stream", class extends HTMLElement {
  connectedCallback() {
    this.after = this.getAttribute("after");
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
    addEventListener("online", this);
  }

  disconnectedCallback() {
    removeEventListener("online", this);
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  handleEvent() {
    clearTimeout(this.timer);
    this.connect();
  }

  connect() {
    if (this.socket || this.dataset.state === "over" || !this.isConnected) return;
    const url = new URL(this.getAttribute("src"), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.after !== null) url.searchParams.set("after", this.after);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = (event) => this.dropped(socket, event);
  }

  hear(frame) {
    if (frame.type === "error") {
      this.after = null; // there is no such place in the stream (any more): go on from now
      return;
    }
    if (frame.type === "ready") {
      this.retryMs = FIRST_RETRY_MS;
      this.show("live");
    } else {
      this.after = String(frame.seq);
    }
    this.dispatchEvent(new CustomEvent("live", { bubbles: true, detail: frame }));
  }

  dropped(socket, event) {
    if (this.socket !== socket) return;
    this.socket = null;
    if (event.code === NORMAL) return this.show("over");
    this.show("waiting");
    const wait = this.retryMs * (0.75 + Math.random() / 2);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  show(state) {
    this.dataset.state = state;
    const words = this.querySelector("[data-live]");
    if (words) words.textContent = WORDS[state];
  }
});
