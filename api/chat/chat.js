// The chat page. What is shown is the log: read once, then followed by sequence. What is sent has
// a key and stays in the outbox until it is acknowledged, so neither a reload nor a cut line loses
// or doubles anything.

const $ = (id) => document.getElementById(id);
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;
const RESEND_MS = 2_000;

class LoggedOut extends Error {}

let talk = null; // the conversation that is open

// -- the server ---------------------------------------------------------------------------------

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401) throw new LoggedOut();
  const said = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) {
    const error = new Error(said?.message ?? said?.error ?? `The server answered ${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return said;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// -- one conversation ---------------------------------------------------------------------------

class Talk {
  constructor(session) {
    this.id = session.sessionId;
    this.seq = 0;
    this.rows = new Map(); // by message id, or by key while it is in the outbox
    this.outbox = JSON.parse(sessionStorage.getItem(this.slot) ?? "{}");
    this.socket = null;
    this.retryMs = FIRST_RETRY_MS;
    this.timer = null;
    this.over = session.status === "closed";
    this.left = false;
  }

  get slot() { return `outbox:${this.id}`; }
  get path() { return `/api/sessions/${encodeURIComponent(this.id)}`; }

  async load() {
    let cursor = null;
    do {
      const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page = await call("GET", `${this.path}/messages?limit=100${from}`);
      if (this.left) return;
      page.messages.forEach((message) => this.show(message));
      this.seq = page.seq;
      cursor = page.nextCursor;
    } while (cursor !== null);
    for (const [key, content] of Object.entries(this.outbox)) this.showPending(key, content);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    if (this.left || this.over || this.socket) return;
    setState("waiting", "Connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}/stream?after=${this.seq}`);
    this.socket = socket;
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = (event) => this.dropped(socket, event);
  }

  async dropped(socket, event) {
    if (this.socket !== socket) return;
    this.socket = null;
    if (this.left || this.over) return;
    setState("waiting", navigator.onLine ? "Reconnecting" : "Offline");
    const wait = this.retryMs * (0.75 + Math.random() / 2);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    this.timer = setTimeout(() => this.look(event), wait);
  }

  // A handshake that was refused tells a script nothing, so the reason is asked for.
  async look() {
    try {
      await call("GET", this.path);
    } catch (error) {
      if (error instanceof LoggedOut) return showLogin();
      if (error.status === 404) return this.end();
    }
    this.connect();
  }

  hear(frame) {
    switch (frame.type) {
      case "ready":
        this.retryMs = FIRST_RETRY_MS;
        setState("live", "Connected");
        for (const key of Object.keys(this.outbox)) this.push(key);
        return;
      case "ack":
        if (frame.message) this.show(frame.message);
        return;
      case "error":
        return this.refused(frame);
    }
    this.seq = frame.seq;
    switch (frame.type) {
      case "reply.delta":
        return this.grow(frame.data);
      case "message.created":
      case "reply.started":
      case "reply.completed":
      case "reply.cancelled":
      case "reply.failed":
        return this.show(frame.data);
      case "session.closed":
        return this.end();
    }
  }

  refused(frame) {
    if (frame.id in this.outbox && frame.statusCode >= 500) {
      setTimeout(() => this.push(frame.id), RESEND_MS);
    } else if (frame.id in this.outbox) {
      const row = this.rows.get(frame.id);
      this.forget(frame.id);
      row.item.className = "user failed";
      row.note.textContent = `Not sent: ${frame.message}`;
    } else {
      $("trouble").textContent = frame.message;
    }
  }

  // -- saying ------------------------------------------------------------------------------------

  say(content) {
    const key = newKey();
    this.outbox[key] = content;
    this.keep();
    this.showPending(key, content);
    this.push(key);
  }

  push(key) {
    if (!(key in this.outbox) || this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ type: "message", id: key, content: this.outbox[key] }));
  }

  async stop() {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "cancel" }));
    } else {
      await call("POST", `${this.path}/cancel`);
    }
  }

  forget(key) {
    delete this.outbox[key];
    this.keep();
  }

  keep() {
    if (Object.keys(this.outbox).length === 0) sessionStorage.removeItem(this.slot);
    else sessionStorage.setItem(this.slot, JSON.stringify(this.outbox));
  }

  // -- showing -----------------------------------------------------------------------------------

  row(id) {
    let row = this.rows.get(id);
    if (row === undefined) {
      const item = document.createElement("li");
      const text = document.createElement("div");
      const note = document.createElement("div");
      text.className = "text";
      note.className = "note";
      item.append(text, note);
      row = { item, text, note, seq: Infinity, updated: 0 };
      this.rows.set(id, row);
      this.place(row);
    }
    return row;
  }

  place(row) {
    const later = [...this.rows.values()].filter((other) => other.seq > row.seq);
    const next = later.sort((one, other) => one.seq - other.seq)[0];
    if (next === undefined || !next.item.isConnected) $("log").append(row.item);
    else next.item.before(row.item);
  }

  show(message) {
    const key = message.idempotencyKey;
    if (key !== undefined && this.rows.has(key)) {
      this.rows.set(message.messageId, this.rows.get(key));
      this.rows.delete(key);
    }
    if (key !== undefined && key in this.outbox) this.forget(key);
    if (message.updatedSeq < (this.rows.get(message.messageId)?.updated ?? 0)) return;
    this.following(() => {
      const row = this.row(message.messageId);
      row.updated = message.updatedSeq;
      row.item.className = `${message.role} ${message.status}`;
      row.item.setAttribute("aria-busy", String(message.status === "streaming"));
      row.text.textContent = message.content;
      row.note.textContent = noteOf(message);
      if (row.seq !== message.seq) {
        row.seq = message.seq;
        this.place(row);
      }
      this.settle();
    });
  }

  showPending(key, content) {
    this.following(() => {
      const row = this.row(key);
      row.item.className = "user pending";
      row.text.textContent = content;
      row.note.textContent = "Sending";
      this.settle();
    }, true);
  }

  grow(delta) {
    if (this.seq <= (this.rows.get(delta.messageId)?.updated ?? 0)) return;
    this.following(() => {
      const row = this.row(delta.messageId);
      row.updated = this.seq;
      row.text.append(delta.text);
    });
  }

  // Keep the end in view, unless somebody has scrolled away from it to read. All that makes the log
  // longer or its place smaller (a new row, the stop button) belongs into `change`.
  following(change, always = false) {
    const log = $("log");
    const atEnd = always || log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    change();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  settle() {
    $("empty").hidden = this.rows.size > 0;
    $("stop").hidden = this.over || document.querySelector("#log .streaming") === null;
  }

  end() {
    this.over = true;
    this.socket?.close();
    setState("idle", "Closed");
    $("ended").hidden = false;
    $("compose").hidden = true;
    this.settle();
  }

  leave() {
    this.left = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}

function noteOf(message) {
  switch (message.status) {
    case "cancelled": return "Stopped";
    case "interrupted": return "Interrupted";
    case "failed": return message.error ?? "Failed";
    default: return "";
  }
}

// -- the page -----------------------------------------------------------------------------------

function setState(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

function showOnly(id) {
  for (const one of ["login", "start", "talk"]) $(one).hidden = one !== id;
  $("leave").hidden = $("who").hidden = id !== "talk";
}

function showLogin() {
  talk?.leave();
  talk = null;
  setState("idle", "");
  showOnly("login");
  $("token").focus();
}

function showStart() {
  talk?.leave();
  talk = null;
  history.replaceState(null, "", "/chat");
  setState("idle", "");
  showOnly("start");
  $("business").focus();
}

function problem(form, text) {
  form.querySelector(".problem").textContent = text;
}

async function open(businessId, userId) {
  try {
    const session = await call("POST", "/api/sessions", { businessId, userId });
    talk?.leave();
    talk = new Talk(session);
    const query = new URLSearchParams({ business: businessId, user: userId });
    history.replaceState(null, "", `/chat?${query}`);
    $("log").replaceChildren();
    $("trouble").textContent = "";
    $("ended").hidden = true;
    $("compose").hidden = false;
    $("who").textContent = `${userId} at ${businessId}`;
    showOnly("talk");
    $("content").focus();
    talk.settle();
    await talk.load();
  } catch (error) {
    if (error instanceof LoggedOut) return showLogin();
    if (talk !== null && error.status === undefined) return talk.dropped(talk.socket);
    showStart();
    $("business").value = businessId;
    $("user").value = userId;
    problem($("start"), error.status === undefined ? "The server cannot be reached" : error.message);
  }
}

function begin() {
  const query = new URLSearchParams(location.search);
  const [business, user] = [query.get("business"), query.get("user")];
  if (business && user) return open(business, user);
  showStart();
}

function submit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    problem(form, "");
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      problem(form, error instanceof LoggedOut ? "That token is not known here" : error.message);
    } finally {
      button.disabled = false;
    }
  });
}

submit($("login"), async () => {
  await call("POST", "/chat/login", { token: $("token").value });
  $("token").value = "";
  begin();
});

submit($("start"), () => open($("business").value.trim(), $("user").value.trim()));

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = $("content").value;
  if (content.trim() === "") return;
  $("trouble").textContent = "";
  $("content").value = "";
  grow();
  talk.say(content);
  $("content").focus();
});

function grow() {
  talk.following(() => {
    $("content").style.height = "";
    $("content").style.height = `${$("content").scrollHeight + 2}px`;
  });
}

$("content").addEventListener("input", grow);
$("content").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("compose").requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("stop").hidden) talk?.stop();
});
$("stop").addEventListener("click", () => {
  talk.stop();
  $("content").focus();
});
$("leave").addEventListener("click", showStart);
$("again").addEventListener("click", () => {
  const query = new URLSearchParams(location.search);
  open(query.get("business"), query.get("user"));
});
window.addEventListener("online", () => talk?.connect());

begin();
