// <visit-line src="/s/…/live" after="3" page="/s/…" state="in_progress" answers="0">: the page's
// line to the server. When the session has gone on (here, on another device, or by itself) the page
// is loaded anew; when only its time was put off, the countdown is told. Others send frames by
// `ask`, which gives the answer to each.

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const NORMAL = 1000;
const ANSWER_MS = 15_000;

customElements.define("visit-line", class extends HTMLElement {
  connectedCallback() {
    this.after = this.getAttribute("after");
    this.retryMs = FIRST_RETRY_MS;
    this.waiting = new Map();
    this.frames = 0;
    this.connect();
    addEventListener("pagehide", this);
    addEventListener("pageshow", this);
    document.addEventListener("over", this);
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this);
    removeEventListener("pageshow", this);
    document.removeEventListener("over", this);
    this.close();
  }

  handleEvent(event) {
    if (event.type === "pagehide") this.close();
    if (event.type === "pageshow" && event.persisted) this.leave();
    // Time is up: the server says so a moment later, and if the line is cut nobody else will.
    if (event.type === "over") setTimeout(() => this.leave(), 1_500);
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  connect() {
    const url = new URL(this.getAttribute("src"), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.after !== null) url.searchParams.set("after", this.after);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = (event) => this.dropped(socket, event);
  }

  hear(frame) {
    if (frame.type === "ack" || (frame.type === "error" && frame.id !== undefined)) {
      this.waiting.get(frame.id)?.(frame);
    } else if (frame.type === "error") {
      this.leave();
    } else if (frame.type === "ready") {
      this.retryMs = FIRST_RETRY_MS;
      this.dispatchEvent(new Event("ready"));
    } else {
      this.after = String(frame.seq);
      this.goOn(frame.data);
    }
  }

  goOn(session) {
    const same = session.state === this.getAttribute("state")
      && String(session.answers) === this.getAttribute("answers");
    const isWaitingForAPhone = this.getAttribute("state") === "handover"
      && session.state === "in_progress" && session.devices < 2
      && String(session.answers) === this.getAttribute("answers");
    if (!same && !isWaitingForAPhone) return this.leave();
    const until = String(Math.floor(Date.parse(session.expires_at) / 1_000));
    document.querySelector("count-down")?.setAttribute("until", until);
  }

  dropped(socket, event) {
    for (const answer of this.waiting.values()) answer({ type: "error", cut: true });
    if (this.socket !== socket) return;
    this.socket = null;
    if (event.code === NORMAL) return this.leave();
    this.timer = setTimeout(() => this.connect(), this.retryMs * (0.75 + Math.random() / 2));
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
  }

  // Sends a frame, and gives the answer to it; {type: "error", cut: true} when there is none.
  ask(frame) {
    const id = String(++this.frames);
    if (this.socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ type: "error", cut: true });
    this.socket.send(JSON.stringify({ ...frame, id }));
    return new Promise((resolve) => {
      const timer = setTimeout(() => done({ type: "error", cut: true }), ANSWER_MS);
      const done = (answer) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        resolve(answer);
      };
      this.waiting.set(id, done);
    });
  }

  leave() {
    if (this.left) return;
    this.left = true;
    this.close();
    location.replace(this.getAttribute("page"));
  }
});
