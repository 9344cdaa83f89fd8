// <motion-step step direction hold move back>: leads through a movement, and streams what the
// sensors say of it to the server, which judges it. Where there are no sensors the form behind
// [data-other-device] is sent: the page that comes says so, and has the code for a phone.

const NO_SENSOR_MS = 2_000;
const SEND_EVERY_MS = 200;
const LEAST_GAP_MS = 15; // some phones read their sensors far more often than is of use
const SAID = {
  "left": "Tilt it to the left",
  "right": "Tilt it to the right",
  "towards you": "Tilt its top towards you",
  "away from you": "Tilt its top away from you",
};

customElements.define("motion-step", class extends HTMLElement {
  connectedCallback() {
    this.find = (name) => this.querySelector(`[data-${name}]`);
    this.button = this.find("start");
    this.button.hidden = false;
    this.button.addEventListener("click", this);
    if (!isSecureContext) this.fail("Motion sensors work over https only. Open this page by https, or go on with it on a phone.");
  }

  disconnectedCallback() {
    this.stop();
  }

  handleEvent(event) {
    if (event.type === "click") this.start();
    else this.read(event);
  }

  get line() {
    return document.querySelector("visit-line");
  }

  async start() {
    this.button.hidden = true;
    this.find("problem").hidden = true;
    if (!(await this.mayRead())) return this.fail("This page may not use the motion sensors. Allow it, and try again.");
    if (!(await this.hasSensors())) return this.changeDevice();
    this.samples = [];
    const answer = await this.line.ask({ type: "again" });
    if (answer.type === "error") return this.fail("The connection is interrupted. Try again in a moment.");
    await this.lead();
  }

  // Phones of one maker ask their owner first.
  async mayRead() {
    const ask = window.DeviceOrientationEvent?.requestPermission;
    if (!ask) return true;
    try {
      return (await ask.call(DeviceOrientationEvent)) === "granted";
    } catch {
      return false;
    }
  }

  hasSensors() {
    return new Promise((resolve) => {
      const done = (found) => {
        clearTimeout(timer);
        removeEventListener("deviceorientation", look);
        resolve(found);
      };
      const look = (event) => { if (event.beta !== null && event.gamma !== null) done(true); };
      const timer = setTimeout(() => done(false), NO_SENSOR_MS);
      addEventListener("deviceorientation", look);
    });
  }

  async lead() {
    this.find("stage").hidden = false;
    this.find("stage").scrollIntoView({ block: "center" });
    this.began = performance.now();
    this.last = null;
    addEventListener("deviceorientation", this);
    this.sender = setInterval(() => this.send(), SEND_EVERY_MS);
    // A sensor that reads the same says nothing: what it said last still holds.
    this.keeper = setInterval(() => this.keep(), 50);
    const parts = [
      ["Hold it still", "hold"],
      [SAID[this.getAttribute("direction")], "move"],
      ["Bring it back", "back"],
    ];
    for (const [words, name] of parts) {
      if (!(await this.part(words, Number(this.getAttribute(name))))) return;
    }
    this.stop();
    this.say("Checking");
    await this.finish();
  }

  part(words, ms) {
    this.say(words);
    navigator.vibrate?.(60);
    const began = performance.now();
    return new Promise((resolve) => {
      const step = () => {
        if (!this.isConnected) return resolve(false);
        const passed = performance.now() - began;
        this.find("bar").value = Math.min(1, passed / ms);
        if (passed >= ms) resolve(true);
        else requestAnimationFrame(step);
      };
      step();
    });
  }

  read(event) {
    if (event.beta === null || event.gamma === null) return;
    this.last = [event.beta, event.gamma];
    this.note();
  }

  keep() {
    if (this.last && performance.now() - this.began - this.noted > 60) this.note();
  }

  note() {
    const ms = performance.now() - this.began;
    if (ms - (this.noted ?? -Infinity) < LEAST_GAP_MS) return;
    this.noted = ms;
    this.samples.push([Math.round(ms), ...this.last.map((one) => Math.round(one * 100) / 100)]);
  }

  send() {
    if (this.samples.length) this.line.ask({ type: "samples", samples: this.samples.splice(0) });
  }

  async finish() {
    this.send();
    const answer = await this.line.ask({ type: "finish", step: this.getAttribute("step") });
    // What came of it is an event, and loads the page anew.
    if (answer.type === "error") this.fail(answer.cut ? "The connection was interrupted. Try again." : answer.detail);
  }

  changeDevice() {
    const form = document.querySelector("[data-other-device] form");
    form.elements.why.value = "no-sensors";
    form.submit();
  }

  stop() {
    removeEventListener("deviceorientation", this);
    clearInterval(this.sender);
    clearInterval(this.keeper);
    this.noted = undefined;
  }

  say(words) {
    this.find("word").textContent = words;
    this.find("said").textContent = words;
  }

  fail(words) {
    this.stop();
    this.find("stage").hidden = true;
    this.find("problem").textContent = words;
    this.find("problem").hidden = false;
    this.button.hidden = false;
    this.button.textContent = "Try again";
  }
});
